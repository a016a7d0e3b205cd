// SPDX-License-Identifier: GPL-2.0
//! What compilers say of the files that the series changes.

use anyhow::{bail, Result};

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
