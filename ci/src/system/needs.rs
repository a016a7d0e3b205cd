// SPDX-License-Identifier: GPL-2.0
//! deps.toml: what is needed, and the packages that it is in.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::system::{data::data, os::System};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Deps {
    pub bindgen: String,
    pub cargo_deny: String,
    pub cargo_mutants: String,
    pub virtme_ng: String,
    pub virtme_ng_needs: Vec<String>,
    pub newer_bindgen: NewerBindgen,
    pub oldest_rust: OldestRust,
    pub install: BTreeMap<String, String>,
    pub need: Vec<Need>,
}

/// The packages of a bindgen that is new enough, and the release of Debian that has them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewerBindgen {
    pub suite: String,
    pub packages: Vec<String>,
}

/// The packages of the oldest Rust that the kernel takes.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct OldestRust {
    pub suite: String,
    pub version: String,
    pub packages: Vec<String>,
}

/// Something that is needed; deps.toml says what the fields are.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
pub struct Need {
    pub purpose: String,
    pub programs: Vec<String>,
    pub headers: Vec<String>,
    pub modules: Vec<String>,
    pub tool: Option<Tool>,
    pub least: Option<String>,
    pub packages: BTreeMap<String, String>,
    pub arch: Vec<String>,
    pub verbs: Vec<String>,
}

/// One that has to be of some version.
#[derive(Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Tool {
    Llvm,
    Gcc,
    Rustc,
    Bindgen,
    VirtmeNg,
}

impl Need {
    /// Whether `verb` needs it and not every verb does; `None`: whether every verb does.
    pub fn is_of(&self, verb: Option<&str>, architectures: &[String]) -> bool {
        let arch = self.arch.is_empty() || architectures.iter().any(|name| self.arch.contains(name));
        arch && verb.map_or(self.verbs.is_empty(), |verb| self.verbs.iter().any(|known| known == verb))
    }

    /// Its packages on `system`; none: the driver makes it. `None`: there is no such need.
    pub fn packages(&self, system: &System) -> Option<Vec<&str>> {
        Some(system.choose(&self.packages)?.split_whitespace().collect())
    }
}

impl Tool {
    /// As its users call it.
    pub fn name(self) -> &'static str {
        match self {
            Tool::Llvm => "clang",
            Tool::Gcc => "gcc",
            Tool::Rustc => "rustc",
            Tool::Bindgen => "bindgen",
            Tool::VirtmeNg => "virtme-ng",
        }
    }

    /// As scripts/min-tool-version.sh of a kernel calls it, if it does.
    pub fn kernels_name(self) -> Option<&'static str> {
        match self {
            Tool::Llvm => Some("llvm"),
            Tool::Gcc | Tool::Rustc | Tool::Bindgen => Some(self.name()),
            Tool::VirtmeNg => None,
        }
    }
}

pub fn deps() -> Deps {
    data!("deps.toml")
}

pub fn need_of(deps: &Deps, tool: Tool) -> &Need {
    deps.need.iter().find(|need| need.tool == Some(tool)).expect("ci/deps.toml has every tool")
}

/// What to do about a program that is not there.
pub fn remedy(program: &str, system: &System) -> String {
    let deps = deps();
    let has_it = |need: &&Need| need.programs.iter().any(|known| known == program);
    let Some(need) = deps.need.iter().find(has_it) else { return "try make deps".to_owned() };
    let arch = need.arch.first().map(|name| format!(" ARCH={name}")).unwrap_or_default();
    let packages = need.packages(system).unwrap_or_default().join(" ");
    format!("it is in {packages} ({}), try make deps{arch}", need.purpose)
}

/// What a person has to do.
pub fn advice(deps: &Deps, system: &System, packages: &[&str]) -> String {
    let suite = packages.iter().find_map(|package| package.split_once('/')).map(|(_, suite)| suite);
    let from = suite.map(|suite| format!(" -t {suite}")).unwrap_or_default();
    let names: Vec<&str> = packages.iter().map(|package| package_name(package)).collect();
    match system.choose(&deps.install) {
        _ if names.is_empty() => "install it, and put it into PATH".to_owned(),
        Some(install) => format!("{install}{from} {}", names.join(" ")),
        None => format!("install what your system has of {}", names.join(" ")),
    }
}

/// Without the suite.
pub fn package_name(package: &str) -> &str {
    package.split_once('/').map_or(package, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::os::for_test;

    #[test]
    fn packages_of_another_suite_are_asked_for_there() {
        let advised = advice(&deps(), &for_test("bookworm"), &["qemu-system-ppc/bookworm-backports"]);
        let install = "sudo apt-get install --no-install-recommends -t bookworm-backports qemu-system-ppc";
        assert_eq!(advised, install);
    }

    #[test]
    fn a_missing_program_names_its_package() {
        assert!(remedy("rsync", &for_test("fedora")).starts_with("it is in rsync ("));
        assert!(remedy("qemu-system-ppc64", &for_test("trixie")).ends_with("make deps ARCH=ppc64le"));
        assert_eq!(remedy("something", &for_test("trixie")), "try make deps");
    }
}
