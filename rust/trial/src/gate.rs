// SPDX-License-Identifier: GPL-2.0

//! The modules that decide how a load goes: test_module_gate and trial_notifier.

use std::path::Path;

use anyhow::{ensure, Context, Result};
pub use guest::gate::{open, runs, waiting};
use guest::{
    errno::Errno,
    files,
    gate::{parameter, NAME},
    module,
};

use crate::{image::Image, kernel};

const NOTIFIER: &str = "trial_notifier";
/// They stay loaded.
const RESIDENT: [&str; 2] = [NAME, NOTIFIER];

/// Loads both, unless they are there.
pub fn load(dir: &Path) -> Result<()> {
    for name in RESIDENT {
        match module::init(&*Image::read(dir, name)?.plain, c"") {
            Ok(()) | Err(Errno(libc::EEXIST)) => {}
            refused => return refused.context(format!("cannot load {name}")),
        }
    }
    Ok(())
}

/// Checks that nothing else is loaded.
pub fn is_alone() -> Result<()> {
    let mut others: Vec<String> = kernel::modules()?.into_iter().map(|m| m.name).collect();
    others.retain(|name| !RESIDENT.contains(&name.as_str()));
    ensure!(others.is_empty(), "left over: {others:?}");
    Ok(())
}

/// Unloads a module.
pub fn remove(name: &str) -> Result<()> {
    module::unload(name, module::NONBLOCK).with_context(|| format!("{name} cannot be removed"))
}

/// What each init does once it has passed.
pub fn program(result: i32, hold_ms: u32) -> Result<()> {
    files::write(parameter("result"), result)?;
    files::write(parameter("hold_ms"), hold_ms)
}

/// Modules of this name are refused; of none if it is empty.
pub fn veto(name: &str) -> Result<()> {
    // The kernel does not take an empty value.
    files::write(module::parameter(NOTIFIER, "veto"), if name.is_empty() { "-" } else { name })
}
