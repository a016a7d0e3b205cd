// SPDX-License-Identifier: GPL-2.0
//! What `all` runs: ci/all.toml.

use std::collections::{BTreeMap, BTreeSet};

use clap::builder::PossibleValue;
use serde::Deserialize;

use crate::kernels::{configs, matrix};
use crate::system::data::data;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    pub depends: Vec<String>,
    pub written: Vec<String>,
    pub run: Vec<Run>,
}

/// A verb with its variables.
#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub struct Run {
    pub verb: String,
    #[serde(default)]
    pub set: BTreeMap<String, String>,
    pub depends: Vec<String>,
}

impl Plan {
    pub fn read() -> Plan {
        let mut plan: Plan = data!("all.toml");
        plan.run = plan.run.into_iter().flat_map(Run::split).collect();
        plan
    }

    /// What the result of a run depends on, in git's notation.
    pub fn paths(&self, run: &Run) -> Vec<String> {
        let written = self.written.iter().filter(|path| !run.depends.contains(path));
        let excluded = written.map(|path| format!(":(exclude){path}"));
        self.depends.iter().chain(&run.depends).cloned().chain(excluded).collect()
    }
}

impl Run {
    /// As it is typed, without `make`.
    pub fn name(&self) -> String {
        let variables = self.set.iter().map(|(name, value)| format!(" {name}={value}"));
        self.verb.clone() + &variables.collect::<String>()
    }

    /// In place of a run for all architectures, or for all rows of configs.toml: one for each, so
    /// that none of them is lost if `all` is stopped.
    fn split(self) -> Vec<Run> {
        let is_all = |name: &str| self.set.get(name).is_some_and(|value| value == "all");
        let (variable, values) = match (is_all("ARCH"), is_all("CONFIG")) {
            (true, _) => ("ARCH", matrix::architectures()),
            (_, true) => ("CONFIG", configs::chosen(&["all".to_owned()])),
            _ => return vec![self],
        };
        let one = |value| {
            let mut run = self.clone();
            run.set.insert(variable.to_owned(), value);
            run
        };
        values.into_iter().map(one).collect()
    }

    pub fn is_chosen(&self, only: Option<&[String]>) -> bool {
        only.is_none_or(|words| words.contains(&self.verb) || words.contains(&self.name()))
    }
}

/// What ONLY= may be: a verb, or one of its runs, which the help does not list.
pub fn words() -> Vec<PossibleValue> {
    let runs = Plan::read().run;
    let verbs: BTreeSet<String> = runs.iter().map(|run| run.verb.clone()).collect();
    let names = runs.iter().map(Run::name).filter(|name| !verbs.contains(name));
    let hidden: Vec<PossibleValue> = names.map(|name| PossibleValue::new(name).hide(true)).collect();
    verbs.into_iter().map(PossibleValue::new).chain(hidden).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::results::readme;
    use crate::system::git::Git;

    fn root() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("ci/ is in a folder")
    }

    /// The files of git that are meant.
    fn files(paths: &[&str]) -> Vec<String> {
        let args = ["ls-files", "--"].iter().chain(paths).copied();
        Git::at(root()).capture(args).unwrap().lines().map(str::to_owned).collect()
    }

    /// What some result depends on.
    fn depended_on(plan: &Plan) -> Vec<&str> {
        let of_runs = plan.run.iter().flat_map(|run| &run.depends);
        plan.depends.iter().chain(of_runs).map(String::as_str).collect()
    }

    #[test]
    fn readme_has_a_row_for_each_run() {
        let readme = fs::read_to_string(root().join("ci/README.md")).unwrap();
        let (_, table) = readme.split_once("<!-- all:table -->").expect("a table of make all");
        for run in Plan::read().run {
            assert!(table.contains(&format!("| {} ", run.name())), "no row of make {}", run.name());
        }
    }

    #[test]
    fn what_a_run_depends_on_is_there() {
        for path in depended_on(&Plan::read()) {
            assert!(!files(&[path]).is_empty(), "no {path}");
        }
    }

    #[test]
    fn some_result_depends_on_each_fragment() {
        let plan = Plan::read();
        let known = files(&depended_on(&plan));
        for fragment in files(&["kernel-config/*.config"]) {
            assert!(known.contains(&fragment), "no result depends on {fragment}");
        }
    }

    #[test]
    fn no_result_depends_on_a_document_that_verbs_fill() {
        let plan = Plan::read();
        let written = files(&plan.written.iter().map(String::as_str).collect::<Vec<_>>());
        for document in readme::DOCUMENTS {
            assert!(written.iter().any(|path| path == document), "{document} counts as a change");
        }
    }

    #[test]
    fn only_the_chosen_runs_are_made_and_called_as_they_are_typed() {
        let names = |only: &[&str]| -> Vec<String> {
            let only: Vec<String> = only.iter().map(|verb| (*verb).to_owned()).collect();
            Plan::read().run.iter().filter(|run| run.is_chosen(Some(&only))).map(Run::name).collect()
        };
        assert_eq!(names(&["soak", "test DEBUG=1"]), ["soak DEBUG=1 MINUTES=30", "test DEBUG=1"]);
        assert!(names(&["test"]).contains(&"test ARCH=arm".to_owned()));
        assert!(Plan::read().run.iter().all(|run| run.is_chosen(None)));
    }

    #[test]
    fn each_architecture_and_each_row_has_a_run() {
        let names: Vec<String> = Plan::read().run.iter().map(Run::name).collect();
        let of = |start: &str| names.iter().filter(|name| name.starts_with(start)).count();
        assert_eq!(of("test ARCH="), matrix::architectures().len());
        assert_eq!(of("boot CONFIG="), configs::chosen(&["all".to_owned()]).len());
        assert_eq!(of("boot ROUNDS="), 1);
        for row in configs::words().iter().filter_map(|name| configs::find(name)) {
            assert!(
                row.verb.is_none_or(|verb| names.contains(&verb)),
                "a row of configs.toml that nothing runs"
            );
        }
        let unique: BTreeSet<&String> = names.iter().collect();
        assert_eq!(unique.len(), names.len());
    }
}
