// SPDX-License-Identifier: GPL-2.0
//! `faults`: each allocation of a load fails in turn, where the kernel can do that.

use anyhow::Result;

use crate::guests::trial::{self, Trial, SPARE};
use crate::kernels::matrix::DEBUG;
use crate::system::project::Project;

pub fn run(project: &Project) -> Result<()> {
    let trial = Trial { mode: "faults", arguments: String::new(), limit: SPARE * 6, options: vec![] };
    print!("{}", trial::run(project, &[DEBUG], &[trial])?.concat());
    Ok(())
}
