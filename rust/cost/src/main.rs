// SPDX-License-Identifier: GPL-2.0

//! What loads cost: one by one, and of many modules that depend on each other.
//!
//! For a guest that may be lost. Prints JSON.

mod coldplug;
mod many;
mod module;
mod single;
mod waits;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

/// Measure loads of kernel modules (as root, in a guest that may be lost).
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    #[command(subcommand)]
    mode: Mode,
}

#[derive(Debug, Subcommand)]
enum Mode {
    /// One load, unload and duplicate after the other
    Single {
        /// The module; what it needs is loaded
        file: PathBuf,
        /// Number of rounds
        #[arg(long, default_value_t = 21)]
        rounds: u32,
    },
    /// What udev does at boot: for each CPU it loads all modules that fit
    Coldplug {
        /// The modules that must be live then, and are unloaded: a modules.dep that is beside
        /// them; without it, what udev has loaded stays
        list: Option<PathBuf>,
    },
    /// All modules of a modules.dep at once: each caller loads what its module needs, then it
    Many {
        /// The file that depmod wrote; the modules are beside it
        list: PathBuf,
    },
    /// Callers that wait for a module that they need, while others load and unload
    Waits {
        /// What they need; test_module_gate, which is loaded, decides when it is ready
        base: PathBuf,
        /// A module of their own for each
        users: Vec<PathBuf>,
        /// What is loaded and unloaded meanwhile
        #[arg(long)]
        other: PathBuf,
        /// Number of loads and removals of the other module
        #[arg(long, default_value_t = 20)]
        rounds: u32,
    },
}

fn main() -> ExitCode {
    let report = match Args::parse().mode {
        Mode::Single { file, rounds } => single::run(&file, rounds),
        Mode::Coldplug { list } => coldplug::run(list.as_deref()),
        Mode::Many { list } => many::run(&list),
        Mode::Waits { base, users, other, rounds } => waits::run(&base, &users, &other, rounds),
    };
    match report {
        Ok(json) => println!("{json}"),
        Err(error) => {
            eprintln!("cost: {error:#}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
