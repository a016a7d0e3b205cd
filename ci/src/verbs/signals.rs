// SPDX-License-Identifier: GPL-2.0
//! `signals`; what leaves a kernel unable to load has one of its own.

use anyhow::Result;

use crate::guests::trial::{self, Trial, SPARE};
use crate::system::project::Project;

pub fn run(project: &Project) -> Result<()> {
    let trial = |mode| Trial { mode, arguments: String::new(), limit: SPARE, options: vec![] };
    print!("{}", trial::on_kernel(project, &["signals", "oops", "disabled"].map(trial))?);
    Ok(())
}
