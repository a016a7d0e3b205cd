// SPDX-License-Identifier: GPL-2.0
//! bench.toml: what is measured, what must be reached, what is drawn.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::system::data::data;

/// In the order that they are shown in: the base, of which only the code is measured,
/// the series without its option, up to a patch, and all of it.
pub const KERNELS: [&str; 4] = ["base", "off", "part", "on"];

/// The key of what is no command: sizes of code.
pub const OBJECTS: &str = "objects";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The subject of the last patch of the kernel "base": what follows is the option's.
    pub base: String,
    /// The same of the kernel "part".
    pub part: String,
    pub rounds: Sized<u32>,
    pub limit_s: u32,
    grid: Vec<Grid>,
    module: BTreeMap<String, Module>,
    way: BTreeMap<String, String>,
    outcome: BTreeMap<String, String>,
    single: Vec<Measurement>,
    #[serde(rename = "target")]
    pub targets: Vec<Target>,
    #[serde(rename = "plot")]
    pub plots: Vec<Plot>,
    pub readme: Readme,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Readme {
    /// Of the bursts that its table shows.
    pub keys: Vec<String>,
}

/// What QUICK=1 makes smaller.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sized<T> {
    full: T,
    quick: T,
}

impl<T> Sized<T> {
    pub fn get(&self, quick: bool) -> &T {
        if quick {
            &self.quick
        } else {
            &self.full
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Grid {
    #[serde(default)]
    exact: bool,
    memory_mib: u64,
    requests: Sized<Vec<u64>>,
    modules: Sized<Vec<String>>,
    ways: Vec<String>,
    outcomes: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Module {
    file: String,
    kib: u64,
}

fn once() -> u32 {
    1
}

/// Kernel, key, field.
pub type Number = (String, String, String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    pub what: String,
    pub value: Number,
    pub over: Option<Number>,
    pub at_most: Option<f64>,
    pub at_least: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plot {
    pub file: String,
    pub title: String,
    /// After the number of requests.
    pub key: String,
    pub field: String,
}

/// One command of a guest.
#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub struct Measurement {
    pub key: String,
    /// Those of one row grow; after one that took too long, the rest is left out.
    #[serde(skip)]
    pub row: usize,
    pub command: String,
    /// How often in each round.
    #[serde(default = "once")]
    pub times: u32,
    #[serde(default)]
    pub exact: bool,
}

pub fn plan() -> Plan {
    data!("bench.toml")
}

impl Plan {
    /// All of them, in order; and the keys of those that would not fit into memory.
    pub fn measurements(&self, quick: bool) -> (Vec<Measurement>, Vec<String>) {
        let (mut list, mut left_out) = (vec![], vec![]);
        for single in &self.single {
            list.push(Measurement { row: list.len(), ..single.clone() });
        }
        for grid in &self.grid {
            for (module, way, outcome) in grid.rows(quick) {
                let row = list.len();
                for requests in grid.requests.get(quick) {
                    let measurement = self.burst(grid, *requests, [module, way, outcome], row);
                    match requests * self.module[module].kib <= grid.memory_mib * 1024 {
                        true => list.push(measurement),
                        false => left_out.push(measurement.key),
                    }
                }
            }
        }
        (list, left_out)
    }

    fn burst(
        &self,
        grid: &Grid,
        requests: u64,
        [module, way, outcome]: [&str; 3],
        row: usize,
    ) -> Measurement {
        let counted = if grid.exact { ", counted" } else { "" };
        Measurement {
            key: format!("{requests} x {module} {way} {outcome}{counted}"),
            row,
            command: format!(
                "burst --requests={requests} {} {} {}",
                self.way[way], self.outcome[outcome], self.module[module].file
            ),
            times: 1,
            exact: grid.exact,
        }
    }

    /// The numbers of requests that a chart has points for.
    pub fn requests(&self, key: &str) -> Vec<u64> {
        let (list, _) = self.measurements(false);
        let number = |m: Measurement| m.key.strip_suffix(key)?.strip_suffix(" x ")?.parse().ok();
        list.into_iter().filter_map(number).collect()
    }
}

impl Grid {
    fn rows(&self, quick: bool) -> Vec<(&str, &str, &str)> {
        let mut rows = vec![];
        for module in self.modules.get(quick) {
            for way in &self.ways {
                rows.extend(self.outcomes.iter().map(|outcome| (&**module, &**way, &**outcome)));
            }
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_target_and_every_chart_has_a_measurement() {
        let plan = plan();
        let (list, _) = plan.measurements(false);
        let keys: BTreeSet<&str> = list.iter().map(|m| m.key.as_str()).collect();
        assert_eq!(keys.len(), list.len(), "a key is there twice");
        for target in &plan.targets {
            for (_, key, _) in [Some(&target.value), target.over.as_ref()].into_iter().flatten() {
                assert!(keys.contains(&**key) || key == OBJECTS, "{key}");
            }
            assert!(target.at_most.or(target.at_least).is_some(), "{}", target.what);
        }
        for key in &plan.readme.keys {
            assert!(keys.contains(&**key), "{key}");
        }
        for plot in &plan.plots {
            assert!(plan.requests(&plot.key).len() > 2, "{}", plot.key);
        }
    }

    #[test]
    fn what_does_not_fit_is_left_out() {
        let (list, left_out) = plan().measurements(false);
        assert!(list.iter().any(|m| m.key == "4096 x 5 KiB init live"));
        assert!(left_out.contains(&"4096 x 16 MiB init live".to_owned()));
        assert!(plan().measurements(true).0.len() < list.len() / 2);
    }
}
