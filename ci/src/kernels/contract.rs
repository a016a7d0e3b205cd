// SPDX-License-Identifier: GPL-2.0
//! contract.toml: the tests of the series, and where each can run.

use serde::Deserialize;

use crate::kernels::kconfig;
use crate::system::data::data;

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

/// Tests of an option, or, as in Kconfig, of its absence: `!OPTION`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Need {
    option: String,
    tests: Vec<String>,
}

impl Need {
    fn is_met(&self, config: &str) -> bool {
        match self.option.strip_prefix('!') {
            Some(option) => !kconfig::is_on(config, option),
            None => kconfig::is_on(config, &self.option),
        }
    }
}

impl Contract {
    /// The tests that must be skipped on a kernel of that .config.
    pub fn skips(self, config: &str, has_libc: bool) -> Vec<String> {
        let unmet = self.need.into_iter().filter(|need| !need.is_met(config));
        let without_libc = self.with_libc.into_iter().filter(|_| !has_libc);
        unmet.flat_map(|need| need.tests).chain(without_libc).collect()
    }
}

pub fn contract() -> Contract {
    data!("contract.toml")
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let changed = "unchecked.that_does_not_come";
        assert!(!has(&merging, changed) && has(&skips("CONFIG_MODULE_SIG_FORCE=y\n", true), changed));
    }
}
