// SPDX-License-Identifier: GPL-2.0
//! `parity`: the same operations on the kernel without and with the option.

use std::time::Duration;

use anyhow::{bail, Result};

use crate::guests::trial::{self, Trial, SPARE};
use crate::kernels::matrix::COMPARED;
use crate::system::project::Project;

/// The module with a large image: the kernel always peeks at its name.
const LARGE: &str = "burst_big";
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
    if let Some(nothing) = lacks(off, ops) {
        bail!("nothing was compared: {nothing}");
    }
    println!("{ops} operations: {} lines, all the same", off.lines().count());
    Ok(())
}

/// Fewer operations may all fail.
const MANY: u32 = 1000;

/// What outputs that are alike must have, and this one does not.
fn lacks(output: &str, ops: u32) -> Option<String> {
    let count = |is: &dyn Fn(&str) -> bool| output.lines().filter(|line| is(line)).count();
    let numbered = count(&|line| line.starts_with(|c: char| c.is_ascii_digit()));
    if numbered != ops as usize {
        return Some(format!("{numbered} of {ops} operations are in the output"));
    }
    let succeeds = |line: &str, what: &str| line.contains(what) && line.contains(": 0");
    let kinds = ["init ", "finit ", "delete "].into_iter();
    let idle = kinds.filter(|what| count(&|line| succeeds(line, what)) == 0);
    let idle = idle.map(|what| format!("no {}succeeds", what)).next();
    let logged = || (count(&|line| line.contains(", logged ")) == 0).then(|| "audit logs nothing".to_owned());
    idle.or_else(logged).filter(|_| ops >= MANY)
}

/// The lines that are not the same.
fn compare<'a>(off: &'a str, on: &'a str) -> Vec<(&'a str, &'a str)> {
    let (mut off, mut on) = (off.lines(), on.lines());
    let pairs = std::iter::from_fn(|| match (off.next(), on.next()) {
        (None, None) => None,
        (off, on) => Some((off.unwrap_or("(nothing)"), on.unwrap_or("(nothing)"))),
    });
    pairs.filter(|(off, on)| off != on && !is_known(off, on)).collect()
}

/// The difference that module-loading.rst tells of: if the module of a large image is live, the
/// audit log does not name the image.
fn is_known(off: &str, on: &str) -> bool {
    let named = format!(", logged {LARGE}");
    on.contains(LARGE) && on.ends_with(": EEXIST") && off.strip_suffix(&named) == Some(on)
}

#[cfg(test)]
mod tests {
    use super::{compare, lacks, MANY};

    #[test]
    fn a_difference_is_found() {
        assert_eq!(compare("1 a: 0\n2 b: EBUSY\n", "1 a: 0\n2 b: EEXIST\n"), [("2 b: EBUSY", "2 b: EEXIST")]);
        assert_eq!(compare("1\n2\n", "1\n"), [("2", "(nothing)")]);
        assert!(compare("1\n2\n", "1\n2\n").is_empty());
    }

    #[test]
    fn the_audit_log_need_not_name_a_large_image_whose_module_is_live() {
        let line = |name: &str, result: &str, logged: &str| format!("1 init {name} \"\": {result}{logged}\n");
        let differ = |name: &str, result: &str| {
            let logged = format!(", logged {name}");
            !compare(&line(name, result, &logged), &line(name, result, "")).is_empty()
        };
        assert!(!differ("burst_big", "EEXIST"));
        assert!(differ("burst_big", "EBUSY") && differ("test_module_load", "EEXIST"));
        let (named, unnamed) =
            (line("burst_big", "EEXIST", ", logged burst_big"), line("burst_big", "EEXIST", ""));
        assert!(!compare(&unnamed, &named).is_empty());
    }

    #[test]
    fn outputs_that_are_alike_must_show_something() {
        let all = |last: &str| {
            let line = |number| format!("{number} inits return 0: 0\n");
            let lines: String = (4..=MANY).map(line).collect();
            format!("1 init m: 0, logged m\n2 finit m: EEXIST\n{last}  tainted 0\n{lines}")
        };
        let lacks_of = |output: &str| lacks(output, MANY).unwrap_or_default();
        assert_eq!(lacks_of(""), "0 of 1000 operations are in the output");
        assert_eq!(lacks_of(&all("3 delete m: 0\n")), "no finit succeeds");
        let whole = all("3 delete m: 0\n").replace("m: EEXIST", "m: 0");
        assert_eq!(lacks(&whole, MANY), None);
        assert_eq!(lacks_of(&whole.replace(", logged m", "")), "audit logs nothing");
        assert_eq!(lacks("1 init m: EPERM\n", 1), None);
    }
}
