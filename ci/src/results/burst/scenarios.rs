// SPDX-License-Identifier: GPL-2.0
//! scenarios.toml, and what is measured of each scenario.

pub use guest::report::{Burst, Results};
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
    pub results: Option<Results>,
    pub peak_vmalloc_kib: Option<u64>,
    pub wall_ratio: Option<f64>,
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
