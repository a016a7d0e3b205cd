// SPDX-License-Identifier: GPL-2.0
//! What was measured, as results.json has it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::plan::Number;
use crate::results::numbers::median;

/// Kernel, key, one JSON object for each round: as the program printed it.
#[derive(Serialize, Deserialize, Default)]
pub struct Results {
    /// Where and how this was measured.
    pub about: BTreeMap<String, String>,
    /// Keys that were left out, for lack of memory.
    pub left_out: Vec<String>,
    /// Keys that a kernel took too long for.
    pub too_long: BTreeMap<String, Vec<String>>,
    pub measured: BTreeMap<String, BTreeMap<String, Vec<Value>>>,
}

impl Results {
    pub fn add(&mut self, kernel: &str, key: &str, object: Value) {
        let keys = self.measured.entry(kernel.to_owned()).or_default();
        keys.entry(key.to_owned()).or_default().push(object);
    }

    pub fn gave_up(&mut self, kernel: &str, key: &str) {
        let keys = self.too_long.entry(kernel.to_owned()).or_default();
        if !keys.iter().any(|known| known == key) {
            keys.push(key.to_owned());
        }
    }

    /// The median over all rounds; nothing if a round has not measured it, or took too long.
    pub fn number(&self, (kernel, key, field): &Number) -> Option<f64> {
        if self.too_long.get(kernel).is_some_and(|keys| keys.contains(key)) {
            return None;
        }
        let rounds = self.measured.get(kernel)?.get(key)?;
        let numbers = |field: &str| -> Option<f64> {
            let all = || rounds.iter().map(|round| value(&round[field]));
            // Of each value that requests returned, only those that some did are in a round.
            let missing = (field.contains("results.") && all().flatten().count() > 0).then_some(0.0);
            median(all().map(|number| number.or(missing)).collect::<Option<_>>()?)
        };
        match field.split_once('/') {
            Some((field, divisor)) => Some(numbers(field)? / numbers(divisor)?),
            None => numbers(field),
        }
    }
}

/// A number, or the first decile of an array, which is the least of fewer than ten. An array has
/// counts of the same thing, again and again. In most of them, something else came on top. In a few
/// of them, caches happened to be in a better state than in all others.
fn value(field: &Value) -> Option<f64> {
    let Value::Array(list) = field else { return field.as_f64() };
    let mut counts: Vec<f64> = list.iter().filter_map(Value::as_f64).collect();
    counts.sort_by(f64::total_cmp);
    counts.get(counts.len() / 10).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn of_many_counts_a_low_one_stands_for_all() {
        assert_eq!(value(&json!((0..101).rev().collect::<Vec<_>>())), Some(10.0));
        assert_eq!(value(&json!([3, 1, 2])), Some(1.0));
        assert_eq!(value(&json!([])), None);
    }

    #[test]
    fn a_number_is_the_median_of_all_rounds() {
        let mut results = Results::default();
        for (wall, costs) in [(5.0, [9, 1]), (1.0, [2, 8]), (3.0, [7, 3])] {
            results.add("on", "k", json!({ "wall_ms": wall, "init": costs, "requests": 2, "none": null }));
        }
        let number =
            |results: &Results, field: &str| results.number(&("on".into(), "k".into(), field.into()));
        assert_eq!(number(&results, "wall_ms"), Some(3.0));
        assert_eq!(number(&results, "init"), Some(2.0));
        assert_eq!(number(&results, "wall_ms/requests"), Some(1.5));
        assert_eq!(number(&results, "none"), None);
        assert_eq!(number(&results, "gone"), None);
        assert_eq!(number(&results, "m.results.EBUSY"), None);
        assert_eq!(results.number(&("off".into(), "k".into(), "wall_ms".into())), None);
        results.add("on", "k", json!({ "wall_ms": 2.0, "m.results.EBUSY": 4 }));
        assert_eq!(number(&results, "wall_ms"), Some(2.5));
        assert_eq!(number(&results, "m.results.EBUSY"), Some(0.0), "no request of three rounds");
        assert_eq!(number(&results, "init"), None, "a round has not measured it");
        results.gave_up("on", "k");
        assert_eq!(number(&results, "wall_ms"), None);
    }
}
