// SPDX-License-Identifier: GPL-2.0
//! The driver behind the Makefile. Its layers, the lowest first: system, series, kernels, guests,
//! results, verbs; a verb is the file or the folder of its name in verbs/.

mod guests;
mod kernels;
mod results;
mod series;
mod system;
mod verbs;

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::LazyLock;
use std::thread;

use anyhow::{bail, Result};
use clap::builder::{FalseyValueParser, PossibleValuesParser};
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};

use kernels::configs;
use kernels::matrix;
use kernels::matrix::Selection;
use results::booted as architectures;
use series::tree;
use series::tree::Tree;
use system::child;
use system::child::Interrupted;
use system::deps;
use system::deps::Tools;
use system::project::Project;
use verbs::bases;
use verbs::bench;
use verbs::check_series as check;
use verbs::clean;
use verbs::help;
use verbs::latency;
use verbs::litmus;
use verbs::mutants;
use verbs::patches;
use verbs::rebase;
use verbs::scale;
use verbs::shell;
use verbs::storm;
use verbs::submit;
use verbs::suites;
use verbs::test;
use verbs::trial;
use verbs::versions;

/// Builds, boots and judges the series.
#[derive(Parser)]
#[command(name = "make", override_usage = "make <verb> [VARIABLE=value ...]")]
#[command(disable_help_flag = true, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    opts: Options,
}

#[derive(Args)]
pub struct Options {
    /// the whole log on the terminal
    #[arg(long, env = "V", value_parser = FalseyValueParser::new(), global = true)]
    verbose: bool,
    /// your own kernel instead of Debian's: a git tree of 7.x, or an unpacked archive
    #[arg(long, env = "KDIR", value_name = "folder", global = true)]
    kdir: Option<PathBuf>,
    /// the architectures to build, boot and test: all, host, or arm64,s390x,...
    #[arg(long, env = "ARCH", value_name = "names", default_value = "host", value_parser = matrix::Selection::parse, global = true)]
    arch: Selection,
    /// other compilers and configurations for `boot` and `build`: all, or gcc,preempt-rt,... (ci/configs.toml)
    #[arg(long, env = "CONFIG", value_name = "names", value_parser = configs::Chosen::parse, global = true)]
    config: Option<configs::Chosen>,
    /// a root file system of the architecture (debootstrap), for virtme-ng
    #[arg(long, env = "ROOT", value_name = "folder", global = true)]
    root: Option<PathBuf>,
    /// kernels with KASAN, lockdep and their like, and with KCSAN, instead of the ordinary ones
    #[arg(long, env = "DEBUG", value_parser = FalseyValueParser::new(), global = true)]
    debug: bool,
    /// which kernel `shell`, `soak` and `signals` boot (on; with DEBUG=1, debug)
    #[arg(long, env = "KERNEL", value_name = "name", value_parser = PossibleValuesParser::new(matrix::variants()), global = true)]
    kernel: Option<String>,
    /// how often `boot` and `scale` measure each kernel; from 5 rounds of `boot` on, README.md gets them, if the series is that of patches/
    #[arg(long, env = "ROUNDS", value_name = "n", default_value = "1", value_parser = clap::value_parser!(u32).range(1..), global = true)]
    rounds: u32,
    /// `bench` measures less, in minutes, and keeps it out of README.md
    #[arg(long, env = "QUICK", value_parser = FalseyValueParser::new(), global = true)]
    quick: bool,
    /// what random choices follow from, to repeat a run (another each time)
    #[arg(long, env = "SEED", value_name = "n", global = true)]
    seed: Option<u64>,
    /// how many operations `parity` compares
    #[arg(long, env = "OPS", value_name = "n", default_value = "10000", value_parser = clap::value_parser!(u32).range(1..), global = true)]
    ops: u32,
    /// how long `soak` runs
    #[arg(long, env = "MINUTES", value_name = "n", default_value = "10", value_parser = clap::value_parser!(u32).range(1..), global = true)]
    minutes: u32,
    /// `submit` adds your own Signed-off-by to each patch
    #[arg(long, env = "SIGNOFF", value_parser = FalseyValueParser::new(), global = true)]
    signoff: bool,
    /// `submit` writes one part of the series
    #[arg(long, env = "SET", value_name = "name", value_parser = PossibleValuesParser::new(series::patches::sets()), global = true)]
    set: Option<String>,
    /// the recorded boot that `storm` reads
    #[arg(long, env = "TRACE", value_name = "file", global = true)]
    trace: Option<PathBuf>,
    /// how many processors the guests of `scale` have, in turn
    #[arg(long, env = "CPUS", value_name = "numbers", default_value = "16,64", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=128), global = true)]
    cpus: Vec<u32>,
}

