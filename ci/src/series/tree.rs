// SPDX-License-Identifier: GPL-2.0
//! The kernel tree with one commit per patch: `linux/` on the pinned base,
//! `linux-<name>/` on another one, or `linux-kdir/` on the HEAD of the user's own tree
//! (`KDIR=`), or on what was unpacked there.
//!
//! `KDIR` is cloned, not used in place and not given a worktree: both would write to
//! the user's repository. A local clone shares its objects through hard links, so it
//! costs one checkout, and nothing done to it later can reach the original.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{bail, Context, Result};
use tempfile::TempDir;

use crate::series::base::{self, Base};
use crate::series::export::{self, Files};
use crate::series::{kdir, patches};
use crate::system::git::{Git, BASE};
use crate::system::{project::Project, ui::Step};

const BRANCH: &str = "series";
/// How the folders begin where `rebase` puts the series on another tree, with what was
/// done there by hand.
pub const REBASED: &str = "linux-rebase-";

/// What git's configuration of the tree remembers of the last time when the tree and
/// `patches/` were the same: the state of each.
const SAVED_TREE: &str = "series.tree";
const SAVED_PATCHES: &str = "series.patches";

#[derive(Clone)]
pub struct Tree {
    pub dir: PathBuf,
    /// Where its kernels are built.
    pub build: PathBuf,
}

impl Tree {
    /// Whether this is the series of `patches/`, on its own base: what README.md tells of.
    pub fn is_published(&self, project: &Project) -> Result<bool> {
        let git = Git::at(&self.dir);
        Ok(project.opts.kdir.is_none()
            && git.capture(["log", "-1", "--format=%s", BASE])? == base::subject(&base::pinned())
            && is_untouched(&git)?
            && config(&git, SAVED_PATCHES)? == patches::digest(&git, &project.patches())?)
    }
}

/// The tree that the options ask for.
pub fn ensure(project: &Project) -> Result<Tree> {
    match &project.opts.kdir {
        Some(kdir) if kdir::is_git(kdir) => {
            make(project, "linux-kdir", "kdir", || kdir::check(kdir).map(|()| kdir.clone()))
        }
        Some(kdir) => {
            // What the tree is cloned from, for as long as that takes.
            let part = tempfile::Builder::new().prefix(".part-").tempdir_in(&project.root)?;
            make(project, "linux-kdir", "kdir", || kdir::commit(project, kdir, part.path()))
        }
        None => make(project, "linux", "", || base::repository(project, &base::ours(project)?)),
    }
}

/// The tree of a base kernel.
pub fn on(project: &Project, base: &Base) -> Result<Tree> {
    let source = || base::repository(project, base);
    match base.is_ours() {
        true => make(project, "linux", "", source),
        false => make(project, &format!("linux-{}", base.name), &base.name, source),
    }
}

/// `source`: the repository whose HEAD is the base.
fn make(
    project: &Project,
    name: &str,
    build: &str,
    source: impl FnOnce() -> Result<PathBuf>,
) -> Result<Tree> {
    let tree = Tree { dir: project.root.join(name), build: project.root.join("build").join(build) };
    match tree.dir.exists() {
        true => keep(project, name, &tree.dir)?,
        false => create(project, name, &source()?, &tree.dir)?,
    }
    Ok(tree)
}

/// A tree of `source` without the series, in `dest`.
pub fn without_series(project: &Project, name: &str, source: &Path, dest: &Path) -> Result<Git> {
    let parent = dest.parent().context("no folder")?;
    if !dest.exists() {
        fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        let part = checked_out(project, name, source, parent)?;
        fs::rename(part.path().join("tree"), dest).context("cannot move the tree into place")?;
    }
    Ok(Git::at(dest))
}

/// Applies the series to a fresh tree that is thrown away, and writes it back: it
/// must come out as `patches/` has it.
pub fn try_series(project: &Project) -> Result<()> {
    let base = base::ours(project)?;
    let part = fresh(project, "a fresh tree", &base::repository(project, &base)?)?;
    if base != base::pinned() {
        project.ui.say("patches/ apply; they are compared on their own base alone");
        return Ok(());
    }
    let git = Git::at(part.path().join("tree"));
    match export::differences(project, &export::export(&git)?)?.first() {
        None => Ok(()),
        Some(file) => {
            bail!("{} is not what git am and git format-patch make of it: run make patches", file.display())
        }
    }
}

/// Builds the tree aside and moves it into place when it is whole.
fn create(project: &Project, name: &str, source: &Path, dest: &Path) -> Result<()> {
    let part = fresh(project, name, source)?;
    fs::rename(part.path().join("tree"), dest).with_context(|| format!("cannot move {name}/ into place"))
}

