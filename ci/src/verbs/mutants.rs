// SPDX-License-Identifier: GPL-2.0
//! `mutants`: bugs put into pending.rs, copying.rs and image.rs on purpose, those of
//! `rust/mutants/` and those that cargo-mutants makes. The tests must notice each of them.
//!
//! Only copies of `rust/` are ever broken, below `build/mutants/`.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{bail, Context, Result};
use serde::Deserialize;

use crate::system::child::{self, End};
use crate::system::deps;
use crate::system::git::Git;
use crate::system::project::{data, Project};
use crate::system::ui::{self, first_error, Step};

/// What a test run may take on broken code: so much more than on sound code that it hangs.
const PATIENCE: u32 = 10;
const LEAST_LIMIT: Duration = Duration::from_secs(60);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    environment: BTreeMap<String, String>,
    backend: Vec<Backend>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Backend {
    name: String,
    arguments: Vec<String>,
}

fn config() -> Config {
    data("mutants.toml", include_str!("../../mutants.toml"))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Survived,
    Caught,
    Hung,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Verdict::Survived => "-",
            Verdict::Caught => "caught",
            Verdict::Hung => "hangs",
        })
    }
}

/// A bug, and what each backend says of it.
type Row = (String, Vec<Verdict>);

pub fn run(project: &Project) -> Result<()> {
    let cargo_mutants = deps::cargo_mutants(project)?;
    let workshop = Workshop { project, config: config() };
    let patches = patches(&project.root)?;
    project.ui.step("all bugs compile", |_| check_all(&project.root, &patches))?;
    let limits = workshop.sound()?;
    let rows = patches.iter().map(|patch| workshop.broken(patch, &limits)).collect::<Result<Vec<_>>>()?;
    println!("{}", table(&workshop.config.backend, &rows));
    fail_on_survivors(&rows)?;
    workshop.cargo_mutants(&cargo_mutants, limits[0])
}

/// Where code is broken and tested.
struct Workshop<'a> {
    project: &'a Project,
    config: Config,
}

impl Workshop<'_> {
    fn dir(&self) -> PathBuf {
        self.project.root.join("build/mutants")
    }

    fn tree(&self) -> PathBuf {
        self.dir().join("tree")
    }

    /// Makes the copy sound. What had to be mended is newer than what was built from it,
    /// without which cargo would not build it again.
    fn mend(&self, step: &mut Step) -> Result<()> {
        fs::create_dir_all(self.tree()).context("cannot make build/mutants/tree")?;
        let mut rsync = child::command("rsync");
        rsync.args(["--recursive", "--checksum", "--delete", "--exclude=target/", "rust"]);
        step.run(rsync.arg(self.tree()).current_dir(&self.project.root)).map(drop)
    }

    /// How long each backend may take, from what it takes when nothing is broken.
    fn sound(&self) -> Result<Vec<Duration>> {
        self.project.ui.step("no bug", |step| {
            self.mend(step)?;
            let limit = |backend| {
                let (verdict, time) = self.test(step, backend, None)?;
                if verdict != Verdict::Survived {
                    bail!("the tests fail on sound code, with {}: mend that first", backend.name);
                }
                Ok(LEAST_LIMIT + time * PATIENCE)
            };
            self.config.backend.iter().map(limit).collect()
        })
    }

    fn broken(&self, patch: &Path, limits: &[Duration]) -> Result<Row> {
        let name = patch.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let verdicts = self.project.ui.step(&name, |step| {
            self.mend(step)?;
            step.run(&mut apply(&self.tree(), patch, &[]))?;
            let backends = self.config.backend.iter().zip(limits);
            let verdicts = backends.map(|(backend, limit)| Ok(self.test(step, backend, Some(*limit))?.0));
            let verdicts = verdicts.collect::<Result<Vec<_>>>()?;
            step.note(summary(&self.config.backend, &verdicts));
            Ok(verdicts)
        })?;
        Ok((name, verdicts))
    }

    /// What does not compile is no bug, but an error of ours.
    fn test(
        &self,
        step: &mut Step,
        backend: &Backend,
        limit: Option<Duration>,
    ) -> Result<(Verdict, Duration)> {
        step.run(self.cargo_test(backend).arg("--no-run")).context("it does not compile")?;
        let start = Instant::now();
        let (end, _) = step.run_until(&mut self.cargo_test(backend), limit.map(|l| start + l))?;
        let verdict = match end {
            End::TimedOut => Verdict::Hung,
            End::Exited(status) if status.success() => Verdict::Survived,
            End::Exited(_) => Verdict::Caught,
        };
        Ok((verdict, start.elapsed()))
    }

    fn cargo_test(&self, backend: &Backend) -> Command {
        let mut cmd = self.command("cargo");
        cmd.args(["test", "--locked", "--package", "pending", "--manifest-path"]);
        cmd.arg(self.tree().join("rust/Cargo.toml")).args(&backend.arguments);
        cmd
    }

    /// The first backend's tests have to do for cargo-mutants: it changes no order of steps.
    fn cargo_mutants(&self, program: &Path, limit: Duration) -> Result<()> {
        self.project.ui.step("cargo-mutants", |step| {
            self.mend(step)?;
            let mut cmd = self.command(program);
            cmd.args(["mutants", "--in-place", "--baseline=skip", "--colors=never", "--no-times"]);
            cmd.arg("--timeout").arg(limit.as_secs().to_string());
            cmd.arg("--output").arg(self.dir()).arg("--dir").arg(self.tree().join("rust"));
            let (end, output) = step.run_until(&mut cmd, None)?;
            step.note(judge(end, &output)?);
            Ok(())
        })
    }

    fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut cmd = child::command(program.as_ref());
        cmd.env("CARGO_TARGET_DIR", self.dir().join("target")).envs(&self.config.environment);
        cmd
    }
}

