// SPDX-License-Identifier: GPL-2.0
//! The tables and charts of the documents, from results.json.

use std::path::Path;

use anyhow::{bail, Result};

use super::plan::{Plan, Plot, KERNELS, OBJECTS};
use super::plot::{self, Chart};
use super::results::Results;
use super::saved;
use super::target::{self, number};
use crate::system::ui;

/// What is between the markers of this name.
pub fn block(name: &str, plan: &Plan, results: &Results) -> Result<String> {
    Ok(match name {
        "about" => about(results),
        "targets" => target::table(&plan.targets, results),
        "bursts" => bursts(&plan.readme.keys, results),
        "counted" => counted(results),
        "plots" => plot::links(&charts(plan, results)),
        _ => bail!("{name}: bench has no such numbers"),
    })
}

fn about(results: &Results) -> String {
    let lines = results.about.iter().map(|(what, text)| format!("* {what}: {text}"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The kernels that were measured, in order.
fn kernels(results: &Results) -> impl Iterator<Item = &'static str> + '_ {
    KERNELS.into_iter().filter(|kernel| results.measured.contains_key(*kernel))
}

/// A number of each kernel, with arrows between them.
pub fn cell(results: &Results, key: &str, fields: &[&str], scale: f64) -> String {
    let one = |kernel: &str| {
        let value = |field: &&str| results.number(&(kernel.into(), key.into(), (*field).into()));
        fields.iter().find_map(value).map_or("–".to_owned(), |value| number(value / scale))
    };
    let numbers: Vec<String> = kernels(results).filter(|kernel| *kernel != "base").map(one).collect();
    match numbers.iter().all(|number| number == "–") {
        true => String::new(),
        false => numbers.join(" → "),
    }
}

fn bursts(keys: &[String], results: &Results) -> String {
    let columns: [(&str, &[&str], f64); 6] = [
        ("wall ms", &["wall_ms"], 1.0),
        ("CPU ms", &["sys_cpu_ms", "cpu_ms"], 1.0),
        ("peak vmalloc MiB", &["peak_vmalloc_kib"], 1024.0),
        ("KiB copied", &["copied_bytes"], 1024.0),
        ("sleeps per request", &["voluntary_switches/requests", "sleeps/requests"], 1.0),
        ("times init ran", &["runs"], 1.0),
    ];
    let mut table = ui::table(["requests at once"].into_iter().chain(columns.map(|c| c.0)));
    for key in keys {
        let cells = columns.map(|(_, fields, scale)| cell(results, key, fields, scale));
        table.add_row([key.clone()].into_iter().chain(cells));
    }
    table.to_string()
}

/// What is exact: a name, a key, a field.
const COUNTED: [(&str, &str, &str); 10] = [
    ("init_module, 5 KiB: instructions", "one load, counted", "init"),
    ("finit_module, 5 KiB", "one load, counted", "finit"),
    ("unload, 5 KiB", "one load, counted", "unload"),
    ("init_module of a live module, 5 KiB", "one load, counted", "live_init"),
    ("init_module, 16 MiB", LARGE, "init"),
    ("init_module of a live module, 16 MiB", LARGE, "live_init"),
    ("finit_module of a live module, 16 MiB", LARGE, "live_finit"),
    ("kernel/module/*.o: bytes of text", OBJECTS, "text"),
    ("kernel/module/*.o: bytes of data", OBJECTS, "data"),
    ("one pending load: bytes", OBJECTS, "entry"),
];
const LARGE: &str = "one load of 16 MiB, counted";

fn counted(results: &Results) -> String {
    let names: Vec<&str> = kernels(results).collect();
    let mut table = ui::table(["exact"].into_iter().chain(names.iter().copied()));
    for (what, key, field) in COUNTED {
        let cells = names.iter().map(|kernel| one(results, kernel, (key, field), 1.0));
        table.add_row([what.to_owned()].into_iter().chain(cells));
    }
    table.to_string()
}

/// A row of the cover letter: what was measured, without the option, with it.
pub fn plain(results: &Results, what: &str, number: (&str, &str), scale: f64) -> [String; 3] {
    let cell = |kernel| one(results, kernel, number, scale);
    [what.to_owned(), cell("off"), cell("on")]
}

/// A number; empty if there is none.
fn one(results: &Results, kernel: &str, (key, field): (&str, &str), scale: f64) -> String {
    let value = results.number(&(kernel.into(), key.into(), field.into()));
    value.map_or(String::new(), |value| number(value / scale))
}

/// The charts over the number of requests.
pub fn charts<'a>(plan: &'a Plan, results: &Results) -> Vec<Chart<'a>> {
    let chart = |plot: &'a Plot| {
        let keys = plan.requests(&plot.key).into_iter().map(|n| (n as f64, format!("{n} x {}", plot.key)));
        Chart::new(plot, results, "requests at once", &keys.collect::<Vec<_>>())
    };
    plan.plots.iter().map(chart).collect()
}

/// What the cover letter shows of it.
pub fn cover(root: &Path) -> Result<Option<Vec<[String; 3]>>> {
    let results = saved::read(root, "bench")?;
    let rows = |results| COUNTED.map(|(what, key, field)| plain(&results, what, (key, field), 1.0));
    Ok(results.map(|results| rows(results).into()))
}

#[cfg(test)]
mod tests {
    use super::super::plan::plan;
    use super::*;

    #[test]
    fn numbers_come_between_the_markers() {
        let mut results = Results::default();
        results.add("on", "one load, counted", serde_json::json!({ "init": [1, 3, 2] }));
        let counted = block("counted", &plan(), &results).unwrap();
        assert!(counted.contains("5 KiB: instructions") && counted.contains("| 1 "), "{counted}");
        assert!(block("x", &plan(), &results).is_err());
    }

    #[test]
    fn the_documents_say_what_was_measured() {
        let (plan, results) = (plan(), saved::published("bench"));
        saved::assert_current("bench", &charts(&plan, &results), |name| block(name, &plan, &results));
    }
}
