// SPDX-License-Identifier: GPL-2.0
//! `deps`: what the other verbs need, installed if it is missing.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{bail, Context, Result};
use nix::unistd::geteuid;
use serde::Deserialize;

use crate::child;
use crate::project::{data, Project};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Deps {
    bindgen: String,
    cargo_mutants: String,
    virtme_ng: String,
    debian: Vec<Package>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Package {
    package: String,
    purpose: String,
    #[serde(default)]
    programs: Vec<String>,
}

fn deps() -> Deps {
    data("deps.toml", include_str!("../deps.toml"))
}

/// What to do about a program that is not there.
pub fn remedy(program: &str) -> String {
    let deps = deps();
    match deps.debian.iter().find(|d| d.programs.iter().any(|p| p == program)) {
        Some(d) => format!("it is in the Debian package {} ({}), try make deps", d.package, d.purpose),
        None => "try make deps".to_owned(),
    }
}

/// The tools that are not Debian's.
pub struct Tools {
    pub bindgen_dir: PathBuf,
    pub vng_dir: PathBuf,
}

/// Makes sure that everything is installed; quick and silent when it is.
pub fn ensure(project: &Project) -> Result<Tools> {
    let deps = deps();
    debian(project, &deps)?;
    let bindgen_dir = cargo_install(project, "bindgen", "bindgen-cli", &deps.bindgen)?;
    let venv = project.cache.join(format!("virtme-ng-{}", deps.virtme_ng));
    // Written last: a venv without it was interrupted.
    let complete = venv.join("complete");
    if !complete.exists() {
        project.ui.step("install virtme-ng", |step| {
            step.run(child::command("/usr/bin/python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
            let mut pip = child::command(venv.join("bin/pip"));
            let version = format!("virtme-ng=={}", deps.virtme_ng);
            step.run(pip.args(["install", &version])).context("pip cannot install it: check the network")?;
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

fn debian(project: &Project, deps: &Deps) -> Result<()> {
    let names: Vec<&str> = deps.debian.iter().map(|d| d.package.as_str()).collect();
    let missing = missing(&names, &installed(&names)?);
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    let Some(prefix) = root_prefix()? else {
        bail!("packages are missing and there is no root; run: sudo apt-get install --no-install-recommends {list}");
    };
    project.ui.step("install Debian packages", |step| {
        step.note(&list);
        let update = ["apt-get", "-o", "APT::Update::Error-Mode=any", "update"];
        let install = ["apt-get", "install", "-y", "--no-install-recommends"];
        step.run(&mut as_root(&prefix, &update, &[]))
            .and_then(|_| step.run(&mut as_root(&prefix, &install, &missing)))
            .with_context(|| format!("apt-get cannot install {list}"))
            .map(drop)
    })
}

fn installed(names: &[&str]) -> Result<String> {
    if !Path::new("/usr/bin/dpkg-query").exists() {
        bail!("dpkg-query is missing: the driver needs Debian 12, where the packages of ci/deps.toml are");
    }
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

fn as_root(prefix: &[&str], words: &[&str], packages: &[&str]) -> Command {
    // `env` keeps apt from asking, with sudo too.
    let all = [prefix, &["env", "DEBIAN_FRONTEND=noninteractive"], words, packages].concat();
    let mut cmd = child::command(all[0]);
    cmd.args(&all[1..]);
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
    }

    #[test]
    fn only_installed_packages_count() {
        let state = "installed make\nconfig-files git\ninstalled gcc-12\n";
        assert_eq!(missing(&["make", "git", "gcc"], state), ["git", "gcc"]);
    }
}
