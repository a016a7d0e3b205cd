// SPDX-License-Identifier: GPL-2.0
//! The KUnit suites that ran while a guest booted, read by the kernel's own parser.

use std::fs;
use std::path::Path;

use anyhow::{bail, Context, Result};
use serde::Deserialize;

use crate::kernels::contract::contract;
use crate::results::kselftest::Tally;
use crate::system::ui::{first_error, Step};
use crate::system::{files, programs};

/// What kunit.py says of a suite, or of all.
#[derive(Deserialize)]
struct Group {
    name: String,
    sub_groups: Vec<Group>,
    test_cases: Vec<Case>,
    misc: Counts,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    status: String,
}

#[derive(Deserialize)]
struct Counts {
    passed: u32,
    failed: u32,
    crashed: u32,
    skipped: u32,
    errors: u32,
}

/// Judges the part of a kernel log up to the start of user space. `out` is a folder
/// for what the parser reads and writes. The tally, and a line for each test that was
/// skipped and should not have been: it counts as failed.
pub fn read(step: &mut Step, tree: &Path, boot: &str, out: &Path) -> Result<(Tally, Vec<String>)> {
    let (log, json) = (out.join("kunit.log"), out.join("kunit.json"));
    fs::write(&log, boot)?;
    let mut parser = programs::python();
    parser.arg(tree.join("tools/testing/kunit/kunit.py")).arg("parse");
    parser.arg(format!("--json={}", json.display())).arg(&log);
    files::remove(&json)?;
    // It fails when a test does: what it has written down says more.
    let (_, said) = step.run_until(&mut parser, None)?;
    let text = fs::read_to_string(&json).with_context(|| format!("kunit.py: {}", first_error(&said)))?;
    tally(serde_json::from_str(&text).context("kunit.py's result is not what was expected")?)
}

fn tally(all: Group) -> Result<(Tally, Vec<String>)> {
    let ran: Vec<&str> = all.sub_groups.iter().map(|suite| suite.name.as_str()).collect();
    if let Some(missing) = contract().suites.iter().find(|suite| !ran.contains(&suite.as_str())) {
        bail!("the KUnit suite {missing} of ci/contract.toml did not run");
    }
    let cases = all.sub_groups.iter().flat_map(|suite| &suite.test_cases);
    let skips = contract().kunit_skips;
    let surprises = cases.filter(|c| c.status == "SKIP" && !skips.contains(&c.name));
    let lines: Vec<_> = surprises.map(|c| format!("{}: skipped", c.name)).collect();
    let Counts { passed, failed, crashed, skipped, errors } = all.misc;
    let lost = lines.len() as u32;
    Ok((Tally { passed, failed: failed + crashed + errors + lost, skipped: skipped - lost }, lines))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(suites: &[String], failed: u32) -> Result<(Tally, Vec<String>)> {
        let group = |name: &str, sub_groups, status: &str| Group {
            name: name.to_owned(),
            sub_groups,
            test_cases: vec![Case { name: "x".to_owned(), status: status.to_owned() }],
            misc: Counts { passed: 7, failed, crashed: 1, skipped: 2, errors: 1 },
        };
        let sub_groups = suites.iter().zip(["SKIP"].iter().chain(&["PASS"; 99]));
        let sub_groups = sub_groups.map(|(name, status)| group(name, vec![], status)).collect();
        tally(group("all", sub_groups, ""))
    }

    #[test]
    fn whatever_is_no_success_is_a_failure() {
        let (found, skipped) = result(&contract().suites, 3).unwrap();
        assert_eq!(skipped, ["x: skipped"]);
        assert_eq!(found, Tally { passed: 7, failed: 6, skipped: 1 });
    }

    #[test]
    fn a_suite_that_did_not_run_is_an_error() {
        let error = result(&contract().suites[1..], 0).unwrap_err().to_string();
        assert!(error.contains(&contract().suites[0]), "{error}");
        assert!(result(&[], 0).is_err());
    }
}