/// The last words of cargo-mutants, unless a bug of its making was missed.
fn judge(end: End, output: &str) -> Result<String> {
    // Its exit codes: 2 says that bugs were missed, 3 that tests were only ended by the limit.
    match end {
        End::Exited(status) if matches!(status.code(), Some(0 | 3)) => {}
        _ => match output.lines().find_map(|line| line.trim().strip_prefix("MISSED")) {
            Some(missed) => bail!(
                "no test notices: {}; add one, or say in rust/.cargo/mutants.toml why it is no bug",
                missed.trim()
            ),
            None => bail!("{}", first_error(output)),
        },
    }
    Ok(output.lines().next_back().unwrap_or_default().to_owned())
}

/// The bugs of `rust/mutants/`.
fn patches(root: &Path) -> Result<Vec<PathBuf>> {
    let dir = root.join("rust/mutants");
    let entries = fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))?;
    let mut paths = entries.map(|e| Ok(e?.path())).collect::<Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|e| e == "patch"));
    paths.sort();
    if paths.is_empty() {
        bail!("there is no patch in rust/mutants");
    }
    Ok(paths)
}

/// Where the crate is that is broken, below `rust/`.
const CRATE: &str = "pending";

/// The files that a patch can break, and that import nothing but each other and `elf`.
const BREAKABLE: [&str; 4] = ["pending.rs", "copying.rs", "image.rs", "loader.rs"];

/// Lines between two bugs that are put into one copy of a file.
const DISTANCE: usize = 10;

/// Fails unless each patch applies and leaves code that compiles. All of them are compiled at once,
/// as modules of one crate: a folder with broken files for as many patches as fit side by side.
fn check_all(root: &Path, patches: &[PathBuf]) -> Result<()> {
    let dir = root.join("build/mutants");
    fs::create_dir_all(&dir).context("cannot make build/mutants")?;
    let tree = tempfile::Builder::new().prefix("check-").tempdir_in(&dir)?;
    copy_workspace(root, tree.path())?;
    for patch in patches {
        check(root, patch)?;
    }
    let groups = groups(patches)?;
    let sources = tree.path().join("rust").join(CRATE).join("src");
    let mut lib = "#![allow(warnings)]\npub mod elf;\n".to_owned();
    for (number, group) in groups.iter().enumerate() {
        for patch in group {
            child::capture(&mut apply(tree.path(), patch, &[]))?;
        }
        let folder = sources.join(format!("bugs{number}"));
        fs::create_dir(&folder)?;
        for file in BREAKABLE {
            fs::copy(sources.join(file), folder.join(file))?;
        }
        for patch in group.iter().rev() {
            child::capture(&mut apply(tree.path(), patch, &["--reverse"]))?;
        }
        lib += &format!(
            "mod bugs{number} {{ use crate::elf; #[path = \"pending.rs\"] pub mod pending; pub mod loader; }}\n"
        );
    }
    fs::write(sources.join("lib.rs"), lib)?;
    compile(&tree.path().join("rust/Cargo.toml"), &dir.join("target"), &groups)
}

