// SPDX-License-Identifier: GPL-2.0
//! The command line: the verbs, the variables, and which of them go together.

use std::ffi::OsString;
use std::io::{self, IsTerminal};

use anyhow::{bail, Result};
use clap::builder::PossibleValuesParser;
use clap::parser::ValueSource;
use clap::{ArgMatches, Command, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::kernels::{configs, matrix};
use crate::series::export;
use crate::system::options::{self, Options};
use crate::verbs::all;

/// Builds, boots and judges the series.
#[derive(Parser)]
#[command(name = "make", override_usage = "make <verb> [VARIABLE=value ...]")]
#[command(disable_help_flag = true, disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    pub verb: Verb,
    #[command(flatten)]
    pub opts: Options,
    /// The verb's name, as people write it.
    #[arg(skip)]
    name: String,
    /// Which variables are not left at their defaults.
    #[arg(skip)]
    chosen: Vec<String>,
}

#[derive(Subcommand)]
pub enum Verb {
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
    /// what loads cost in detail, against the targets: numbers and charts for ci/bench/README.md
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
    /// a boot of many CPUs, with udev and drivers of today, on both kernels: CPUS=16,64
    Scale,
    /// the series on other base kernels: git am and build
    Bases,
    /// the series on another tree, with your hand where needed: KDIR=<git tree, or a name in ci/base.toml>
    Rebase,
    /// break the Rust files of the series on purpose, each bug in turn: a test must notice it
    Mutants,
    /// what no lock alone orders, by the kernel's memory model: litmus tests, and their broken twins
    Litmus,
    /// each patch alone: checkpatch, linters, documentation, many configurations; a table
    CheckSeries,
    /// which modules a recorded boot asked for, and what the series would save of it: TRACE=<file>
    Storm,
    /// the mails of the series, addressed, in build/submit/; sends nothing
    Submit,
    /// every verb that a release needs, in turn (ci/all.toml); goes on where it was stopped
    All,
    /// remove build/ and log/
    Clean,
    /// clean, and remove the kernel trees if nothing in them is unsaved
    Distclean,
    /// this text
    Help,
}

/// The command line, with what a variable may be.
pub fn command() -> Command {
    Cli::command().mut_args(|argument| {
        // A verb has none of its own: they may stand behind it, too.
        let argument = argument.global(true);
        let values = match argument.get_id().as_str() {
            "arch" => matrix::words(),
            "config" => configs::words(),
            "kernel" => matrix::variants(),
            "set" => export::sets(),
            "only" => return argument.value_parser(PossibleValuesParser::new(all::words())),
            _ => return argument,
        };
        argument.value_parser(PossibleValuesParser::new(values))
    })
}