#[derive(Subcommand)]
enum Verb {
    /// what the other verbs need: installed where apt-get can, else named; the base kernel
    Deps,
    /// the tools in use and their versions, for reports of bugs
    Versions,
    /// linux/: an editable git tree, one commit per patch on the base kernel
    Tree,
    /// write patches/ and the copies in rust/ from linux/
    Patches,
    /// the kernels, such as build/x86_64-off (series applied, option off) and build/x86_64-on
    Build,
    /// boot both kernels and show what a burst of loads costs on each; elsewhere than on x86_64, and with CONFIG, run tests
    Boot,
    /// what loads cost in detail, against the targets: numbers and charts for README.md
    Bench,
    /// for how long interrupts or preemption are off while duplicates are woken, on PREEMPT_RT
    Latency,
    /// a prompt on a kernel, with the test modules and burst at hand
    Shell,
    /// all tests: crates, series, kernels, contract, targets
    Test,
    /// random operations one by one on both kernels: all that a program sees is the same
    Parity,
    /// random bursts, signals, removals, little memory, CPU hotplug: the contract holds, nothing leaks
    Soak,
    /// each allocation of a load fails in turn: an error comes back, nothing leaks, the next load works
    Faults,
    /// requests killed at bad moments, loads of themselves, an init that oopses, loads disabled
    Signals,
    /// suites by others on both kernels: selftests, stress-ng, modprobe, udev
    Suites,
    /// a boot of many processors, with udev and drivers of today, on both kernels: CPUS=16,64
    Scale,
    /// the series on other base kernels: git am and build
    Bases,
    /// the series on another tree, with your hand where needed: KDIR=<git tree, or a name in ci/base.toml>
    Rebase,
    /// break pending.rs and image.rs on purpose, each bug in turn: a test must notice it
    Mutants,
    /// what no lock alone orders, by the kernel's memory model: litmus tests, and their broken twins
    Litmus,
    /// each patch alone: checkpatch, linters, documentation, many configurations; a table
    CheckSeries,
    /// which modules a recorded boot asked for, and what the series would save of it: TRACE=<file>
    Storm,
    /// the mails of the series, addressed, in build/submit/; sends nothing
    Submit,
    /// remove build/ and log/
    Clean,
    /// clean, and remove the kernel trees if nothing in them is unsaved
    Distclean,
    /// this text
    Help,
}

/// The verbs by their names.
#[cfg(test)]
fn verbs() -> Vec<String> {
    Cli::command().get_subcommands().map(|verb| verb.get_name().to_owned()).collect()
}

/// The variables of make that are options.
fn variables() -> &'static [OsString] {
    static NAMES: LazyLock<Vec<OsString>> = LazyLock::new(|| {
        let command = Cli::command();
        command.get_arguments().filter_map(|a| a.get_env()).map(OsString::from).collect()
    });
    &NAMES
}