/// Compiles the modules, far enough to see their errors.
fn compile(manifest: &Path, target: &Path, groups: &[Vec<&PathBuf>]) -> Result<()> {
    let mut cargo = child::command("cargo");
    cargo.args(["check", "--locked", "--lib", "--message-format=short", "--package", CRATE]);
    cargo.arg("--manifest-path").arg(manifest);
    cargo.env("CARGO_TARGET_DIR", target).env("CARGO_INCREMENTAL", "0");
    let output = cargo.output().context("cannot run cargo")?;
    if output.status.success() {
        return Ok(());
    }
    let output = String::from_utf8_lossy(&output.stderr);
    let error = output.lines().find(|line| line.contains("error")).unwrap_or("cargo says nothing");
    let number = (0..groups.len()).find(|number| error.contains(&format!("/bugs{number}/")));
    let names = number.map(|number| {
        let names = groups[number].iter().map(|patch| patch.file_stem().unwrap_or_default());
        names.map(|name| name.to_string_lossy()).collect::<Vec<_>>().join(", ")
    });
    match names {
        Some(names) => bail!("a bug does not compile any more, one of {names}: {error}"),
        None => bail!("{error}"),
    }
}

/// Puts patches together that change places which are apart.
fn groups(patches: &[PathBuf]) -> Result<Vec<Vec<&PathBuf>>> {
    let mut groups: Vec<(Vec<&PathBuf>, Vec<Place>)> = vec![];
    for patch in patches {
        let text = fs::read_to_string(patch)?;
        let own = places(&text);
        let fits = |taken: &[Place]| own.iter().all(|a| taken.iter().all(|b| are_apart(a, b)));
        match groups.iter_mut().find(|group| fits(&group.1)) {
            Some(group) => {
                group.0.push(patch);
                group.1.extend(own);
            }
            None => groups.push((vec![patch], own)),
        }
    }
    Ok(groups.into_iter().map(|group| group.0).collect())
}

/// A file, and the lines of it that a patch changes.
type Place = (String, Range<usize>);

fn places(patch: &str) -> Vec<Place> {
    let mut file = "";
    let mut places = vec![];
    for line in patch.lines() {
        if let Some(name) = line.strip_prefix("--- a/") {
            file = name;
        } else if let Some(hunk) = line.strip_prefix("@@ -") {
            let mut numbers = hunk.split([',', ' ']).map_while(|number| number.parse::<usize>().ok());
            let start = numbers.next().unwrap_or(0);
            places.push((file.to_owned(), start..start + numbers.next().unwrap_or(1)));
        }
    }
    places
}

fn are_apart((file, a): &Place, (other, b): &Place) -> bool {
    file != other || a.end + DISTANCE <= b.start || b.end + DISTANCE <= a.start
}

/// Copies `rust/` without what was built there.
fn copy_workspace(root: &Path, to: &Path) -> Result<()> {
    let to = to.join("rust");
    fs::create_dir(&to)?;
    for entry in fs::read_dir(root.join("rust"))? {
        let entry = entry?;
        if entry.file_name() != "target" {
            child::capture(child::command("cp").arg("--recursive").arg(entry.path()).arg(&to))?;
        }
    }
    Ok(())
}

/// Fails if a patch does not fit the file that it is to break.
fn check(root: &Path, patch: &Path) -> Result<()> {
    if !child::succeeds(&mut apply(root, patch, &["--check"]))? {
        let name = patch.strip_prefix(root).unwrap_or(patch).display();
        bail!("{name} does not apply any more: make the same bug in the file as it is now");
    }
    Ok(())
}

fn apply(root: &Path, patch: &Path, options: &[&str]) -> Command {
    let mut cmd = Git::at(root).cmd(["apply"]);
    // Below the top of a repository, git would skip all files without a word.
    cmd.env("GIT_CEILING_DIRECTORIES", root.parent().unwrap_or(root));
    cmd.args(options).arg(patch);
    cmd
}

/// Who noticed a bug.
fn summary(backends: &[Backend], verdicts: &[Verdict]) -> String {
    let noticed = backends.iter().zip(verdicts).filter(|(_, verdict)| **verdict != Verdict::Survived);
    let names: Vec<&str> = noticed.map(|(backend, _)| backend.name.as_str()).collect();
    match names[..] {
        [] => "survives".to_owned(),
        _ => format!("noticed by {}", names.join(", ")),
    }
}

fn table(backends: &[Backend], rows: &[Row]) -> String {
    let names = backends.iter().map(|backend| backend.name.clone());
    let mut table = ui::table(std::iter::once("bug".to_owned()).chain(names));
    for (name, verdicts) in rows {
        let verdicts = verdicts.iter().map(Verdict::to_string);
        table.add_row(std::iter::once(name.clone()).chain(verdicts));
    }
    let noticed = |i: usize| rows.iter().filter(|row| row.1[i] != Verdict::Survived).count();
    let totals = (0..backends.len()).map(|i| noticed(i).to_string());
    table.add_row(std::iter::once(format!("of {}", rows.len())).chain(totals));
    table.to_string()
}

