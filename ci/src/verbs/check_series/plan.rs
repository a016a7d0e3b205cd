// SPDX-License-Identifier: GPL-2.0
//! checks.toml.

use std::collections::hash_map::DefaultHasher;
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};

use anyhow::Result;
use regex_lite::Regex;
use serde::Deserialize;

use crate::kernels::kconfig::Fragments;
use crate::system::{data::data, needs};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Plan {
    targets: Vec<String>,
    options: Vec<String>,
    config: BTreeMap<String, Config>,
    pub check: Vec<Check>,
    pub exception: Vec<Exception>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Config {
    set: Vec<String>,
    #[serde(default)]
    pub make: Vec<String>,
    #[serde(default)]
    pub oldest: bool,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Check {
    pub name: String,
    #[serde(default)]
    files: Vec<String>,
    #[serde(default)]
    except: Vec<String>,
    pub config: Option<String>,
    #[serde(default)]
    run: Vec<String>,
    #[serde(default = "complaint")]
    finds: String,
    #[serde(default)]
    anywhere: bool,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Exception {
    check: String,
    finding: String,
    reason: String,
}

/// What compilers call it.
fn complaint() -> String {
    "warning|error".to_owned()
}

impl Plan {
    pub fn read() -> Plan {
        data!("checks.toml")
    }

    pub fn config(&self, check: &Check) -> Option<&Config> {
        check.config.as_ref().map(|name| &self.config[name])
    }

    pub fn run<'a>(&'a self, check: &'a Check) -> &'a [String] {
        if check.is_build() {
            return &self.targets;
        }
        &check.run
    }

    pub fn fragments(&self, config: &Config) -> Result<Fragments> {
        let lines = self.options.iter().chain(&config.set).map(|line| format!("CONFIG_{line}\n"));
        let mut fragments = Fragments::default();
        fragments.add("ci/checks.toml", &lines.collect::<String>())?;
        Ok(fragments)
    }

    pub fn exceptions<'a>(&'a self, check: &'a Check) -> impl Iterator<Item = &'a Exception> {
        self.exception.iter().filter(|exception| exception.check == check.name)
    }

    /// Changes whenever the definition of `check` does.
    pub fn digest(&self, check: &Check) -> String {
        let exceptions: Vec<_> = self.exceptions(check).collect();
        let (config, run) = (self.config(check), self.run(check));
        let mut hasher = DefaultHasher::new();
        format!(
            "{:?} {check:?} {config:?} {run:?} {exceptions:?} {:?}",
            self.options,
            needs::deps().oldest_rust
        )
        .hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }
}

impl Check {
    /// Whether it compiles, and no more.
    pub fn is_build(&self) -> bool {
        self.run.is_empty()
    }

    /// Those of `files` that it is for.
    pub fn files<'a>(&self, files: &'a [String]) -> Vec<&'a str> {
        let any = |patterns: &[String], file: &str| patterns.iter().any(|pattern| is_like(file, pattern));
        let is_for = |file: &&str| any(&self.files, file) && !any(&self.except, file);
        files.iter().map(String::as_str).filter(is_for).collect()
    }

    /// Whether it runs on a patch that changes `files`.
    pub fn concerns(&self, files: &[String]) -> bool {
        self.files.is_empty() || !self.files(files).is_empty()
    }

    /// The findings in a tool's output, of lines of `files`.
    pub fn findings(&self, output: &str, files: &[String]) -> Vec<String> {
        let finds = Regex::new(&self.finds).expect("ci/checks.toml: finds");
        let mut found: Vec<String> = vec![];
        for line in output.lines().filter(|line| finds.is_match(line)) {
            let of_a_file = files.iter().any(|file| names_a_line(line, file));
            if (self.anywhere || of_a_file) && !found.iter().any(|other| other == line) {
                found.push(line.trim().to_owned());
            }
        }
        found
    }
}

/// `pattern` has one star.
fn is_like(file: &str, pattern: &str) -> bool {
    let (start, end) = pattern.split_once('*').unwrap_or((pattern, ""));
    file.starts_with(start) && file.ends_with(end)
}

/// `dir/file.c:123`, as compilers and checkers have it.
fn names_a_line(text: &str, file: &str) -> bool {
    text.match_indices(file).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let mut rest = text[at + file.len()..].chars();
        before.is_none_or(|c| c == '/' || c.is_whitespace())
            && rest.next() == Some(':')
            && rest.next().is_some_and(|c| c.is_ascii_digit())
    })
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}, {}: {}", self.check, self.finding, self.reason)
    }
}

impl Exception {
    pub fn is_for(&self, finding: &str) -> bool {
        Regex::new(&self.finding).expect("ci/checks.toml: finding").is_match(finding)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_is_well_formed() {
        let plan = Plan::read();
        for check in &plan.check {
            check.findings("", &[]);
            if let Some(config) = plan.config(check) {
                plan.fragments(config).unwrap();
            }
        }
        for exception in &plan.exception {
            exception.is_for("");
            assert!(plan.check.iter().any(|check| check.name == exception.check), "{exception:?}");
        }
    }

    #[test]
    fn a_check_is_for_some_files() {
        let files = ["kernel/module/main.c", "rust/kernel/lib.rs", "kernel/module/pending.rs"];
        let like = |pattern| files.iter().filter(|file| is_like(file, pattern)).count();
        assert_eq!((like("*.rs"), like("rust/*.rs"), like("*.h")), (2, 1, 0));
        let check: Check = toml::from_str("name = 'x'\nfiles = ['*.rs']\nexcept = ['rust/']").unwrap();
        assert_eq!(check.files(&files.map(str::to_owned)), ["kernel/module/pending.rs"]);
    }

    #[test]
    fn a_finding_names_a_line_of_a_file_of_the_series() {
        let files = ["kernel/module/main.c".to_owned()];
        let toml = "name = 'x'\n";
        let check: Check = toml::from_str(toml).unwrap();
        let output = "  CC kernel/module/main.o\n\
             /tree/kernel/module/main.c:3:4: warning: b\n\
             kernel/module/main.c:3:4: note: b\n\
             other/kernel/module/main.c: warning: a\n\
             kernel/module/kmod.c:1:2: warning: a\n\
             /tree/kernel/module/main.c:3:4: warning: b\n";
        let found = check.findings(output, &files);
        assert_eq!(found, ["/tree/kernel/module/main.c:3:4: warning: b"]);
        let anywhere: Check = toml::from_str(&format!("{toml}anywhere = true\n")).unwrap();
        assert_eq!(anywhere.findings(output, &files).len(), 3);
    }

    #[test]
    fn a_program_of_checkpatch_that_cannot_run_is_a_finding() {
        let plan = Plan::read();
        let checkpatch = plan.check.iter().find(|check| check.name.starts_with("checkpatch")).unwrap();
        let said = "Traceback (most recent call last):\nModuleNotFoundError: No module named 'ply'\n";
        assert_eq!(checkpatch.findings(said, &[]).len(), 1);
    }
}
