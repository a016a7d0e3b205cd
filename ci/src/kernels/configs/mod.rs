// SPDX-License-Identifier: GPL-2.0
//! The rows of configs.toml: kernels with other compilers and other configurations.

mod debian;

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::system::{data::data, programs::Version, project::Project, tools::Compiler};
use debian::Debian;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Configs {
    fragments: Vec<String>,
    debian: Debian,
    compiler: BTreeMap<String, Compiler>,
    config: BTreeMap<String, Config>,
}

/// A row; configs.toml says what the fields are.
#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub about: String,
    #[serde(default = "x86_64")]
    pub arch: String,
    #[serde(default = "clang")]
    pub compiler: String,
    file: Option<String>,
    #[serde(default)]
    fragments: Vec<String>,
    #[serde(rename = "least-rust")]
    least_rust: Option<String>,
    pub like: Option<String>,
    #[serde(default)]
    pub cc: Vec<String>,
    #[serde(default)]
    pub parameter: String,
    systemd: Option<String>,
    #[serde(default)]
    policy: bool,
    #[serde(default)]
    logs: Vec<String>,
    pub verb: Option<String>,
    pub refused: Option<Refused>,
}

/// Why a row cannot be built.
#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub struct Refused {
    pub option: String,
    pub file: String,
    pub line: String,
}

fn x86_64() -> String {
    "x86_64".to_owned()
}

/// The compiler where no other is named.
pub fn clang() -> String {
    "clang".to_owned()
}

fn configs() -> Configs {
    data!("configs.toml")
}

/// The row of that name.
pub fn find(name: &str) -> Option<Config> {
    configs().config.remove(name)
}

impl Config {
    /// Its fragments, after those that all kernels of the architecture have.
    pub fn fragments(&self, common: &[String]) -> Vec<String> {
        let configs = configs();
        match self.file {
            Some(_) => [&configs.debian.fragments[..], &self.fragments].concat(),
            None => [common, &configs.fragments, &self.fragments].concat(),
        }
    }
}

/// The oldest Rust that suffices for all these rows, if one needs a newer one than the kernel.
pub fn least_rust(rows: &[String]) -> Option<Version> {
    rows.iter().filter_map(|name| Version::find(&find(name)?.least_rust?)).max()
}

/// The suite whose systemd is process 1 of the guest, if the kernel is a row with one.
pub fn systemd(name: &str) -> Option<String> {
    find(name)?.systemd
}

/// Whether the guest loads a policy of SELinux and enforces it, if the kernel is a row.
pub fn has_policy(name: &str) -> bool {
    find(name).is_some_and(|row| row.policy)
}

/// The first text that this row must log, and that `log` lacks.
pub fn missing_in_log(name: &str, log: &str) -> Option<String> {
    find(name)?.logs.into_iter().find(|part| !log.contains(part))
}

/// The compiler of that name.
pub fn compiler(name: &str) -> Option<Compiler> {
    configs().compiler.get(name).copied()
}

/// The configuration that a kernel begins with, if it is not allnoconfig.
pub fn base(project: &Project, name: &str) -> Result<Option<String>> {
    let file = find(name).and_then(|row| row.file);
    file.map(|file| configs().debian.config(project, &file)).transpose()
}

pub fn row(name: &str) -> Result<Config> {
    find(name).with_context(|| format!("ci/configs.toml has no row {name}"))
}

/// What CONFIG= may be.
pub fn words() -> Vec<String> {
    ["all".to_owned()].into_iter().chain(configs().config.into_keys()).collect()
}

/// All rows but those that only another verb builds.
fn all() -> impl Iterator<Item = String> {
    configs().config.into_iter().filter(|(_, row)| row.verb.is_none()).map(|(name, _)| name)
}

/// The rows that these words choose.
pub fn chosen(words: &[String]) -> Vec<String> {
    match words.iter().any(|word| word == "all") {
        true => all().collect(),
        false => words.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::rootfs;

    #[test]
    fn the_data_is_well_formed() {
        let configs = configs();
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../kernel-config");
        for (name, row) in &configs.config {
            assert!(configs.compiler.contains_key(&row.compiler), "{name}: compiler {}", row.compiler);
            let fragments = row.fragments(&[]);
            assert!(fragments.iter().all(|file| root.join(file).exists()), "{name}: {fragments:?}");
            assert!(row.systemd.as_ref().is_none_or(|suite| rootfs::all().contains_key(suite)), "{name}");
            assert!(row.refused.as_ref().is_none_or(|no| !no.option.starts_with("CONFIG_")), "{name}");
            // The folder of another compiler would be compiled anew.
            let Some(like) = &row.like else { continue };
            let other = &configs.config[like];
            assert_eq!((&other.compiler, &other.arch), (&row.compiler, &row.arch), "{name} is like {like}");
        }
    }

    #[test]
    fn a_log_must_show_what_the_row_is_for() {
        let log = "[    0.0] Kernel is locked down from Kernel configuration\n";
        let missing = missing_in_log("sig-force", log);
        assert_eq!(missing.as_deref(), Some("Loading of unsigned module is rejected"));
        let log = log.to_owned() + "[    1.1] Loading of unsigned module is rejected\n";
        assert_eq!(missing_in_log("sig-force", &log), None);
        assert_eq!(missing_in_log("on", ""), None);
    }

    #[test]
    fn a_row_can_ask_for_a_newer_rust() {
        let least =
            |names: &[&str]| least_rust(&names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
        assert_eq!(least(&["gcc", "kasan-arm64"]), Version::find("1.96"));
        assert_eq!(least(&["gcc"]), None);
    }

    #[test]
    fn rows_are_chosen_by_name() {
        let names = |words: &[&str]| chosen(&words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>());
        assert_eq!(names(&["gcc", "clang"]), ["gcc", "clang"]);
        assert!(!names(&["all"]).contains(&"preempt-rt-off".to_owned()));
        assert_eq!(names(&["all"]).len() + 1, configs().config.len());
        assert_eq!(words().len(), configs().config.len() + 1);
    }
}