fn fail_on_survivors(rows: &[Row]) -> Result<()> {
    let survives = |row: &&Row| row.1.iter().all(|verdict| *verdict == Verdict::Survived);
    let names: Vec<&str> = rows.iter().filter(survives).map(|row| row.0.as_str()).collect();
    if !names.is_empty() {
        bail!("no test notices {}: add one to rust/pending/tests", names.join(", "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use super::*;

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
    }

    #[test]
    fn every_patch_applies_and_compiles() {
        let root = root();
        check_all(&root, &patches(&root).unwrap()).unwrap();
    }

    #[test]
    fn a_patch_that_does_not_compile_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let bad = dir.path().join("a-bug.patch");
        let line = "this is no Rust";
        let loader = fs::read_to_string(root().join("rust/pending/src/loader.rs")).unwrap();
        let lines: Vec<&str> = loader.lines().take(4).collect();
        let (first, context) = (lines[0], lines[1..].join("\n "));
        let diff = format!(
            "--- a/rust/pending/src/loader.rs\n+++ b/rust/pending/src/loader.rs\n\
             @@ -1,4 +1,4 @@\n-{first}\n+{line}\n {context}\n"
        );
        fs::write(&bad, diff).unwrap();
        let error = check_all(&root(), &[bad]).unwrap_err().to_string();
        assert!(error.contains("does not compile any more, one of a-bug: "), "{error}");
    }

    #[test]
    fn patches_of_one_place_are_not_compiled_together() {
        let dir = tempfile::tempdir().unwrap();
        let patch = |name: &str, file: &str, line: usize| {
            let path = dir.path().join(name);
            let text = format!("about\n--- a/{file}\n+++ b/{file}\n@@ -{line},7 +{line},8 @@ fn f()\n");
            fs::write(&path, text).unwrap();
            path
        };
        let patches = [patch("1", "a", 1), patch("2", "a", 17), patch("3", "b", 1), patch("4", "a", 18)];
        let groups = groups(&patches).unwrap();
        assert_eq!(groups, [vec![&patches[0], &patches[2], &patches[3]], vec![&patches[1]]]);
    }

    #[test]
    fn every_patch_says_what_it_breaks() {
        let root = root();
        for patch in patches(&root).unwrap() {
            let text = fs::read_to_string(&patch).unwrap();
            let mut lines = text.lines();
            assert_eq!(lines.next(), Some("# SPDX-License-Identifier: GPL-2.0"), "{patch:?}");
            assert!(lines.next().is_some_and(|line| line.ends_with('.')), "{patch:?} does not say it");
        }
    }

    #[test]
    fn a_patch_that_does_not_fit_is_noticed_in_any_folder() {
        let root = tempfile::Builder::new().prefix(".part-").tempdir_in(root()).unwrap();
        let patch = patches(&self::root()).unwrap().swap_remove(0);
        let error = check(root.path(), &patch).unwrap_err().to_string();
        assert!(error.contains("does not apply any more"), "{error}");
    }

    #[test]
    fn a_bug_survives_if_nobody_notices_it() {
        use Verdict::{Caught, Hung, Survived};
        let row = |name: &str, verdicts: &[Verdict]| (name.to_owned(), verdicts.to_vec());
        let mut rows = vec![row("a", &[Survived, Caught, Survived]), row("b", &[Hung, Caught, Survived])];
        fail_on_survivors(&rows).unwrap();
        let text = table(&config().backend, &rows);
        assert!(text.contains("hangs") && text.contains("of 2"), "{text}");
        rows.push(row("c", &[Survived; 3]));
        let error = fail_on_survivors(&rows).unwrap_err().to_string();
        assert!(error.contains("notices c:"), "{error}");
        assert_eq!(summary(&config().backend, &rows[2].1), "survives");
        assert_eq!(summary(&config().backend, &rows[1].1), "noticed by std, shuttle");
    }

    #[test]
    fn what_cargo_mutants_misses_is_an_error() {
        let exit = |code: i32| End::Exited(ExitStatus::from_raw(code << 8));
        let fine = "Found 2 mutants to test\n2 mutants tested in 1s: 1 caught, 1 timeouts\n";
        assert_eq!(judge(exit(0), fine).unwrap(), "2 mutants tested in 1s: 1 caught, 1 timeouts");
        judge(exit(3), fine).unwrap();
        let missed = "Found 1 mutant to test\nMISSED   a.rs:1:2: replace f in 1s build\n1 missed\n";
        let error = judge(exit(2), missed).unwrap_err().to_string();
        assert!(error.contains("a.rs:1:2: replace f"), "{error}");
        assert!(judge(exit(1), "error: no such option\n").is_err());
    }
}
