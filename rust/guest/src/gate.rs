// SPDX-License-Identifier: GPL-2.0

//! The module test_module_gate: decides how long an init takes and what it returns, and counts.

use std::path::PathBuf;

use anyhow::Result;

use crate::{files, module};

/// The module.
pub const NAME: &str = "test_module_gate";
/// The parameter that says whether an init goes on, or waits.
pub const OPEN: &str = "open_init";

/// Where the gate has a parameter.
pub fn parameter(name: &str) -> PathBuf {
    module::parameter(NAME, name)
}

/// Lets every init go on, or makes it wait.
pub fn open(open: bool) -> Result<()> {
    files::write(parameter(OPEN), if open { 'Y' } else { 'N' })
}

/// How often an init has run since the gate was loaded.
pub fn runs() -> Result<u64> {
    Ok(files::read(parameter("runs"))?.parse()?)
}

/// How many inits wait.
pub fn waiting() -> Result<u64> {
    Ok(files::read(parameter("waiting"))?.parse()?)
}
