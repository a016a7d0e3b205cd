// SPDX-License-Identifier: GPL-2.0
//! KTAP, by the rules of kunit.py: only `ok` passes, no test is a failure, and so
//! are a count that differs from the plan and a test that was skipped without a word.

use std::collections::BTreeMap;

use anyhow::{bail, Result};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Passed,
    Failed,
    /// Why.
    Skipped(String),
}

/// Test name to outcome, of one program's output at its outermost level.
pub fn parse(output: &str) -> Result<BTreeMap<String, Outcome>> {
    let mut plan = None;
    let mut tests = BTreeMap::new();
    let mut count = 0;
    for line in output.lines() {
        if let Some(number) = line.strip_prefix("1..") {
            plan = number.split_whitespace().next().and_then(|n| n.parse::<usize>().ok());
        } else if let Some((name, outcome)) = result(line) {
            count += 1;
            tests.insert(name, outcome);
        } else if line.starts_with("Bail out!") {
            bail!("the test program gave up: {line}");
        }
    }
    match plan {
        None => bail!("no test plan in the output: no test ran"),
        Some(0) => bail!("the plan has no tests"),
        Some(planned) if planned != count => bail!("{planned} tests were planned, {count} reported"),
        _ if tests.len() != count => bail!("two tests have one name"),
        _ => Ok(tests),
    }
}

/// `ok 3 name`, `not ok 4 name # comment`, `ok 5 name # SKIP reason`
fn result(line: &str) -> Option<(String, Outcome)> {
    let (passed, rest) = match line.strip_prefix("not ok ") {
        Some(rest) => (false, rest),
        None => (true, line.strip_prefix("ok ")?),
    };
    let (number, text) = rest.split_once(' ').unwrap_or((rest, ""));
    number.parse::<u32>().ok()?;
    let (name, directive) = text.split_once('#').unwrap_or((text, ""));
    let name = name.trim().trim_start_matches("- ").to_owned();
    let outcome = match directive.trim().strip_prefix("SKIP") {
        Some(reason) if passed && !reason.trim().is_empty() => Outcome::Skipped(reason.trim().to_owned()),
        Some(_) => Outcome::Failed,
        None if passed && !name.is_empty() => Outcome::Passed,
        None => Outcome::Failed,
    };
    Some((name, outcome))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_read() {
        let text = "TAP version 13\n1..4\n# hello\nok 1 one\nnot ok 2 two\n    ok 1 inner\n\
                    ok 3 three # SKIP no xz\nok 4 - four # took 3 ms\n";
        let tests = parse(text).unwrap();
        let outcomes: Vec<_> = tests.into_iter().collect();
        let pair = |name: &str, outcome| (name.to_owned(), outcome);
        let expected = [
            pair("four", Outcome::Passed),
            pair("one", Outcome::Passed),
            pair("three", Outcome::Skipped("no xz".to_owned())),
            pair("two", Outcome::Failed),
        ];
        assert_eq!(outcomes, expected);
    }

    #[test]
    fn a_skip_needs_a_reason() {
        assert_eq!(result("ok 1 x # SKIP"), Some(("x".into(), Outcome::Failed)));
    }

    #[test]
    fn nothing_and_too_little_are_failures() {
        assert!(parse("").is_err());
        assert!(parse("TAP version 13\n1..0\n").is_err());
        assert!(parse("1..2\nok 1 one\n").is_err());
        assert!(parse("1..1\nok 1 one\nok 2 two\n").is_err());
        assert!(parse("1..2\nok 1 one\nok 2 one\n").is_err());
        assert!(parse("1..2\nok 1 one\nBail out! no root\n").is_err());
    }
}
