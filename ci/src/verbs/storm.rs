// SPDX-License-Identifier: GPL-2.0
//! `storm`: which modules a recorded boot asked for, and what the series would save of it.

use std::fs;
use std::process::Stdio;

use anyhow::{bail, Context, Result};

use crate::results::storm::cargo;
use crate::system::{child, project::Project};

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
    child::fail_if_interrupted()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{}", said.trim().trim_start_matches("storm: "));
    }
    Ok(())
}