/// The series on `source`, in the folder `tree` of a temporary folder.
fn fresh(project: &Project, name: &str, source: &Path) -> Result<TempDir> {
    patches::patch_files(&project.patches())?;
    let part = checked_out(project, name, source, &project.root)?;
    let git = Git::at(part.path().join("tree"));
    project.ui.step("apply the series", |step| apply(project, step, &git))?;
    Ok(part)
}

/// `source` alone, in the folder `tree` of a temporary folder of `parent`.
fn checked_out(project: &Project, name: &str, source: &Path, parent: &Path) -> Result<TempDir> {
    project.need_space(parent, 3, "a kernel tree")?;
    let part = tempfile::Builder::new().prefix(".part-").tempdir_in(parent)?;
    let git = Git::at(part.path().join("tree"));
    project.ui.step(&format!("check out {name}"), |step| {
        let source = source.canonicalize()?.to_string_lossy().into_owned();
        let clone = ["clone", "--quiet", "--no-checkout", "--no-tags", &source, "tree"];
        step.run(&mut Git::at(part.path()).cmd(clone))?;
        step.run(&mut git.cmd(["checkout", "--quiet", "-B", BRANCH, "--no-track", "HEAD"]))?;
        step.run(&mut git.cmd(["tag", "base"])).map(drop)
    })?;
    Ok(part)
}

fn apply(project: &Project, step: &mut Step, git: &Git) -> Result<()> {
    patches::apply(step, git, &project.patches())?;
    mark_saved(project, git)?;
    step.note(format!("{} commits", git.series_length()?));
    Ok(())
}

/// A tree that is there already. What somebody did in it is never overwritten; what
/// is only an older state of `patches/` is brought up to date.
fn keep(project: &Project, name: &str, dir: &Path) -> Result<()> {
    let git = Git::at(dir);
    if !Git::is_repository(dir)? || !git.succeeds(["rev-parse", "--verify", "-q", BASE])? {
        bail!("{name}/ is not a tree that make tree made (no tag base): move it away");
    }
    if let Some(kdir) = project.opts.kdir.as_ref().filter(|_| name == "linux-kdir") {
        same_source(name, kdir, &git)?;
    }
    let digest = patches::digest(&git, &project.patches())?;
    if !is_untouched(&git)? {
        project.ui.say(&format!("{name}/ has work that is not in patches/: used as it is"));
    } else if config(&git, SAVED_PATCHES)? == digest {
        project.ui.say(&format!("{name}/ has the series of patches/"));
    } else {
        update(project, &git)?;
    }
    Ok(())
}

/// Notes that the tree and `patches/` are the same now.
pub fn mark_saved(project: &Project, git: &Git) -> Result<()> {
    git.capture(["config", SAVED_TREE, &state(git)?])?;
    let digest = patches::digest(git, &project.patches())?;
    git.capture(["config", SAVED_PATCHES, &digest]).map(drop)
}

/// The same, and says so; `files` is what the tree stands for.
pub fn say_saved(project: &Project, git: &Git, files: &Files) -> Result<()> {
    project.ui.say(&format!("patches/ and the copies are as linux/ has them ({} files)", files.len()));
    mark_saved(project, git)
}

/// True when nothing was done in the tree since it was the same as `patches/`.
fn is_untouched(git: &Git) -> Result<bool> {
    Ok(git.is_clean()? && config(git, SAVED_TREE)? == state(git)?)
}

/// What would be lost with the tree.
fn unsaved(git: &Git) -> Result<Option<&'static str>> {
    let others =
        git.capture(["for-each-ref", "--no-merged=HEAD", "--format=%(refname:short)", "refs/heads"])?;
    Ok(if !is_untouched(git)? {
        Some("work that is not in patches/")
    } else if !git.capture(["status", "--porcelain"])?.is_empty() {
        Some("files that are in no commit")
    } else if !git.capture(["stash", "list"])?.is_empty() {
        Some("changes in git stash")
    } else if others.lines().any(|branch| branch != patches::SCRATCH) {
        Some("branches of yours")
    } else {
        None
    })
}

/// The commits and the text of the cover letter.
fn state(git: &Git) -> Result<String> {
    let branch = git.capture(["rev-parse", "--abbrev-ref", "HEAD"])?;
    let description = config(git, &format!("branch.{branch}.description"))?;
    Ok(format!("{} {}", git.head()?, description).trim_end().to_owned())
}

/// Empty when the name is not set.
fn config(git: &Git, name: &str) -> Result<String> {
    git.capture(["config", "--default", "", "--get", name])
}

fn same_source(name: &str, kdir: &Path, git: &Git) -> Result<()> {
    kdir::check(kdir)?;
    let is_same = match kdir::is_git(kdir) {
        true => git.base()? == Git::at(kdir).head()?,
        false => git.capture(["rev-parse", &format!("{BASE}^{{tree}}")])? == kdir::tree_of(kdir, git)?,
    };
    if !is_same {
        bail!("{name}/ was made from another commit than KDIR has now: make distclean removes it");
    }
    Ok(())
}

