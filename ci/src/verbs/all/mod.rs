// SPDX-License-Identifier: GPL-2.0
//! The verb `all`: every run of ci/all.toml, one after the other, as a release wants them. What
//! came of each, and on which commit, is kept in ci/all.json. A run that has passed is left out
//! until something that it depends on changes, so `all` goes on where it was stopped.

mod plan;

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{bail, Result};
use serde::{Deserialize, Serialize};

use crate::results::{letter, numbers, readme};
use crate::series::{export, patches, tree};
use crate::system::child::{self, End, Interrupted};
use crate::system::git::Git;
use crate::system::project::Project;
use crate::system::ui;
pub use plan::words;
use plan::{Plan, Run};

const RESULTS: &str = "ci/all.json";

/// What came of a run.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
struct Outcome {
    commit: String,
    /// The kernel's tree with the series, as git names it. Messages of patches are no part of it.
    tree: String,
    seconds: u64,
    passed: bool,
    /// The last line that the verb printed.
    result: String,
}

/// By the name of the run.
type Outcomes = BTreeMap<String, Outcome>;

/// What a result is of.
struct Subject {
    /// The project.
    git: Git,
    /// As in `Outcome`, today.
    tree: String,
}

impl Subject {
    fn of(project: &Project) -> Result<Subject> {
        let tree = tree::current(project)?.capture(["rev-parse", "HEAD^{tree}"])?;
        Ok(Subject { git: Git::at(&project.root), tree })
    }

    /// Whether something that a run depends on has changed since.
    fn has_changed(&self, plan: &Plan, run: &Run, outcome: &Outcome) -> Result<bool> {
        let mut diff = self.git.cmd(["diff", "--quiet", &outcome.commit, "--"]);
        Ok(outcome.tree != self.tree || !child::succeeds(diff.args(plan.paths(run)))?)
    }
}

pub fn run(project: &Project) -> Result<()> {
    let plan = Plan::read();
    let only = project.opts.only.as_deref();
    let chosen: Vec<&Run> = plan.run.iter().filter(|run| run.is_chosen(only)).collect();
    let subject = Subject::of(project)?;
    let mut outcomes = read(project)?;
    let mut todo = vec![];
    for &run in &chosen {
        if needs_run(&subject, &plan, run, outcomes.get(&run.name()))? {
            todo.push(run);
        }
    }
    for (done, run) in todo.iter().enumerate() {
        fail_if_uncommitted(&subject.git, &plan, run)?;
        let left = left(&todo[done..], &outcomes);
        project.ui.say(&format!("{} of {}: make {}{left}", done + 1, todo.len(), run.name()));
        let outcome = run_one(project, &subject, run)?;
        outcomes = read(project)?;
        outcomes.insert(run.name(), outcome);
        numbers::write(&project.root.join(RESULTS), &outcomes)?;
        let table = table(&subject, &plan, &outcomes)?;
        readme::rewrite(&project.root, "all", |_| Ok(table.clone()))?;
        update_letter(project)?;
    }
    println!("{}", table(&subject, &plan, &outcomes)?);
    let failed: Vec<String> =
        chosen.iter().map(|run| run.name()).filter(|name| !outcomes[name].passed).collect();
    if !failed.is_empty() {
        bail!("failed: make {}; what passed is not run again", failed.join(", make "));
    }
    Ok(())
}

/// The cover letter gets the numbers that a verb has measured: `test` and `submit` want it to have
/// the last ones. If linux/ has another series than patches/, or is not there, it is left alone.
fn update_letter(project: &Project) -> Result<()> {
    let Ok(git) = tree::committed(project) else { return Ok(()) };
    let different = export::differences(project, &export::export(&git)?)?;
    let is_same = different.iter().all(|file| patches::is_cover(file));
    if !is_same || letter::outdated(project, &git)?.is_none() {
        return Ok(());
    }
    project.ui.step("make patches", |step| {
        step.run(child::command("make").arg("patches").current_dir(&project.root)).map(drop)
    })
}

fn read(project: &Project) -> Result<Outcomes> {
    Ok(numbers::read(&project.root.join(RESULTS))?.unwrap_or_default())
}

/// Whether a run has not passed yet, or depends on something that has changed since.
fn needs_run(subject: &Subject, plan: &Plan, run: &Run, outcome: Option<&Outcome>) -> Result<bool> {
    match outcome {
        Some(outcome) if outcome.passed => subject.has_changed(plan, run, outcome),
        _ => Ok(true),
    }
}