/// What clap has to say, on one line. To whoever runs make, its options are variables.
fn complaint(error: &clap::Error) -> String {
    let text = error.to_string();
    let lines = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    let line = lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    let mut command = Cli::command();
    command.build();
    command.get_arguments().fold(line, |line, argument| match argument.get_env() {
        Some(name) => line.replace(&format!("'{argument}'"), &name.to_string_lossy()),
        None => line,
    })
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            eprint!("{}", help::text());
            return ExitCode::from(2);
        }
        Err(error) => {
            eprintln!("{}", complaint(&error));
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

/// What the user has chosen must not be dropped without a word.
fn fail_if_meaningless(verb: &Verb, opts: &Options) -> Result<()> {
    match verb {
        _ if opts.trace.is_some() && !matches!(verb, Verb::Storm) => {
            bail!("TRACE is for the verb storm: leave it out")
        }
        _ if opts.config.is_some() && !matches!(verb, Verb::Boot | Verb::Build) => {
            bail!("CONFIG is for the verbs boot and build: leave it out")
        }
        _ if opts.config.is_some() && (opts.debug || opts.root.is_some()) => {
            bail!("CONFIG says which kernels and boots them from an initramfs: leave DEBUG and ROOT out")
        }
        Verb::Bench | Verb::Parity | Verb::Scale | Verb::Suites if opts.debug => {
            bail!("this verb compares the ordinary kernels: leave DEBUG out")
        }
        Verb::Bases | Verb::CheckSeries | Verb::Mutants | Verb::Patches | Verb::Submit
            if opts.kdir.is_some() =>
        {
            bail!("this verb is for the series on its own bases: leave KDIR out")
        }
        Verb::Boot
        | Verb::Build
        | Verb::Bench
        | Verb::Test
        | Verb::Parity
        | Verb::Faults
        | Verb::Scale
        | Verb::Suites
            if opts.kernel.is_some() =>
        {
            bail!("this verb has kernels of its own: leave KERNEL out")
        }
        Verb::Shell if !has_terminal() => {
            bail!("make shell needs a terminal, for the prompt: make boot and make test need none")
        }
        _ => Ok(()),
    }
}

fn has_terminal() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

fn run(cli: Cli) -> Result<()> {
    child::catch_signals()?;
    let project = Project::new(cli.opts)?;
    fail_if_meaningless(&cli.verb, &project.opts)?;
    if matches!(cli.verb, Verb::Help) {
        print!("{}", help::text());
        return Ok(());
    }
    if matches!(cli.verb, Verb::Versions) {
        return versions::run(&project);
    }
    let lock = project.lock()?;
    match cli.verb {
        Verb::Clean => return clean::clean(&project),
        Verb::Distclean => return clean::distclean(&project),
        Verb::Litmus => return litmus::run(&project),
        Verb::Mutants => return mutants::run(&project),
        Verb::Patches => return patches::write(&project),
        Verb::Rebase => return rebase::run(&project),
        Verb::Storm => return storm::run(&project),
        Verb::Submit => return submit::submit(&project),
        Verb::Test => return test::run(&project),
        _ => {}
    }
    match cli.verb {
        Verb::Deps => return deps::ensure(&project).map(drop),
        Verb::CheckSeries => return check::run(&project, &deps::ensure(&project)?),
        Verb::Bases => return bases::run(&project, &deps::ensure(&project)?),
        _ => {}
    }
    let (tools, tree) = set_up(&project)?;
    if matches!(cli.verb, Verb::Tree) {
        return Ok(());
    }
    match cli.verb {
        Verb::Boot => architectures::demonstrate(&project, &tools, &tree),
        Verb::Bench => bench::run(&project, &tools, &tree),
        Verb::Latency => latency::run(&project, &tools, &tree),
        Verb::Parity => trial::parity(&project, &tools, &tree),
        Verb::Soak => trial::soak(&project, &tools, &tree),
        Verb::Faults => trial::faults(&project, &tools, &tree),
        Verb::Signals => trial::signals(&project, &tools, &tree),
        Verb::Scale => scale::run(&project, &tools, &tree),
        Verb::Suites => suites::run(&project, &tools, &tree),
        Verb::Shell => shell::run(&project, &tools, &tree, lock),
        _ => architectures::build(&project, &tools, &tree),
    }
}

/// What takes minutes comes after the download and the look at the room for it. The tools and
/// the tree then are made side by side: neither keeps two processors busy.
fn set_up(project: &Project) -> Result<(Tools, Tree)> {
    deps::packages(project)?;
    let source = tree::source(project)?;
    thread::scope(|scope| {
        let tools = scope.spawn(|| deps::tools(project, &source));
        let tree = tree::ensure(project);
        let tools = tools.join().unwrap_or_else(|panic| resume_unwind(panic))?;
        Ok((tools, tree?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variable_is_known() {
        let names = variables();
        assert!(["ARCH", "KDIR", "SEED", "V"].iter().all(|name| names.iter().any(|n| n == name)));
    }

    #[test]
    fn the_makefile_has_every_verb() {
        let makefile = include_str!("../../Makefile");
        let line = makefile.lines().find_map(|line| line.strip_prefix("VERBS := ")).unwrap();
        let mut known: Vec<&str> = line.split(' ').collect();
        let mut verbs = verbs();
        known.sort();
        verbs.sort();
        assert_eq!(known, verbs);
    }

    #[test]
    fn a_bad_value_is_one_line_that_names_the_variable() {
        let said = |words: &[&str]| complaint(&Cli::try_parse_from(words).err().unwrap());
        let line = said(&["make", "boot", "--rounds", "0"]);
        assert!(line.starts_with("error: invalid value '0' for ROUNDS: "), "{line}");
        let line = said(&["make", "shell", "--kernel", "x"]);
        assert!(line.contains("for KERNEL [possible values: ") && line.lines().count() == 1, "{line}");
        assert_eq!(said(&["make", "boots"]).lines().count(), 1);
    }

    #[test]
    fn a_choice_that_means_nothing_is_refused() {
        let refusal = |words: &[&str]| {
            let cli = Cli::try_parse_from([&["make"], words].concat()).unwrap();
            fail_if_meaningless(&cli.verb, &cli.opts).err().map(|error| error.to_string())
        };
        assert!(refusal(&["boot", "--kernel", "on"]).is_some_and(|error| error.contains("leave KERNEL out")));
        assert!(refusal(&["bench", "--debug"]).is_some_and(|error| error.contains("leave DEBUG out")));
        assert!(refusal(&["submit", "--kdir", "x"]).is_some_and(|error| error.contains("leave KDIR out")));
        // A test of cargo has none, or the one of who runs it.
        assert_eq!(refusal(&["shell"]).is_some(), !has_terminal());
        assert!(refusal(&["boot", "--trace", "x"]).is_some_and(|error| error.contains("leave it out")));
        assert_eq!(refusal(&["storm", "--trace", "x"]), None);
        assert!(refusal(&["test", "--config", "gcc"]).is_some_and(|error| error.contains("boot and build")));
        assert!(refusal(&["boot", "--config", "gcc", "--debug"]).is_some_and(|error| error.contains("DEBUG")));
        assert_eq!(refusal(&["boot", "--config", "gcc,clang"]), None);
        assert_eq!(refusal(&["soak", "--kernel", "on"]), None);
        assert_eq!(refusal(&["test", "--debug"]), None);
        assert_eq!(refusal(&["boot", "--kdir", "x"]), None);
    }
}
