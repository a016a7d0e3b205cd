// SPDX-License-Identifier: GPL-2.0

//! Loads, unloads and duplicates, one by one, nobody else about.
//!
//! The measure is the CPU time of the thread. Where the machine's clock counts instructions (QEMU's
//! -icount shift=0), so does this.

use std::path::Path;

use anyhow::{ensure, Context, Result};
use guest::{clock::Spent, errno::Errno, report::Single};

use crate::module::Module;

/// A module that is live is not loaded again.
const LIVE: Result<(), Errno> = Err(Errno(libc::EEXIST));

/// Measures the module of `path`; JSON.
pub fn run(path: &Path, rounds: u32) -> Result<String> {
    let module = Module::read(path)?;
    let mut costs = Single::default();
    for _ in 0..rounds {
        costs.init.push(cost(Ok(()), || module.init()).context("init_module")?);
        costs.live_init.push(cost(LIVE, || module.init()).context("a duplicate")?);
        costs.live_finit.push(cost(LIVE, || module.finit()).context("a duplicate")?);
        costs.unload.push(cost(Ok(()), || module.delete()).context("delete_module")?);
        costs.finit.push(cost(Ok(()), || module.finit()).context("finit_module")?);
        module.delete().context("delete_module")?;
    }
    Ok(serde_json::to_string(&costs)?)
}

fn cost(wanted: Result<(), Errno>, call: impl FnOnce() -> Result<(), Errno>) -> Result<u64> {
    let (spent, result) = Spent::during(call)?;
    ensure!(result == wanted, "{result:?}, wanted {wanted:?}");
    Ok(spent.cpu_ns)
}
