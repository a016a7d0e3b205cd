// SPDX-License-Identifier: GPL-2.0
//! `patches`: writes `patches/` and the copies from `linux/`; `test` only compares them.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::results::letter;
use crate::series::export::{self, Files};
use crate::series::{patches, tree};
use crate::system::project::Project;

/// The verb.
pub fn run(project: &Project) -> Result<()> {
    let git = tree::committed(project)?;
    if let Some(letter) = letter::outdated(project, &git)? {
        patches::set_letter(&git, &letter)?;
    }
    let files = export::export(&git)?;
    let different = export::differences(project, &files)?;
    write_files(project, &files, &different)?;
    tree::say_saved(project, &git, &files)
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
