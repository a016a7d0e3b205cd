// SPDX-License-Identifier: GPL-2.0

//! Puts the module loader on trial: parity of two kernels, soak, faults, signals.
//!
//! For a guest that may be lost; nothing of it is for a machine with a purpose.

mod audit;
mod call;
mod episode;
mod faults;
mod gate;
mod image;
mod injection;
mod invariants;
mod kernel;
mod leaks;
mod memory;
mod operations;
mod parity;
mod pool;
mod replies;
mod request;
mod scene;
mod signals;
mod soak;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::ensure;
use clap::{Parser, Subcommand};

/// Put the module loader on trial (as root, in a guest that may be lost).
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Folder of the modules
    #[arg(long, default_value = ".")]
    modules: PathBuf,
    #[command(subcommand)]
    mode: Mode,
}

#[derive(Debug, Subcommand)]
enum Mode {
    /// Run random operations one after the other and print what each came to
    Parity {
        /// Number of operations
        #[arg(long, default_value_t = 10_000)]
        ops: u32,
        /// Seed of the random choices
        #[arg(long)]
        seed: u64,
    },
    /// Let each allocation of a load fail in turn
    Faults,
    /// Signals and deaths at bad moments
    Signals,
    /// An init that oopses: the kernel is damaged afterwards
    Oops,
    /// The sysctl that forbids all loads, set while requests wait
    Disabled,
    /// Load one module, as modprobe would
    #[command(hide = true)]
    Modprobe {
        /// Name of the module
        name: String,
    },
    /// Run disturbed bursts and hold them against the contract
    Soak {
        /// Length in seconds
        #[arg(long, default_value_t = 600)]
        seconds: u64,
        /// Seed of the random choices
        #[arg(long)]
        seed: u64,
    },
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("trial: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> anyhow::Result<()> {
    ensure!(nix::unistd::Uid::effective().is_root(), "loading modules needs root: run it as root");
    match &args.mode {
        Mode::Parity { ops, seed } => parity::run(&args.modules, *ops, *seed),
        Mode::Soak { seconds, seed } => {
            soak::run(&args.modules, Duration::from_secs(*seconds), *seed)
        }
        Mode::Faults => faults::run(&args.modules),
        Mode::Signals => signals::run(&args.modules),
        Mode::Oops => signals::oops(&args.modules),
        Mode::Disabled => signals::disabled(&args.modules),
        Mode::Modprobe { name } => signals::modprobe(name),
    }
}
