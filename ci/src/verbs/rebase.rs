// SPDX-License-Identifier: GPL-2.0
//! `rebase`: carries the series to another kernel, newer or older, one patch at a time.
//!
//! It works in a clone of its own, linux-rebase-<name>/. How far it is shows in the
//! clone alone: as many patches are done as there are commits on its base. So whoever
//! merges a patch by hand leaves nothing but a commit, and the same command goes on.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{bail, Context, Result};

use crate::series::tree::{self, REBASED};
use crate::series::{base, export, kdir, patches};
use crate::system::child::{self, End};
use crate::system::ui::{first_error, Step};
use crate::system::{git::Git, project::Project};

pub fn run(project: &Project) -> Result<()> {
    let (name, source) = target(project)?;
    let folder = format!("{REBASED}{name}");
    let dir = project.root.join(&folder);
    let git = tree::without_series(project, &folder, &source, &dir)?;
    let head = Git::at(source).head()?;
    if git.base()? != head {
        bail!("{folder}/ was made from another commit than KDIR has now: move it away");
    }
    fail_if_merging(&git, &folder)?;
    let files = patches::patch_files(&project.patches())?;
    let done = git.series_length()?;
    if done < files.len() {
        project.ui.step("what the patches change", |step| originals(project, step, &git))?;
    }
    for (index, file) in files.iter().enumerate().skip(done) {
        let name = format!("patch {} of {}", index + 1, files.len());
        project.ui.step(&name, |step| patch(step, &git, &folder, file))?;
    }
    patches::describe(&git, &project.patches(), &files)?;
    save(project, &git, &name)
}

/// What KDIR says: a name, and the repository.
fn target(project: &Project) -> Result<(String, PathBuf)> {
    let Some(kdir) = &project.opts.kdir else {
        bail!("rebase to what? KDIR=<git tree of a kernel>, or KDIR=<name in ci/base.toml>");
    };
    let words = kdir.to_string_lossy();
    if let Some(base) = base::named(&words).filter(|_| !kdir.exists()) {
        let repository = base::repository(project, &base)?;
        return Ok((base.name, repository));
    }
    let path =
        kdir.canonicalize().with_context(|| format!("KDIR={words} is no folder, and no known base"))?;
    let name = path.file_name().context("KDIR has no name")?.to_string_lossy().into_owned();
    kdir::git(&path)?;
    Ok((name, path))
}

/// Three-way merges want the files that the patches were made from: those of the base,
/// which are in the cache, and those that each patch leaves to the next.
fn originals(project: &Project, step: &mut Step, git: &Git) -> Result<()> {
    let pinned = base::repository(project, &base::ours(project)?)?;
    let alternates = git.dir.join(".git/objects/info/alternates");
    let objects = pinned.join("objects").display().to_string();
    if !fs::read_to_string(&alternates).unwrap_or_default().contains(&objects) {
        let mut file = OpenOptions::new().create(true).append(true).open(alternates)?;
        writeln!(file, "{objects}")?;
    }
    let commit = Git::at(pinned).base()?;
    patches::apply_without_files(step, git, &commit, &project.patches()).map(drop)
}

fn patch(step: &mut Step, git: &Git, folder: &str, file: &Path) -> Result<()> {
    let words = ["am", "--3way", "--committer-date-is-author-date", "--no-gpg-sign"];
    let ran = step.run_until(git.cmd(words).arg(file), None);
    if ran.is_err() {
        git.abort_am()?;
    }
    let (end, said) = ran?;
    let merged = said.contains("Falling back");
    match end {
        End::Exited(status) if status.success() => {
            step.note(if merged { "merged" } else { "as it is" });
            Ok(())
        }
        _ => {
            child::fail_if_interrupted()?;
            fail_if_merging(git, folder)?;
            bail!("{}", first_error(&said))
        }
    }
}

/// Fails while git waits for somebody to merge a patch: says which, and where.
fn fail_if_merging(git: &Git, folder: &str) -> Result<()> {
    let patch = git.dir.join(".git/rebase-apply/final-commit");
    let Ok(message) = fs::read_to_string(patch) else { return Ok(()) };
    let subject = message.lines().next().unwrap_or_default();
    let places = conflicts(git)?;
    let places = match places.is_empty() {
        true => "all is merged".to_owned(),
        false => places.join(", "),
    };
    bail!(
        "\"{subject}\" needs a hand: {places}. In {folder}/: edit, git add, git am --continue \
         (--allow-empty if nothing is left of it, not --skip); then make rebase again"
    )
}

