// SPDX-License-Identifier: GPL-2.0
//! `patches`: writes `patches/` and the copies from `linux/`; `test` only compares them.

use std::fs;
use std::path::PathBuf;

use anyhow::{bail, Context, Result};

use crate::results::letter;
use crate::series::patches::{self, Files};
use crate::series::tree;
use crate::system::git::Git;
use crate::system::project::Project;

/// The verb.
pub fn write(project: &Project) -> Result<()> {
    let git = committed(project)?;
    if let Some(letter) = letter::outdated(project, &git)? {
        patches::set_letter(&git, &letter)?;
    }
    let files = patches::export(&git)?;
    let different = patches::differences(project, &files)?;
    write_files(project, &files, &different)?;
    say_same(&files);
    tree::mark_saved(project, &git)
}

/// Fails unless `patches/` and the copies are as `linux/` has them.
pub fn check(project: &Project) -> Result<()> {
    let git = committed(project)?;
    if letter::outdated(project, &git)?.is_some() {
        bail!("the cover letter's numbers are not those of ci/bench/: run make patches");
    }
    let files = patches::export(&git)?;
    let different = patches::differences(project, &files)?;
    if let Some(first) = different.first() {
        let (first, count) = (first.display(), different.len());
        bail!("{first} is not as linux/ has it ({count} files differ): run make patches");
    }
    say_same(&files);
    tree::mark_saved(project, &git)
}

fn say_same(files: &Files) {
    println!("patches/ and the copies are as linux/ has them ({} files)", files.len());
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

fn write_files(project: &Project, files: &Files, different: &[PathBuf]) -> Result<()> {
    for name in different {
        let path = project.root.join(name);
        match files.get(name) {
            Some(content) => {
                fs::create_dir_all(path.parent().context("no folder")?)?;
                fs::write(&path, content).with_context(|| format!("cannot write {}", name.display()))?;
            }
            None => fs::remove_file(&path)?,
        }
        println!("{}", name.display());
    }
    Ok(())
}
