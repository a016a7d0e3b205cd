// SPDX-License-Identifier: GPL-2.0
//! `boot`: what a burst of loads costs on a kernel without and with the option; elsewhere, tests.

mod record;
mod rows;

use anyhow::{bail, Result};

use crate::kernels::{build, matrix, toolchain};
use crate::results::{booted, burst, kselftest};
use crate::system::project::Project;

/// The verb `boot`: what a burst of loads costs, where the kernel without the option is
/// built, too; elsewhere the tests, with ROOT= on that file system, too. With CONFIG=, the tests
/// on those kernels.
pub fn run(project: &Project) -> Result<()> {
    let (tools, tree) = &toolchain::set_up(project)?;
    if let Some(chosen) = &project.opts.config {
        return rows::run(project, tools, tree, chosen);
    }
    let (mut rows, mut failed) = (vec![], 0);
    for arch in &matrix::chosen(&project.opts)?.0 {
        let kernels = build::ensure(project, tools, tree, arch)?;
        match arch.is_compared() {
            true => burst::demonstrate(project, tools, tree, &kernels)?,
            false => {
                for kernel in booted::tested(&kernels) {
                    rows.push(booted::boot(project, tree, kernel)?);
                }
                for kernel in kernels.values().filter(|_| project.opts.root.is_some()) {
                    failed += kselftest::run(project, tools, kernel)?.failed;
                }
            }
        }
    }
    if !rows.is_empty() {
        println!("{}", booted::table(&rows));
    }
    failed += rows.iter().map(|row| row.tally().failed).sum::<u32>();
    match failed {
        0 => Ok(()),
        _ => bail!("{failed} tests failed"),
    }
}
