// SPDX-License-Identifier: GPL-2.0
//! `make boot CONFIG=`: builds the rows of configs.toml, boots them, and notes what came of it.

use std::fs;

use anyhow::{bail, Context, Result};

use super::record::{self, Booted, Outcome, Rows};
use crate::kernels::build::{self, Job};
use crate::kernels::configs::{self, Refused};
use crate::kernels::{kconfig, matrix};
use crate::results::booted;
use crate::series::tree::Tree;
use crate::system::{child::Interrupted, git::Git, project::Project, tools::Tools};

/// Builds and boots the rows, shows what came of them, and notes each if the series is the one
/// of patches/.
pub fn run(project: &Project, tools: &Tools, tree: &Tree, chosen: &[String]) -> Result<()> {
    let is_noted = tree.is_published(project)?;
    let (mut rows, mut errors) = (Rows::new(), vec![]);
    for name in chosen {
        let outcome = match outcome(project, tools, tree, name) {
            Err(error) if error.is::<Interrupted>() => return Err(error),
            outcome => outcome,
        };
        let failure = match &outcome {
            Ok(outcome) => outcome.failure(),
            Err(error) => Some(format!("{error:#}")),
        };
        errors.extend(failure.map(|failure| format!("{name}: {failure}")));
        let outcome = outcome.ok();
        if is_noted {
            record::save(&project.root, name, outcome.clone())?;
        }
        rows.extend(outcome.map(|outcome| (name.clone(), outcome)));
    }
    println!("{}", record::table(&rows)?);
    for error in &errors {
        println!("failed: {error}");
    }
    match errors.len() {
        0 => Ok(()),
        failed => bail!("{failed} of {} configurations failed", chosen.len()),
    }
}

fn outcome(project: &Project, tools: &Tools, tree: &Tree, name: &str) -> Result<Outcome> {
    if let Some(refused) = configs::row(name)?.refused {
        return refusal(project, tools, tree, name, &refused);
    }
    let kernel = build::row(project, tools, tree, name)?;
    let tests = booted::boot(project, tree, &kernel)?;
    for surprise in &tests.surprises {
        println!("    {surprise}");
    }
    let commit = Git::at(&project.root).capture(["rev-parse", "--short=12", "HEAD"]).ok();
    Ok(Outcome::Booted(Booted {
        commit,
        objects: record::objects(&kernel.obj)?,
        compilers: kernel.compilers,
        build_s: kernel.is_new.then_some(kernel.took.as_secs_f64()),
        boot_s: tests.up.as_secs_f64(),
        kunit: tests.kunit,
        selftest: tests.selftest,
    }))
}

/// Makes sure that Kconfig says no, and that the reason still stands there.
fn refusal(project: &Project, tools: &Tools, tree: &Tree, name: &str, refused: &Refused) -> Result<Outcome> {
    let Refused { option, file, line } = refused;
    let arch = matrix::of_row(name)?;
    let job = Job::new(project, tools, tree, &arch, name)?;
    project.ui.step(&format!("configure {}-{name}", arch.name), |step| {
        fs::create_dir_all(&job.obj)?;
        job.write_config(step)
    })?;
    if kconfig::is_on(&fs::read_to_string(job.obj.join(".config"))?, option) {
        bail!("Kconfig does not refuse {option}, as ci/configs.toml says: remove that");
    }
    let kconfig = fs::read_to_string(tree.dir.join(file)).with_context(|| format!("no {file}"))?;
    if !kconfig.lines().any(|known| known.trim() == line) {
        bail!("{file} does not say {line:?}, as ci/configs.toml does");
    }
    Ok(Outcome::Refused(format!("{file}: {line}")))
}
