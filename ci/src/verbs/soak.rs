// SPDX-License-Identifier: GPL-2.0
//! `soak`: disturbed bursts; the program checks the contract, the verdict is on the log.

use std::time::Duration;

use anyhow::Result;

use crate::guests::trial::{self, Trial, SPARE};
use crate::system::project::Project;

pub fn run(project: &Project) -> Result<()> {
    let (seed, time) = (trial::seed(project), Duration::from_secs(60) * project.opts.minutes);
    let arguments = format!("--seed {seed} --seconds {}", time.as_secs());
    let trial = Trial { mode: "soak", arguments, limit: time * 2 + SPARE, options: vec![] };
    print!("{}", trial::on_kernel(project, &[trial])?);
    Ok(())
}
