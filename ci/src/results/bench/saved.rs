// SPDX-License-Identifier: GPL-2.0
//! The files that the verbs bench and scale leave: numbers, charts, and what documents say of them.

use std::fs;
use std::path::Path;

use anyhow::Result;

use super::plot::Chart;
use super::results::Results;
use crate::results::{numbers, readme};
use crate::system::project::Project;

const NUMBERS: &str = "results.json";

/// Writes them. Those that are not to be published are in build/, and in no document.
pub fn save(
    project: &Project,
    verb: &str,
    (results, charts): (&Results, &[Chart]),
    publish: bool,
    block: impl Fn(&str) -> Result<String>,
) -> Result<()> {
    let name = format!("{}/{verb}", if publish { "ci" } else { "build" });
    let dir = project.root.join(&name);
    fs::create_dir_all(&dir)?;
    numbers::write(&dir.join(NUMBERS), results)?;
    for chart in charts {
        fs::write(dir.join(&chart.plot.file), chart.draw()?)?;
    }
    if publish {
        readme::rewrite(&project.root, verb, block)?;
    }
    project.ui.say(&format!("numbers and charts are in {name}/"));
    Ok(())
}

/// The numbers of the last full run, if there was one.
pub fn read(root: &Path, verb: &str) -> Result<Option<Results>> {
    numbers::read(&root.join("ci").join(verb).join(NUMBERS))
}

/// Those of the repository.
#[cfg(test)]
pub fn published(verb: &str) -> Results {
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."), verb).unwrap().unwrap()
}

/// Fails unless charts and documents of the repository are as `verb` makes them of the numbers.
#[cfg(test)]
pub fn assert_current(verb: &str, charts: &[Chart], block: impl Fn(&str) -> Result<String>) {
    readme::assert_current(verb, block);
    for chart in charts {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(verb).join(&chart.plot.file);
        let is_drawn = fs::read_to_string(&file).unwrap() == chart.draw().unwrap();
        assert!(is_drawn, "{} is not of {NUMBERS}: run make {verb}", file.display());
    }
}
