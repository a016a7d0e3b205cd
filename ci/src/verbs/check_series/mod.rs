// SPDX-License-Identifier: GPL-2.0
//! `check-series`: each patch of `patches/` by the checks of checks.toml, on a tree of
//! its own, in order.
//!
//! What passed is noted by commit, and does not run again: after an edit of the fifth
//! patch the first four take no time. The commits of one series are the same everywhere.
//! Of the series' files, those in kernel/module/ and lib/tests/module/ are compiled
//! in each configuration, with rust/, on which they depend, those elsewhere in one; no
//! kernel is linked: make test links and boots one.

mod cell;
mod crates;
mod plan;

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use anyhow::{bail, Context, Result};
use comfy_table::Table;

use crate::kernels::toolchain;
use crate::series::{base, patches, stamps, tree};
use crate::system::git::{Git, BASE};
use crate::system::ui::{self, Step};
use crate::system::{child::Interrupted, deps, project::Project};
use cell::{Checker, Findings, Patch};
use plan::{Check, Plan};

/// What the table says of a check of a patch.
enum Cell {
    /// It changes no file that the check is for.
    None,
    /// With so many exceptions.
    Passed(usize),
    Found(usize),
    Failed,
}

pub fn run(project: &Project) -> Result<()> {
    let tools = &toolchain::ensure(project)?;
    deps::ensure_for(project, "check-series")?;
    let plan = Plan::read();
    crates::check(project)?;
    let base = base::ours(project)?;
    let dir = project.root.join("build").join(format!("check-{}", base.name));
    let source = base::repository(project, &base)?;
    let git = tree::without_series(project, &base.name, &source, &dir.join("tree"))?;
    let digest = patches::digest_without_letter(&git, &project.patches())?;
    let patches = project.ui.step("git am", |step| {
        let patches = patches(project, step, &git)?;
        step.note(format!("{} patches", patches.len()));
        Ok(patches)
    })?;
    let mut files: Vec<String> = patches.iter().flat_map(|patch| patch.files.clone()).collect();
    files.sort();
    files.dedup();
    let last = &patches.last().context("there are no patches")?.commit;
    let checker = Checker { project, tools, plan: &plan, git: &git, dir: &dir, files: &files, last };
    let mut passed = Passed::read(dir.join("passed"))?;
    let mut columns = vec![];
    for patch in &patches {
        println!("patch {}: {}", patch.number, patch.subject);
        let cells = plan.check.iter().map(|check| cell(&checker, &mut passed, check, patch));
        columns.push(cells.collect::<Result<Vec<_>>>()?);
    }
    println!("{}", table(&plan, &columns));
    verdict(&plan, &columns)?;
    stamps::mark(project, stamps::CHECKED, &digest)
}

fn patches(project: &Project, step: &mut Step, git: &Git) -> Result<Vec<Patch>> {
    let commits = patches::apply_without_files(step, git, BASE, &project.patches())?;
    let patch = |(index, commit): (usize, String)| -> Result<Patch> {
        let files =
            git.capture(["diff", "--name-only", "--diff-filter=d", &format!("{commit}^"), &commit])?;
        Ok(Patch {
            number: index + 1,
            subject: git.capture(["log", "-1", "--format=%s", &commit])?,
            files: files.lines().map(str::to_owned).collect(),
            commit,
        })
    };
    commits.into_iter().enumerate().map(patch).collect()
}

