// SPDX-License-Identifier: GPL-2.0
//! The crates of this repository: their form, the oldest Rust that they take, the licences, sources and advisories of what they
//! are made with, and the documentation of `pending.rs`, which kbuild does not make.

use anyhow::{bail, Result};

use crate::system::child::{self, End};
use crate::system::{made, project::Project, rust, ui::first_error};

const WORKSPACES: [&str; 2] = ["ci", "rust"];

/// More of the crates than their features by default: in which workspace, which words.
const FEATURES: [(&str, &[&str]); 2] = [
    ("rust", &["-p", "pending", "--features", "loom"]),
    ("rust", &["-p", "pending", "--features", "shuttle"]),
];

pub fn check(project: &Project) -> Result<()> {
    form(project)?;
    oldest(project)?;
    deny(project)?;
    project.ui.step("rustdoc pending.rs", |step| {
        let words = ["doc", "--locked", "--no-deps", "--document-private-items", "-p", "pending"];
        step.run(project.cargo("rust", &words).env("RUSTDOCFLAGS", "-Dwarnings")).map(drop)
    })
}

fn form(project: &Project) -> Result<()> {
    for workspace in WORKSPACES {
        project.ui.step(&format!("clippy and rustfmt {workspace}"), |step| {
            let mut clippy = project.cargo(workspace, &["clippy", "--locked", "--all-targets"]);
            step.run(clippy.args(["--", "-Dwarnings"]))?;
            step.run(&mut project.cargo(workspace, &["fmt", "--all", "--check"])).map(drop)
        })?;
    }
    Ok(())
}

/// The oldest Rust that the kernel takes is the one of `rust-version`.
fn oldest(project: &Project) -> Result<()> {
    project.ui.step("crates with the oldest Rust", |step| {
        let rust = rust::oldest(project, step)?;
        for (workspace, words) in WORKSPACES.map(|workspace| (workspace, &[][..])).into_iter().chain(FEATURES)
        {
            let mut cargo = project.cargo(workspace, &["check", "--locked", "--all-targets"]);
            cargo.args(words).arg("--target-dir").arg(project.root.join("build/oldest-rust"));
            step.run(cargo.env("RUSTC", &rust.path))?;
        }
        step.note(rust.version.to_string());
        Ok(())
    })
}

fn deny(project: &Project) -> Result<()> {
    let program = made::cargo_deny(project)?;
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
