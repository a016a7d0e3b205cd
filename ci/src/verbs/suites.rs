// SPDX-License-Identifier: GPL-2.0
//! `suites`: the suites of suites.toml on the kernel without and with the option.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{bail, Result};
use serde::Deserialize;

use crate::guests::vng::{self, Guest, CPUS, OUT};
use crate::kernels::build::{self, stage, Kernel};
use crate::kernels::matrix::{self, SUITES};
use crate::kernels::toolchain;
use crate::results::ktap::{self, Outcome};
use crate::system::{apt::Package, data::data, deps, project::Project, tools::Tools, ui};

/// For all suites on one kernel: two cases of kmod's run 150 times if they pass.
const LIMIT: Duration = Duration::from_secs(2 * 3600);
/// The folder of stress-ng in the guest.
const TOOLS: &str = "/tmp/suites";

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Suites {
    stress_ng: Package,
    machine: Machine,
    suite: Vec<Suite>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Machine {
    qemu: Vec<String>,
}

/// suites.toml says what the fields are.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Suite {
    name: String,
    #[serde(default)]
    scripts: Vec<String>,
    cases: Vec<String>,
    #[serde(default)]
    setup: String,
    run: String,
}

/// What one kernel did: each case's outcome, and the lines that must be the same.
struct Results {
    outcomes: BTreeMap<String, Outcome>,
    facts: Vec<String>,
}

impl Results {
    fn has_passed(&self, name: &str) -> bool {
        self.outcomes.get(name) == Some(&Outcome::Passed)
    }
}

impl Suite {
    fn has_passed(&self, case: &str, results: &Results) -> bool {
        results.has_passed(&format!("{}: {case}", self.name))
    }
}

/// The verb.
pub fn run(project: &Project) -> Result<()> {
    let (tools, tree) = &toolchain::set_up(project)?;
    let chosen = matrix::chosen(&project.opts)?;
    let arch = chosen.with_vng()?;
    deps::ensure_for(project, "suites")?;
    let suites: Suites = data!("suites.toml");
    let stress_ng = suites.stress_ng.unpacked(project, "ci/suites.toml")?;
    let kernels = build::ensure(project, tools, tree, &arch.with_kernels(&SUITES))?;
    let mut all = vec![];
    for name in SUITES {
        let kernel = &kernels[name];
        for script in suites.suite.iter().flat_map(|suite| &suite.scripts) {
            stage::copy_to(&kernel.stage, &tree.dir.join("tools/testing/selftests").join(script))?;
        }
        all.push(boot(project, tools, kernel, &suites, &stress_ng)?);
    }
    let [off, on] = all.as_slice() else { bail!("two kernels, and not two results") };
    println!("{}", table(&suites.suite, off, on));
    if let Some(name) = idle(&suites.suite, off) {
        bail!("no case of {name} passes with the option off: it does not run here");
    }
    match worse(off, on).as_slice() {
        [] => Ok(()),
        list => bail!("with the option on, other than with it off: {}", list.join("; ")),
    }
}

fn boot(project: &Project, tools: &Tools, kernel: &Kernel, suites: &Suites, dir: &Path) -> Result<Results> {
    let name = format!("suites {}", kernel.name);
    let out = project.root.join(format!("build/results/{}", kernel.name));
    let mut options = vec![format!("--rodir={TOOLS}={}", dir.display())];
    options.extend(suites.machine.qemu.iter().map(|words| format!("--qemu-opts={words}")));
    let script = script(&suites.suite);
    let guest = Guest { name: name.clone(), kernel, cpus: CPUS, script, limit: LIMIT, out, options };
    project.ui.step(&name, |step| {
        let verdict = vng::run(project, tools, step, &guest)?;
        let read = |file: &str| fs::read_to_string(guest.out.join(file)).unwrap_or_default();
        let (output, ktap) = (read("output"), read("ktap"));
        step.write(&output)?;
        step.write(&ktap)?;
        if !verdict.is_clean() {
            bail!("{verdict}");
        }
        let outcomes = ktap::parse(&ktap)?;
        let passed = outcomes.values().filter(|o| **o == Outcome::Passed).count();
        step.note(format!("{passed} of {} passed", outcomes.len()));
        Ok(Results { outcomes, facts: facts(&output) })
    })
}