/// A check of a patch, unless it has passed before. Only an interrupt is an error.
fn cell(checker: &Checker, passed: &mut Passed, check: &Check, patch: &Patch) -> Result<Cell> {
    if !check.concerns(&patch.files) {
        return Ok(Cell::None);
    }
    let key = format!("{} {}", patch.commit, checker.plan.digest(check));
    if let Some(excepted) = passed.get(&key) {
        return Ok(Cell::Passed(excepted));
    }
    let name = format!("{} {}", patch.number, check.name);
    let outcome = checker.project.ui.step(&name, |step| {
        let findings = checker.check(step, check, patch)?;
        step.note(note(&findings));
        Ok((findings, step.log_name.clone()))
    });
    match outcome {
        Ok((Findings { counted, excepted }, _)) if counted.is_empty() => {
            passed.insert(key, excepted)?;
            Ok(Cell::Passed(excepted))
        }
        Ok((Findings { counted, .. }, log)) => {
            for finding in &counted {
                eprintln!("    {finding}");
            }
            eprintln!("    (log: {log})");
            Ok(Cell::Found(counted.len()))
        }
        Err(error) if error.is::<Interrupted>() => Err(error),
        Err(error) => {
            eprintln!("error: {error:#}");
            Ok(Cell::Failed)
        }
    }
}

fn note(findings: &Findings) -> String {
    match (findings.counted.len(), findings.excepted) {
        (0, 0) => "ok".to_owned(),
        (0, n) => format!("ok, {n} excepted"),
        (n, _) => format!("{n} found"),
    }
}

/// The checks down, the patches across.
fn table(plan: &Plan, columns: &[Vec<Cell>]) -> Table {
    let numbers = (1..=columns.len()).map(|number| number.to_string());
    let mut table = ui::table(std::iter::once("patch".to_owned()).chain(numbers));
    let am = columns.iter().map(|_| "ok".to_owned());
    table.add_row(std::iter::once("git am".to_owned()).chain(am));
    for (row, check) in plan.check.iter().enumerate() {
        let cells = columns.iter().map(|column| match column[row] {
            Cell::None => "-".to_owned(),
            Cell::Passed(0) => "ok".to_owned(),
            Cell::Passed(_) => "ok*".to_owned(),
            Cell::Found(n) => n.to_string(),
            Cell::Failed => "fails".to_owned(),
        });
        table.add_row(std::iter::once(check.name.clone()).chain(cells));
    }
    table
}

fn verdict(plan: &Plan, columns: &[Vec<Cell>]) -> Result<()> {
    println!("-: no file for the check; *: with exceptions of ci/checks.toml:");
    for exception in &plan.exception {
        println!("   {exception}");
    }
    let cells = || columns.iter().flatten().filter(|cell| !matches!(cell, Cell::None));
    match cells().filter(|cell| matches!(cell, Cell::Found(_) | Cell::Failed)).count() {
        0 => Ok(()),
        n => bail!("{n} of {} checks found something, see above", cells().count()),
    }
}

/// What has passed: a commit and a check, and how many exceptions there were.
struct Passed {
    file: PathBuf,
    known: BTreeMap<String, usize>,
}

impl Passed {
    fn read(file: PathBuf) -> Result<Passed> {
        let text = if file.exists() { fs::read_to_string(&file)? } else { String::new() };
        let entry = |line: &str| {
            let (key, excepted) = line.rsplit_once(' ')?;
            Some((key.to_owned(), excepted.parse().ok()?))
        };
        Ok(Passed { file, known: text.lines().filter_map(entry).collect() })
    }

    fn get(&self, key: &str) -> Option<usize> {
        self.known.get(key).copied()
    }

    fn insert(&mut self, key: String, excepted: usize) -> Result<()> {
        let mut file = OpenOptions::new().create(true).append(true).open(&self.file)?;
        writeln!(file, "{key} {excepted}")?;
        self.known.insert(key, excepted);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Passed;

    #[test]
    fn what_passed_is_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("passed");
        let mut passed = Passed::read(file.clone()).unwrap();
        assert_eq!(passed.get("c0 checkpatch"), None);
        passed.insert("c0 checkpatch".to_owned(), 2).unwrap();
        passed.insert("c0 sparse".to_owned(), 0).unwrap();
        let again = Passed::read(file).unwrap();
        assert_eq!(again.get("c0 checkpatch"), Some(2));
        assert_eq!(again.get("c0 sparse"), Some(0));
        assert_eq!(again.get("c1 sparse"), None);
    }
}