pub fn parse(words: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> clap::error::Result<Cli> {
    let matches = command().try_get_matches_from(words)?;
    let mut cli = Cli::from_arg_matches(&matches)?;
    cli.name = matches.subcommand_name().unwrap_or_default().to_owned();
    cli.chosen = chosen(&matches);
    Ok(cli)
}

/// What clap has to say, on one line. To whoever runs make, its options are variables.
pub fn complaint(error: &clap::Error) -> String {
    let text = error.to_string();
    let lines = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    let line = lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    let mut command = command();
    command.build();
    command.get_arguments().fold(line, |line, argument| match argument.get_env() {
        Some(name) => line.replace(&format!("'{argument}'"), &name.to_string_lossy()),
        None => line,
    })
}

/// The variables that someone has set, by their names in [`Options`].
fn chosen(matches: &ArgMatches) -> Vec<String> {
    let is_set = |id: &&str| {
        let is_default = matches.value_source(id).is_none_or(|source| source == ValueSource::DefaultValue);
        let is_off = matches.try_get_one::<bool>(id).is_ok_and(|value| value == Some(&false));
        !is_default && !is_off
    };
    let ids = matches.ids().map(|id| id.as_str()).filter(is_set);
    ids.map(str::to_owned).collect()
}

/// What the user has chosen must not be dropped without a word.
pub fn fail_if_meaningless(cli: &Cli) -> Result<()> {
    let is_set = |name: &str| cli.chosen.iter().any(|id| id == name);
    let is_useless =
        |(variable, verbs): &&(&str, &[&str])| is_set(variable) && !verbs.contains(&cli.name.as_str());
    if let Some((variable, verbs)) = options::USES.iter().find(is_useless) {
        bail!("{} is for make {}: leave it out", variable.to_uppercase(), verbs.join(", "));
    }
    match &cli.verb {
        Verb::All if ["kdir", "root"].into_iter().any(is_set) => {
            bail!("make all sets the variables of each verb by itself: leave yours out")
        }
        _ if is_set("config") && (is_set("debug") || is_set("root")) => {
            bail!("CONFIG says which kernels and boots them from an initramfs: leave DEBUG and ROOT out")
        }
        Verb::Bases | Verb::CheckSeries | Verb::Mutants | Verb::Patches | Verb::Submit if is_set("kdir") => {
            bail!("this verb is for the series on its own bases: leave KDIR out")
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::needs;

    #[test]
    fn the_makefile_has_every_verb() {
        let makefile = include_str!("../../Makefile");
        let line = makefile.lines().find_map(|line| line.strip_prefix("VERBS := ")).unwrap();
        let mut known: Vec<&str> = line.split(' ').collect();
        let command = Cli::command();
        let mut verbs: Vec<&str> = command.get_subcommands().map(Command::get_name).collect();
        known.sort();
        verbs.sort();
        assert_eq!(known, verbs);
    }

    /// What deps.toml says of verbs, rows and architectures that there are not is never asked for.
    #[test]
    fn what_is_needed_is_for_known_verbs_and_architectures() {
        let command = Cli::command();
        let verbs: Vec<&str> = command.get_subcommands().map(Command::get_name).collect();
        let rows = configs::words();
        for need in needs::deps().need {
            assert!(need.arch.iter().all(|name| matrix::words().contains(name)), "{}", need.purpose);
            let is_known = |name: &String| match name.strip_prefix("CONFIG=") {
                Some(row) => rows.iter().any(|known| known == row),
                None => verbs.contains(&name.as_str()),
            };
            assert!(need.verbs.iter().all(is_known), "{}", need.purpose);
        }
    }

    #[test]
    fn a_bad_value_is_one_line_that_names_the_variable() {
        let said = |words: &[&str]| complaint(&parse(words).err().unwrap());
        let line = said(&["make", "boot", "--rounds", "0"]);
        assert!(line.starts_with("error: invalid value '0' for ROUNDS: "), "{line}");
        let line = said(&["make", "shell", "--kernel", "x"]);
        assert!(line.contains("for KERNEL [possible values: ") && line.lines().count() == 1, "{line}");
        assert_eq!(said(&["make", "boots"]).lines().count(), 1);
        for (variable, line) in
            [("arch", "invalid value 'vax' for ARCH"), ("config", "invalid value 'vax' for CONFIG")]
        {
            let said = said(&["make", "boot", &format!("--{variable}"), "vax"]);
            assert!(said.contains(line) && said.lines().count() == 1, "{said}");
        }
    }

    #[test]
    fn a_choice_that_means_nothing_is_refused() {
        let refusal = |words: &[&str]| {
            let cli = parse([&["make"], words].concat()).unwrap();
            fail_if_meaningless(&cli).err().map(|error| error.to_string())
        };
        assert!(refusal(&["boot", "--kernel", "on"]).is_some_and(|error| error.contains("KERNEL is for")));
        assert!(refusal(&["bench", "--debug"]).is_some_and(|error| error.contains("DEBUG is for make boot,")));
        assert!(refusal(&["submit", "--kdir", "x"]).is_some_and(|error| error.contains("leave KDIR out")));
        // A test of cargo has none, or the one of who runs it.
        assert_eq!(refusal(&["shell"]).is_some(), !has_terminal());
        assert!(refusal(&["boot", "--trace", "x"]).is_some_and(|error| error.contains("leave it out")));
        assert_eq!(refusal(&["storm", "--trace", "x"]), None);
        assert!(refusal(&["soak", "--only", "soak"]).is_some_and(|error| error.contains("make all")));
        assert_eq!(refusal(&["all", "--only", "soak,test"]), None);
        for variable in [&["all", "--root", "/"][..], &["all", "--debug"], &["all", "--rounds", "5"]] {
            assert!(refusal(variable).is_some(), "{variable:?}");
        }
        assert!(refusal(&["test", "--config", "gcc"]).is_some_and(|error| error.contains("boot, build")));
        assert!(refusal(&["boot", "--config", "gcc", "--debug"]).is_some_and(|error| error.contains("DEBUG")));
        assert_eq!(refusal(&["boot", "--config", "gcc,clang"]), None);
        assert_eq!(refusal(&["soak", "--kernel", "on"]), None);
        assert_eq!(refusal(&["test", "--debug"]), None);
        assert_eq!(refusal(&["boot", "--kdir", "x"]), None);
    }

    #[test]
    fn what_a_variable_is_for_is_there() {
        let command = Cli::command();
        let verbs: Vec<&str> = command.get_subcommands().map(Command::get_name).collect();
        for (variable, of) in options::USES {
            assert!(command.get_arguments().any(|argument| argument.get_id() == variable), "{variable}");
            assert!(of.iter().all(|verb| verbs.contains(verb)), "{variable}");
        }
    }

    #[test]
    fn every_variable_is_written_as_for_make() {
        let text = crate::verbs::help::text(&command());
        for line in
            ["  V=1             the whole log", "  ROUNDS=<n> ", "  KDIR=<folder>   your own", "  DEBUG=1 "]
        {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        assert!(text.contains("(default: 10000)") && text.contains("  boot  "));
        assert!(!text.contains("--") && !text.contains("[env"), "{text}");
    }
}
