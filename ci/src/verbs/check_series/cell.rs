// SPDX-License-Identifier: GPL-2.0
//! One check of one patch.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{bail, Context, Result};

use crate::kernels::{kbuild, matrix};
use crate::system::child::{self, End};
use crate::system::ui::{first_error, Step};
use crate::system::{files, git::Git, project::Project, rust, tools::Tools};

use super::plan::{Check, Config, Plan};

/// A commit of the series.
pub struct Patch {
    pub number: usize,
    pub commit: String,
    pub subject: String,
    /// What it changes, without what it removes.
    pub files: Vec<String>,
}

/// Runs checks in one tree, whose HEAD is the patch in question.
pub struct Checker<'a> {
    pub project: &'a Project,
    pub tools: &'a Tools,
    pub plan: &'a Plan,
    pub git: &'a Git,
    /// The build folders are in it.
    pub dir: &'a Path,
    /// Every file that the series changes.
    pub files: &'a [String],
    /// The commit where every option is there.
    pub last: &'a str,
}

/// What a check found: what counts, and how much is excepted.
pub struct Findings {
    pub counted: Vec<String>,
    pub excepted: usize,
}

impl Checker<'_> {
    pub fn check(&self, step: &mut Step, check: &Check, patch: &Patch) -> Result<Findings> {
        if self.git.head()? != patch.commit {
            step.run(&mut self.git.cmd(["checkout", "--quiet", "--detach", &patch.commit]))?;
        }
        let mut output = String::new();
        let mut failed = false;
        let (mut commands, mut found) = self.commands(step, check, patch)?;
        for command in &mut commands {
            let (end, said) = step.run_until(command, None)?;
            failed |= !matches!(end, End::Exited(status) if status.success());
            output += &said;
        }
        found.extend(check.findings(&output, self.files));
        let is_excepted = |line: &String| self.plan.exceptions(check).any(|known| known.is_for(line));
        let (excepted, counted): (Vec<_>, Vec<_>) = found.into_iter().partition(is_excepted);
        let findings = Findings { counted, excepted: excepted.len() };
        // A checker may fail because of what it has found; a build may not.
        let excused = !findings.counted.is_empty() || (findings.excepted > 0 && check.config.is_none());
        if failed && !excused {
            bail!("{}", first_error(&output));
        }
        Ok(findings)
    }

    /// What is to be run, and what kconfig complains about.
    fn commands(&self, step: &mut Step, check: &Check, patch: &Patch) -> Result<(Vec<Command>, Vec<String>)> {
        let (run, files) = (self.plan.run(check), check.files(&patch.files));
        if let Some(config) = self.plan.config(check) {
            let obj = self.dir.join(check.config.as_deref().unwrap_or_default());
            let complaints = self.configure(step, config, &obj, patch)?;
            if check.is_build() {
                self.forget_objects(&obj, patch)?;
            }
            let words = words(run, patch, &files, None);
            // Without a target it would build all there is.
            if words.iter().all(|word| word.contains('=')) {
                return Ok((vec![], complaints));
            }
            let mut make = self.make(step, config, &obj)?;
            make.args(words);
            return Ok((vec![make], complaints));
        }
        let each = run.iter().any(|word| word == "{file}");
        let runs = if each { files.iter().copied().map(Some).collect() } else { vec![None] };
        let command = |file| {
            let words = self.tools(words(run, patch, &files, file));
            let mut cmd = child::command(self.program(&words[0]));
            cmd.args(&words[1..]).current_dir(&self.git.dir);
            // Debian's Python has the modules that the tree's scripts need, another may not.
            child::look_first(&mut cmd, Path::new("/usr/bin"));
            cmd
        };
        Ok((runs.into_iter().map(command).collect(), vec![]))
    }

    /// Words with the names of tools.
    fn tools(&self, words: Vec<String>) -> Vec<String> {
        let (llvm, rustfmt) = (self.tools.llvm_word(), self.tools.rust("rustfmt"));
        let replace =
            |word: String| word.replace("{llvm}", &llvm).replace("{rustfmt}", &rustfmt.to_string_lossy());
        words.into_iter().map(replace).collect()
    }

    /// A script of the tree, or a program.
    fn program(&self, word: &str) -> PathBuf {
        if word.contains('/') {
            return self.git.dir.join(word);
        }
        PathBuf::from(word)
    }

    fn make(&self, step: &mut Step, config: &Config, obj: &Path) -> Result<Command> {
        let host = matrix::arch("host")?.kbuild;
        let mut make = kbuild::make(self.project, self.tools, &self.git.dir, obj, &host);
        // A message on one line, with its file. Flags that differ would compile all anew.
        make.args(["W=1", "KRUSTFLAGS=--error-format=short"]).args(&config.make);
        if config.oldest {
            let rust = rust::oldest(self.project, step)?;
            make.arg(format!("RUSTC={}", rust.path.display()));
        }
        Ok(make)
    }

    /// Complaints of kconfig.
    fn configure(&self, step: &mut Step, config: &Config, obj: &Path, patch: &Patch) -> Result<Vec<String>> {
        fs::create_dir_all(obj).with_context(|| format!("cannot make {}", obj.display()))?;
        let mut fragments = self.plan.fragments(config)?;
        if patch.commit != self.last {
            let kconfig = ["grep", "-hE", "^(menu)?config [A-Z0-9_]+$", "--", "*Kconfig*"];
            let symbols = self.git.capture(kconfig)?;
            let symbols: BTreeSet<&str> = symbols.lines().filter_map(|l| l.split(' ').nth(1)).collect();
            fragments.keep_only(&symbols);
        }
        // Not twice, for the next check in the same folder.
        let (configured, state) = (obj.join("configured"), format!("{}\n{}", patch.commit, fragments.text()));
        if fs::read_to_string(&configured).is_ok_and(|old| old == state) {
            return Ok(vec![]);
        }
        let make = self.make(step, config, obj)?;
        let said = kbuild::configure(step, make, obj, &fragments)?;
        fragments.check(&fs::read_to_string(obj.join(".config"))?)?;
        let complaint = |line: &&str| line.to_lowercase().contains("warning");
        let complaints: Vec<_> = said.lines().filter(complaint).map(str::to_owned).collect();
        if complaints.is_empty() {
            fs::write(configured, state)?;
        }
        Ok(complaints)
    }

    /// What is up to date is not compiled, and gives no warning.
    fn forget_objects(&self, obj: &Path, patch: &Patch) -> Result<()> {
        let of_kbuild = |file: &&String| file.ends_with(".c") || file.ends_with(".rs");
        for file in self.files.iter().filter(of_kbuild).filter(|f| !f.starts_with("rust/")) {
            files::remove(&obj.join(file).with_extension("o"))?;
        }
        if patch.files.iter().any(|file| file.starts_with("rust/kernel/")) {
            files::remove(&obj.join("rust/kernel.o"))?;
        }
        Ok(())
    }
}

