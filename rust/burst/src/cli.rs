// SPDX-License-Identifier: GPL-2.0

//! The command line.

use std::{ffi::CString, path::PathBuf};

use clap::{value_parser, Parser, ValueEnum};

/// Release many loads of one kernel module at the same instant and measure them.
///
/// Each request is a process of its own. All of them wait at one pipe, are released together and
/// issue one system call each. The module is unloaded afterwards if a request made it live, and
/// every parameter of the gate that was changed gets its old value back.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
pub struct Args {
    /// The module; its name is taken from the file's name, as depmod does
    #[arg(value_name = "FILE.ko")]
    pub file: PathBuf,

    /// How many requests to release
    #[arg(short = 'n', long, value_name = "N", default_value_t = 400, value_parser = value_parser!(u32).range(1..=30_000))]
    pub requests: u32,

    /// The system call: init_module(2) or finit_module(2)
    #[arg(long, value_enum, default_value_t = Syscall::Init)]
    pub syscall: Syscall,

    /// Give each request a copy of FILE of its own: one name, different inodes (finit only; the
    /// copies lie under $TMPDIR or /tmp, best a tmpfs)
    #[arg(long)]
    pub copies: bool,

    /// Load the module first, so that every request finds it live
    #[arg(long, conflicts_with = "gated")]
    pub live: bool,

    /// Parameters of the module, as on insmod's command line
    #[arg(long, value_name = "STR", default_value = "")]
    pub params: CString,

    /// Load this test_module_gate.ko for the run unless it is loaded already
    #[arg(long, value_name = "PATH")]
    pub gate: Option<PathBuf>,

    /// What the module's init returns, for example -19 (-ENODEV)
    #[arg(long, value_name = "ERRNO", allow_negative_numbers = true)]
    pub result: Option<i32>,

    /// How long the module's init sleeps
    #[arg(long, value_name = "MS")]
    pub hold_ms: Option<u32>,

    /// Hold init at the gate until every other request has returned or sleeps in its call
    #[arg(long)]
    pub gated: bool,

    /// Stop ftrace as soon as all requests have returned, before this program cleans up
    #[arg(long)]
    pub tracing_off: bool,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

const EXAMPLES: &str = "\
Examples (as root, on a machine that may be lost):
  burst --gate test_module_gate.ko --result -19 --hold-ms 20 test_module_load.ko
  burst --gate test_module_gate.ko --gated --syscall finit --copies test_module_load.ko
  burst -n 64 /lib/modules/$(uname -r)/kernel/lib/crc8.ko";

/// The way into the loader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Syscall {
    /// `init_module(2)`: the image comes from memory.
    Init,
    /// `finit_module(2)`: the kernel reads the file.
    Finit,
}

impl Args {
    /// Refuses what clap's rules cannot express.
    pub fn check(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            !self.copies || self.syscall == Syscall::Finit,
            "--copies is for finit_module(2) alone: add --syscall finit"
        );
        Ok(())
    }

    /// Whether the run has to control the gate.
    pub fn wants_gate(&self) -> bool {
        self.gate.is_some() || self.gated || self.result.is_some() || self.hold_ms.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Args {
        Args::try_parse_from(line.split(' ')).expect(line)
    }

    #[test]
    fn the_definition_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_negative_result_is_a_value() {
        assert_eq!(parse("burst --result -19 m.ko").result, Some(-19));
    }

    #[test]
    fn options_of_finit_need_finit() {
        assert!(parse("burst m.ko").check().is_ok());
        assert!(parse("burst --copies m.ko").check().is_err());
        assert!(parse("burst --copies --syscall finit m.ko").check().is_ok());
    }

    #[test]
    fn no_request_is_refused() {
        assert!(Args::try_parse_from(["burst", "-n", "0", "m.ko"]).is_err());
    }

    #[test]
    fn each_gate_option_wants_the_gate() {
        assert!(!parse("burst m.ko").wants_gate());
        for option in ["--gate g.ko", "--gated", "--result 0", "--hold-ms 1"] {
            assert!(parse(&format!("burst {option} m.ko")).wants_gate(), "{option}");
        }
    }
}
