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
    #[arg(long, env = "V", value_parser = FalseyValueParser::new())]
    pub verbose: bool,
    /// your own kernel instead of Debian's: a git tree of 7.x, or an unpacked archive
    #[arg(long, env = "KDIR", value_name = "folder")]
    pub kdir: Option<PathBuf>,
    /// the architectures to build, boot and test, with commas between them
    #[arg(long, env = "ARCH", value_name = "names", default_value = "host", value_delimiter = ',')]
    pub arch: Vec<String>,
    /// other compilers and configurations for `boot` and `build` (ci/configs.toml), with commas between them
    #[arg(long, env = "CONFIG", value_name = "names", value_delimiter = ',')]
    pub config: Option<Vec<String>>,
    /// a root file system of the architecture (debootstrap), for virtme-ng
    #[arg(long, env = "ROOT", value_name = "folder")]
    pub root: Option<PathBuf>,
    /// kernels with KASAN, lockdep and their like, and with KCSAN, instead of the ordinary ones
    #[arg(long, env = "DEBUG", value_parser = FalseyValueParser::new())]
    pub debug: bool,
    /// which kernel `shell`, `soak` and `signals` boot (on; with DEBUG=1, debug)
    #[arg(long, env = "KERNEL", value_name = "name")]
    pub kernel: Option<String>,
    /// how often `boot`, `scale` and `test` measure each kernel; from 5 rounds of `boot` on, the documents get them, if the series is that of patches/
    #[arg(long, env = "ROUNDS", value_name = "n", default_value = "1", value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: u32,
    /// `bench` measures less, in minutes, and keeps it out of ci/bench/
    #[arg(long, env = "QUICK", value_parser = FalseyValueParser::new())]
    pub quick: bool,
    /// what random choices follow from, to repeat a run (another each time)
    #[arg(long, env = "SEED", value_name = "n")]
    pub seed: Option<u64>,
    /// how many operations `parity` compares
    #[arg(long, env = "OPS", value_name = "n", default_value = "10000", value_parser = clap::value_parser!(u32).range(1..))]
    pub ops: u32,
    /// how long `soak` runs
    #[arg(long, env = "MINUTES", value_name = "n", default_value = "10", value_parser = clap::value_parser!(u32).range(1..))]
    pub minutes: u32,
    /// `submit` adds your own Signed-off-by to each patch
    #[arg(long, env = "SIGNOFF", value_parser = FalseyValueParser::new())]
    pub signoff: bool,
    /// `submit` writes one part of the series
    #[arg(long, env = "SET", value_name = "name")]
    pub set: Option<String>,
    /// the recorded boot that `storm` reads
    #[arg(long, env = "TRACE", value_name = "file")]
    pub trace: Option<PathBuf>,
    /// how many CPUs the guests of `scale` have, in turn
    #[arg(long, env = "CPUS", value_name = "numbers", default_value = "16,64", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=128))]
    pub cpus: Vec<u32>,
    /// the verbs that `all` runs, or single runs such as "test ARCH=arm", with commas between them
    #[arg(long, env = "ONLY", value_name = "verbs", value_delimiter = ',')]
    pub only: Option<Vec<String>>,
}

/// A variable by its field in [`Options`], and the verbs that it is for. One that is not here is for
/// all of them, or almost all.
pub const USES: [(&str, &[&str]); 13] = [
    ("config", &["boot", "build"]),
    ("cpus", &["scale"]),
    ("debug", &["boot", "build", "faults", "shell", "signals", "soak", "test"]),
    ("kernel", &["shell", "soak", "signals"]),
    ("minutes", &["soak"]),
    ("only", &["all"]),
    ("ops", &["parity"]),
    ("quick", &["bench"]),
    ("rounds", &["boot", "scale", "test"]),
    ("seed", &["parity", "soak"]),
    ("set", &["submit"]),
    ("signoff", &["submit"]),
    ("trace", &["storm"]),
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
