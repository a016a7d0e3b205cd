// SPDX-License-Identifier: GPL-2.0
//! scenarios.toml, and what is measured of each scenario.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::system::data::data;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenarios {
    scenario: Vec<Scenario>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    pub name: String,
    pub arguments: Vec<String>,
    pub module: String,
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

#[derive(Serialize, Deserialize)]
pub struct Record {
    /// Where it was measured.
    pub about: String,
    pub scenarios: Vec<Measured>,
}

#[derive(Serialize, Deserialize)]
pub struct Measured {
    pub scenario: String,
    /// Of the kernels of `COMPARED`.
    pub rounds: Rounds,
}

pub fn scenarios() -> Vec<Scenario> {
    let scenarios: Scenarios = data!("scenarios.toml");
    scenarios.scenario
}
