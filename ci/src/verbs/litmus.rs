// SPDX-License-Identifier: GPL-2.0
//! `litmus`: the tests of `rust/litmus/`, by herd7 and the memory model of the kernel tree.
//!
//! A test says what it comes to in its `Result:` line, as those of the kernel do. `a.litmus` is
//! of the series, and its bad end is never reached. `a+b.litmus` is a twin of it with a bug, b,
//! whose bad end is reached: without one, `a` may be a test that cannot fail.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{bail, Context, Result};
use serde::Deserialize;

use crate::series::tree;
use crate::system::apt::{self, Package};
use crate::system::child::{self, End, Interrupted};
use crate::system::ui::{self, first_error, Step};
use crate::system::{data::data, deps, programs::Version, project::Project};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    oldest: String,
    limit: u64,
    package: Package,
}

fn config() -> Config {
    data!("litmus.toml")
}

pub fn run(project: &Project) -> Result<()> {
    deps::packages(project)?;
    let model = tree::ensure(project)?.dir.join("tools/memory-model");
    let config = config();
    let herd7 = herd7(project, &config)?;
    let tests = tests(&project.root.join("rust/litmus"))?;
    fail_without_twins(&tests)?;
    let mut table = ui::table(["test", "expected", "herd7 says", "s"]);
    let mut failed = 0;
    for test in &tests {
        let start = Instant::now();
        let said = match project.ui.step(&test.name, |step| test.run(step, &herd7, &model, config.limit)) {
            Err(error) if error.is::<Interrupted>() => return Err(error),
            said => said,
        };
        if let Err(error) = &said {
            failed += 1;
            eprintln!("error: {error:#}");
        }
        let said = said.unwrap_or_else(|_| "fails".to_owned());
        let seconds = format!("{:.1}", start.elapsed().as_secs_f64());
        table.add_row([&test.name, &test.expected, &said, &seconds]);
    }
    ui::align_right(&mut table, [3]);
    println!("{table}");
    match failed {
        0 => Ok(()),
        n => bail!("{n} of {} litmus tests do not come to what they say, see above", tests.len()),
    }
}

struct Test {
    name: String,
    file: PathBuf,
    /// Such as `Never`, or `Sometimes DATARACE`.
    expected: String,
}

/// Those of a folder, by name.
fn tests(dir: &Path) -> Result<Vec<Test>> {
    let mut tests = vec![];
    for entry in fs::read_dir(dir).with_context(|| format!("no litmus tests in {}", dir.display()))? {
        let file = entry?.path();
        if file.extension().is_some_and(|e| e == "litmus") {
            let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let text = fs::read_to_string(&file)?;
            let expected = expected(&text);
            let expected = expected.with_context(|| format!("{name}.litmus has no line ` * Result: ...`"))?;
            tests.push(Test { name, expected: expected.to_owned(), file });
        }
    }
    tests.sort_by(|a, b| a.name.cmp(&b.name));
    match tests.is_empty() {
        true => bail!("no litmus tests in {}", dir.display()),
        false => Ok(tests),
    }
}

/// Makes sure that what is never seen is sometimes seen when something is wrong.
fn fail_without_twins(tests: &[Test]) -> Result<()> {
    let is_twin = |twin: &&Test, name: &str| twin.name.split_once('+').is_some_and(|(of, _)| of == name);
    for test in tests {
        let wanted = if test.name.contains('+') { "Sometimes" } else { "Never" };
        if test.expected.split(' ').next() != Some(wanted) {
            bail!("{}.litmus expects {}: with that name it is to expect {wanted}", test.name, test.expected);
        }
        if wanted == "Never" && !tests.iter().any(|twin| is_twin(&twin, &test.name)) {
            bail!("{0}.litmus has no twin that fails: add a {0}+<bug>.litmus", test.name);
        }
    }
    Ok(())
}

impl Test {
    /// What herd7 says, if that is what is expected.
    fn run(&self, step: &mut Step, herd7: &Path, model: &Path, limit: u64) -> Result<String> {
        let mut cmd = child::command(herd7);
        cmd.args(["-conf", "linux-kernel.cfg"]).arg(&self.file).current_dir(model);
        let (end, output) = step.run_until(&mut cmd, Some(Instant::now() + Duration::from_secs(limit)))?;
        if matches!(end, End::TimedOut) {
            bail!("it takes more than {limit} s: make it smaller, or the limit in ci/litmus.toml larger");
        }
        // A test that herd7 cannot read is no failure to it.
        let said = observed(&output, &self.name).with_context(|| first_error(&output).to_owned())?;
        if said != self.expected {
            bail!("herd7 says {said}, expected is {}", self.expected);
        }
        step.note(&said);
        Ok(said)
    }
}

/// What a test is to come to, in the kernel's notation.
fn expected(test: &str) -> Option<&str> {
    test.lines().find_map(|line| line.strip_prefix(" * Result: ")).map(str::trim)
}

