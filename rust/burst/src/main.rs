// SPDX-License-Identifier: GPL-2.0

//! Releases many loads of one kernel module at the same instant and measures them.

mod cli;
mod copied;
mod crew;
mod report;
mod request;
mod run;
mod undo;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let args = cli::Args::parse();
    match run::run(&args) {
        Ok(report) if args.json => {
            println!("{}", serde_json::to_string(&report).expect("string keys, finite numbers"))
        }
        Ok(report) => print!("{}", report::table(&report)),
        Err(error) => {
            eprintln!("burst: {error:#}");
            let interrupted = error.is::<crew::Interrupted>();
            return ExitCode::from(if interrupted { 130 } else { 1 });
        }
    }
    ExitCode::SUCCESS
}
