// SPDX-License-Identifier: GPL-2.0
//! Programs that the driver makes, in the cache, where the system has none that will do.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::system::needs::{deps, Deps};
use crate::system::programs::{self, python, Found, Version};
use crate::system::{child, project::Project};

pub fn virtme_ng(project: &Project, deps: &Deps) -> Result<Found> {
    let found = in_cache(project, "virtme-ng", "vng", &deps.virtme_ng);
    let venv = found.path.ancestors().nth(2).context("no folder")?;
    // Written last: a venv without it was interrupted.
    let complete = venv.join("complete");
    let lock = project.lock_in_cache("virtme-ng")?;
    if !complete.exists() || !runs(&found) {
        project.ui.step("install virtme-ng", |step| {
            step.run(python().args(["-m", "venv", "--clear"]).arg(venv))?;
            let mut pip = child::command(venv.join("bin/pip"));
            let version = format!("virtme-ng=={}", deps.virtme_ng);
            pip.args(["install", "--no-deps", &version]).args(&deps.virtme_ng_needs);
            step.run(&mut pip).context("pip cannot install it: check the network")?;
            std::fs::write(&complete, "").context("cannot write to the cache")
        })?;
    }
    drop(lock);
    Ok(found)
}

pub fn bindgen(project: &Project, deps: &Deps) -> Result<Found> {
    cargo_install(project, "bindgen", "bindgen-cli", &deps.bindgen)
}

/// Makes sure of cargo-mutants, which only the verb `mutants` needs.
pub fn cargo_mutants(project: &Project) -> Result<PathBuf> {
    let name = "cargo-mutants";
    cargo_install(project, name, name, &deps().cargo_mutants).map(|found| found.path)
}

/// Makes sure of cargo-deny, which only the verb `check-series` needs.
pub fn cargo_deny(project: &Project) -> Result<PathBuf> {
    let name = "cargo-deny";
    cargo_install(project, name, name, &deps().cargo_deny).map(|found| found.path)
}

/// `program` of that version of a crate, in the cache.
fn cargo_install(project: &Project, program: &str, name: &str, version: &str) -> Result<Found> {
    let found = in_cache(project, program, program, version);
    if !found.path.exists() || (program == "bindgen" && !runs(&found)) {
        let root = found.path.ancestors().nth(2).context("no folder")?;
        project.ui.step(&format!("install {program}"), |step| {
            let mut cmd = child::command("cargo");
            cmd.args(["install", "--force", "--locked", name, "--version", version, "--root"]);
            let download = "cargo cannot install it: check the network";
            step.run(cmd.arg(root)).context(download).map(drop)
        })?;
    }
    Ok(found)
}

/// A program that the driver makes, there or not.
pub fn in_cache(project: &Project, folder: &str, program: &str, version: &str) -> Found {
    let path = project.cache.join(format!("{folder}-{version}")).join("bin").join(program);
    Found { path, version: Version::find(version).unwrap_or_default() }
}

/// What was made on another release of the system may not run on this one.
pub fn runs(found: &Found) -> bool {
    programs::version(&found.path).is_some_and(|version| version == found.version)
}
