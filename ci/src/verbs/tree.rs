// SPDX-License-Identifier: GPL-2.0
//! `tree`: `linux/`, with one commit for each patch, and the tools for it.

use anyhow::Result;

use crate::kernels::toolchain;
use crate::system::project::Project;

pub fn run(project: &Project) -> Result<()> {
    toolchain::set_up(project).map(drop)
}
