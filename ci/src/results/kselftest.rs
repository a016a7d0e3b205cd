// SPDX-License-Identifier: GPL-2.0
//! The series' kselftest in the guest: everything passes, but what is known to be skipped there.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::ops::Add;
use std::time::Duration;

use anyhow::{bail, Context, Result};
use serde::{Deserialize, Serialize};

use crate::guests::vng::{self, Guest, OUT};
use crate::kernels::build::Kernel;
use crate::kernels::kconfig;
use crate::results::ktap::{self, Outcome};
use crate::system::deps::Tools;
use crate::system::project::{data, Project};
use crate::system::ui::Step;

/// With more than the host has, waking 64 tasks is slow, and shows nothing more.
pub const CPUS: u32 = 2;
const LIMIT: Duration = Duration::from_secs(900);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contract {
    pub directory: String,
    pub program: String,
    with_libc: Vec<String>,
    pub kunit_skips: Vec<String>,
    /// KUnit suites that must run.
    pub suites: Vec<String>,
    need: Vec<Need>,
}

/// Tests of an option.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Need {
    option: String,
    tests: Vec<String>,
}

impl Contract {
    /// The tests that must be skipped on a kernel of that .config.
    fn skips(self, config: &str, has_libc: bool) -> Vec<String> {
        let unmet = self.need.into_iter().filter(|need| !kconfig::is_on(config, &need.option));
        let without_libc = self.with_libc.into_iter().filter(|_| !has_libc);
        unmet.flat_map(|need| need.tests).chain(without_libc).collect()
    }
}

pub fn contract() -> Contract {
    data("contract.toml", include_str!("../../contract.toml"))
}

/// Passed, failed and skipped tests.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    pub passed: u32,
    pub failed: u32,
    pub skipped: u32,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        match self.skipped {
            0 => Ok(()),
            skipped => write!(f, ", {skipped} skipped"),
        }
    }
}

impl Add for Tally {
    type Output = Tally;

    fn add(self, other: Tally) -> Tally {
        Tally {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            skipped: self.skipped + other.skipped,
        }
    }
}

pub fn run(project: &Project, tools: &Tools, kernel: &Kernel) -> Result<Tally> {
    let contract = contract();
    let name = format!("kselftest {}", kernel.name);
    project.ui.step(&name, |step| {
        let output = boot(project, tools, step, kernel, &contract)?;
        let (tally, surprises) = judge(&output, kernel, project.opts.root.is_none())?;
        step.note(tally.to_string());
        for surprise in surprises {
            println!("    {surprise}");
        }
        Ok(tally)
    })
}

fn boot(
    project: &Project,
    tools: &Tools,
    step: &mut Step,
    kernel: &Kernel,
    contract: &Contract,
) -> Result<String> {
    let out = project.root.join(format!("build/results/kselftest-{}", kernel.name));
    // The verdict on each test is in its output, not in the exit code.
    let program = if project.opts.root.is_some() { "selftest" } else { &contract.program };
    let script = format!("MODULE_DIR=$PWD ./{program} > {OUT}/ktap || true\n");
    let name = format!("kselftest {}", kernel.name);
    let guest = Guest { name, kernel, cpus: CPUS, script, limit: LIMIT, out, options: vec![] };
    let verdict = vng::run(project, tools, step, &guest)?;
    let output = fs::read_to_string(guest.out.join("ktap")).unwrap_or_default();
    step.write(&output)?;
    if !verdict.is_clean() {
        bail!("{verdict}");
    }
    Ok(output)
}

/// Judges the output of the program, built over glibc or over nolibc, on that kernel: the tally,
/// and a line for each test that did not end as it should.
pub fn judge(output: &str, kernel: &Kernel, has_libc: bool) -> Result<(Tally, Vec<String>)> {
    let config = fs::read_to_string(kernel.obj.join(".config")).context("the kernel has no .config")?;
    let to_skip = contract().skips(&config, has_libc);
    compare(&ktap::parse(output).context("kselftest")?, &to_skip)
}

/// `to_skip`: what must be skipped.
fn compare(results: &BTreeMap<String, Outcome>, to_skip: &[String]) -> Result<(Tally, Vec<String>)> {
    if let Some(gone) = to_skip.iter().find(|name| !results.contains_key(*name)) {
        bail!("{gone} did not run, which ci/contract.toml names");
    }
    let (mut tally, mut surprises) = (Tally::default(), vec![]);
    for (name, outcome) in results {
        let to_skip = to_skip.contains(name);
        match outcome {
            Outcome::Skipped(_) if to_skip => tally.skipped += 1,
            Outcome::Passed if !to_skip => tally.passed += 1,
            _ => {
                tally.failed += 1;
                let wanted = if to_skip { "wanted it to be skipped" } else { "wanted Passed" };
                surprises.push(format!("{name}: {outcome:?}, {wanted}"));
            }
        }
    }
    Ok((tally, surprises))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results() -> BTreeMap<String, Outcome> {
        let pairs = [
            ("old", Outcome::Passed),
            ("new", Outcome::Failed),
            ("xz", Outcome::Skipped("no xz".to_owned())),
        ];
        pairs.map(|(name, outcome)| (name.to_owned(), outcome)).into()
    }

    #[test]
    fn a_test_is_skipped_where_its_option_is_off() {
        let skips = |config: &str, has_libc| contract().skips(config, has_libc);
        let has = |skips: &[String], name: &str| skips.iter().any(|known| known == name);
        let (traced, listed, signal) =
            ("waiters.are_traced", "waiters.are_shown", "waiters.return_on_signal");
        let bare = skips("# CONFIG_EVENT_TRACING is not set\n", false);
        assert!([traced, listed, signal].iter().all(|name| has(&bare, name)), "{bare:?}");
        let merging = skips("CONFIG_MODULE_MERGE_LOADS=y\n", true);
        assert!(has(&merging, traced) && !has(&merging, listed) && !has(&merging, signal), "{merging:?}");
        let all: String = contract().need.iter().map(|need| format!("CONFIG_{}=y\n", need.option)).collect();
        assert!(skips(&all, true).is_empty());
    }

    #[test]
    fn what_is_skipped_and_should_run_is_a_failure() {
        let (tally, surprises) = compare(&results(), &[]).unwrap();
        assert_eq!(tally, Tally { passed: 1, failed: 2, skipped: 0 });
        assert_eq!(surprises, ["new: Failed, wanted Passed", "xz: Skipped(\"no xz\"), wanted Passed"]);
        let (tally, surprises) = compare(&results(), &["xz".to_owned()]).unwrap();
        assert_eq!(tally, Tally { passed: 1, failed: 1, skipped: 1 });
        assert_eq!(surprises, ["new: Failed, wanted Passed"]);
    }

    #[test]
    fn what_runs_and_should_be_skipped_is_a_failure() {
        let (tally, _) = compare(&results(), &["old", "new", "xz"].map(str::to_owned)).unwrap();
        assert_eq!(tally, Tally { passed: 0, failed: 2, skipped: 1 });
    }

    #[test]
    fn a_test_that_did_not_run_is_an_error() {
        assert!(compare(&results(), &["gone".to_owned()]).is_err());
    }
}
