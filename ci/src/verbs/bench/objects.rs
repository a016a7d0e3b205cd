// SPDX-License-Identifier: GPL-2.0
//! Code size: the loader's objects of the base, of the series without the option and
//! with it.
//!
//! None is one that is booted: base and off are without Rust, on which nothing of theirs
//! depends, on is without its tests.

use std::path::Path;

use anyhow::{bail, Result};
use serde_json::{json, Value};

use super::compile;
use crate::kernels::build::Kernel;
use crate::kernels::matrix::{Arch, PLAIN, PLAIN_ON};
use crate::results::bench::{plan::OBJECTS, results::Results};
use crate::series::tree::Tree;
use crate::system::{child, project::Project, tools::Tools};

pub fn measure(
    (project, tools): (&Project, &Tools),
    arch: &Arch,
    (base, series): (&Tree, &Tree),
    on: &Kernel,
    results: &mut Results,
) -> Result<()> {
    let compile = |tree, variant| compile::loader(project, tools, tree, arch, variant);
    let (base, off, with) = (compile(base, PLAIN)?, compile(series, PLAIN)?, compile(series, PLAIN_ON)?);
    let entry = compile::entry_size(project, tools, series, on)?;
    project.ui.step("compare objects", |_| {
        results.add("base", OBJECTS, sizes(tools, &base)?);
        results.add("off", OBJECTS, sizes(tools, &off)?);
        let mut object = sizes(tools, &with)?;
        object["entry"] = entry.into();
        results.add("on", OBJECTS, object);
        Ok(())
    })
}

/// Of what is linked of the loader, not of objects that an earlier configuration has left.
fn sizes(tools: &Tools, obj: &Path) -> Result<Value> {
    sum(&child::capture(
        child::command(tools.llvm("llvm-size")).arg(obj.join(compile::FOLDER).join("built-in.a")),
    )?)
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

#[cfg(test)]
mod tests {
    use super::sum;

    #[test]
    fn objects_are_added_up() {
        let table = "   text\t   data\t    bss\t    dec\t    hex\tfilename\n\
                     100\t 10\t 1\t 111\t 6f\t main.o (ex built-in.a)\n\
                     200\t 20\t 2\t 222\t de\t kmod.o (ex built-in.a)\n";
        assert_eq!(sum(table).unwrap(), serde_json::json!({ "text": 300, "data": 33 }));
        assert!(sum("x\nnonsense\n").is_err());
    }
}
