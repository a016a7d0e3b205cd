// SPDX-License-Identifier: GPL-2.0
//! `mutants`: bugs put into the Rust files of the series on purpose, those of
//! `rust/mutants/` and those that cargo-mutants makes. The tests must notice each of them.
//!
//! Only copies of `rust/` are ever broken, below `build/mutants/`.

mod patches;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{bail, Context, Result};
use serde::Deserialize;

use self::patches::{apply, check_all, patches};
use crate::system::child::{self, End};
use crate::system::ui::{self, first_error, Step};
use crate::system::{data::data, made, project::Project};

/// What a test run may take on broken code: so much more than on sound code that it hangs.
const PATIENCE: u32 = 10;
const LEAST_LIMIT: Duration = Duration::from_secs(60);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    environment: BTreeMap<String, String>,
    backend: Vec<Backend>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Backend {
    name: String,
    arguments: Vec<String>,
}

fn config() -> Config {
    data!("mutants.toml")
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Survived,
    Caught,
    Hung,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Verdict::Survived => "-",
            Verdict::Caught => "caught",
            Verdict::Hung => "hangs",
        })
    }
}

/// A bug, and what each backend says of it.
type Row = (String, Vec<Verdict>);

pub fn run(project: &Project) -> Result<()> {
    let cargo_mutants = made::cargo_mutants(project)?;
    let workshop = Workshop { project, config: config() };
    let patches = patches(&project.root)?;
    project.ui.step("all bugs compile", |_| check_all(&project.root, &patches))?;
    let limits = workshop.sound()?;
    let rows = patches.iter().map(|patch| workshop.broken(patch, &limits)).collect::<Result<Vec<_>>>()?;
    println!("{}", table(&workshop.config.backend, &rows));
    fail_on_survivors(&rows)?;
    workshop.cargo_mutants(&cargo_mutants, limits[0])
}

/// Where code is broken and tested.
struct Workshop<'a> {
    project: &'a Project,
    config: Config,
}

impl Workshop<'_> {
    fn dir(&self) -> PathBuf {
        self.project.root.join("build/mutants")
    }

    fn tree(&self) -> PathBuf {
        self.dir().join("tree")
    }

    /// Makes the copy sound. What had to be mended is newer than what was built from it,
    /// without which cargo would not build it again.
    fn mend(&self, step: &mut Step) -> Result<()> {
        fs::create_dir_all(self.tree()).context("cannot make build/mutants/tree")?;
        let mut rsync = child::command("rsync");
        rsync.args(["--recursive", "--checksum", "--delete", "--exclude=target/", "rust"]);
        step.run(rsync.arg(self.tree()).current_dir(&self.project.root)).map(drop)
    }

    /// How long each backend may take, from what it takes when nothing is broken.
    fn sound(&self) -> Result<Vec<Duration>> {
        self.project.ui.step("no bug", |step| {
            self.mend(step)?;
            let limit = |backend| {
                let (verdict, time) = self.test(step, backend, None)?;
                if verdict != Verdict::Survived {
                    bail!("the tests fail on sound code, with {}: mend that first", backend.name);
                }
                Ok(LEAST_LIMIT + time * PATIENCE)
            };
            self.config.backend.iter().map(limit).collect()
        })
    }

    fn broken(&self, patch: &Path, limits: &[Duration]) -> Result<Row> {
        let name = patch.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let verdicts = self.project.ui.step(&name, |step| {
            self.mend(step)?;
            step.run(&mut apply(&self.tree(), patch, &[]))?;
            let backends = self.config.backend.iter().zip(limits);
            let verdicts = backends.map(|(backend, limit)| Ok(self.test(step, backend, Some(*limit))?.0));
            let verdicts = verdicts.collect::<Result<Vec<_>>>()?;
            step.note(summary(&self.config.backend, &verdicts));
            Ok(verdicts)
        })?;
        Ok((name, verdicts))
    }

    /// What does not compile is no bug, but an error of ours.
    fn test(
        &self,
        step: &mut Step,
        backend: &Backend,
        limit: Option<Duration>,
    ) -> Result<(Verdict, Duration)> {
        step.run(self.cargo_test(backend).arg("--no-run")).context("it does not compile")?;
        let start = Instant::now();
        let (end, _) = step.run_until(&mut self.cargo_test(backend), limit.map(|l| start + l))?;
        let verdict = match end {
            End::TimedOut => Verdict::Hung,
            End::Exited(status) if status.success() => Verdict::Survived,
            End::Exited(_) => Verdict::Caught,
        };
        Ok((verdict, start.elapsed()))
    }

    fn cargo_test(&self, backend: &Backend) -> Command {
        let mut cmd = self.command("cargo");
        cmd.args(["test", "--locked", "--package", "pending", "--manifest-path"]);
        cmd.arg(self.tree().join("rust/Cargo.toml")).args(&backend.arguments);
        cmd
    }

    /// The first backend's tests have to do for cargo-mutants: it changes no order of steps.
    fn cargo_mutants(&self, program: &Path, limit: Duration) -> Result<()> {
        self.project.ui.step("cargo-mutants", |step| {
            self.mend(step)?;
            let mut cmd = self.command(program);
            cmd.args(["mutants", "--in-place", "--baseline=skip", "--colors=never", "--no-times"]);
            cmd.arg("--timeout").arg(limit.as_secs().to_string());
            cmd.arg("--output").arg(self.dir()).arg("--dir").arg(self.tree().join("rust"));
            let (end, output) = step.run_until(&mut cmd, None)?;
            step.note(judge(end, &output)?);
            Ok(())
        })
    }

    fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut cmd = child::command(program.as_ref());
        cmd.env("CARGO_TARGET_DIR", self.dir().join("target")).envs(&self.config.environment);
        cmd
    }
}

