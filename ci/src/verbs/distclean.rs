// SPDX-License-Identifier: GPL-2.0
//! `distclean`: what can be made again goes away.

use anyhow::Result;

use crate::series::tree;
use crate::system::project::Project;

pub fn run(project: &Project) -> Result<()> {
    // First, as it refuses where something would be lost.
    tree::remove(project)?;
    project.clean()
}
