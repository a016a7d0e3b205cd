// SPDX-License-Identifier: GPL-2.0
//! The tables and charts of the documents, from results.json.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{bail, Result};

use super::plan::{self, Plan};
use crate::results::bench::{
    plan::Plot,
    plot::{self, Chart},
    readme::{cell, plain},
    results::Results,
    saved, target,
};
use crate::system::ui;

/// What is between the markers of this name.
pub fn block(name: &str, plan: &Plan, results: &Results) -> Result<String> {
    Ok(match name {
        "about" => results.about.values().cloned().collect::<Vec<_>>().join("\n"),
        "lead" => lead(plan, results),
        "table" => table(plan, results),
        "modules" => modules(plan, results),
        "targets" => target::table(&plan.targets, results),
        "plots" => plot::links(&charts(plan, results)),
        _ => bail!("{name}: scale has no such numbers"),
    })
}

/// How many CPUs a subject was measured with, and the keys of that, in order.
fn keys(subject: &str, results: &Results) -> BTreeMap<u32, String> {
    let keys = results.measured.values().flat_map(|keys| keys.keys());
    keys.filter_map(|key| Some((plan::cpus(subject, key)?, key.clone()))).collect()
}

/// What a column says, the field that it shows, and what that is divided by.
type Column = (&'static str, &'static str, f64);

/// A table with a row for each name and what its fields begin with, in the results under `key`.
fn with_rows<const N: usize>(
    (first, columns): (&str, [Column; N]),
    results: &Results,
    rows: impl Iterator<Item = (String, String, String)>,
) -> String {
    let mut table = ui::table([first].into_iter().chain(columns.map(|column| column.0)));
    for (name, key, prefix) in rows {
        let cells = columns
            .map(|(_, field, scale)| cell(results, &key, &[format!("{prefix}{field}").as_str()], scale));
        table.add_row([name].into_iter().chain(cells));
    }
    ui::align_right(&mut table, 1..=N);
    table.to_string()
}

/// What README.md and the cover letter begin with, of the first Debian's largest guest.
const LEAD: [Column; 4] = [
    ("duplicates that allocate memory", "duplicates_with_memory", 1.0),
    ("peak vmalloc MiB", "peak_vmalloc_kib", 1024.0),
    ("inits that failed", "failed_inits", 1.0),
    ("udev is settled after s", "wall_ms", 1000.0),
];

fn lead(plan: &Plan, results: &Results) -> String {
    let key = largest(plan);
    let mut table = ui::table(LEAD.map(|column| column.0));
    table.add_row(LEAD.map(|(_, field, scale)| cell(results, &key, &[field], scale)));
    table.to_string()
}

/// What the cover letter shows of it.
pub fn cover(root: &Path) -> Result<Option<Vec<[String; 3]>>> {
    let results = saved::read(root, "scale")?;
    let key = largest(&plan::plan());
    let rows = |results| LEAD.map(|(what, field, scale)| plain(&results, what, (&key, field), scale));
    Ok(results.map(|results| rows(results).into()))
}

/// The key of the largest guest of a full run, of those with the burst.
fn largest(plan: &Plan) -> String {
    let cpus = plan.full.cpus.iter().max().copied().unwrap_or_default();
    plan::key(&plan.guests[&plan.burst.guest].key, cpus)
}

/// A row for each guest.
pub fn table(plan: &Plan, results: &Results) -> String {
    let columns = [
        ("requests", "requests", 1.0),
        ("EEXIST", "results.EEXIST", 1.0),
        ("EBUSY", "results.EBUSY", 1.0),
        ("ENODEV", "results.ENODEV", 1.0),
        ("inits that failed", "failed_inits", 1.0),
        ("duplicates with memory", "duplicates_with_memory", 1.0),
        ("peak vmalloc MiB", "peak_vmalloc_kib", 1024.0),
        ("settled after s", "wall_ms", 1000.0),
        ("CPU s, kernel", "cpu_ms", 1000.0),
        ("CPU s, user", "user_ms", 1000.0),
    ];
    let keys = plan.subjects().into_iter().flat_map(|subject| keys(&subject, results).into_values());
    let rows = keys.map(|key| (key.clone(), key, String::new()));
    with_rows(("guest", columns), results, rows)
}

/// A row for each driver, of the first Debian's largest guest that README.md shows.
fn modules(plan: &Plan, results: &Results) -> String {
    let key = largest(plan);
    let columns = [
        ("requests", "requests", 1.0),
        ("EEXIST", "results.EEXIST", 1.0),
        ("EBUSY", "results.EBUSY", 1.0),
        ("times init ran", "inits", 1.0),
        ("first to last, s", "span_ms", 1000.0),
    ];
    let rows = plan.readme.modules.iter().map(|name| (name.clone(), key.clone(), format!("{name}.")));
    with_rows(("module", columns), results, rows)
}

/// The charts over the number of CPUs.
pub fn charts<'a>(plan: &'a Plan, results: &Results) -> Vec<Chart<'a>> {
    let chart = |plot: &'a Plot| {
        let keys = keys(&plot.key, results).into_iter().map(|(cpus, key)| (f64::from(cpus), key));
        Chart::new(plot, results, "CPUs", &keys.collect::<Vec<_>>())
    };
    plan.plots.iter().map(chart).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::plan::plan;
    use super::*;

    fn results() -> Results {
        let mut results = Results::default();
        for (kernel, slope) in [("off", 9), ("on", 1)] {
            for cpus in [16, 64] {
                let object = json!({
                    "requests": 4 * cpus, "results.EBUSY": cpus, "wall_ms": 1000 * cpus * slope,
                    "skx_edac.inits": slope, "failed_inits": slope,
                });
                results.add(kernel, &plan::key("Debian 12", cpus), object);
            }
        }
        results
    }

    fn row(table: &str, name: &str) -> Vec<String> {
        let line = table.lines().find(|line| line.starts_with(&format!("| {name}"))).unwrap();
        line.split('|').map(|cell| cell.trim().to_owned()).filter(|cell| !cell.is_empty()).collect()
    }

    #[test]
    fn a_row_has_what_was_measured_of_a_guest() {
        let table = table(&plan(), &results());
        assert_eq!(table.lines().count(), 4, "{table}");
        let wanted = ["Debian 12, 64 CPUs", "256 → 256", "64 → 64", "9 → 1", "576 → 64"];
        assert_eq!(row(&table, "Debian 12, 64"), wanted);
    }

    #[test]
    fn a_driver_has_a_row() {
        let table = modules(&plan(), &results());
        assert_eq!(row(&table, "skx_edac"), ["skx_edac", "9 → 1"]);
        assert_eq!(table.lines().count(), 2 + plan().readme.modules.len());
    }

    #[test]
    fn a_chart_grows_with_the_processors() {
        let (plan, results) = (plan(), results());
        let charts = |results| charts(&plan, results);
        let drawn = charts(&results);
        assert_eq!(drawn[0].lines[0], ("off", vec![(16.0, 144_000.0), (64.0, 576_000.0)]));
        let svg = drawn[0].draw().unwrap();
        assert!(svg.contains("CPUs") && svg.contains("#D6604D"), "{svg}");
        assert!(plot::links(&drawn).contains(&format!("({})", plan.plots[0].file)));
        assert_eq!(plot::links(&charts(&Results::default())), "");
    }

    #[test]
    fn the_documents_say_what_was_measured() {
        let (plan, results) = (plan(), saved::published("scale"));
        saved::assert_current("scale", &charts(&plan, &results), |name| block(name, &plan, &results));
    }
}
