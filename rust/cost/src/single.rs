// SPDX-License-Identifier: GPL-2.0

//! Loads, unloads and duplicates, one by one, nobody else about.
//!
//! The measure is the CPU time of the thread. Where the machine's clock counts instructions (QEMU's
//! -icount shift=0), so does this.

use std::path::Path;

use anyhow::{ensure, Context, Result};
use nix::errno::Errno;
use serde::Serialize;

use crate::{
    caller::Spent,
    module::{finit, Module},
};

/// CPU time in ns, one number for each round.
#[derive(Debug, Default, Serialize)]
struct Costs {
    init: Vec<u64>,
    finit: Vec<u64>,
    /// Of what `init` loaded.
    unload: Vec<u64>,
    /// Of a module that is live.
    live_init: Vec<u64>,
    live_finit: Vec<u64>,
}

/// Measures the module of `path`; JSON.
pub fn run(path: &Path, rounds: u32) -> Result<String> {
    let module = Module::read(path)?;
    let file = module.open()?;
    let mut costs = Costs::default();
    for _ in 0..rounds {
        costs.init.push(cost(Ok(()), || module.init()).context("init_module")?);
        costs.live_init.push(cost(Err(Errno::EEXIST), || module.init()).context("a duplicate")?);
        costs.live_finit.push(cost(Err(Errno::EEXIST), || finit(&file)).context("a duplicate")?);
        costs.unload.push(cost(Ok(()), || module.delete()).context("delete_module")?);
        costs.finit.push(cost(Ok(()), || finit(&file)).context("finit_module")?);
        module.delete().context("delete_module")?;
    }
    Ok(serde_json::to_string(&costs)?)
}

fn cost(wanted: Result<(), Errno>, call: impl FnOnce() -> Result<(), Errno>) -> Result<u64> {
    let before = Spent::now()?;
    let result = call();
    let spent = Spent::now()? - before;
    ensure!(result == wanted, "{result:?}, wanted {wanted:?}");
    Ok(spent.cpu_ns)
}