/// What a test came to, in the same notation. Flags other than that of a data race, such as that
/// of a lock that is not released, are part of it, so that they are never what is expected.
fn observed(output: &str, name: &str) -> Option<String> {
    let of_test = |line: &str| {
        let mut words = line.strip_prefix("Observation ")?.split(' ');
        (words.next()? == name).then(|| words.next().map(str::to_owned))?
    };
    let observation = output.lines().find_map(of_test)?;
    let flags = output.lines().filter_map(|line| line.strip_prefix("Flag "));
    let flags = flags.map(|flag| if flag == "data-race" { "DATARACE" } else { flag });
    Some(flags.fold(observation, |said, flag| format!("{said} {flag}")))
}

/// The herd7 of the PATH, if it is new enough, or that of the package.
fn herd7(project: &Project, config: &Config) -> Result<PathBuf> {
    let said = child::capture(child::command("herd7").arg("-version"));
    if said.is_ok_and(|said| Version::find(&said) >= Version::find(&config.oldest)) {
        return Ok("herd7".into());
    }
    let root = config.package.unpacked(project, "ci/litmus.toml")?;
    apt::start(&root, "herd7", "-set-libdir \"$usr/share/herdtools7/herd\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    const RACE: &str = "Test a Allowed\nStates 2\n1:r0=0;\n1:r0=1;\nOk\nWitnesses\n\
        Positive: 1 Negative: 5\nFlag data-race\nCondition exists (1:r0=9)\n\
        Observation a Sometimes 1 5\nTime a 0.06\n";

    fn test(name: &str, expected: &str) -> Test {
        Test { name: name.to_owned(), expected: expected.to_owned(), file: PathBuf::new() }
    }

    #[test]
    fn what_is_expected_is_in_the_comment() {
        assert_eq!(expected("C a\n\n(*\n * Result: Never\n *\n * It is.\n *)\n"), Some("Never"));
        let race = "C a\n(*\n * Result: Sometimes DATARACE\n *)\n";
        assert_eq!(expected(race), Some("Sometimes DATARACE"));
        assert_eq!(expected("C a\n(* The Result: unknown *)\n"), None);
    }

    #[test]
    fn what_is_observed_has_all_flags() {
        assert_eq!(observed(RACE, "a").as_deref(), Some("Sometimes DATARACE"));
        let silent = RACE.replace("Flag data-race\n", "").replace("Sometimes 1", "Never 0");
        assert_eq!(observed(&silent, "a").as_deref(), Some("Never"));
        let lock = RACE.replace("data-race", "unmatched-unlock");
        assert_eq!(observed(&lock, "a").as_deref(), Some("Sometimes unmatched-unlock"));
    }

    #[test]
    fn a_test_that_herd7_cannot_read_comes_to_nothing() {
        let said = "Warning: File \"a.litmus\", line 18: unexpected '&' (in init) (User error)\n";
        assert_eq!(observed(said, "a"), None);
        assert_eq!(observed(RACE, "b"), None);
        assert_eq!(observed(RACE, ""), None);
    }

    #[test]
    fn a_test_without_a_twin_is_refused() {
        let never = || test("a", "Never");
        let refusal = |tests: &[Test]| fail_without_twins(tests).unwrap_err().to_string();
        assert!(refusal(&[never()]).starts_with("a.litmus has no twin"));
        assert!(refusal(&[never(), test("ab+c", "Sometimes")]).starts_with("a.litmus has no twin"));
        assert!(refusal(&[never(), test("a+b", "Never")]).starts_with("a+b.litmus expects Never"));
        assert!(refusal(&[test("a", "Sometimes")]).starts_with("a.litmus expects Sometimes"));
        fail_without_twins(&[never(), test("a+b", "Sometimes DATARACE")]).unwrap();
    }

    #[test]
    fn the_tests_of_the_project_can_fail() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../rust/litmus");
        fail_without_twins(&super::tests(&dir).unwrap()).unwrap();
    }

    #[test]
    fn a_folder_without_tests_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("README"), "").unwrap();
        let refusal = super::tests(dir.path()).err().unwrap().to_string();
        assert!(refusal.starts_with("no litmus tests in "), "{refusal}");
        fs::write(dir.path().join("a.litmus"), "C a\n").unwrap();
        let refusal = super::tests(dir.path()).err().unwrap().to_string();
        assert!(refusal.starts_with("a.litmus has no line"), "{refusal}");
    }

    #[test]
    fn versions_are_compared_by_number() {
        let oldest = Version::find(&config().oldest);
        assert!(Version::find("7.58, Rev: exported\n") >= oldest);
        assert!(Version::find("7.100\n") > oldest);
        assert!(Version::find("7.56.3, Rev: exported\n") < oldest);
        assert!(Version::find("unknown\n") < oldest);
    }
}
