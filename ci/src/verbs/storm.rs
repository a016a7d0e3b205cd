// SPDX-License-Identifier: GPL-2.0
//! `storm`: which modules a recorded boot asked for, and what the series would save of it.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{bail, Context, Result};
use serde_json::Value;

use crate::system::child;
use crate::system::project::Project;
use crate::system::ui::Step;

const PICTURE: &str = "build/storm.svg";

pub fn run(project: &Project) -> Result<()> {
    let Some(trace) = &project.opts.trace else {
        bail!("say which trace to read: make storm TRACE=<file>; rust/storm/record.sh says how to get it");
    };
    fs::create_dir_all(project.root.join("build")).context("cannot make build/")?;
    project.ui.step("storm", |step| step.run(&mut cargo(project, "build")).map(drop))?;
    let mut storm = cargo(project, "run");
    storm.arg("--quiet").arg("--").arg(trace).arg("--picture").arg(project.root.join(PICTURE));
    let output =
        storm.stdout(Stdio::inherit()).stderr(Stdio::piped()).output().context("cargo does not start")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{}", said.trim().trim_start_matches("storm: "));
    }
    Ok(())
}

/// What the requests of a trace come to: rust/storm/src/json.rs says what is in it.
pub fn json(project: &Project, step: &mut Step, trace: &Path) -> Result<Value> {
    step.run(&mut cargo(project, "build"))?;
    let text = child::capture(cargo(project, "run").arg("--quiet").arg("--").arg(trace).arg("--json"))?;
    serde_json::from_str(&text).context("storm printed no JSON")
}

fn cargo(project: &Project, verb: &str) -> Command {
    let mut cargo = child::command("cargo");
    cargo.args([verb, "--release", "--locked", "--package", "storm", "--manifest-path"]);
    cargo.arg(project.root.join("rust/Cargo.toml"));
    cargo
}
