// SPDX-License-Identifier: GPL-2.0
//! What the series must reach, against what was measured.

use anyhow::{bail, Result};

use super::plan::Target;
use super::results::Results;
use crate::system::ui;

#[derive(Debug, PartialEq)]
enum Verdict {
    Reached(f64),
    Missed(f64),
    /// Its measurement is not part of this run, or was given up.
    Unknown,
}

fn judge(target: &Target, results: &Results) -> Verdict {
    let value = results.number(&target.value);
    let value = match &target.over {
        Some(over) => value.zip(results.number(over)).map(|(value, over)| value / over),
        None => value,
    };
    let Some(value) = value else { return Verdict::Unknown };
    // A quotient that is no number is within no limits.
    let reached = target.at_most.is_none_or(|limit| value <= limit)
        && target.at_least.is_none_or(|limit| value >= limit);
    match reached {
        true => Verdict::Reached(value),
        false => Verdict::Missed(value),
    }
}

pub fn table(targets: &[Target], results: &Results) -> String {
    let mut table = ui::table(["target", "wanted", "measured", ""]);
    for target in targets {
        let (value, word) = match judge(target, results) {
            Verdict::Reached(value) => (number(value), "reached"),
            Verdict::Missed(value) => (number(value), "**missed**"),
            Verdict::Unknown => (String::new(), "not measured"),
        };
        table.add_row([target.what.clone(), wanted(target), value, word.to_owned()]);
    }
    ui::align_right(&mut table, [2]);
    table.to_string()
}

/// Fails if a target was missed. What a full run has not measured was given up: it counts as missed.
pub fn fail_if_missed(targets: &[Target], results: &Results, full: bool) -> Result<()> {
    let is_missed = |target: &&Target| match judge(target, results) {
        Verdict::Reached(_) => false,
        Verdict::Missed(_) => true,
        Verdict::Unknown => full,
    };
    match targets.iter().filter(is_missed).count() {
        0 => Ok(()),
        missed => bail!("{missed} of {} targets were missed", targets.len()),
    }
}

fn wanted(target: &Target) -> String {
    let limit = |sign: &str, limit: Option<f64>| limit.map(|limit| format!("{sign} {limit}"));
    let limits = [limit("≥", target.at_least), limit("≤", target.at_most)];
    limits.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Four digits, or all of a large number.
pub fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size >= 1000.0 || value.fract() == 0.0 => format!("{value:.0}"),
        size if size >= 100.0 => format!("{value:.1}"),
        size if size >= 10.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn target(limits: &str) -> Target {
        let text = format!("what = 'x'\nvalue = ['on', 'k', 'v']\nover = ['off', 'k', 'v']\n{limits}\n");
        toml::from_str(&text).unwrap()
    }

    #[test]
    fn a_target_is_reached_missed_or_unknown() {
        let mut results = Results::default();
        results.add("on", "k", json!({ "v": 3 }));
        assert_eq!(judge(&target("at_most = 2"), &results), Verdict::Unknown);
        results.add("off", "k", json!({ "v": 2 }));
        assert_eq!(judge(&target("at_most = 1.5"), &results), Verdict::Reached(1.5));
        assert_eq!(judge(&target("at_most = 1.49"), &results), Verdict::Missed(1.5));
        assert_eq!(judge(&target("at_least = 1.5"), &results), Verdict::Reached(1.5));
        assert_eq!(judge(&target("at_least = 1.51"), &results), Verdict::Missed(1.5));
        let text = table(&[target("at_most = 1.49")], &results);
        assert!(text.contains("**missed**") && text.contains("≤ 1.49"), "{text}");
    }

    #[test]
    fn only_a_full_run_must_measure_all() {
        let mut results = Results::default();
        results.add("on", "k", json!({ "v": 3 }));
        let targets = [target("at_most = 2")];
        assert!(fail_if_missed(&targets, &results, false).is_ok());
        let error = fail_if_missed(&targets, &results, true).unwrap_err();
        assert_eq!(error.to_string(), "1 of 1 targets were missed");
        results.add("off", "k", json!({ "v": 1 }));
        assert!(fail_if_missed(&targets, &results, false).is_err());
    }

    #[test]
    fn what_is_no_number_is_missed() {
        let mut results = Results::default();
        for kernel in ["on", "off"] {
            results.add(kernel, "k", json!({ "v": 0 }));
        }
        assert!(matches!(judge(&target("at_most = 1"), &results), Verdict::Missed(_)));
    }

    #[test]
    fn numbers_are_short() {
        for (value, text) in
            [(0.0, "0"), (1.0094, "1.009"), (73.456, "73.46"), (1234567.8, "1234568"), (65536.0, "65536")]
        {
            assert_eq!(number(value), text);
        }
    }
}
