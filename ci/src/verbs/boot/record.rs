// SPDX-License-Identifier: GPL-2.0
//! What came of the rows of configs.toml: ci/configs.json, and of that the table of
//! kernel-config/README.md.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{bail, Context, Result};
use comfy_table::Table;
use serde::{Deserialize, Serialize};

use crate::kernels::configs;
use crate::results::{kselftest::Tally, numbers, readme};
use crate::system::ui;

const NUMBERS: &str = "ci/configs.json";

/// By row.
pub type Rows = BTreeMap<String, Outcome>;

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Booted(Booted),
    /// By Kconfig, with this reason.
    Refused(String),
    /// It has not run to its end on this series.
    #[serde(skip)]
    None,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Booted {
    /// Of this repository.
    pub commit: Option<String>,
    pub compilers: String,
    /// How many files of the kernel were compiled.
    pub objects: usize,
    /// `None`: some of it was there already.
    pub build_s: Option<f64>,
    pub boot_s: f64,
    pub kunit: Tally,
    pub selftest: Tally,
}

impl Outcome {
    /// Why it is no success.
    pub fn failure(&self) -> Option<String> {
        match self {
            Outcome::Booted(booted) => match booted.kunit.failed + booted.selftest.failed {
                0 => None,
                failed => Some(format!("{failed} tests failed")),
            },
            Outcome::Refused(_) | Outcome::None => None,
        }
    }

    /// The same, with what only the earlier one knows.
    fn after(self, earlier: Option<&Outcome>) -> Outcome {
        match (self, earlier) {
            (Outcome::Booted(mut new), Some(Outcome::Booted(old))) => {
                new.build_s = new.build_s.or(old.build_s);
                Outcome::Booted(new)
            }
            (new, _) => new,
        }
    }

    fn cells(&self) -> [String; 7] {
        match self {
            Outcome::Booted(booted) => [
                booted.commit.clone().unwrap_or("–".to_owned()),
                booted.compilers.clone(),
                booted.objects.to_string(),
                booted.build_s.map_or("–".to_owned(), |seconds| format!("{seconds:.0}")),
                format!("{:.1}", booted.boot_s),
                booted.kunit.to_string(),
                booted.selftest.to_string(),
            ],
            Outcome::Refused(reason) => nothing(format!("not built: {reason}")),
            Outcome::None => nothing("has not run yet".to_owned()),
        }
    }
}

/// The cells of a row that has no numbers.
fn nothing(why: String) -> [String; 7] {
    let no = || "–".to_owned();
    [no(), why, no(), no(), no(), no(), no()]
}

/// For the terminal and for kernel-config/README.md.
pub fn table(rows: &Rows) -> Result<Table> {
    let mut table = ui::table([
        "CONFIG=",
        "what it shows",
        "commit",
        "compiled with",
        "objects",
        "build s",
        "boot s",
        "KUnit",
        "kselftest",
    ]);
    for (name, outcome) in rows {
        let row = configs::find(name).with_context(|| format!("ci/configs.toml has no row {name}"))?;
        table.add_row([name.clone(), row.about].into_iter().chain(outcome.cells()));
    }
    ui::align_right(&mut table, 4..=6);
    Ok(table)
}

/// How many objects a build folder has that a compiler made for the kernel and its modules.
pub fn objects(obj: &Path) -> Result<usize> {
    const OTHERS: [&str; 4] = ["ci-modules", "scripts", "tools", "user"];
    let mut count = 0;
    for entry in fs::read_dir(obj).with_context(|| format!("cannot read {}", obj.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() && !OTHERS.iter().any(|name| entry.file_name() == *name) {
            count += below(&entry.path())?;
        }
    }
    Ok(count)
}

fn below(dir: &Path) -> Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => count += below(&entry.path())?,
            false => count += usize::from(entry.path().extension().is_some_and(|end| end == "o")),
        }
    }
    Ok(count)
}

/// Writes both below `root`, with what came of a row, if anything did.
pub fn save(root: &Path, name: &str, outcome: Option<Outcome>) -> Result<()> {
    let path = root.join(NUMBERS);
    let mut rows: Rows = numbers::read(&path)?.unwrap_or_default();
    note(&mut rows, name, outcome);
    numbers::write(&path, &rows)?;
    readme::rewrite(root, "configs", |name| block(name, &rows))
}

