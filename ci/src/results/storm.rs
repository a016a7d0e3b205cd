// SPDX-License-Identifier: GPL-2.0
//! The program `storm`, which reads recorded boots.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::system::{child, project::Project, ui::Step};

/// What the requests of a trace come to: rust/storm/src/json.rs says what is in it.
pub fn json(project: &Project, step: &mut Step, trace: &Path) -> Result<Value> {
    step.run(&mut cargo(project, "build"))?;
    let text = child::capture(cargo(project, "run").arg("--quiet").arg("--").arg(trace).arg("--json"))?;
    serde_json::from_str(&text).context("storm printed no JSON")
}

pub fn cargo(project: &Project, verb: &str) -> Command {
    project.cargo("rust", &[verb, "--release", "--locked", "--package", "storm"])
}
