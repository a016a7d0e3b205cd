// SPDX-License-Identifier: GPL-2.0
//! `build`: the kernels of the architectures, or of the rows that CONFIG= chooses.

use anyhow::Result;

use crate::kernels::{build, configs, matrix, toolchain};
use crate::system::project::Project;

pub fn run(project: &Project) -> Result<()> {
    let (tools, tree) = &toolchain::set_up(project)?;
    if let Some(rows) = &project.opts.config {
        for name in rows {
            // One that Kconfig refuses is passed over.
            if configs::row(name)?.refused.is_none() {
                build::row(project, tools, tree, name)?;
            }
        }
        return Ok(());
    }
    let architectures = matrix::chosen(&project.opts)?.0;
    architectures.iter().try_for_each(|arch| build::ensure(project, tools, tree, arch).map(drop))
}
