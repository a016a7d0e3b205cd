// SPDX-License-Identifier: GPL-2.0
//! kbuild, with every input that could change the result named.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{bail, Result};

use crate::kernels::kconfig::Fragments;
use crate::system::child::{self, End};
use crate::system::ui::{first_error, Step};
use crate::system::{project::Project, tools::Tools};

/// `make` in the kernel tree `tree`, building in `obj`.
pub fn make(project: &Project, tools: &Tools, tree: &Path, obj: &Path, arch: &str) -> Command {
    let jobs = std::thread::available_parallelism().map_or(1, |n| n.get());
    let mut cmd = child::command("make");
    cmd.arg("-C").arg(tree).arg(format!("O={}", obj.display()));
    cmd.arg(format!("-j{jobs}")).arg(format!("ARCH={arch}"));
    tools.give_to(&mut cmd);
    // Not for HOSTCC: rustc takes that as the name of its linker.
    cmd.arg(cached(&tools.cc()));
    cmd.env("CCACHE_DIR", project.cache.join("ccache-c"));
    // Without that mode, what is not in the cache goes through the preprocessor twice.
    cmd.env("CCACHE_DEPEND", "1");
    // Another clone of the project compiles the same files under another path.
    cmd.env("CCACHE_BASEDIR", &project.root).env("CCACHE_NOHASHDIR", "1");
    cmd.env("KBUILD_BUILD_TIMESTAMP", "@0");
    cmd.env("KBUILD_BUILD_USER", "ci").env("KBUILD_BUILD_HOST", "ci");
    cmd
}

/// The compiler, as kbuild is told of it: behind ccache for all but assembler. In depend mode,
/// ccache does not see what .incbin includes: it gave back arm's piggy.o with an old kernel in it.
fn cached(cc: &str) -> String {
    format!("CC=$(if $(filter %.S,$<),,ccache ){cc}")
}

/// Fails with what the kernel itself says is wrong with the tools for Rust.
pub fn rust_available(step: &mut Step, mut make: Command) -> Result<()> {
    match step.run_until(make.arg("rustavailable"), None)? {
        (End::Exited(status), _) if status.success() => Ok(()),
        (_, said) => bail!("make rustavailable: {}", complaint(&said)),
    }
}

/// What stands between lines of stars, on one line.
fn complaint(said: &str) -> String {
    let lines = said.lines().filter_map(|line| line.strip_prefix("***")).map(str::trim);
    let words: Vec<&str> = lines.filter(|line| !line.is_empty()).flat_map(str::split_whitespace).collect();
    match words.is_empty() {
        true => first_error(said).to_owned(),
        false => words.join(" "),
    }
}

/// Writes the .config of `obj`: what the fragments ask for, and nothing else that can be
/// off. Gives what kconfig said.
pub fn configure(step: &mut Step, mut make: Command, obj: &Path, fragments: &Fragments) -> Result<String> {
    let wanted = obj.join("wanted.config");
    fs::write(&wanted, fragments.text())?;
    step.run(make.env("KCONFIG_ALLCONFIG", &wanted).arg("allnoconfig"))
}

/// Writes the .config of `obj`: the configuration `base`, with what the fragments ask for.
pub fn configure_from(
    step: &mut Step,
    mut make: Command,
    obj: &Path,
    (base, fragments): (&str, &Fragments),
) -> Result<String> {
    // Of two lines for an option, the last one counts.
    fs::write(obj.join(".config"), format!("{base}{}", fragments.text()))?;
    step.run(make.arg("olddefconfig"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{cached, complaint};
    use crate::system::child;

    #[test]
    fn assembler_does_not_come_from_the_cache() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.c"), "").unwrap();
        fs::write(dir.path().join("b.S"), "").unwrap();
        // A make below a make, as kbuild's.
        let text = "all:\n\t@$(MAKE) -n -f Makefile a.o b.o\n%.o: %.c\n\t$(CC) $<\n%.o: %.S\n\t$(CC) $<\n";
        fs::write(dir.path().join("Makefile"), text).unwrap();
        let mut make = child::command("make");
        make.args(["--silent", "--no-print-directory", "-C"]).arg(dir.path()).arg(cached("cc-9"));
        assert_eq!(child::capture(&mut make).unwrap(), "ccache cc-9 a.c\ncc-9 b.S\n");
    }

    #[test]
    fn the_kernels_complaint_is_one_line() {
        let said = "***\n*** Rust compiler 'rustc' is too old.\n***   Your version:    1.70.0\n\
                    ***   Minimum version: 1.85.0\n***\nmake: *** [Makefile:2042: rustavailable] Error 1\n";
        let line = "Rust compiler 'rustc' is too old. Your version: 1.70.0 Minimum version: 1.85.0";
        assert_eq!(complaint(said), line);
        assert_eq!(complaint("make: *** No rule\n"), "make: *** No rule");
    }
}