/// All suites; what they are called and how they end goes to the file ktap.
fn script(suites: &[Suite]) -> String {
    let cases: usize = suites.iter().map(|suite| suite.cases.len()).sum();
    let mut script = format!(
        "SUITES={TOOLS} MODULES=/lib/modules/$(uname -r)\n\
         export SUITES MODULES\n\
         mkdir -p /lib/modules && cp -r .$MODULES /lib/modules/ || exit\n\
         exec 3> {OUT}/ktap\n\
         echo 1..{cases} >&3\n\
         ended() {{\n\
         \tcase $1 in\n\
         \t0) echo \"ok $2\" ;;\n\
         \t4) echo \"ok $2 # SKIP it says so\" ;;\n\
         \t*) echo \"not ok $2\" ;;\n\
         \tesac >&3\n\
         }}\n"
    );
    let mut number = 0;
    for suite in suites {
        script += &suite.setup;
        for case in &suite.cases {
            number += 1;
            script += &format!(
                "case='{case}'; name='{name}: {case}'\n\
                 echo \"ci: progress: $name\" > /dev/kmsg\n\
                 echo \"## $name\"\n\
                 ( {run}\n) 3>&-\n\
                 ended $? \"{number} $name\"\n",
                name = suite.name,
                run = suite.run.trim_end(),
            );
        }
    }
    script
}

/// The lines that start with "= ", each under its case.
fn facts(output: &str) -> Vec<String> {
    let mut case = "";
    let mut facts = vec![];
    for line in output.lines() {
        if let Some(name) = line.strip_prefix("## ") {
            case = name;
        } else if let Some(fact) = line.strip_prefix("= ") {
            facts.push(format!("{case}: {fact}"));
        }
    }
    facts
}

/// What passed without the option and does not with it; what should be the same and is not.
fn worse(off: &Results, on: &Results) -> Vec<String> {
    let lost = off.outcomes.keys().filter(|name| off.has_passed(name) && !on.has_passed(name));
    let changed = off.facts.iter().filter(|fact| !on.facts.contains(fact));
    let new = on.facts.iter().filter(|fact| !off.facts.contains(fact));
    lost.chain(changed).chain(new).cloned().collect()
}

/// A suite that says nothing of the series.
fn idle<'a>(suites: &'a [Suite], off: &Results) -> Option<&'a str> {
    let passes = |suite: &Suite| suite.cases.iter().any(|case| suite.has_passed(case, off));
    suites.iter().find(|suite| !passes(suite)).map(|suite| suite.name.as_str())
}

fn table(suites: &[Suite], off: &Results, on: &Results) -> String {
    let mut table = ui::table(["suite", "cases", "passed, off", "passed, on", "not passed"]);
    for suite in suites {
        let cases = || suite.cases.iter();
        let count = |results| cases().filter(|case| suite.has_passed(case, results)).count().to_string();
        let both = |case: &str| suite.has_passed(case, off) && suite.has_passed(case, on);
        let not = cases().filter(|case| !both(case)).cloned().collect::<Vec<_>>().join(", ");
        table.add_row([suite.name.clone(), suite.cases.len().to_string(), count(off), count(on), not]);
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(first: Outcome, facts: &[&str]) -> Results {
        let outcomes = [("a: 1".to_owned(), first), ("a: 2".to_owned(), Outcome::Failed)].into();
        Results { outcomes, facts: facts.iter().map(|&fact| fact.to_owned()).collect() }
    }

    #[test]
    fn only_what_is_worse_or_differs_counts() {
        let passed = results(Outcome::Passed, &["a: x"]);
        assert!(worse(&passed, &results(Outcome::Passed, &["a: x"])).is_empty());
        assert!(worse(&results(Outcome::Failed, &["a: x"]), &passed).is_empty());
        assert_eq!(worse(&passed, &results(Outcome::Failed, &["a: x"])), ["a: 1"]);
        assert_eq!(worse(&passed, &results(Outcome::Skipped("no".to_owned()), &["a: x"])), ["a: 1"]);
        assert_eq!(worse(&passed, &results(Outcome::Passed, &["a: y"])), ["a: x", "a: y"]);
    }

    #[test]
    fn a_suite_that_does_not_run_is_named() {
        let mut suites: Suites = data!("suites.toml");
        suites.suite.truncate(1);
        (suites.suite[0].name, suites.suite[0].cases) =
            ("a".to_owned(), vec!["1".to_owned(), "2".to_owned()]);
        assert_eq!(idle(&suites.suite, &results(Outcome::Passed, &[])), None);
        assert_eq!(idle(&suites.suite, &results(Outcome::Failed, &[])), Some("a"));
    }

    #[test]
    fn facts_belong_to_their_case() {
        assert_eq!(facts("## a: 1\n= x\nother\n## a: 2\n= x\n"), ["a: 1: x", "a: 2: x"]);
    }

    #[test]
    fn the_script_is_one_for_a_shell() {
        let suites: Suites = data!("suites.toml");
        let script = script(&suites.suite);
        let mut shell = std::process::Command::new("sh");
        assert!(shell.args(["-n", "-c", &script]).status().unwrap().success());
    }
}
