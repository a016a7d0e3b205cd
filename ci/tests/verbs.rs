// SPDX-License-Identifier: GPL-2.0
//! Each verb of the Makefile starts, and refuses a variable that is not its own in one line.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// Runs the driver as make does, for a project that is an empty folder.
fn make(verb: &str, variables: &[(&str, &str)]) -> Output {
    let project = tempfile::tempdir().unwrap();
    let mut driver = Command::new(env!("CARGO_BIN_EXE_ci"));
    driver.arg(verb).env("CARGO_MANIFEST_DIR", project.path().join("ci")).envs(variables.iter().copied());
    driver.output().unwrap()
}

fn verbs() -> Vec<String> {
    let makefile = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("Makefile");
    let makefile = fs::read_to_string(makefile).unwrap();
    let line = makefile.lines().find_map(|line| line.strip_prefix("VERBS := ")).unwrap();
    line.split(' ').map(str::to_owned).collect()
}

#[test]
fn help_names_every_verb() {
    let output = make("help", &[]);
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    for verb in verbs() {
        assert!(text.lines().any(|line| line.starts_with(&format!("  {verb} "))), "no line for {verb}");
    }
}

#[test]
fn make_all_runs_verbs_with_variables_that_there_are() {
    let help = String::from_utf8(make("help", &[]).stdout).unwrap();
    let plan = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("all.toml")).unwrap();
    let plan: toml::Table = plan.parse().unwrap();
    for run in plan["run"].as_array().unwrap() {
        let verb = run["verb"].as_str().unwrap();
        assert!(verbs().iter().any(|known| known == verb), "no make {verb}");
        for name in run.get("set").and_then(toml::Value::as_table).into_iter().flat_map(|set| set.keys()) {
            assert!(help.contains(&format!("  {name}=")), "no variable {name}");
        }
    }
}

#[test]
fn no_verb_takes_what_it_has_no_use_for() {
    let refused = |verb: &str, variable, value| {
        let output = make(verb, &[(variable, value)]);
        assert_eq!(output.status.code(), Some(1), "make {verb} {variable}={value}");
        String::from_utf8(output.stderr).unwrap()
    };
    for verb in verbs().into_iter().filter(|verb| verb != "storm") {
        let said = refused(&verb, "TRACE", "boot.trace");
        assert_eq!(said, "error: TRACE is for make storm: leave it out\n", "make {verb}");
    }
    for (variable, value) in [("MINUTES", "2"), ("OPS", "5"), ("QUICK", "1"), ("SEED", "7"), ("SET", "core")]
    {
        let said = refused("versions", variable, value);
        assert!(said.starts_with(&format!("error: {variable} is for make ")), "{said}");
    }
    // What switches something off changes nothing.
    assert_eq!(make("help", &[("QUICK", "0")]).status.code(), Some(0));
}
