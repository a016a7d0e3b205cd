// SPDX-License-Identifier: GPL-2.0
//! The program `trial` in guests: parity, soak, faults, signals.

use std::fs;
use std::time::{Duration, SystemTime};

use anyhow::{bail, Context, Result};

use crate::guests::vng::{self, Guest};
use crate::kernels::build::{self, Kernel};
use crate::kernels::matrix::{COMPARED, DEBUG};
use crate::series::tree::Tree;
use crate::system::deps::Tools;
use crate::system::project::Project;

/// So many differences are shown.
const SHOWN: usize = 20;
/// Some to take away, and races on those that stay.
const CPUS: u32 = 4;
/// For what a trial does before and after what its length is given for.
const SPARE: Duration = Duration::from_secs(600);

/// One run of `trial`: its mode and arguments, and how much time it gets.
struct Trial {
    mode: &'static str,
    arguments: String,
    limit: Duration,
    /// More options of virtme-ng.
    options: Vec<String>,
}

/// The verb `parity`: the same operations on the kernel without and with the option.
pub fn parity(project: &Project, tools: &Tools, tree: &Tree) -> Result<()> {
    let (seed, ops) = (seed(project), project.opts.ops);
    let limit = SPARE + Duration::from_millis(200) * ops;
    let arguments = format!("--seed {seed} --ops {ops}");
    // Before any task, or those that are there already are not audited.
    let options = vec!["--append=audit=1".to_owned()];
    let trial = Trial { mode: "parity", arguments, limit, options };
    let outputs = run(project, tools, tree, &COMPARED, &[trial])?;
    let [off, on] = outputs.as_slice() else { bail!("two kernels, and not two outputs") };
    let differences = compare(off, on);
    for (off, on) in differences.iter().take(SHOWN) {
        println!("off: {off}\non:  {on}");
    }
    if !differences.is_empty() {
        bail!("{} lines differ: repeat it with SEED={seed} OPS={ops}", differences.len());
    }
    println!("{ops} operations: {} lines, all the same", off.lines().count());
    Ok(())
}

/// The verb `soak`: disturbed bursts; the program checks the contract, the judge the log.
pub fn soak(project: &Project, tools: &Tools, tree: &Tree) -> Result<()> {
    let (seed, time) = (seed(project), Duration::from_secs(60) * project.opts.minutes);
    let arguments = format!("--seed {seed} --seconds {}", time.as_secs());
    let trial = Trial { mode: "soak", arguments, limit: time * 2 + SPARE, options: vec![] };
    on_kernel(project, tools, tree, &[trial])
}

/// The verb `signals`; what leaves a kernel unable to load has one of its own.
pub fn signals(project: &Project, tools: &Tools, tree: &Tree) -> Result<()> {
    let trial = |mode| Trial { mode, arguments: String::new(), limit: SPARE, options: vec![] };
    on_kernel(project, tools, tree, &["signals", "oops", "disabled"].map(trial))
}

/// The verb `faults`: each allocation of a load fails in turn, where the kernel can do that.
pub fn faults(project: &Project, tools: &Tools, tree: &Tree) -> Result<()> {
    let trial = Trial { mode: "faults", arguments: String::new(), limit: SPARE * 6, options: vec![] };
    print!("{}", run(project, tools, tree, &[DEBUG], &[trial])?.concat());
    Ok(())
}

/// On the kernel that KERNEL= or DEBUG= chose.
fn on_kernel(project: &Project, tools: &Tools, tree: &Tree, trials: &[Trial]) -> Result<()> {
    for output in run(project, tools, tree, &[project.kernel()], trials)? {
        print!("{output}");
    }
    Ok(())
}

/// Each trial on each kernel, in a guest of its own; what the program printed.
fn run(
    project: &Project,
    tools: &Tools,
    tree: &Tree,
    variants: &[&str],
    trials: &[Trial],
) -> Result<Vec<String>> {
    let arch = project.opts.arch.with_vng()?;
    let kernels = build::ensure(project, tools, tree, &arch.with_kernels(variants))?;
    let mut outputs = vec![];
    for variant in variants {
        for trial in trials {
            outputs.push(boot(project, tools, &kernels[*variant], trial)?);
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

/// The lines that are not the same.
fn compare<'a>(off: &'a str, on: &'a str) -> Vec<(&'a str, &'a str)> {
    let (mut off, mut on) = (off.lines(), on.lines());
    let pairs = std::iter::from_fn(|| match (off.next(), on.next()) {
        (None, None) => None,
        (off, on) => Some((off.unwrap_or("(nothing)"), on.unwrap_or("(nothing)"))),
    });
    pairs.filter(|(off, on)| off != on).collect()
}

/// What was asked for, or the time.
fn seed(project: &Project) -> u64 {
    let time = || SystemTime::UNIX_EPOCH.elapsed().map_or(0, |t| t.as_secs());
    project.opts.seed.unwrap_or_else(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_found() {
        assert_eq!(compare("1 a: 0\n2 b: EBUSY\n", "1 a: 0\n2 b: EEXIST\n"), [("2 b: EBUSY", "2 b: EEXIST")]);
        assert_eq!(compare("1\n2\n", "1\n"), [("2", "(nothing)")]);
        assert!(compare("1\n2\n", "1\n2\n").is_empty());
    }
}
