// SPDX-License-Identifier: GPL-2.0
//! Which files a configuration compiles, and what compilers say of them.

use std::fs;
use std::path::Path;

use anyhow::{bail, Result};

use crate::system::child;

/// The objects that a configuration compiles in a folder, and what those are made of: its
/// Makefile says it, to make.
pub fn compiled(makefile: &Path, config: &Path) -> Result<String> {
    let rules = tempfile::NamedTempFile::new()?;
    let text = format!(
        "include {}\ninclude {}\n.PHONY: objects\n.DEFAULT_GOAL := objects\nobjects:\n\t@echo \
         $(foreach o,$(obj-y) $(obj-m) $(lib-y),$(o) $($(o:.o=-y)) $($(o:.o=-objs)))\n",
        config.display(),
        makefile.display()
    );
    fs::write(rules.path(), text)?;
    child::capture(child::command("make").args(["--silent", "--file"]).arg(rules.path()))
}

/// Fails on the first warning that a compiler gave for one of `files`. Rust's says in its
/// second line which file it is for.
pub fn no_warning(output: &str, files: &[String]) -> Result<()> {
    let lines: Vec<&str> = output.lines().collect();
    let is_of = |line: &&str| files.iter().any(|file| line.contains(file));
    let warned = |pair: &&[&str]| pair[0].contains("warning:") && pair.iter().any(is_of);
    match lines.windows(2).find(warned) {
        Some(pair) => bail!("{}", pair.join(" ")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compiled_is_up_to_the_configuration() {
        let dir = tempfile::tempdir().unwrap();
        let [makefile, config] = ["Makefile", "config"].map(|name| dir.path().join(name));
        let text = "obj-y = fork.o exec.o\nobj-$(CONFIG_A) += a.o b.o\nb-y := part.o\n\
                    ifdef CONFIG_A\nobj-y += with.o\nelse\nobj-y += without.o\nendif\n\
                    $(obj)/gen_%.c: FORCE\n\t$(call if_changed,gen)\n";
        fs::write(&makefile, text).unwrap();
        let objects = |options: &str| {
            fs::write(&config, options).unwrap();
            compiled(&makefile, &config).unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(objects("# CONFIG_A is not set\n"), "fork.o exec.o without.o");
        assert_eq!(objects("CONFIG_A=y\n"), "fork.o exec.o a.o b.o part.o with.o");
        assert_eq!(objects("CONFIG_A=m\n"), "fork.o exec.o with.o a.o b.o part.o");
    }

    #[test]
    fn only_warnings_of_the_series_count() {
        let files = ["kernel/module/main.c".to_owned(), "kernel/module/pending.rs".to_owned()];
        let judged = |output: &str| no_warning(output, &files).map_err(|error| error.to_string());
        let c = "../kernel/module/main.c:3:4: warning: b";
        let rust = "warning: unused variable: `a`\n  --> ../kernel/module/pending.rs:1:2";
        assert!(judged("  CC main.o\n../kernel/module/kmod.c:1:2: warning: a\n  CC kmod.o\n").is_ok());
        assert!(judged(&format!("  CC main.o\n{c}\n  code\n")).unwrap_err().starts_with(c));
        assert!(judged(&format!("  RUSTC pending.o\n{rust}\n")).is_err());
    }
}
