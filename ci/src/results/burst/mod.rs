// SPDX-License-Identifier: GPL-2.0
//! The burst demonstration: the scenarios on the kernel without and with the series'
//! option, in turn, then one table and the targets.

mod picture;
pub mod record;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{bail, Context, Result};
use serde::{Deserialize, Serialize};

use crate::guests::vng::{self, Guest, OUT};
use crate::kernels::build::Kernel;
use crate::kernels::matrix::COMPARED;
use crate::results::report;
use crate::series::tree::Tree;
use crate::system::deps::Tools;
use crate::system::project::{data, Project};

/// More than a small machine has, as on the large ones that the series is for.
pub const CPUS: u32 = 8;
/// For all scenarios of one boot.
const LIMIT: Duration = Duration::from_secs(1200);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenarios {
    scenario: Vec<Scenario>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    pub name: String,
    arguments: Vec<String>,
    module: String,
    /// Whether the cover letter shows it.
    #[serde(default)]
    pub cover: bool,
    #[serde(default)]
    pub target: Target,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct Target {
    pub runs: Option<u64>,
    pub results: Option<BTreeMap<String, u64>>,
    pub peak_vmalloc_kib: Option<u64>,
    pub wall_ratio: Option<f64>,
}

/// What burst measured; it prints more than is read here.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub struct Burst {
    pub wall_ms: f64,
    pub runs: u64,
    pub peak_vmalloc_kib: u64,
    pub results: BTreeMap<String, u64>,
}

/// All rounds of one scenario on the kernels of `COMPARED`.
pub type Rounds = [Vec<Burst>; 2];

/// Runs it, prints table and targets; the number of targets reached and missed.
pub fn run(project: &Project, tools: &Tools, kernels: &BTreeMap<String, Kernel>) -> Result<(u32, u32)> {
    let scenarios = scenarios();
    let all = measure(project, tools, kernels, &scenarios)?;
    Ok(judge(&scenarios, &all))
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
    let (reached, missed) = judge(&scenarios, &all);
    if project.opts.rounds as usize >= report::ENOUGH && tree.is_published(project)? {
        record::save(&project.root, &scenarios, all)?;
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
fn judge(scenarios: &[Scenario], all: &[Rounds]) -> (u32, u32) {
    println!("{}", report::table(scenarios, all));
    let targets = report::targets(scenarios, all);
    for (reached, text) in &targets {
        println!("{} {text}", if *reached { "reached" } else { "MISSED " });
    }
    let missed = targets.iter().filter(|t| !t.0).count() as u32;
    (targets.len() as u32 - missed, missed)
}

fn scenarios() -> Vec<Scenario> {
    data::<Scenarios>("scenarios.toml", include_str!("../../../scenarios.toml")).scenario
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