/// Each place where a file could not be merged: the line of the conflict, or that there is
/// no such file.
fn conflicts(git: &Git) -> Result<Vec<String>> {
    let mut places = vec![];
    let unmerged = git.capture(["diff", "--name-only", "--diff-filter=U"])?;
    for name in unmerged.lines() {
        let text = fs::read_to_string(git.dir.join(name)).unwrap_or_default();
        let lines = text.lines().enumerate().filter(|(_, line)| line.starts_with("<<<<<<< "));
        let lines: Vec<String> = lines.map(|(index, _)| format!("{name}:{}", index + 1)).collect();
        match lines.is_empty() {
            true => places.push(format!("{name} (one side does not have it)")),
            false => places.extend(lines),
        }
    }
    Ok(places)
}

fn save(project: &Project, git: &Git, name: &str) -> Result<()> {
    let branch = git.branch()?;
    let last = git.capture(["log", "-1", "--format=%an%n%ae%n%aI"])?;
    let mails = export::mails(git, &export::Range::whole(&branch), last.lines(), &[])?;
    let relative = format!("build/patches-{name}");
    let dest = project.root.join(&relative);
    if dest.exists() {
        fs::remove_dir_all(&dest).with_context(|| format!("cannot remove {relative}"))?;
    }
    fs::create_dir_all(&dest).with_context(|| format!("cannot make {relative}"))?;
    for (file, content) in &mails {
        fs::write(dest.join(file.file_name().unwrap_or_default()), content)?;
    }
    println!("{} files in {relative}/, the commits in {}/", mails.len(), git.dir.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::fixture::tree as series_tree;
    use crate::system::{git::BASE, ui::Ui};

    /// The series of two patches, and a tree whose main.c begins with `text`.
    fn rebase_onto(root: &Path, text: &str) -> (Git, Vec<PathBuf>) {
        let git = series_tree(root);
        crate::series::fixture::save(root, &export::export(&git).unwrap());
        git.capture(["checkout", "-q", "-B", "other", BASE]).unwrap();
        fs::write(git.dir.join("kernel/module/main.c"), text).unwrap();
        git.capture(["commit", "-q", "--allow-empty", "-a", "-m", "other base"]).unwrap();
        git.capture(["tag", "-f", "base"]).unwrap();
        (git, patches::patch_files(&root.join("patches")).unwrap())
    }

    fn apply(root: &Path, git: &Git, patches: &[PathBuf]) -> Result<()> {
        let ui = Ui::new(false, root.join("log"));
        patches.iter().try_for_each(|file| ui.step("patch", |step| patch(step, git, "linux", file)))
    }

    #[test]
    fn what_git_can_merge_needs_no_hand() {
        let root = tempfile::tempdir().unwrap();
        let (git, patches) = rebase_onto(root.path(), "int z;\nint a;\n");
        apply(root.path(), &git, &patches).unwrap();
        assert_eq!(git.series_length().unwrap(), 2);
        fail_if_merging(&git, "linux").unwrap();
    }

    #[test]
    fn a_conflict_is_named_and_can_be_continued() {
        let root = tempfile::tempdir().unwrap();
        let (git, patches) = rebase_onto(root.path(), "int a;\nint c;\n");
        let error = apply(root.path(), &git, &patches).unwrap_err().to_string();
        assert!(error.contains("\"module: two\" needs a hand: kernel/module/main.c:2."), "{error}");
        assert_eq!(git.series_length().unwrap(), 1, "the first patch is done");
        assert!(fail_if_merging(&git, "linux").is_err(), "it waits until somebody has merged");
        fs::write(git.dir.join("kernel/module/main.c"), "int a;\nint b;\nint c;\n").unwrap();
        git.capture(["add", "-A"]).unwrap();
        git.capture(["am", "--continue"]).unwrap();
        fail_if_merging(&git, "linux").unwrap();
        assert_eq!(git.series_length().unwrap(), 2);
    }
}
