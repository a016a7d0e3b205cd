// SPDX-License-Identifier: GPL-2.0
//! `deps`: the tools and packages that the other verbs need.

use anyhow::Result;

use crate::kernels::toolchain;
use crate::system::project::Project;

pub fn run(project: &Project) -> Result<()> {
    toolchain::ensure(project).map(drop)
}
