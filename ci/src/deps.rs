// SPDX-License-Identifier: GPL-2.0
//! `deps`: what the other verbs need, installed if it is missing.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{bail, Context, Result};
use nix::unistd::geteuid;
use serde::Deserialize;

use crate::apt::Apt;
use crate::child;
use crate::matrix::Selection;
use crate::project::{data, Project};

/// The Debian release that all of this is for.
const RELEASE: &str = "bookworm";

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Deps {
    bindgen: String,
    cargo_deny: String,
    cargo_mutants: String,
    virtme_ng: String,
    virtme_ng_needs: Vec<String>,
    debian: Vec<Package>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Package {
    package: String,
    purpose: String,
    #[serde(default)]
    programs: Vec<String>,
    /// The architectures that need it; none: all.
    #[serde(default)]
    arch: Vec<String>,
    /// The verbs that need it; none: all.
    #[serde(default)]
    verbs: Vec<String>,
    /// The suite that it is in, if that is not the machine's own.
    suite: Option<String>,
}

impl Package {
    fn is_needed(&self, verb: Option<&str>, chosen: &Selection) -> bool {
        let arch = self.arch.is_empty() || chosen.0.iter().any(|arch| self.arch.contains(&arch.name));
        arch && verb.map_or(self.verbs.is_empty(), |verb| self.verbs.iter().any(|known| known == verb))
    }
}

fn deps() -> Deps {
    data("deps.toml", include_str!("../deps.toml"))
}

/// What to do about a program that is not there.
pub fn remedy(program: &str) -> String {
    let deps = deps();
    let Some(d) = deps.debian.iter().find(|d| d.programs.iter().any(|p| p == program)) else {
        return "try make deps".to_owned();
    };
    let arch = d.arch.first().map(|name| format!(" ARCH={name}")).unwrap_or_default();
    format!("it is in the Debian package {} ({}), try make deps{arch}", d.package, d.purpose)
}

/// The tools that are not Debian's.
pub struct Tools {
    pub bindgen_dir: PathBuf,
    pub vng_dir: PathBuf,
}

/// Makes sure that everything is installed; quick and silent when it is.
pub fn ensure(project: &Project) -> Result<Tools> {
    packages(project)?;
    tools(project)
}

/// Makes sure of what is Debian's.
pub fn packages(project: &Project) -> Result<()> {
    debian(project, &deps(), None)
}

/// Makes sure of what is not Debian's, which takes some of the packages.
pub fn tools(project: &Project) -> Result<Tools> {
    let deps = deps();
    let bindgen_dir = cargo_install(project, "bindgen", "bindgen-cli", &deps.bindgen)?;
    let venv = project.cache.join(format!("virtme-ng-{}", deps.virtme_ng));
    // Written last: a venv without it was interrupted.
    let complete = venv.join("complete");
    if !complete.exists() {
        project.ui.step("install virtme-ng", |step| {
            step.run(child::command("/usr/bin/python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
            let mut pip = child::command(venv.join("bin/pip"));
            let version = format!("virtme-ng=={}", deps.virtme_ng);
            pip.args(["install", "--no-deps", &version]).args(&deps.virtme_ng_needs);
            step.run(&mut pip).context("pip cannot install it: check the network")?;
            std::fs::write(&complete, "").context("cannot write to the cache")
        })?;
    }
    Ok(Tools { bindgen_dir, vng_dir: venv.join("bin") })
}

/// Makes sure of cargo-mutants, which only the verb `mutants` needs.
pub fn cargo_mutants(project: &Project) -> Result<PathBuf> {
    let dir = cargo_install(project, "cargo-mutants", "cargo-mutants", &deps().cargo_mutants)?;
    Ok(dir.join("cargo-mutants"))
}

/// Makes sure of the packages that `verb` needs and not every verb does.
pub fn ensure_for(project: &Project, verb: &str) -> Result<()> {
    debian(project, &deps(), Some(verb))
}

/// Makes sure of cargo-deny, which only the verb `check-series` needs.
pub fn cargo_deny(project: &Project) -> Result<PathBuf> {
    let dir = cargo_install(project, "cargo-deny", "cargo-deny", &deps().cargo_deny)?;
    Ok(dir.join("cargo-deny"))
}

/// The folder with `program` of that version of a crate, in the cache.
fn cargo_install(project: &Project, program: &str, name: &str, version: &str) -> Result<PathBuf> {
    let root = project.cache.join(format!("{program}-{version}"));
    let dir = root.join("bin");
    if !dir.join(program).exists() {
        project.ui.step(&format!("install {program}"), |step| {
            let mut cmd = child::command("cargo");
            cmd.args(["install", "--locked", name, "--version", version, "--root"]);
            let download = "cargo cannot install it: check the network";
            step.run(cmd.arg(&root)).context(download).map(drop)
        })?;
    }
    Ok(dir)
}

/// The machine's own packages first: those of other suites build on them.
fn debian(project: &Project, deps: &Deps, verb: Option<&str>) -> Result<()> {
    let is_needed = |package: &&Package| package.is_needed(verb, &project.opts.arch);
    let needed: Vec<&Package> = deps.debian.iter().filter(is_needed).collect();
    let names: Vec<&str> = needed.iter().map(|d| d.package.as_str()).collect();
    let missing = missing(&names, &installed(&names)?);
    let mut suites: BTreeMap<Option<&str>, Vec<&str>> = BTreeMap::new();
    for package in needed.iter().filter(|d| missing.contains(&d.package.as_str())) {
        suites.entry(package.suite.as_deref()).or_default().push(&package.package);
    }
    suites.into_iter().try_for_each(|(suite, packages)| install(project, suite, &packages))
}

/// `suite`: `None` for what the machine's own sources have.
fn install(project: &Project, suite: Option<&str>, packages: &[&str]) -> Result<()> {
    let list = packages.join(" ");
    let from = suite.map(|suite| format!("-t {suite} ")).unwrap_or_default();
    let Some(prefix) = root_prefix()? else {
        bail!(
            "packages are missing and there is no root; run: \
             sudo apt-get install --no-install-recommends {from}{list}"
        );
    };
    let name = format!("install packages of {}", suite.unwrap_or("Debian"));
    project.ui.step(&name, |step| {
        step.note(&list);
        let dir = tempfile::tempdir()?;
        let options = match suite {
            Some(suite) => {
                [Apt::new(dir.path(), &[RELEASE, suite])?.options(), words(&["-t", suite])].concat()
            }
            None => words(&["-o", "APT::Update::Error-Mode=any"]),
        };
        let install = [words(&["install", "-y", "--no-install-recommends"]), words(packages)].concat();
        step.run(&mut apt_get(&prefix, &options, &words(&["update"])))
            .and_then(|_| step.run(&mut apt_get(&prefix, &options, &install)))
            .with_context(|| format!("apt-get cannot install {list}"))
            .map(drop)
    })
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

/// Fails anywhere else than on the release that the packages are of.
fn check_release() -> Result<()> {
    let text = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    if text.lines().any(|line| line == format!("VERSION_CODENAME={RELEASE}")) {
        return Ok(());
    }
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let name = name.unwrap_or("unknown").trim_matches('"');
    bail!(
        "this machine's system is {name}: the driver needs Debian 12, where the packages of ci/deps.toml are"
    )
}

fn installed(names: &[&str]) -> Result<String> {
    check_release()?;
    // Fails when it knows nothing of one package, and still prints the others.
    let mut cmd = child::command("/usr/bin/dpkg-query");
    let output = cmd.args(["-W", "-f", "${db:Status-Status} ${Package}\n"]).args(names).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn missing<'a>(names: &[&'a str], installed: &str) -> Vec<&'a str> {
    let known = |name: &&&str| !installed.lines().any(|l| l.strip_prefix("installed ") == Some(**name));
    names.iter().filter(known).copied().collect()
}

/// What to put before a command that needs root; `None`: there is no way.
fn root_prefix() -> Result<Option<Vec<&'static str>>> {
    if geteuid().is_root() {
        return Ok(Some(vec![]));
    }
    let sudo = child::succeeds(child::command("sudo").args(["-n", "true"])).unwrap_or(false);
    Ok(sudo.then(|| vec!["sudo", "-n"]))
}

fn apt_get(prefix: &[&str], options: &[String], arguments: &[String]) -> Command {
    // `env` keeps apt from asking, with sudo too.
    let start = [prefix, &["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]].concat();
    let mut cmd = child::command(start[0]);
    cmd.args(&start[1..]).args(options).args(arguments);
    cmd
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_is_well_formed() {
        let deps = deps();
        assert!(deps.debian.iter().all(|d| !d.package.is_empty() && !d.purpose.is_empty()));
        let mut names: Vec<_> = deps.debian.iter().map(|d| &d.package).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), deps.debian.len(), "a package is named twice");
        let known: Vec<String> = Selection::parse("all").unwrap().0.into_iter().map(|a| a.name).collect();
        assert!(deps.debian.iter().flat_map(|d| &d.arch).all(|name| known.contains(name)));
        let verbs = crate::verbs();
        assert!(deps.debian.iter().flat_map(|d| &d.verbs).all(|name| verbs.contains(name)));
    }

    #[test]
    fn only_installed_packages_count() {
        let state = "installed make\nconfig-files git\ninstalled gcc-12\n";
        assert_eq!(missing(&["make", "git", "gcc"], state), ["git", "gcc"]);
    }
}
