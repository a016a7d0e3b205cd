// SPDX-License-Identifier: GPL-2.0
//! The program `trial` in guests, for the verbs parity, soak, faults and signals.

use std::fs;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};

use crate::guests::vng::{self, Guest};
use crate::kernels::build::{self, Kernel};
use crate::kernels::{matrix, toolchain};
use crate::system::{project::Project, tools::Tools};

/// Some to take away, and races on those that stay.
const CPUS: u32 = 4;
/// For what a trial does before and after what its length is given for.
pub const SPARE: Duration = Duration::from_secs(600);

/// One run of `trial`: its mode and arguments, and how much time it gets.
pub struct Trial {
    pub mode: &'static str,
    pub arguments: String,
    pub limit: Duration,
    /// More options of virtme-ng.
    pub options: Vec<String>,
}

/// On the kernel that KERNEL= or DEBUG= chose; what the programs printed.
pub fn on_kernel(project: &Project, trials: &[Trial]) -> Result<String> {
    Ok(run(project, &[matrix::booted(&project.opts)], trials)?.concat())
}

/// Each trial on each kernel, in a guest of its own; what the program printed.
pub fn run(project: &Project, variants: &[&str], trials: &[Trial]) -> Result<Vec<String>> {
    let (tools, tree) = toolchain::set_up(project)?;
    let chosen = matrix::chosen(&project.opts)?;
    let arch = chosen.with_vng()?;
    let kernels = build::ensure(project, &tools, &tree, &arch.with_kernels(variants))?;
    let mut outputs = vec![];
    for variant in variants {
        for trial in trials {
            outputs.push(boot(project, &tools, &kernels[*variant], trial)?);
        }
    }
    Ok(outputs)
}

fn boot(project: &Project, tools: &Tools, kernel: &Kernel, trial: &Trial) -> Result<String> {
    let Trial { mode, arguments, limit, options } = trial;
    let name = format!("{mode} {}", kernel.name);
    let out = project.root.join(format!("build/results/{mode}-{}", kernel.name));
    let script = format!("./trial {mode} {arguments}\n");
    let (cpus, limit, options) = (CPUS, *limit, options.clone());
    let guest = Guest { name: name.clone(), kernel, cpus, script, limit, out, options };
    project.ui.step(&name, |step| {
        step.note(arguments.as_str());
        vng::run_clean(project, tools, step, &guest).with_context(|| format!("trial {mode} {arguments}"))?;
        let output = fs::read(guest.out.join("output")).context("trial left no output")?;
        Ok(String::from_utf8_lossy(&output).into_owned())
    })
}

/// What was asked for, or the time.
pub fn seed(project: &Project) -> u64 {
    let time = || SystemTime::UNIX_EPOCH.elapsed().map_or(0, |t| t.as_secs());
    project.opts.seed.unwrap_or_else(time)
}
