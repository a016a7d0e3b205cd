// SPDX-License-Identifier: GPL-2.0

//! The modules that decide how a load goes: test_module_gate and trial_notifier.

use std::{fs, path::Path, str::FromStr};

use anyhow::{ensure, Context, Result};
use nix::errno::Errno;

use crate::{
    calls::{self, Memory},
    image::Image,
    kernel,
};

/// They stay loaded.
pub const RESIDENT: [&str; 2] = ["test_module_gate", "trial_notifier"];

/// Loads both, unless they are there.
pub fn load(dir: &Path) -> Result<()> {
    for name in RESIDENT {
        let image = Memory::Bytes(Image::read(dir, name)?.plain);
        match calls::init_module(&image, &Memory::text("")) {
            Ok(()) | Err(libc::EEXIST) => {}
            Err(errno) => {
                return Err(Errno::from_raw(errno)).context(format!("cannot load {name}"))
            }
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

/// Makes every init wait, or lets all of them go on.
pub fn open(open: bool) -> Result<()> {
    write(&parameter(RESIDENT[0], "open_init"), if open { "Y" } else { "N" })
}

/// What each init does once it has passed.
pub fn program(result: i32, hold_ms: u32) -> Result<()> {
    write(&parameter(RESIDENT[0], "result"), &result.to_string())?;
    write(&parameter(RESIDENT[0], "hold_ms"), &hold_ms.to_string())
}

/// Modules of this name are refused; of none if it is empty.
pub fn veto(name: &str) -> Result<()> {
    // The kernel does not take an empty value.
    write(&parameter(RESIDENT[1], "veto"), if name.is_empty() { "-" } else { name })
}

/// How many inits have run.
pub fn runs() -> Result<u32> {
    read("runs")
}

/// How many inits wait at the gate.
pub fn waiting() -> Result<u32> {
    read("waiting")
}

/// Writes into a file of the kernel.
pub fn write(path: &str, value: &str) -> Result<()> {
    fs::write(path, value).with_context(|| format!("{path}: {value}"))
}

fn read(name: &str) -> Result<u32> {
    let path = parameter(RESIDENT[0], name);
    let text = fs::read_to_string(&path).with_context(|| path.clone())?;
    u32::from_str(text.trim()).with_context(|| path)
}

fn parameter(module: &str, name: &str) -> String {
    format!("/sys/module/{module}/parameters/{name}")
}