/// The words of a command line, with what {...} stands for.
fn words(run: &[String], patch: &Patch, files: &[&str], file: Option<&str>) -> Vec<String> {
    let object = |file: &&str| Path::new(file).with_extension("o").to_string_lossy().into_owned();
    // Those of tools/ are not compiled by kbuild.
    let compiled = || files.iter().filter(|file| !file.starts_with("tools/"));
    let expand = |word: &String| match word.as_str() {
        "{commit}" => vec![patch.commit.clone()],
        "{files}" => files.iter().map(|file| file.to_string()).collect(),
        "{file}" => file.map(str::to_owned).into_iter().collect(),
        "{objects}" => compiled().map(object).collect(),
        _ => vec![word.clone()],
    };
    run.iter().flat_map(expand).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_is_filled_in() {
        let patch = Patch { number: 1, commit: "c0".into(), subject: String::new(), files: vec![] };
        let run = ["a", "{commit}", "{files}", "{objects}", "{file}"].map(str::to_owned);
        let words = |file| words(&run, &patch, &["k/x.c", "tools/y.c"], file).join(" ");
        assert_eq!(words(None), "a c0 k/x.c tools/y.c k/x.o");
        assert_eq!(words(Some("k/x.c")), "a c0 k/x.c tools/y.c k/x.o k/x.c");
    }
}
