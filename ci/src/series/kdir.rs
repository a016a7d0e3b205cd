// SPDX-License-Identifier: GPL-2.0
//! `KDIR=`: a git tree of a kernel, or an unpacked archive of one, which is committed as it is, in
//! a repository elsewhere.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{bail, Context, Result};

use crate::series::import;
use crate::system::{child, git::Git, project::Project};

/// What a build leaves there. Such files would be part of the base.
const BUILT: [&str; 3] = [".config", "include/generated", "vmlinux"];

/// Whether it is a git tree, and no unpacked archive.
pub fn is_git(dir: &Path) -> bool {
    dir.join(".git").exists()
}

/// Makes sure that the series is for it.
pub fn check(kdir: &Path) -> Result<()> {
    let makefile = if is_git(kdir) { git(kdir)? } else { unpacked(kdir)? };
    if version(&makefile).is_none_or(|(major, _)| major < 7) {
        bail!("KDIR={} is not Linux 7.0 or later: the series is for 7.x, see make rebase", kdir.display());
    }
    Ok(())
}

/// Makes sure that `kdir` is a git tree of a kernel, all of it committed; its Makefile.
pub fn git(kdir: &Path) -> Result<String> {
    let name = kdir.display();
    let makefile = makefile(kdir)?;
    if !Git::is_repository(kdir)? || !is_git(kdir) {
        bail!("KDIR={name} is not the top of a git tree: clone a mainline tree, or leave KDIR out");
    }
    if !Git::at(kdir).is_clean()? {
        bail!("KDIR={name} has uncommitted changes: commit or stash them first");
    }
    Ok(makefile)
}

fn makefile(kdir: &Path) -> Result<String> {
    fs::read_to_string(kdir.join("Makefile"))
        .with_context(|| format!("KDIR={} is not a kernel tree: it has no Makefile", kdir.display()))
}

/// What is set in the first lines of a kernel's Makefile.
fn value<'a>(makefile: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = makefile.lines().take(10).filter_map(|line| line.split_once('='));
    lines.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim())
}

/// VERSION and PATCHLEVEL of a kernel's Makefile.
fn version(makefile: &str) -> Option<(u32, u32)> {
    let number = |name| value(makefile, name)?.parse().ok();
    Some((number("VERSION")?, number("PATCHLEVEL")?))
}

/// Makes sure that `kdir` is the tree of a kernel, without what a build leaves; its Makefile.
fn unpacked(kdir: &Path) -> Result<String> {
    let makefile = makefile(kdir)?;
    let name = kdir.display();
    if BUILT.iter().any(|file| kdir.join(file).exists()) {
        bail!("KDIR={name} has been built in: make -C {name} mrproper, or unpack it once more");
    }
    Ok(makefile)
}

/// A repository in `dir`, whose HEAD is what `kdir` has.
pub fn commit(project: &Project, kdir: &Path, dir: &Path) -> Result<PathBuf> {
    let makefile = unpacked(kdir)?;
    project.ui.step("commit what is in KDIR", |step| {
        let git = Git::at(dir.join("git"));
        fs::create_dir(&git.dir)?;
        step.run(&mut git.cmd(["init", "-q", "--bare", "-b", "linux", "."]))?;
        let tree = tree_of(kdir, &git)?;
        let commit = git.capture(["commit-tree", &tree, "-m", &title(&makefile)])?;
        git.capture(["update-ref", "HEAD", &commit])?;
        step.note(title(&makefile));
        Ok(git.dir)
    })
}

/// The id of what `kdir` has, whose objects go to `git`. Its index remembers the times of
/// files, so that a second look is quick.
pub fn tree_of(kdir: &Path, git: &Git) -> Result<String> {
    let git_dir = PathBuf::from(git.capture(["rev-parse", "--absolute-git-dir"])?);
    let index = git_dir.join("kdir-index");
    let run = |words: &[&str]| {
        let mut cmd = git.cmd(words.iter().copied());
        cmd.env("GIT_DIR", &git_dir).env("GIT_WORK_TREE", kdir).env("GIT_INDEX_FILE", &index);
        child::capture(cmd.current_dir(kdir)).map(|said| said.trim().to_owned())
    };
    // Debian's archive says that all of its files are to be ignored.
    run(&["-c", "core.compression=1", "add", "--all", "--force", "."])?;
    if let Ok(text) = fs::read_to_string(kdir.join(".gitignore")) {
        let kept = import::without_debian(&text);
        if kept != text {
            let file = git_dir.join("kdir-gitignore");
            fs::write(&file, kept)?;
            let blob = git.capture(["hash-object", "-w", "--no-filters", &file.to_string_lossy()])?;
            run(&["update-index", "--cacheinfo", &format!("100644,{blob},.gitignore")])?;
        }
    }
    run(&["write-tree"])
}

/// `Linux 7.3.4`, by the first lines of the Makefile.
fn title(makefile: &str) -> String {
    let value = |name: &str| value(makefile, name).unwrap_or_default();
    let numbers = ["VERSION", "PATCHLEVEL", "SUBLEVEL"].map(value).join(".");
    format!("Linux {numbers}{} (unpacked)", value("EXTRAVERSION"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::project::for_test;

    const MAKEFILE: &str = "# SPDX\nVERSION = 7\nPATCHLEVEL = 3\nSUBLEVEL = 4\nEXTRAVERSION =\n";

    #[test]
    fn what_was_unpacked_becomes_a_commit() {
        let dir = tempfile::tempdir().unwrap();
        let (kdir, parts) = (dir.path().join("linux-7.3.4"), dir.path().join("parts"));
        fs::create_dir_all(&kdir).unwrap();
        fs::create_dir(&parts).unwrap();
        fs::write(kdir.join("Makefile"), MAKEFILE).unwrap();
        let ignored = "*.o\n";
        fs::write(kdir.join(".gitignore"), format!("{ignored}\n#\n# Debian packaging\n#\n/*\n")).unwrap();
        let git = Git::at(commit(&for_test(dir.path()), &kdir, &parts).unwrap());
        let show = |what: &str| git.capture(["show", what]).unwrap();
        assert_eq!(git.capture(["log", "--format=%s"]).unwrap(), "Linux 7.3.4 (unpacked)");
        assert_eq!(show("HEAD:Makefile"), MAKEFILE.trim());
        assert_eq!(show("HEAD:.gitignore"), ignored.trim());

        let tree = git.capture(["rev-parse", "HEAD^{tree}"]).unwrap();
        assert_eq!(tree_of(&kdir, &git).unwrap(), tree);
        fs::write(kdir.join("Makefile"), "all:\n").unwrap();
        assert_ne!(tree_of(&kdir, &git).unwrap(), tree);
        assert!(!kdir.join(".git").exists());
    }

    #[test]
    fn the_version_is_read_from_the_makefile() {
        assert_eq!(version(MAKEFILE), Some((7, 3)));
        assert_eq!(version("VERSION = six\nPATCHLEVEL = 1\n"), None);
        assert_eq!(version("all:\n\ttrue\n"), None);
    }

    #[test]
    fn a_folder_with_a_build_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("Makefile"), MAKEFILE).unwrap();
        assert!(unpacked(dir.path()).is_ok());
        fs::write(dir.path().join(".config"), "").unwrap();
        let error = unpacked(dir.path()).unwrap_err().to_string();
        assert!(error.contains("has been built in: make -C "), "{error}");
    }
}
