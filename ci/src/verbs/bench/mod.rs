// SPDX-License-Identifier: GPL-2.0
//! The verb `bench`: what loads cost on kernels of one tree, against the targets.
//! Numbers, charts and ci/bench/README.md are written by a full run on the series of patches/ only;
//! any other is in build/bench/.

mod compile;
mod guest;
mod kernels;
mod objects;

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::Result;

use self::kernels::Kernels;
use crate::guests::vng::{self, CPUS};
use crate::kernels::toolchain;
use crate::results::bench::{
    plan::{self, Measurement, Plan},
    readme::{block, charts},
    results::Results,
    saved::save,
    target,
};
use crate::system::{deps, project::Project, tools::Tools};

pub fn run(project: &Project) -> Result<()> {
    let (tools, tree) = &toolchain::set_up(project)?;
    let plan = plan::plan();
    deps::ensure_for(project, "bench")?;
    let kernels = Kernels::build(project, tools, tree, &plan)?;
    let quick = project.opts.quick;
    let (measurements, left_out) = plan.measurements(quick);
    let mut results = Results { about: about(&plan, &kernels, quick), left_out, ..Results::default() };
    objects::measure((project, tools), &kernels.arch, (&kernels.base, tree), kernels.on(), &mut results)?;
    measure((project, tools), &plan, &kernels, &measurements, &mut results)?;
    let (charts, publish) = (charts(&plan, &results), !quick && tree.is_published(project)?);
    save(project, "bench", (&results, &charts), publish, |name| block(name, &plan, &results))?;
    println!("{}", target::table(&plan.targets, &results));
    target::fail_if_missed(&plan.targets, &results, !quick)
}

/// All rounds, each on all kernels in turn; what is exact, once.
fn measure(
    both: (&Project, &Tools),
    plan: &Plan,
    kernels: &Kernels,
    list: &[Measurement],
    results: &mut Results,
) -> Result<()> {
    let (exact, noisy): (Vec<_>, Vec<_>) = list.iter().partition(|m| m.exact);
    let rounds = *plan.rounds.get(both.0.opts.quick);
    let start = Instant::now();
    for (label, kernel) in &kernels.booted {
        guest::run(both, plan, (kernel, label), &exact, results)?;
    }
    for round in 1..=rounds {
        for (label, kernel) in &kernels.booted {
            guest::run(both, plan, (kernel, label), &noisy, results)?;
        }
        let minutes = start.elapsed().as_secs_f64() / 60.0;
        let left = minutes / f64::from(round) * f64::from(rounds - round);
        println!("round {round} of {rounds}: {minutes:.0} minutes, about {left:.0} left");
    }
    Ok(())
}

/// Where and how this was measured.
fn about(plan: &Plan, kernels: &Kernels, quick: bool) -> BTreeMap<String, String> {
    let rounds = plan.rounds.get(quick);
    let emulated = if vng::kvm_works() { "under KVM" } else { "emulated" };
    let host = std::thread::available_parallelism().map_or(1, |n| n.get());
    let upto = |patch: &str| format!("with the patches up to \"{patch}\"");
    let part = match kernels.booted.len() {
        2 => String::new(),
        _ => format!("**part** {}, ", upto(&plan.part)),
    };
    let lines = [
        ("Kernels", format!(
            "the series with its option **off**, {part}**on** with all patches; **base**, which is only \
             compiled, {}.",
            upto(&plan.base)
        )),
        ("Noisy", format!(
            "wall and CPU time: medians of {rounds} rounds on {CPUS} virtual CPUs, {emulated} on {host} cores."
        )),
        ("Exact", "counts: how often init ran; instructions, of a guest with one CPU whose clock \
                   counts them (QEMU's `-icount`); bytes copied, those of files to the byte, those of \
                   memory in pages that the kernel looked at.".to_owned()),
    ];
    lines.map(|(what, text)| (what.to_owned(), text)).into()
}
