// SPDX-License-Identifier: GPL-2.0
//! The burst demonstration: the scenarios on the kernel without and with the series'
//! option, in turn, then one table and the targets.

mod picture;
pub mod record;
mod report;
pub mod scenarios;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{bail, Context, Result};

use self::scenarios::{scenarios, Burst, Rounds, Scenario};
use crate::guests::vng::{self, Guest, CPUS, OUT};
use crate::kernels::{build::Kernel, matrix::COMPARED};
use crate::series::tree::Tree;
use crate::system::{project::Project, tools::Tools, ui::Ui};

/// For all scenarios of one boot.
const LIMIT: Duration = Duration::from_secs(1200);

/// Runs it, prints table and targets; the number of targets reached and missed.
pub fn run(project: &Project, tools: &Tools, kernels: &BTreeMap<String, Kernel>) -> Result<(u32, u32)> {
    let scenarios = scenarios();
    let all = measure(project, tools, kernels, &scenarios)?;
    Ok(judge(&project.ui, &scenarios, &all))
}

/// The verb `boot`: enough rounds are recorded, a missed target is an error.
pub fn demonstrate(
    project: &Project,
    tools: &Tools,
    tree: &Tree,
    kernels: &BTreeMap<String, Kernel>,
) -> Result<()> {
    let scenarios = scenarios();
    let all = measure(project, tools, kernels, &scenarios)?;
    let (reached, missed) = judge(&project.ui, &scenarios, &all);
    if project.opts.rounds as usize >= report::ENOUGH && tree.is_published(project)? {
        record::save(project, &scenarios, all)?;
    }
    match missed {
        0 => Ok(()),
        _ => bail!("{missed} of {} targets were missed", reached + missed),
    }
}

/// All rounds, each on both kernels in turn.
fn measure(
    project: &Project,
    tools: &Tools,
    kernels: &BTreeMap<String, Kernel>,
    scenarios: &[Scenario],
) -> Result<Vec<Rounds>> {
    let mut all: Vec<Rounds> = scenarios.iter().map(|_| Rounds::default()).collect();
    for round in 1..=project.opts.rounds {
        for (which, name) in COMPARED.iter().enumerate() {
            let kernel = kernels.get(*name).with_context(|| format!("no kernel {name}"))?;
            let bursts = boot(project, tools, kernel, scenarios, round)?;
            for (rounds, burst) in all.iter_mut().zip(bursts) {
                rounds[which].push(burst);
            }
        }
    }
    Ok(all)
}

/// Prints table and targets; the number of targets reached and missed.
fn judge(ui: &Ui, scenarios: &[Scenario], all: &[Rounds]) -> (u32, u32) {
    ui.say(&report::table(scenarios, all));
    let targets = report::targets(scenarios, all);
    for (reached, text) in &targets {
        ui.say(&format!("{} {text}", if *reached { "reached" } else { "MISSED " }));
    }
    let missed = targets.iter().filter(|t| !t.0).count() as u32;
    (targets.len() as u32 - missed, missed)
}

fn boot(
    project: &Project,
    tools: &Tools,
    kernel: &Kernel,
    scenarios: &[Scenario],
    round: u32,
) -> Result<Vec<Burst>> {
    let out = project.root.join(format!("build/results/demo-{}-{round}", kernel.name));
    let name = format!("burst {}", kernel.name);
    let guest =
        Guest { name, kernel, cpus: CPUS, script: script(scenarios), limit: LIMIT, out, options: vec![] };
    project.ui.step(&format!("boot {} {round}", kernel.name), |step| {
        vng::run_clean(project, tools, step, &guest)?;
        (0..scenarios.len()).map(|number| read(&guest.out.join(format!("{number}.json")))).collect()
    })
}

/// One burst after the other; the first that fails ends the script.
fn script(scenarios: &[Scenario]) -> String {
    let line = |(number, s): (usize, &Scenario)| {
        let arguments = s.arguments.join(" ");
        format!(
            "./burst --gate test_module_gate.ko --json {arguments} {} > {OUT}/{number}.json || exit\n",
            s.module
        )
    };
    scenarios.iter().enumerate().map(line).collect()
}

fn read(path: &Path) -> Result<Burst> {
    let text = fs::read_to_string(path).context("burst left no result")?;
    serde_json::from_str(&text).context("burst's result is not what was expected")
}
