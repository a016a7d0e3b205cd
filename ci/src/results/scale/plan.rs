// SPDX-License-Identifier: GPL-2.0
//! scale.toml: what is booted, what must be reached, what is drawn.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::results::bench::plan::{Plot, Target};
use crate::system::data::data;

/// scale.toml says what the fields are.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    pub qemu: Vec<String>,
    pub memory_mib_per_cpu: u32,
    pub memory_mib_at_least: u32,
    pub limit_s: u64,
    pub counted_parameters: String,
    #[serde(rename = "guest")]
    pub guests: BTreeMap<String, Guest>,
    pub burst: Burst,
    pub readme: Readme,
    pub full: Full,
    #[serde(rename = "target")]
    pub targets: Vec<Target>,
    #[serde(rename = "plot")]
    pub plots: Vec<Plot>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guest {
    pub key: String,
    pub suite: String,
    #[serde(default)]
    pub first: String,
    #[serde(default)]
    pub counted: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Burst {
    pub guest: String,
    pub key: String,
    pub command: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Readme {
    pub modules: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Full {
    pub cpus: Vec<u32>,
}

impl Plan {
    pub fn memory_mib(&self, cpus: u32) -> u32 {
        (self.memory_mib_per_cpu * cpus).max(self.memory_mib_at_least)
    }

    /// All that README.md shows is measured with these.
    pub fn is_full(&self, cpus: &[u32]) -> bool {
        self.full.cpus.iter().all(|wanted| cpus.contains(wanted))
    }

    /// What is measured, by name.
    pub fn subjects(&self) -> Vec<String> {
        self.guests.values().map(|guest| guest.key.clone()).chain([self.burst.key.clone()]).collect()
    }
}

/// As results have it.
pub fn key(subject: &str, cpus: u32) -> String {
    format!("{subject}, {cpus} CPUs")
}

/// The number of CPUs of a key of this subject.
pub fn cpus(subject: &str, key: &str) -> Option<u32> {
    key.strip_prefix(subject)?.strip_prefix(", ")?.strip_suffix(" CPUs")?.parse().ok()
}

pub fn plan() -> Plan {
    data!("scale.toml")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::rootfs;

    #[test]
    fn every_target_and_every_chart_has_a_measurement() {
        let plan = plan();
        let keys: Vec<String> =
            plan.subjects().iter().flat_map(|s| plan.full.cpus.iter().map(|cpus| key(s, *cpus))).collect();
        for target in &plan.targets {
            for (_, key, _) in [Some(&target.value), target.over.as_ref()].into_iter().flatten() {
                assert!(keys.contains(key), "{key}");
            }
            assert!(target.at_most.or(target.at_least).is_some(), "{}", target.what);
        }
        for plot in &plan.plots {
            assert!(plan.subjects().contains(&plot.key), "{}", plot.key);
        }
        assert!(plan.guests.contains_key(&plan.burst.guest));
        assert!(plan.guests.values().all(|guest| rootfs::all().contains_key(&guest.suite)));
    }

    #[test]
    fn a_key_says_whether_instructions_are_counted() {
        for guest in plan().guests.values() {
            assert_eq!(guest.key.ends_with(", counted"), guest.counted, "{}", guest.key);
        }
    }

    #[test]
    fn a_key_says_how_many_processors() {
        assert_eq!(cpus("Debian 12", &key("Debian 12", 64)), Some(64));
        assert_eq!(cpus("Debian 1", &key("Debian 12", 64)), None);
        assert_eq!(cpus("Debian 12", &key("Debian 12, loads refused", 64)), None);
    }

    #[test]
    fn each_processor_has_a_worker_of_udev() {
        let plan = plan();
        assert_eq!(plan.memory_mib(64) / 128, 64);
        assert_eq!(plan.memory_mib(1), plan.memory_mib_at_least);
        assert!(plan.is_full(&[128, 64, 16]) && !plan.is_full(&[64]));
    }
}
