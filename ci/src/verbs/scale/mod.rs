// SPDX-License-Identifier: GPL-2.0
//! The verb `scale`: what udev asks for at the boot of a machine with many CPUs, on the
//! kernel without and with the option, against the targets.

mod guest;

use std::collections::BTreeMap;

use anyhow::Result;

use self::guest::{Measured, Parts};
use crate::kernels::matrix::{self, COMPARED, SCALE};
use crate::kernels::{build, toolchain};
use crate::results::bench::{results::Results, saved::save, target};
use crate::results::scale::{
    plan::{self, Plan},
    readme::{block, charts, table},
};
use crate::system::{project::Project, rootfs};

pub fn run(project: &Project) -> Result<()> {
    let (tools, tree) = &toolchain::set_up(project)?;
    let plan = plan::plan();
    let chosen = matrix::chosen(&project.opts)?;
    let arch = chosen.with_vng()?;
    let guests =
        plan.guests.iter().map(|(name, guest)| Ok((name, guest, rootfs::archive(project, &guest.suite)?)));
    let guests = guests.collect::<Result<Vec<_>>>()?;
    let kernels = build::ensure(project, tools, tree, &arch.with_kernels(&SCALE))?;
    let programs = guest::programs(project)?;
    let mut results = Results { about: about(&plan, project), ..Results::default() };
    for round in 0..project.opts.rounds {
        for cpus in &project.opts.cpus {
            for (name, guest, archive) in guests.iter().filter(|(_, guest, _)| round == 0 || !guest.counted) {
                for (label, variant) in COMPARED.into_iter().zip(SCALE) {
                    let (kernel, programs) = (&kernels[variant], &*programs);
                    let parts = Parts { plan: &plan, kernel, label, programs };
                    let Measured { coldplug, burst } =
                        guest::run(project, &parts, (name, guest, archive), *cpus)?;
                    results.add(label, &plan::key(&guest.key, *cpus), coldplug);
                    if let Some(burst) = burst {
                        results.add(label, &plan::key(&plan.burst.key, *cpus), burst);
                    }
                }
            }
        }
    }
    let full = plan.is_full(&project.opts.cpus);
    let (charts, publish) = (charts(&plan, &results), full && tree.is_published(project)?);
    save(project, "scale", (&results, &charts), publish, |name| block(name, &plan, &results))?;
    println!("{}\n\n{}", table(&plan, &results), target::table(&plan.targets, &results));
    target::fail_if_missed(&plan.targets, &results, full)
}

/// Where and how this was measured.
fn about(plan: &Plan, project: &Project) -> BTreeMap<String, String> {
    let cpus: Vec<String> = project.opts.cpus.iter().map(u32::to_string).collect();
    let text = format!(
        "Without the option → with it, by `make scale CPUS={} ROUNDS={}`: emulated (`{}`).",
        cpus.join(","),
        project.opts.rounds,
        plan.qemu.join(" "),
    );
    [("how".to_owned(), text)].into()
}
