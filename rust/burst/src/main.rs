// SPDX-License-Identifier: GPL-2.0

//! Releases many loads of one kernel module at the same instant and measures them.

mod cli;
mod copied;
mod crew;
mod gate;
mod module;
mod report;
mod request;
mod run;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let args = cli::Args::parse();
    match run::run(&args) {
        Ok(report) if args.json => println!("{}", report.to_json()),
        Ok(report) => print!("{report}"),
        Err(error) => {
            eprintln!("burst: {error:#}");
            let interrupted = error.is::<crew::Interrupted>();
            return ExitCode::from(if interrupted { 130 } else { 1 });
        }
    }
    ExitCode::SUCCESS
}
