// SPDX-License-Identifier: GPL-2.0

//! Runs operations one after the other, and prints all that a program could see of them.

use std::{
    io::{self, BufWriter, Write},
    path::Path,
};

use anyhow::Result;
use guest::errno;

use crate::{audit::Audit, kernel, operations::Operations};

/// After so many operations the whole state is printed.
const INTERVAL: u32 = 50;
const PROGRESS: u32 = 500;

/// A line for each operation, with what audit says of it; several for each look at the kernel's
/// state.
pub fn run(modules: &Path, ops: u32, seed: u64) -> Result<()> {
    let operations = Operations::new(modules, seed)?;
    let audit = Audit::start()?;
    let mut out = BufWriter::new(io::stdout().lock());
    for (number, operation) in (1..=ops).zip(operations) {
        let result = operation.call.issue();
        let logged: String = audit.names()?.iter().map(|name| format!(", logged {name}")).collect();
        writeln!(
            out,
            "{number} {}: {}{logged}",
            operation.what,
            errno::name(errno::number(result))
        )?;
        if number % INTERVAL == 0 || number == ops {
            state(&mut out)?;
        }
        if number % PROGRESS == 0 {
            kernel::progress(&format!("{number} of {ops} operations"));
        }
    }
    Ok(out.flush()?)
}

fn state(out: &mut impl Write) -> Result<()> {
    let modules = kernel::modules()?;
    for m in &modules {
        writeln!(out, "  module {} {} {} {}", m.name, m.usage, m.state, m.taint)?;
    }
    for line in kernel::sysfs(&modules)? {
        writeln!(out, "  sysfs {line}")?;
    }
    Ok(writeln!(out, "  tainted {}", kernel::tainted()?)?)
}
