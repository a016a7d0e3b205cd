// SPDX-License-Identifier: GPL-2.0
//! What enough rounds leave in the repository: all that was measured, as JSON; made of
//! that, a picture, and the table of README.md.

use std::fs;
use std::path::Path;

use anyhow::{bail, Result};

use super::picture;
use super::report;
use super::scenarios::{scenarios, Measured, Record, Rounds, Scenario};
use crate::guests::vng::{self, CPUS};
use crate::results::{numbers, readme};
use crate::system::project::Project;

const DIR: &str = "ci/bench";
const NUMBERS: &str = "boot.json";
const PICTURE: &str = "before-after.svg";

/// Writes all three.
pub fn save(project: &Project, scenarios: &[Scenario], all: Vec<Rounds>) -> Result<()> {
    let about = about(all.first().map_or(0, |rounds| rounds[0].len()));
    let one = |(scenario, rounds): (&Scenario, Rounds)| Measured { scenario: scenario.name.clone(), rounds };
    let record = Record { about, scenarios: scenarios.iter().zip(all).map(one).collect() };
    let dir = project.root.join(DIR);
    fs::create_dir_all(&dir)?;
    numbers::write(&dir.join(NUMBERS), &record)?;
    fs::write(dir.join(PICTURE), picture::draw(&record)?)?;
    readme::rewrite(&project.root, "boot", |name| block(name, &record))?;
    project.ui.say(&format!("{DIR}/{NUMBERS}, {DIR}/{PICTURE} and the table of README.md are of this run"));
    Ok(())
}

/// What the cover letter shows of it.
pub fn cover(root: &Path) -> Result<Option<Vec<[String; 3]>>> {
    let Some(mut record) = numbers::read::<Record>(&root.join(DIR).join(NUMBERS))? else {
        return Ok(None);
    };
    let shown: Vec<Scenario> = scenarios().into_iter().filter(|scenario| scenario.cover).collect();
    record.scenarios.retain(|measured| shown.iter().any(|scenario| scenario.name == measured.scenario));
    Ok(Some(report::plain(&record.scenarios)))
}

fn about(rounds: usize) -> String {
    let how = if vng::kvm_works() { "under KVM" } else { "emulated" };
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    format!(
        "Option off → option on, medians of {rounds} rounds of `make boot ROUNDS={rounds}`, in turn, on {CPUS} \
         virtual CPUs, {how} on {cores} cores."
    )
}

fn block(name: &str, record: &Record) -> Result<String> {
    match name {
        "table" => Ok(report::markdown(&record.scenarios)),
        "about" => Ok(record.about.clone()),
        _ => bail!("{name}: boot has no such numbers"),
    }
}

#[cfg(test)]
pub mod tests {
    use super::super::scenarios::Burst;
    use super::*;

    pub fn measured(scenario: &str, before_ms: f64, after_ms: f64) -> Measured {
        let burst = |wall_ms| Burst { wall_ms, runs: Some(1), peak_vmalloc_kib: 1024, ..Burst::default() };
        Measured { scenario: scenario.to_owned(), rounds: [vec![burst(before_ms)], vec![burst(after_ms)]] }
    }

    #[test]
    fn a_number_that_there_is_not_is_an_error() {
        let record = Record { about: "here".to_owned(), scenarios: vec![measured("a", 9.0, 1.0)] };
        assert_eq!(block("about", &record).unwrap(), "here");
        assert!(block("abuot", &record).is_err());
    }

    #[test]
    fn the_documents_say_what_was_measured() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let read = |name: &str| fs::read_to_string(root.join(name)).unwrap();
        let again = "not of ci/bench/boot.json: run make boot ROUNDS=5";
        let record: Record = serde_json::from_str(&read(&format!("{DIR}/{NUMBERS}"))).unwrap();
        readme::assert_current("boot", |name| block(name, &record));
        let measured: Vec<&str> = record.scenarios.iter().map(|one| one.scenario.as_str()).collect();
        let wanted = scenarios();
        let wanted: Vec<&str> = wanted.iter().map(|scenario| scenario.name.as_str()).collect();
        assert_eq!(measured, wanted, "ci/scenarios.toml is {again}");
        let drawn = picture::draw(&record).unwrap();
        assert!(read(&format!("{DIR}/{PICTURE}")) == drawn, "{PICTURE} is {again}");
    }
}
