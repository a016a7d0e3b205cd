// SPDX-License-Identifier: GPL-2.0
//! `clean` and `distclean`: what can be made again goes away.

use std::fs;

use anyhow::{Context, Result};

use crate::series::tree;
use crate::system::project::Project;

pub fn clean(project: &Project) -> Result<()> {
    for name in ["build", "log"] {
        let dir = project.root.join(name);
        if dir.exists() {
            fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {name}/"))?;
            println!("removed {name}/");
        }
    }
    Ok(())
}

pub fn distclean(project: &Project) -> Result<()> {
    // First, as it refuses where something would be lost.
    tree::remove(project)?;
    clean(project)
}
