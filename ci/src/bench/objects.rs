// SPDX-License-Identifier: GPL-2.0
//! Code size: the loader's objects of the base, of the series without the option and
//! with it; and whether main.o without it is that of the base.
//!
//! None is one that is booted: base and off are without Rust, on which nothing of theirs
//! depends, on is without its tests.

use std::fs;
use std::path::Path;

use anyhow::{bail, Context, Result};
use regex_lite::Regex;
use serde_json::{json, Value};

use super::compile;
use super::results::Results;
use crate::build::Kernel;
use crate::child;
use crate::deps::Tools;
use crate::matrix::{Arch, PLAIN, PLAIN_ON};
use crate::project::Project;
use crate::tree::Tree;

pub const KEY: &str = "objects";
const FOLDER: &str = "kernel/module/";

pub fn measure(
    (project, tools): (&Project, &Tools),
    arch: &Arch,
    (base, series): (&Tree, &Tree),
    on: &Kernel,
    results: &mut Results,
) -> Result<()> {
    let compile = |tree, variant| compile::only((project, tools), tree, (arch, variant), FOLDER);
    let (base, off, with) = (compile(base, PLAIN)?, compile(series, PLAIN)?, compile(series, PLAIN_ON)?);
    let entry = compile::type_size((project, tools), series, on, ("kernel/module/pending", "PendingLoad"))?;
    project.ui.step("compare objects", |step| {
        let differing = differing_lines(tools, &base, &off)?;
        step.note(format!("{differing} lines of main.o differ with the option off"));
        results.add("base", KEY, sizes(tools, &base)?);
        let mut object = sizes(tools, &off)?;
        object["differing_lines"] = differing.into();
        results.add("off", KEY, object);
        let mut object = sizes(tools, &with)?;
        object["entry"] = entry.into();
        results.add("on", KEY, object);
        Ok(())
    })
}

/// Of what is linked of the loader, not of objects that an earlier configuration has left.
fn sizes(tools: &Tools, obj: &Path) -> Result<Value> {
    sum(&child::capture(child::command(tools.llvm("llvm-size")).arg(obj.join(FOLDER).join("built-in.a")))?)
}

/// Adds up lines of "text data bss dec hex file".
fn sum(table: &str) -> Result<Value> {
    let (mut text, mut data) = (0, 0);
    for line in table.lines().skip(1) {
        let mut numbers = line.split_whitespace().map(str::parse::<u64>);
        let (Some(Ok(t)), Some(Ok(d)), Some(Ok(b))) = (numbers.next(), numbers.next(), numbers.next()) else {
            bail!("llvm-size says {line}");
        };
        (text, data) = (text + t, data + d + b);
    }
    Ok(json!({ "text": text, "data": data }))
}

/// Lines of the disassembly that are only in one of the two.
fn differing_lines(tools: &Tools, base: &Path, off: &Path) -> Result<usize> {
    let dir = tempfile::tempdir()?;
    for (name, obj) in [("base", base), ("off", off)] {
        fs::write(dir.path().join(name), disassembly(tools, &obj.join(FOLDER).join("main.o"))?)?;
    }
    let output = child::command("diff").current_dir(dir.path()).args(["base", "off"]).output()?;
    // 1: they differ; more: it could not tell.
    if output.status.code().is_none_or(|code| code > 1) {
        bail!("diff: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().filter(|line| line.starts_with(['<', '>'])).count())
}

fn disassembly(tools: &Tools, object: &Path) -> Result<String> {
    let mut objdump = child::command(tools.llvm("llvm-objdump"));
    objdump.args(["-dr", "--no-show-raw-insn", "--no-leading-addr", "--symbolize-operands"]);
    let text = child::capture(objdump.arg(object))?;
    let (_, code) = text.split_once("file format").context("llvm-objdump shows no code")?;
    Ok(without_places(code))
}

/// A line that is longer or shorter moves the labels, the functions and the strings that follow.
fn without_places(code: &str) -> String {
    let place = Regex::new(r"<L\d+>|(<\w+|\.rodata\.str\S*?)\+0x[0-9a-f]+").expect("it is constant");
    place.replace_all(code, "$1").into_owned()
}

#[cfg(test)]
mod tests {
    use super::{sum, without_places};

    #[test]
    fn a_place_is_no_difference() {
        let code = |label: &str, at: &str| {
            format!("je <{label}>\ncmpl $0x0, <f+{at}>\nR_X86_64_32S .rodata.str1.1+{at}\nmovl $0x1\n")
        };
        assert_eq!(without_places(&code("L1", "0x53")), without_places(&code("L20", "0xa2")));
        assert!(without_places(&code("L1", "0x53")).contains("movl $0x1"));
    }

    #[test]
    fn objects_are_added_up() {
        let table = "   text\t   data\t    bss\t    dec\t    hex\tfilename\n\
                     100\t 10\t 1\t 111\t 6f\t main.o (ex built-in.a)\n\
                     200\t 20\t 2\t 222\t de\t kmod.o (ex built-in.a)\n";
        assert_eq!(sum(table).unwrap(), serde_json::json!({ "text": 300, "data": 33 }));
        assert!(sum("x\nnonsense\n").is_err());
    }
}
