// SPDX-License-Identifier: GPL-2.0
//! The series' kselftest in the guest: everything passes, but what is known to be skipped there.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::ops::Add;
use std::time::Duration;

use anyhow::{bail, Context, Result};
use serde::{Deserialize, Serialize};

use crate::guests::qemu::CPUS;
use crate::guests::vng::{self, Guest, OUT};
use crate::kernels::build::Kernel;
use crate::kernels::contract::contract;
use crate::results::ktap::{self, Outcome};
use crate::system::{project::Project, tools::Tools};

const LIMIT: Duration = Duration::from_secs(900);

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
    let out = project.root.join(format!("build/results/kselftest-{}", kernel.name));
    // The verdict on each test is in its output, not in the exit code.
    let program = if project.opts.root.is_some() { "selftest".to_owned() } else { contract().program };
    let script = format!("MODULE_DIR=$PWD ./{program} > {OUT}/ktap || true\n");
    let name = format!("kselftest {}", kernel.name);
    let guest = Guest { name, kernel, cpus: CPUS, script, limit: LIMIT, out, options: vec![] };
    project.ui.step(&guest.name, |step| {
        let verdict = vng::run(project, tools, step, &guest)?;
        let output = fs::read_to_string(guest.out.join("ktap")).unwrap_or_default();
        step.write(&output)?;
        if !verdict.is_clean() {
            bail!("{verdict}");
        }
        let (tally, surprises) = judge(&output, kernel, project.opts.root.is_none())?;
        step.note(tally.to_string());
        for surprise in surprises {
            project.ui.say(&format!("    {surprise}"));
        }
        Ok(tally)
    })
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