fn update(project: &Project, git: &Git) -> Result<()> {
    let (branch, old) = (git.branch()?, git.head()?);
    let updated = project.ui.step("apply the series", |step| {
        git.capture(["checkout", "--quiet", "-B", &branch, BASE])?;
        apply(project, step, git)
    });
    if updated.is_err() {
        git.abort_am()?;
        // As in abort_am().
        git.cmd(["checkout", "--quiet", "-B", &branch, &old]).output()?;
    }
    updated
}

/// The tree with the series, all of it committed.
pub fn committed(project: &Project) -> Result<Git> {
    let dir = project.root.join("linux");
    if !dir.exists() {
        bail!("there is no linux/ to take the series from: make tree");
    }
    let git = Git::at(dir);
    if !git.is_clean()? {
        bail!("linux/ has changes that are in no commit: commit them first");
    }
    Ok(git)
}

/// The same, made or brought up to `patches/` first.
pub fn current(project: &Project) -> Result<Git> {
    ensure(project)?;
    committed(project)
}

/// Removes the trees, if nothing is lost by it.
pub fn remove(project: &Project) -> Result<()> {
    for entry in fs::read_dir(&project.root)? {
        let dir = entry?.path();
        let name = dir.file_name().unwrap_or_default().to_string_lossy();
        if !dir.is_dir() || (name != "linux" && !name.starts_with("linux-")) {
            continue;
        }
        if name.starts_with(REBASED) {
            project.ui.say(&format!("{name}/ is kept: remove it yourself"));
            continue;
        }
        if let Some(work) = unsaved(&Git::at(&dir))? {
            let advice = if name == "linux" { "make patches saves commits, or " } else { "" };
            bail!("{name}/ has {work}: {advice}remove {name}/ yourself");
        }
        fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {name}/"))?;
        project.ui.say(&format!("removed {name}/"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::fixture;
    use crate::system::project::for_test;

    #[test]
    fn a_tree_stays_as_it_was_if_the_patches_do_not_apply() {
        let root = tempfile::tempdir().unwrap();
        let (project, git) = (for_test(root.path()), fixture::tree(root.path()));
        fixture::save(root.path(), &export::export(&git).unwrap());
        mark_saved(&project, &git).unwrap();
        let (old, letter) = (git.head().unwrap(), patches::letter(&git).unwrap());
        let patch = root.path().join("patches/0002-module-two.patch");
        let sound = fs::read_to_string(&patch).unwrap();
        fs::write(&patch, sound.replace(" int a;", " int c;")).unwrap();
        let error = keep(&project, "linux", &git.dir).unwrap_err().to_string();
        assert!(error.contains("patches/0002-module-two.patch does not apply"), "{error}");
        assert_eq!((git.head().unwrap(), git.branch().unwrap()), (old.clone(), BRANCH.to_owned()));
        assert_eq!(patches::letter(&git).unwrap(), letter);
        assert!(is_untouched(&git).unwrap() && !git.dir.join(".git/rebase-apply").exists());

        fs::write(&patch, sound.replace("+int b;", "+int c;")).unwrap();
        keep(&project, "linux", &git.dir).unwrap();
        assert_eq!(fs::read_to_string(git.dir.join("kernel/module/main.c")).unwrap(), "int a;\nint c;\n");
        assert!(is_untouched(&git).unwrap() && git.head().unwrap() != old);
    }

    #[test]
    fn what_would_be_lost_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let git = Git::at(dir.path());
        let run = |words: &str| git.capture(words.split(' ')).unwrap();
        let mut told = vec![];
        run("init -q -b series");
        fs::write(git.dir.join("Makefile"), "all:\n").unwrap();
        run("add -A");
        run("commit -q -m base");
        run(&format!("config series.tree {}", state(&git).unwrap()));
        told.push(unsaved(&git).unwrap());

        fs::write(git.dir.join("new.c"), "int a;\n").unwrap();
        told.push(unsaved(&git).unwrap());
        run("add -A");
        told.push(unsaved(&git).unwrap());
        run("stash -q");
        told.push(unsaved(&git).unwrap());
        run("checkout -q -b other stash@{0}");
        run("stash drop -q");
        run("checkout -q series");
        told.push(unsaved(&git).unwrap());
        run("branch -q -m other patches");
        told.push(unsaved(&git).unwrap());

        let files = Some("files that are in no commit");
        let work = Some("work that is not in patches/");
        let [stash, branches] = ["changes in git stash", "branches of yours"].map(Some);
        assert_eq!(told, [None, files, work, stash, branches, None]);
    }
}
