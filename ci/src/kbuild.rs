// SPDX-License-Identifier: GPL-2.0
//! kbuild, with every input that could change the result named.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::child;
use crate::deps::Tools;
use crate::kconfig::Fragments;
use crate::project::Project;
use crate::ui::Step;

/// `make` in the kernel tree `tree`, building in `obj`.
pub fn make(project: &Project, tools: &Tools, tree: &Path, obj: &Path, arch: &str) -> Command {
    let jobs = std::thread::available_parallelism().map_or(1, |n| n.get());
    let mut cmd = child::command("make");
    cmd.arg("-C").arg(tree).arg(format!("O={}", obj.display()));
    cmd.arg(format!("-j{jobs}")).arg(format!("ARCH={arch}"));
    tools.give_to(&mut cmd);
    // Not for HOSTCC: rustc takes that as the name of its linker.
    cmd.arg(format!("CC=ccache {}", tools.clang()));
    cmd.env("CCACHE_DIR", project.cache.join("ccache"));
    // Another clone of the project compiles the same files under another path.
    cmd.env("CCACHE_BASEDIR", &project.root).env("CCACHE_NOHASHDIR", "1");
    // Without this, what is not in the cache is preprocessed twice: a sixth of the time.
    cmd.env("CCACHE_DEPEND", "1");
    cmd.env("KBUILD_BUILD_TIMESTAMP", "@0");
    cmd.env("KBUILD_BUILD_USER", "ci").env("KBUILD_BUILD_HOST", "ci");
    cmd
}

/// Writes the .config of `obj`: what the fragments ask for, and nothing else that can be
/// off. Gives what kconfig said.
pub fn configure(step: &mut Step, mut make: Command, obj: &Path, fragments: &Fragments) -> Result<String> {
    let wanted = obj.join("wanted.config");
    fs::write(&wanted, fragments.text())?;
    step.run(make.env("KCONFIG_ALLCONFIG", &wanted).arg("allnoconfig"))
}
