// SPDX-License-Identifier: GPL-2.0
//! `clean`: what can be made again goes away, but for kernel trees.

use anyhow::Result;

use crate::system::project::Project;

pub fn run(project: &Project) -> Result<()> {
    project.clean()
}
