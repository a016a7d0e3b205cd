// SPDX-License-Identifier: GPL-2.0
//! `parity`: the same operations on the kernel without and with the option.

use std::time::Duration;

use anyhow::{bail, Result};

use crate::guests::trial::{self, Trial, SPARE};
use crate::kernels::matrix::COMPARED;
use crate::system::project::Project;

/// So many differences are shown.
const SHOWN: usize = 20;

pub fn run(project: &Project) -> Result<()> {
    let (seed, ops) = (trial::seed(project), project.opts.ops);
    let limit = SPARE + Duration::from_millis(200) * ops;
    let arguments = format!("--seed {seed} --ops {ops}");
    // Before any task, or those that are there already are not audited.
    let options = vec!["--append=audit=1".to_owned()];
    let trial = Trial { mode: "parity", arguments, limit, options };
    let outputs = trial::run(project, &COMPARED, &[trial])?;
    let [off, on] = outputs.as_slice() else { bail!("two kernels, and not two outputs") };
    let differences = compare(off, on);
    for (off, on) in differences.iter().take(SHOWN) {
        println!("off: {off}\non:  {on}");
    }
    if !differences.is_empty() {
        bail!("{} lines differ: repeat it with SEED={seed} OPS={ops}", differences.len());
    }
    println!("{ops} operations: {} lines, all the same", off.lines().count());
    Ok(())
}

/// The lines that are not the same.
fn compare<'a>(off: &'a str, on: &'a str) -> Vec<(&'a str, &'a str)> {
    let (mut off, mut on) = (off.lines(), on.lines());
    let pairs = std::iter::from_fn(|| match (off.next(), on.next()) {
        (None, None) => None,
        (off, on) => Some((off.unwrap_or("(nothing)"), on.unwrap_or("(nothing)"))),
    });
    pairs.filter(|(off, on)| off != on).collect()
}

#[cfg(test)]
mod tests {
    use super::compare;

    #[test]
    fn a_difference_is_found() {
        assert_eq!(compare("1 a: 0\n2 b: EBUSY\n", "1 a: 0\n2 b: EEXIST\n"), [("2 b: EBUSY", "2 b: EEXIST")]);
        assert_eq!(compare("1\n2\n", "1\n"), [("2", "(nothing)")]);
        assert!(compare("1\n2\n", "1\n2\n").is_empty());
    }
}
