// SPDX-License-Identifier: GPL-2.0
//! `test`: everything that can be checked, one line of numbers at the end.

use std::fs::{self, DirEntry};
use std::io;

use anyhow::{bail, Context, Result};

use crate::kernels::build;
use crate::kernels::matrix::{self, Arch};
use crate::kernels::toolchain;
use crate::results::booted::{self, Row};
use crate::results::kselftest::{self, Tally};
use crate::results::{burst, letter};
use crate::series::tree::{self, Tree};
use crate::series::{export, stamps};
use crate::system::child::{self, End, Interrupted};
use crate::system::{git::Git, options::Options, project::Project, tools::Tools, ui::first_error};

/// What was counted, and what went wrong, to be said once more at the end.
#[derive(Default)]
struct Count {
    tally: Tally,
    errors: Vec<String>,
    /// The series that is tested.
    head: Option<String>,
}

/// Not everything has passed, and all has been said about it.
#[derive(Debug)]
pub struct Failed;

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("not everything passed")
    }
}

impl std::error::Error for Failed {}

/// A run of cargo test: its name, the workspace, and arguments.
type CargoTest<'a> = (&'a str, &'a str, &'a [&'a str]);

const CARGO_TESTS: [CargoTest; 4] = [
    ("cargo test ci", "ci", &[]),
    ("cargo test rust", "rust", &[]),
    ("pending.rs in every interleaving (loom)", "rust", &["-p", "pending", "--features", "loom"]),
    ("pending.rs in random schedules (shuttle)", "rust", &["-p", "pending", "--features", "shuttle"]),
];

const UNDER_SANITIZER: &str = "pending.rs under the address sanitizer";

pub fn run(project: &Project) -> Result<()> {
    let mut counted = Count::default();
    let outcome = all(project, &mut counted);
    if outcome.is_err() {
        check(&mut counted, outcome)?;
    }
    let Count { tally, errors, head } = counted;
    for error in errors {
        println!("failed: {error}");
    }
    println!("{tally}");
    match (head, tally) {
        (Some(head), Tally { failed: 0, passed: 1.., .. }) => match is_whole(project)? {
            true => stamps::mark(project, stamps::TESTED, &head),
            false => Ok(()),
        },
        _ => Err(Failed.into()),
    }
}

/// One check after the other. A failure is counted and the next check still runs,
/// as far as it can.
fn all(project: &Project, counted: &mut Count) -> Result<()> {
    let Some(tools) = check(counted, toolchain::ensure(project))? else { return Ok(()) };
    for test in CARGO_TESTS {
        count(counted, cargo_test(project, test, &[]))?;
    }
    count(counted, under_sanitizer(project))?;
    if project.opts.kdir.is_none() {
        check(counted, tree::try_series(project))?;
    }
    let Some(tree) = check(counted, tree::ensure(project))? else { return Ok(()) };
    counted.head = Some(Git::at(&tree.dir).head()?);
    if project.opts.kdir.is_none() {
        check(counted, exported(project))?;
        check(counted, bugs_apply(project, &tree))?;
    }
    let mut rows = vec![];
    for arch in &matrix::chosen(&project.opts)?.0 {
        architecture(project, &tools, &tree, arch, (counted, &mut rows))?;
    }
    println!("{}", booted::table(&rows));
    Ok(())
}

/// All that is tested on one architecture; adds a row of the table for each kernel that
/// has booted.
fn architecture(
    project: &Project,
    tools: &Tools,
    tree: &Tree,
    arch: &Arch,
    (counted, rows): (&mut Count, &mut Vec<Row>),
) -> Result<()> {
    let Some(kernels) = check(counted, build::ensure(project, tools, tree, arch))? else { return Ok(()) };
    for kernel in booted::tested(&kernels) {
        if let Some(row) = check(counted, booted::boot(project, tree, kernel))? {
            counted.tally = counted.tally + row.tally();
            rows.push(row);
        }
    }
    for kernel in kernels.values().filter(|_| arch.has_vng() || project.opts.root.is_some()) {
        count(counted, kselftest::run(project, tools, kernel))?;
    }
    if arch.is_compared() {
        let targets = burst::run(project, tools, &kernels);
        count(counted, targets.map(|(passed, failed)| Tally { passed, failed, skipped: 0 }))?;
    }
    Ok(())
}

/// Fails unless `patches/` and the copies are as `linux/` has them.
fn exported(project: &Project) -> Result<()> {
    let git = tree::committed(project)?;
    if letter::outdated(project, &git)?.is_some() {
        bail!("the cover letter's numbers are not those of ci/bench/: run make patches");
    }
    let files = export::export(&git)?;
    let different = export::differences(project, &files)?;
    if let Some(first) = different.first() {
        let (first, count) = (first.display(), different.len());
        bail!("{first} differs from linux/ ({count} files do): run make patches");
    }
    tree::say_saved(project, &git, &files)
}

/// Fails unless the planted bugs of main.c apply: those of the Rust files, make mutants tries.
fn bugs_apply(project: &Project, tree: &Tree) -> Result<()> {
    let git = Git::at(&tree.dir);
    for entry in fs::read_dir(project.root.join("rust/mutants/c"))? {
        let bug = entry?.path();
        if bug.extension().is_some_and(|end| end == "patch") {
            let words = ["apply", "--check", &bug.to_string_lossy()];
            git.capture(words).with_context(|| format!("{} does not apply", bug.display()))?;
        }
    }
    Ok(())
}

/// Whether these are all tests that there are for one architecture: with what the option costs, on
/// the ordinary kernels, of the series' own tree.
fn is_whole(project: &Project) -> Result<bool> {
    let Options { kdir, root, debug, .. } = &project.opts;
    let is_compared = matrix::chosen(&project.opts)?.0.iter().any(Arch::is_compared);
    Ok(kdir.is_none() && root.is_none() && !debug && is_compared)
}

/// Counts a check; an interrupt ends all of them.
fn check<T>(counted: &mut Count, result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => {
            counted.tally.passed += 1;
            Ok(Some(value))
        }
        Err(error) if error.is::<Interrupted>() => Err(error),
        Err(error) => {
            counted.tally.failed += 1;
            eprintln!("error: {error:#}");
            counted.errors.push(format!("{error:#}"));
            Ok(None)
        }
    }
}

