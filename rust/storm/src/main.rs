// SPDX-License-Identifier: GPL-2.0

//! Reads a trace of a boot and shows which modules were asked for, how often, and at what
//! cost; what of it the series would save, and what not.

mod json;
mod line;
mod model;
mod picture;
mod report;
mod request;

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{bail, Context, Result};
use clap::Parser;

/// Shows what the requests of a trace for kernel modules cost.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// The trace as text; rust/storm/record.sh says how to get it.
    trace: PathBuf,
    /// Show modules that were asked for once, too.
    #[arg(long)]
    all: bool,
    /// Print counts of all modules as JSON instead.
    #[arg(long)]
    json: bool,
    /// Draw the boot into this file (SVG).
    #[arg(long)]
    picture: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("storm: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    let name = args.trace.display();
    let trace = request::read(&read(&args.trace)?).with_context(|| name.to_string())?;
    let modules = model::modules(&trace);
    let mut text = match args.json {
        true => json::text(&trace, &modules),
        false => report::text(&trace, &modules, args.all),
    };
    if let Some(file) = &args.picture {
        let svg = picture::draw(&report::rows(&modules, args.all))?;
        fs::write(file, svg).with_context(|| format!("cannot write {}", file.display()))?;
        if !args.json {
            text += &format!("\nThe picture is {}.\n", file.display());
        }
    }
    match io::stdout().write_all(text.as_bytes()) {
        // The reader may have seen enough.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("cannot write the report")
        }
        _ => Ok(()),
    }
}

/// A task's name may be any bytes.
fn read(path: &Path) -> Result<String> {
    let name = path.display();
    let bytes = fs::read(path).with_context(|| format!("cannot read {name}"))?;
    if bytes.starts_with(b"\x17\x08\x44tracing") {
        bail!("{name} is a file of trace-cmd: give what `trace-cmd report -i {name}` prints");
    }
    if bytes.starts_with(b"PERFILE2") {
        bail!("{name} is a file of perf: give what `perf script -i {name}` prints");
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
