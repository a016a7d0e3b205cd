// SPDX-License-Identifier: GPL-2.0
//! `patches`: writes `patches/` and the copies from `linux/`, or only compares them.

use std::fs;
use std::path::PathBuf;

use anyhow::{bail, Context, Result};

use crate::git::Git;
use crate::project::Project;
use crate::series::{self, Files};

pub fn patches(project: &Project, check: bool) -> Result<()> {
    let git = tree(project)?;
    let files = series::export(&git)?;
    let different = series::differences(project, &files)?;
    match different.first() {
        None => println!("patches/ and the copies are as linux/ has them ({} files)", files.len()),
        Some(first) if check => {
            bail!(
                "{} is not as linux/ has it ({} files differ): run make patches",
                first.display(),
                different.len()
            )
        }
        Some(_) => write(project, &files, &different)?,
    }
    crate::tree::mark_saved(project, &git)
}

/// The tree with the series, all of it committed.
pub fn tree(project: &Project) -> Result<Git> {
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

fn write(project: &Project, files: &Files, different: &[PathBuf]) -> Result<()> {
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