/// Adds tests that were counted already.
fn count(counted: &mut Count, result: Result<Tally>) -> Result<()> {
    match result {
        Ok(more) => {
            counted.tally = counted.tally + more;
            Ok(())
        }
        Err(error) => check::<()>(counted, Err(error)).map(drop),
    }
}

/// Not every rustc comes with the sanitizer: that of Debian does not.
fn under_sanitizer(project: &Project) -> Result<Tally> {
    let libraries = child::capture(child::command("rustc").args(["--print", "target-libdir"]))?;
    let has_it = |entry: io::Result<DirEntry>| {
        entry.is_ok_and(|entry| entry.file_name().to_string_lossy().contains("_rt.asan"))
    };
    if !fs::read_dir(libraries.trim())?.any(has_it) {
        println!("skipped: {UNDER_SANITIZER}: this rustc has no library for it, that of rustup has");
        return Ok(Tally { skipped: 1, ..Tally::default() });
    }
    // With a target named, what runs in the compiler is built without the sanitizer. An option
    // of -Z is for unstable compilers only, unless a stable one is told otherwise.
    let target = child::capture(child::command("rustc").args(["--print", "host-tuple"]))?;
    let words = ["-p", "pending", "--tests", "--features", "free-at-once", "--target", target.trim()];
    let environment = [("RUSTC_BOOTSTRAP", "1"), ("RUSTFLAGS", "-Zsanitizer=address")];
    cargo_test(project, (UNDER_SANITIZER, "rust", &words), &environment)
}

fn cargo_test(project: &Project, test: CargoTest, environment: &[(&str, &str)]) -> Result<Tally> {
    let (name, workspace, arguments) = test;
    project.ui.step(name, |step| {
        let mut cargo = project.cargo(workspace, &["test", "--release", "--locked", "--no-fail-fast"]);
        cargo.args(arguments).envs(environment.iter().copied());
        let (end, output) = step.run_until(&mut cargo, None)?;
        let tally = cargo_tally(&output);
        let failed = failed_tests(&output);
        match end {
            _ if !failed.is_empty() => bail!("{}", failed.join(", ")),
            End::Exited(status) if status.success() && tally.passed > 0 => {}
            End::Exited(status) if status.success() => bail!("no test ran"),
            _ => bail!("{}", first_error(&output)),
        }
        step.note(tally.to_string());
        Ok(tally)
    })
}

/// Their names.
fn failed_tests(output: &str) -> Vec<&str> {
    let lines = output.lines().filter_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"));
    lines.collect()
}

/// The sum of cargo's `test result:` lines.
fn cargo_tally(output: &str) -> Tally {
    let mut tally = Tally::default();
    for line in output.lines().filter_map(|l| l.strip_prefix("test result: ")) {
        let number = |what: &str| -> u32 {
            let words = line.split(['.', ';']).map(str::trim);
            words.filter_map(|w| w.strip_suffix(what)).find_map(|n| n.trim().parse().ok()).unwrap_or(0)
        };
        tally.passed += number("passed");
        tally.failed += number("failed");
        tally.skipped += number("ignored");
    }
    tally
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargos_lines_are_added_up() {
        let output = "test a ... ok\n\
             test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.0s\n\
             test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.0s\n";
        assert_eq!(cargo_tally(output), Tally { passed: 4, failed: 2, skipped: 1 });
        assert_eq!(cargo_tally("error: no tests"), Tally::default());
        assert_eq!(failed_tests("test a::b ... ok\ntest a::c ... FAILED\n"), ["a::c"]);
    }

    #[test]
    fn an_interrupt_is_not_a_failed_check() {
        let mut counted = Count::default();
        assert!(check::<()>(&mut counted, Err(Interrupted.into())).is_err());
        assert!(check::<()>(&mut counted, Err(anyhow::anyhow!("x"))).unwrap().is_none());
        assert!(check(&mut counted, Ok(1)).unwrap().is_some());
        assert_eq!(counted.tally, Tally { passed: 1, failed: 1, skipped: 0 });
        assert_eq!(counted.errors, ["x"]);
    }
}
