// SPDX-License-Identifier: GPL-2.0
//! The driver behind the Makefile. Its layers, the lowest first: system, series, kernels, guests,
//! results, verbs; a verb is the file or the folder of its name in verbs/.

mod cli;
mod guests;
mod kernels;
mod results;
mod series;
mod system;
mod verbs;

use std::process::ExitCode;

use anyhow::Result;
use clap::error::ErrorKind;

use cli::{Cli, Verb};
use system::child::{self, Interrupted};
use system::project::Project;
use verbs::*;

fn main() -> ExitCode {
    let cli = match cli::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            eprint!("{}", help::text(&cli::command()));
            return ExitCode::from(2);
        }
        Err(error) => {
            eprintln!("{}", cli::complaint(&error));
            return ExitCode::from(2);
        }
    };
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<Interrupted>() => {
            eprintln!("interrupted");
            ExitCode::from(130)
        }
        Err(error) => {
            // The last line of the tests says it.
            if !error.is::<test::Failed>() {
                eprintln!("error: {error:#}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<()> {
    child::catch_signals()?;
    cli::fail_if_meaningless(&cli)?;
    let Cli { verb, mut opts, .. } = cli;
    kernels::matrix::resolve(&mut opts)?;
    let project = Project::new(opts)?;
    // Of these, the first two change nothing, and each verb that the last one runs takes the lock.
    let lock = match verb {
        Verb::Help | Verb::Versions | Verb::All => None,
        _ => project.lock()?,
    };
    match verb {
        Verb::Help => help::run(&cli::command()),
        Verb::Versions => versions::run(&project),
        Verb::All => all::run(&project),
        Verb::Deps => deps::run(&project),
        Verb::Tree => tree::run(&project),
        Verb::Patches => patches::run(&project),
        Verb::Build => build::run(&project),
        Verb::Boot => boot::run(&project),
        Verb::Bench => bench::run(&project),
        Verb::Latency => latency::run(&project),
        Verb::Shell => shell::run(&project, lock),
        Verb::Test => test::run(&project),
        Verb::Parity => parity::run(&project),
        Verb::Soak => soak::run(&project),
        Verb::Faults => faults::run(&project),
        Verb::Signals => signals::run(&project),
        Verb::Suites => suites::run(&project),
        Verb::Scale => scale::run(&project),
        Verb::Bases => bases::run(&project),
        Verb::Rebase => rebase::run(&project),
        Verb::Mutants => mutants::run(&project),
        Verb::Litmus => litmus::run(&project),
        Verb::CheckSeries => check_series::run(&project),
        Verb::Storm => storm::run(&project),
        Verb::Submit => submit::run(&project),
        Verb::Clean => clean::run(&project),
        Verb::Distclean => distclean::run(&project),
    }
}