/// A result belongs to a commit.
fn fail_if_uncommitted(git: &Git, plan: &Plan, run: &Run) -> Result<()> {
    let mut status = git.cmd(["status", "--porcelain", "--"]);
    if !child::capture(status.args(plan.paths(run)).arg("patches"))?.is_empty() {
        bail!("what make {} depends on has changes that are in no commit: commit them first", run.name());
    }
    Ok(())
}

/// How long these took the last time, as far as that is known.
fn left(runs: &[&Run], outcomes: &Outcomes) -> String {
    let known = runs.iter().map(|run| outcomes.get(&run.name()).map(|outcome| outcome.seconds));
    match known.sum::<Option<u64>>() {
        Some(seconds) => format!(", about {} min left", seconds.div_ceil(60)),
        None => String::new(),
    }
}

/// The verb runs by make, which builds the driver of this commit. That takes the lock.
fn run_one(project: &Project, subject: &Subject, run: &Run) -> Result<Outcome> {
    // If somebody else has the lock, this is no result of the verb.
    drop(project.lock()?);
    let commit = subject.git.capture(["rev-parse", "--short=12", "HEAD"])?;
    let start = Instant::now();
    let mut cmd = child::command("make");
    cmd.arg(&run.verb).envs(&run.set).current_dir(&project.root);
    let ended = project.ui.step(&format!("make {}", run.name()), |step| {
        let (end, output) = step.run_until(&mut cmd, None)?;
        let last = last_line(&output);
        step.note(last);
        let passed = matches!(end, End::Exited(status) if status.success());
        Ok((passed, last.to_owned()))
    });
    let (passed, result) = match ended {
        Err(error) if error.is::<Interrupted>() => return Err(error),
        Err(error) => (false, error.to_string()),
        Ok(ended) => ended,
    };
    let tree = subject.tree.clone();
    Ok(Outcome { commit, tree, seconds: start.elapsed().as_secs(), passed, result })
}

/// The last line of the verb that is not of a table.
fn last_line(output: &str) -> &str {
    let mut lines = output.lines().rev().map(str::trim);
    let is_makes = |line: &str| line.starts_with("make") && line.contains("***");
    lines.find(|line| !line.is_empty() && !line.starts_with('|') && !is_makes(line)).unwrap_or_default()
}

fn table(subject: &Subject, plan: &Plan, outcomes: &Outcomes) -> Result<String> {
    let mut table = ui::table(["make", "commit", "minutes", "passed", "changed since", "last line"]);
    for run in &plan.run {
        let name = run.name();
        let Some(outcome) = outcomes.get(&name) else {
            table.add_row([&name, "–", "–", "not run", "–", "–"]);
            continue;
        };
        let yes_or_no = |is: bool| if is { "yes" } else { "no" };
        let changed = yes_or_no(subject.has_changed(plan, run, outcome)?);
        let minutes = outcome.seconds.div_ceil(60).to_string();
        let passed = yes_or_no(outcome.passed);
        table.add_row([&name, &outcome.commit, &minutes, passed, changed, &shortened(&outcome.result)]);
    }
    ui::align_right(&mut table, [2]);
    Ok(table.to_string())
}

