// SPDX-License-Identifier: GPL-2.0
//! The variables of make.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::LazyLock;

use clap::builder::FalseyValueParser;
use clap::{Args, Command};

/// `main` puts names in place of what stands for several in `arch` and `config`.
#[derive(Args)]
pub struct Options {
    /// the whole log on the terminal
    #[arg(long, env = "V", value_parser = FalseyValueParser::new(), global = true)]
    pub verbose: bool,
    /// your own kernel instead of Debian's: a git tree of 7.x, or an unpacked archive
    #[arg(long, env = "KDIR", value_name = "folder", global = true)]
    pub kdir: Option<PathBuf>,
    /// the architectures to build, boot and test, with commas between them
    #[arg(
        long,
        env = "ARCH",
        value_name = "names",
        default_value = "host",
        value_delimiter = ',',
        global = true
    )]
    pub arch: Vec<String>,
    /// other compilers and configurations for `boot` and `build` (ci/configs.toml), with commas between them
    #[arg(long, env = "CONFIG", value_name = "names", value_delimiter = ',', global = true)]
    pub config: Option<Vec<String>>,
    /// a root file system of the architecture (debootstrap), for virtme-ng
    #[arg(long, env = "ROOT", value_name = "folder", global = true)]
    pub root: Option<PathBuf>,
    /// kernels with KASAN, lockdep and their like, and with KCSAN, instead of the ordinary ones
    #[arg(long, env = "DEBUG", value_parser = FalseyValueParser::new(), global = true)]
    pub debug: bool,
    /// which kernel `shell`, `soak` and `signals` boot (on; with DEBUG=1, debug)
    #[arg(long, env = "KERNEL", value_name = "name", global = true)]
    pub kernel: Option<String>,
    /// how often `boot`, `scale` and `test` measure each kernel; from 5 rounds of `boot` on, the documents get them, if the series is that of patches/
    #[arg(long, env = "ROUNDS", value_name = "n", default_value = "1", value_parser = clap::value_parser!(u32).range(1..), global = true)]
    pub rounds: u32,
    /// `bench` measures less, in minutes, and keeps it out of ci/bench/
    #[arg(long, env = "QUICK", value_parser = FalseyValueParser::new(), global = true)]
    pub quick: bool,
    /// what random choices follow from, to repeat a run (another each time)
    #[arg(long, env = "SEED", value_name = "n", global = true)]
    pub seed: Option<u64>,
    /// how many operations `parity` compares
    #[arg(long, env = "OPS", value_name = "n", default_value = "10000", value_parser = clap::value_parser!(u32).range(1..), global = true)]
    pub ops: u32,
    /// how long `soak` runs
    #[arg(long, env = "MINUTES", value_name = "n", default_value = "10", value_parser = clap::value_parser!(u32).range(1..), global = true)]
    pub minutes: u32,
    /// `submit` adds your own Signed-off-by to each patch
    #[arg(long, env = "SIGNOFF", value_parser = FalseyValueParser::new(), global = true)]
    pub signoff: bool,
    /// `submit` writes one part of the series
    #[arg(long, env = "SET", value_name = "name", global = true)]
    pub set: Option<String>,
    /// the recorded boot that `storm` reads
    #[arg(long, env = "TRACE", value_name = "file", global = true)]
    pub trace: Option<PathBuf>,
    /// how many CPUs the guests of `scale` have, in turn
    #[arg(long, env = "CPUS", value_name = "numbers", default_value = "16,64", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=128), global = true)]
    pub cpus: Vec<u32>,
    /// the verbs that `all` runs, or single runs such as "test ARCH=arm", with commas between them
    #[arg(long, env = "ONLY", value_name = "verbs", value_delimiter = ',', global = true)]
    pub only: Option<Vec<String>>,
}

/// The verbs that a variable is for. One that is not here is for all of them, or almost all.
pub struct Use {
    /// Its field in [`Options`]
    pub variable: &'static str,
    pub verbs: &'static [&'static str],
}

const fn of(variable: &'static str, verbs: &'static [&'static str]) -> Use {
    Use { variable, verbs }
}

pub const USES: [Use; 13] = [
    of("config", &["boot", "build"]),
    of("cpus", &["scale"]),
    of("debug", &["boot", "build", "faults", "shell", "signals", "soak", "test"]),
    of("kernel", &["shell", "soak", "signals"]),
    of("minutes", &["soak"]),
    of("only", &["all"]),
    of("ops", &["parity"]),
    of("quick", &["bench"]),
    of("rounds", &["boot", "scale", "test"]),
    of("seed", &["parity", "soak"]),
    of("set", &["submit"]),
    of("signoff", &["submit"]),
    of("trace", &["storm"]),
];

/// The names of the variables.
pub fn variables() -> &'static [OsString] {
    static NAMES: LazyLock<Vec<OsString>> = LazyLock::new(|| {
        let command = Options::augment_args(Command::new("make"));
        command.get_arguments().filter_map(|a| a.get_env()).map(OsString::from).collect()
    });
    &NAMES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variable_is_known() {
        let names = variables();
        assert!(["ARCH", "KDIR", "SEED", "V"].iter().all(|name| names.iter().any(|n| n == name)));
    }
}
