// SPDX-License-Identifier: GPL-2.0
//! `shell`: a prompt on one of the kernels.

use anyhow::{bail, Context, Result};

use crate::guests::vng;
use crate::kernels::{build, matrix, toolchain};
use crate::system::project::{Lock, Project};

/// `lock` is not kept while the prompt is open.
pub fn run(project: &Project, lock: Option<Lock>) -> Result<()> {
    let (tools, tree) = &toolchain::set_up(project)?;
    let chosen = matrix::chosen(&project.opts)?;
    let arch = chosen.with_vng()?;
    let kernels = build::ensure(project, tools, tree, &arch.with_kernels(&[matrix::booted(&project.opts)]))?;
    let kernel = &kernels[matrix::booted(&project.opts)];
    drop(lock);
    println!(
        "kernel \"{}\": the test modules and ./burst (--help) are in the current folder; exit ends it",
        kernel.name
    );
    // In the foreground, with the terminal: Ctrl-C is the guest's.
    let status =
        vng::command(project, tools, kernel, vng::CPUS)?.status().context("virtme-ng does not start")?;
    match status.success() {
        true => Ok(()),
        false => bail!("the guest ended badly ({status})"),
    }
}
