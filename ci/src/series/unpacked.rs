// SPDX-License-Identifier: GPL-2.0
//! `KDIR=` with an unpacked archive of a kernel: committed as it is, in a repository elsewhere.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{bail, Result};

use crate::series::base;
use crate::series::tree;
use crate::system::child;
use crate::system::git::Git;
use crate::system::project::Project;

/// What a build leaves there. Such files would be part of the base.
const BUILT: [&str; 3] = [".config", "include/generated", "vmlinux"];

/// Makes sure that `kdir` is the tree of a kernel, without what a build leaves; its Makefile.
pub fn makefile(kdir: &Path) -> Result<String> {
    let makefile = tree::makefile(kdir)?;
    let name = kdir.display();
    if BUILT.iter().any(|file| kdir.join(file).exists()) {
        bail!("KDIR={name} has been built in: make -C {name} mrproper, or unpack it once more");
    }
    Ok(makefile)
}

/// A repository in `dir`, whose HEAD is what `kdir` has.
pub fn commit(project: &Project, kdir: &Path, dir: &Path) -> Result<PathBuf> {
    let makefile = makefile(kdir)?;
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
        let kept = base::without_debian(&text);
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
    let value = |name: &str| {
        let mut lines = makefile.lines().filter_map(|line| line.split_once('='));
        lines.find(|(key, _)| key.trim() == name).map_or("", |(_, value)| value.trim()).to_owned()
    };
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
    fn a_folder_with_a_build_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("Makefile"), MAKEFILE).unwrap();
        assert!(makefile(dir.path()).is_ok());
        fs::write(dir.path().join(".config"), "").unwrap();
        let error = makefile(dir.path()).unwrap_err().to_string();
        assert!(error.contains("has been built in: make -C "), "{error}");
    }
}
