// SPDX-License-Identifier: GPL-2.0
//! `shell`: a prompt on one of the kernels.

use std::collections::BTreeMap;

use anyhow::{bail, Context, Result};

use crate::boot;
use crate::build::Kernel;
use crate::demo;
use crate::deps::Tools;
use crate::project::Project;

pub fn run(project: &Project, tools: &Tools, kernels: &BTreeMap<String, Kernel>) -> Result<()> {
    let kernel = &kernels[&project.opts.kernel];
    println!(
        "kernel \"{}\": the test modules and ./burst (--help) are in the current folder; exit ends it",
        kernel.name
    );
    // In the foreground, with the terminal: Ctrl-C is the guest's.
    let status = boot::vng(tools, kernel, demo::CPUS)?.status().context("virtme-ng does not start")?;
    match status.success() {
        true => Ok(()),
        false => bail!("the guest ended badly ({status})"),
    }
}
