// SPDX-License-Identifier: GPL-2.0
//! The crates of this repository: their form, the licences, sources and advisories of what they
//! are made with, and the documentation of `pending.rs`, which kbuild does not make.

use anyhow::{bail, Result};

use crate::child::{self, End};
use crate::deps;
use crate::project::Project;
use crate::ui::first_error;

const WORKSPACES: [&str; 2] = ["ci", "rust"];

pub fn check(project: &Project) -> Result<()> {
    form(project)?;
    deny(project)?;
    project.ui.step("rustdoc pending.rs", |step| {
        let mut doc = child::command("cargo");
        doc.args(["doc", "--locked", "--no-deps", "--document-private-items", "-p", "pending"]);
        doc.arg("--manifest-path").arg(project.root.join("rust/Cargo.toml"));
        step.run(doc.env("RUSTDOCFLAGS", "-Dwarnings")).map(drop)
    })
}

fn form(project: &Project) -> Result<()> {
    for workspace in WORKSPACES {
        let cargo = |words: &[&str]| {
            let mut cargo = child::command("cargo");
            cargo.args(words).arg("--manifest-path").arg(project.root.join(workspace).join("Cargo.toml"));
            cargo
        };
        project.ui.step(&format!("clippy and rustfmt {workspace}"), |step| {
            step.run(cargo(&["clippy", "--locked", "--all-targets"]).args(["--", "-Dwarnings"]))?;
            step.run(&mut cargo(&["fmt", "--all", "--check"])).map(drop)
        })?;
    }
    Ok(())
}

fn deny(project: &Project) -> Result<()> {
    let program = deps::cargo_deny(project)?;
    for workspace in WORKSPACES {
        let command = |checks: &[&str]| {
            let mut deny = child::command(&program);
            deny.args(["--locked", "--manifest-path"]);
            deny.arg(project.root.join(workspace).join("Cargo.toml"));
            deny.arg("--config").arg(project.root.join("ci/deny.toml")).arg("check").args(checks);
            deny
        };
        project.ui.step(&format!("cargo deny {workspace}"), |step| {
            step.run(&mut command(&["bans", "licenses", "sources"]))?;
            match step.run_until(&mut command(&["advisories"]), None)? {
                (End::Exited(status), _) if status.success() => step.note("with advisories"),
                (_, said) if said.contains("failed to fetch advisory database") => {
                    step.note("without advisories: their database cannot be reached")
                }
                (_, said) => bail!("{}", first_error(&said)),
            }
            Ok(())
        })?;
    }
    Ok(())
}