/// The last words of cargo-mutants, unless a bug of its making was missed.
fn judge(end: End, output: &str) -> Result<String> {
    // Its exit codes: 2 says that bugs were missed, 3 that tests were only ended by the limit.
    match end {
        End::Exited(status) if matches!(status.code(), Some(0 | 3)) => {}
        _ => match output.lines().find_map(|line| line.trim().strip_prefix("MISSED")) {
            Some(missed) => bail!(
                "no test notices: {}; add one, or say in rust/.cargo/mutants.toml why it is no bug",
                missed.trim()
            ),
            None => bail!("{}", first_error(output)),
        },
    }
    let last = output.lines().next_back().unwrap_or_default();
    if !last.contains(" caught") {
        bail!("cargo-mutants has tried nothing: do the files in rust/.cargo/mutants.toml still exist?");
    }
    Ok(last.to_owned())
}

/// Who noticed a bug.
fn summary(backends: &[Backend], verdicts: &[Verdict]) -> String {
    let noticed = backends.iter().zip(verdicts).filter(|(_, verdict)| **verdict != Verdict::Survived);
    let names: Vec<&str> = noticed.map(|(backend, _)| backend.name.as_str()).collect();
    match names[..] {
        [] => "survives".to_owned(),
        _ => format!("noticed by {}", names.join(", ")),
    }
}

fn table(backends: &[Backend], rows: &[Row]) -> String {
    let names = backends.iter().map(|backend| backend.name.clone());
    let mut table = ui::table(std::iter::once("bug".to_owned()).chain(names));
    for (name, verdicts) in rows {
        let verdicts = verdicts.iter().map(Verdict::to_string);
        table.add_row(std::iter::once(name.clone()).chain(verdicts));
    }
    let noticed = |i: usize| rows.iter().filter(|row| row.1[i] != Verdict::Survived).count();
    let totals = (0..backends.len()).map(|i| noticed(i).to_string());
    table.add_row(std::iter::once(format!("of {}", rows.len())).chain(totals));
    table.to_string()
}

fn fail_on_survivors(rows: &[Row]) -> Result<()> {
    let survives = |row: &&Row| row.1.iter().all(|verdict| *verdict == Verdict::Survived);
    let names: Vec<&str> = rows.iter().filter(survives).map(|row| row.0.as_str()).collect();
    if !names.is_empty() {
        bail!("no test notices {}: add one to rust/pending/tests", names.join(", "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use super::*;

    #[test]
    fn a_bug_survives_if_nobody_notices_it() {
        use Verdict::{Caught, Hung, Survived};
        let row = |name: &str, verdicts: &[Verdict]| (name.to_owned(), verdicts.to_vec());
        let mut rows = vec![row("a", &[Survived, Caught, Survived]), row("b", &[Hung, Caught, Survived])];
        fail_on_survivors(&rows).unwrap();
        let text = table(&config().backend, &rows);
        assert!(text.contains("hangs") && text.contains("of 2"), "{text}");
        rows.push(row("c", &[Survived; 3]));
        let error = fail_on_survivors(&rows).unwrap_err().to_string();
        assert!(error.contains("notices c:"), "{error}");
        assert_eq!(summary(&config().backend, &rows[2].1), "survives");
        assert_eq!(summary(&config().backend, &rows[1].1), "noticed by std, shuttle");
    }

    #[test]
    fn what_cargo_mutants_misses_is_an_error() {
        let exit = |code: i32| End::Exited(ExitStatus::from_raw(code << 8));
        let fine = "Found 2 mutants to test\n2 mutants tested in 1s: 1 caught, 1 timeouts\n";
        assert_eq!(judge(exit(0), fine).unwrap(), "2 mutants tested in 1s: 1 caught, 1 timeouts");
        judge(exit(3), fine).unwrap();
        let missed = "Found 1 mutant to test\nMISSED   a.rs:1:2: replace f in 1s build\n1 missed\n";
        let error = judge(exit(2), missed).unwrap_err().to_string();
        assert!(error.contains("a.rs:1:2: replace f"), "{error}");
        assert!(judge(exit(1), "error: no such option\n").is_err());
        assert!(judge(exit(0), "Found 0 mutants to test\n").is_err());
        assert!(judge(exit(0), "").is_err());
    }
}
