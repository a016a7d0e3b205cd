// SPDX-License-Identifier: GPL-2.0
//! `shell`: a prompt on one of the kernels.

use anyhow::{bail, Context, Result};

use crate::guests::vng;
use crate::kernels::build;
use crate::results::burst;
use crate::series::tree::Tree;
use crate::system::deps::Tools;
use crate::system::project::{Lock, Project};

/// `lock` is not kept while the prompt is open.
pub fn run(project: &Project, tools: &Tools, tree: &Tree, lock: Option<Lock>) -> Result<()> {
    let arch = project.opts.arch.with_vng()?;
    let kernels = build::ensure(project, tools, tree, &arch.with_kernels(&[project.kernel()]))?;
    let kernel = &kernels[project.kernel()];
    drop(lock);
    println!(
        "kernel \"{}\": the test modules and ./burst (--help) are in the current folder; exit ends it",
        kernel.name
    );
    // In the foreground, with the terminal: Ctrl-C is the guest's.
    let status =
        vng::command(project, tools, kernel, burst::CPUS)?.status().context("virtme-ng does not start")?;
    match status.success() {
        true => Ok(()),
        false => bail!("the guest ended badly ({status})"),
    }
}