/// Puts the outcome in place of what was known of the row.
fn note(rows: &mut Rows, name: &str, outcome: Option<Outcome>) {
    let earlier = rows.remove(name);
    rows.extend(outcome.map(|outcome| (name.to_owned(), outcome.after(earlier.as_ref()))));
}

fn block(name: &str, rows: &Rows) -> Result<String> {
    let mut all: Rows =
        configs::chosen(&["all".to_owned()]).into_iter().map(|name| (name, Outcome::None)).collect();
    all.extend(rows.clone());
    match name {
        "table" => Ok(table(&all)?.to_string()),
        _ => bail!("{name}: there are no such numbers of configurations"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn booted(build_s: Option<f64>, failed: u32) -> Outcome {
        let kunit = Tally { passed: 5, failed: 0, skipped: 1 };
        let selftest = Tally { passed: 7, failed, skipped: 0 };
        let compilers = "gcc 12.2.0, rustc 1.96.0".to_owned();
        let commit = Some("0123456789ab".to_owned());
        Outcome::Booted(Booted { commit, compilers, objects: 9, build_s, boot_s: 3.25, kunit, selftest })
    }

    fn rows(pairs: &[(&str, Outcome)]) -> Rows {
        pairs.iter().map(|(name, outcome)| ((*name).to_owned(), outcome.clone())).collect()
    }

    #[test]
    fn a_failed_test_fails_the_row() {
        assert_eq!(booted(None, 0).failure(), None);
        assert_eq!(booted(None, 2).failure().as_deref(), Some("2 tests failed"));
        assert_eq!(Outcome::Refused("x".to_owned()).failure(), None);
    }

    #[test]
    fn a_run_replaces_what_was_known_of_its_row() {
        let mut known = rows(&[("gcc", booted(Some(90.0), 0)), ("clang", booted(Some(80.0), 0))]);
        // It took no time to build what was there.
        note(&mut known, "gcc", Some(booted(None, 1)));
        assert_eq!(known, rows(&[("gcc", booted(Some(90.0), 1)), ("clang", booted(Some(80.0), 0))]));
        note(&mut known, "gcc", Some(booted(Some(70.0), 0)));
        assert_eq!(known["gcc"], booted(Some(70.0), 0));
        // It has not come to its end.
        note(&mut known, "gcc", None);
        assert_eq!(known, rows(&[("clang", booted(Some(80.0), 0))]));
    }

    #[test]
    fn the_table_says_what_came_of_each_row() {
        let refused = Outcome::Refused("init/Kconfig: depends on !RANDSTRUCT".to_owned());
        let text = table(&rows(&[("gcc", booted(None, 2)), ("clang", refused)])).unwrap().to_string();
        for cell in [
            "| gcc ",
            "| 0123456789ab | gcc 12.2.0, rustc 1.96.0",
            " 3.2 |",
            "7 passed, 2 failed",
            "5 passed, 0 failed, 1 skipped",
            "not built: init/Kconfig: depends on !RANDSTRUCT",
        ] {
            assert!(text.contains(cell), "{cell} is not in\n{text}");
        }
        assert!(table(&rows(&[("tcc", booted(None, 0))])).is_err());
    }

    #[test]
    fn objects_of_host_programs_do_not_count() {
        let dir = tempfile::tempdir().unwrap();
        for file in [
            "kernel/module/main.o",
            "kernel/fork.o",
            "kernel/fork.c",
            "scripts/mod/a.o",
            "tools/b.o",
            "vmlinux.o",
        ] {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        assert_eq!(objects(dir.path()).unwrap(), 2);
    }

    #[test]
    fn a_row_that_has_not_run_says_so() {
        let filled = block("table", &rows(&[("gcc", booted(None, 0))])).unwrap();
        let line = |name: &str| filled.lines().find(|line| line.starts_with(&format!("| {name} "))).unwrap();
        assert!(line("clang").contains("has not run yet") && line("gcc").contains("7 passed, 0 failed"));
        assert!(block("other", &Rows::new()).is_err());
        assert!(block("table", &rows(&[("tcc", Outcome::None)])).is_err());
    }

    #[test]
    fn the_documents_say_what_came_of_the_rows() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(NUMBERS);
        let rows: Rows = numbers::read(&path).unwrap().unwrap();
        readme::assert_current("configs", |name| block(name, &rows));
    }
}