/// As much of a line as a table has room for.
fn shortened(line: &str) -> String {
    const WIDTH: usize = 100;
    match line.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{}…", line[..end].trim_end()),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn outcome(commit: &str, tree: &str) -> Outcome {
        let [commit, tree] = [commit, tree].map(str::to_owned);
        Outcome { commit, tree, seconds: 61, passed: true, result: String::new() }
    }

    #[test]
    fn what_has_passed_runs_again_when_something_changes() {
        let dir = tempfile::tempdir().unwrap();
        let git = Git::at(dir.path());
        let commit = |file: &str, text: &str| {
            fs::write(dir.path().join(file), text).unwrap();
            git.capture(["add", "."]).unwrap();
            git.capture(["commit", "-qm", text]).unwrap();
            git.head().unwrap()
        };
        git.capture(["init", "-q"]).unwrap();
        commit("other", "a");
        let commit_of_run = commit("file", "a");
        let run = Run { verb: "boot".to_owned(), set: BTreeMap::new(), depends: vec!["file".to_owned()] };
        let plan = Plan { depends: vec![], written: vec![], run: vec![] };
        let subject = |tree: &str| Subject { git: Git::at(dir.path()), tree: tree.to_owned() };
        let outcome = |passed| Outcome { passed, ..outcome(&commit_of_run, "a") };
        let needs_on = |tree, passed| needs_run(&subject(tree), &plan, &run, Some(&outcome(passed))).unwrap();
        let needs = |passed| needs_on("a", passed);
        assert!(needs_run(&subject("a"), &plan, &run, None).unwrap());
        assert!(needs(false));
        assert!(!needs(true));
        assert!(needs_on("b", true));
        commit("other", "b");
        assert!(!needs(true));
        fs::write(dir.path().join("file"), "b").unwrap();
        assert!(needs(true));
        assert!(fail_if_uncommitted(&git, &plan, &run)
            .unwrap_err()
            .to_string()
            .ends_with("commit them first"));
        commit("file", "b");
        assert!(needs(true));
        fail_if_uncommitted(&git, &plan, &run).unwrap();
        // So do the patches, of which has_changed() compares the tree.
        fs::create_dir(dir.path().join("patches")).unwrap();
        fs::write(dir.path().join("patches/new"), "").unwrap();
        assert!(fail_if_uncommitted(&git, &plan, &run).is_err());
        commit("patches/new", "c");
        fail_if_uncommitted(&git, &plan, &run).unwrap();
        // A new file counts, too.
        let run = Run { depends: vec!["folder".to_owned()], ..run };
        fs::create_dir(dir.path().join("folder")).unwrap();
        fail_if_uncommitted(&git, &plan, &run).unwrap();
        fs::write(dir.path().join("folder/new"), "").unwrap();
        assert!(fail_if_uncommitted(&git, &plan, &run).is_err());
    }

    #[test]
    fn what_a_verb_writes_counts_only_for_a_run_that_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let git = Git::at(dir.path());
        fs::create_dir_all(dir.path().join("ci/bench")).unwrap();
        let write = |text: &str| fs::write(dir.path().join("ci/bench/results.json"), text).unwrap();
        git.capture(["init", "-q"]).unwrap();
        write("1");
        git.capture(["add", "."]).unwrap();
        git.capture(["commit", "-qm", "all"]).unwrap();
        write("2");
        let run = |depends: &[&str]| Run {
            verb: "test".to_owned(),
            set: BTreeMap::new(),
            depends: depends.iter().map(|path| (*path).to_owned()).collect(),
        };
        let plan = |written: &[&str]| Plan {
            depends: vec![],
            written: written.iter().map(|path| (*path).to_owned()).collect(),
            run: vec![],
        };
        let subject = Subject { git: Git::at(dir.path()), tree: "a".to_owned() };
        let changed = |written: &[&str], depends: &[&str]| {
            subject.has_changed(&plan(written), &run(depends), &outcome("HEAD", "a"))
        };
        assert!(changed(&[], &["ci"]).unwrap());
        assert!(!changed(&["ci/*.json"], &["ci"]).unwrap());
        assert!(changed(&["ci/*.json"], &["ci", "ci/*.json"]).unwrap());
    }

    #[test]
    fn what_a_verb_says_last_is_no_row_of_a_table() {
        assert_eq!(last_line("a\n3 passed, 0 failed\n| a | b |\n|---|---|\n\n"), "3 passed, 0 failed");
        assert_eq!(
            last_line("error: the disk is full\nmake: *** [Makefile:12: soak] Error 1\n"),
            "error: the disk is full"
        );
        assert_eq!(last_line(""), "");
    }

    #[test]
    fn a_long_line_is_cut() {
        assert_eq!(shortened("3 passed"), "3 passed");
        assert_eq!(shortened(&"é".repeat(101)), "é".repeat(100) + "…");
    }

    #[test]
    fn the_time_that_is_left_is_said_if_it_is_known() {
        let plan = Plan::read();
        let runs: Vec<&Run> = plan.run.iter().take(2).collect();
        let mut outcomes = Outcomes::from([(runs[0].name(), outcome("", ""))]);
        assert_eq!(left(&runs, &outcomes), "");
        outcomes.insert(runs[1].name(), outcome("", ""));
        assert_eq!(left(&runs, &outcomes), ", about 3 min left");
    }
}
