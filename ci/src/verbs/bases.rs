// SPDX-License-Identifier: GPL-2.0
//! `bases`: the series on the kernels of base.toml, and on the newest that there is.

use anyhow::{bail, Result};

use crate::kernels::{build, matrix, toolchain};
use crate::series::base::{self, Base};
use crate::series::tree;
use crate::system::{child::Interrupted, project::Project, tools::Tools, ui};

pub fn run(project: &Project) -> Result<()> {
    let tools = &toolchain::ensure(project)?;
    let mut bases = base::known();
    bases[0] = base::ours(project)?;
    let required = bases.len();
    let newest = project.ui.step("look for the newest kernel", |step| {
        let newest = base::newest(step)?;
        step.note(&newest.name);
        Ok(newest)
    })?;
    if !bases.contains(&newest) {
        bases.push(newest);
    }
    let mut table = ui::table(["base", "git am", "build"]);
    let mut failed = 0;
    for (number, base) in bases.iter().enumerate() {
        let (applied, built) = attempt(project, tools, base)?;
        if number < required && built != "yes" {
            failed += 1;
        }
        table.add_row([&base.name, &applied, &built]);
    }
    println!("{table}");
    match failed {
        0 => Ok(()),
        n => bail!("{n} of {required} bases of ci/base.toml do not take the series"),
    }
}

/// Whether the series applies, and builds.
fn attempt(project: &Project, tools: &Tools, base: &Base) -> Result<(String, String)> {
    let said = |error: anyhow::Error| match error.is::<Interrupted>() {
        true => Err(error),
        false => Ok(format!("{error:#}")),
    };
    let tree = match tree::on(project, base) {
        Ok(tree) => tree,
        Err(error) => return Ok((said(error)?, "no".to_owned())),
    };
    for arch in &matrix::chosen(&project.opts)?.0 {
        if let Err(error) = build::ensure(project, tools, &tree, &arch.with_kernels(&["on"])) {
            return Ok(("yes".to_owned(), said(error)?));
        }
    }
    Ok(("yes".to_owned(), "yes".to_owned()))
}
