// SPDX-License-Identifier: GPL-2.0
//! Other Rusts than the system's, unpacked in the cache, because they cannot be installed
//! beside it: the newest of the same release of Debian, for an architecture that needs it, and
//! the oldest that the kernel takes.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::system::apt::{self, Apt};
use crate::system::needs::{self, OldestRust};
use crate::system::programs::{self, Found, Version};
use crate::system::{child, os::System, project::Project, ui::Step};

/// The compiler, with the source of its library; LLVM comes from what these depend on.
const PACKAGES: [&str; 3] = ["rustc-web", "rust-web-src", "libstd-rust-web-dev"];
/// The package whose name has the version.
const LIBRARY: &str = "libstd-rust-web-";

/// `None`: the system has none. What is in the cache is downloaded again if it does not run on this
/// release of the system, or is older than `least`.
pub fn newer(project: &Project, system: &System, least: &Version) -> Result<Option<Found>> {
    if !system.has_debians_packages() {
        return Ok(None);
    }
    let codename = system.codename();
    let name = format!("rust-web-{codename}");
    let look = |dir: &Path| {
        let path = dir.join("bin/rustc");
        programs::version(&path).map(|version| Found { path, version })
    };
    let known = project.cache.join(&name);
    if known.exists() && look(&known).is_none_or(|found| found.version < *least) {
        fs::remove_dir_all(&known).context("cannot remove an old Rust from the cache")?;
    }
    let dir = project.cached(&name, |part| {
        project.ui.step("download a newer Rust", |step| unpack(step, part, codename))
    })?;
    Ok(look(&dir))
}

fn unpack(step: &mut Step, part: &Path, suite: &str) -> Result<PathBuf> {
    let apt = Apt::new(part, &[suite])?;
    step.run(&mut apt.get(&["update"])).context("check the network")?;
    let names = step.run(&mut apt.cache(&["pkgnames", LIBRARY]))?;
    let library = names.lines().find(|name| is_library(name));
    let library = library.with_context(|| format!("{suite} has no {LIBRARY}*"))?;
    let depends = step.run(&mut apt.cache(&["depends", library]))?;
    let llvm = depends.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
    let llvm = llvm.filter(|name| name.starts_with("libllvm"));
    let packages: Vec<&str> = PACKAGES.into_iter().chain([library]).chain(llvm).collect();
    step.note(packages.join(" "));
    let root = apt.unpack(step, &packages)?;
    started(step, root)
}

/// The oldest that the kernel takes (deps.toml).
pub fn oldest(project: &Project, step: &mut Step) -> Result<Found> {
    let OldestRust { suite, version, packages } = needs::deps().oldest_rust;
    let dir = project.cached(&format!("rust-oldest-{version}"), |part| {
        let apt = Apt::new(part, &[&suite])?;
        let packages: Vec<_> = packages.iter().map(|name| format!("{name}={version}")).collect();
        let root = apt.unpack(step, &packages);
        started(step, root.with_context(|| apt.lacks(&packages.join(" "), "ci/deps.toml"))?)
    })?;
    let path = dir.join("bin/rustc");
    let version = programs::version(&path).with_context(|| format!("{} does not run", path.display()))?;
    Ok(Found { path, version })
}

/// Puts what starts the unpacked programs into `root/bin`, and starts them.
fn started(step: &mut Step, root: PathBuf) -> Result<PathBuf> {
    for program in ["rustc", "rustdoc"] {
        step.run(child::command(start(&root, program)?).arg("--version"))?;
    }
    Ok(root)
}

fn is_library(name: &str) -> bool {
    name.strip_prefix(LIBRARY).is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit()))
}

/// A script that starts it with its own libraries.
fn start(root: &Path, program: &str) -> Result<PathBuf> {
    let line = format!("LD_LIBRARY_PATH=$libraries exec \"$usr/bin/{program}\" \"$@\"");
    apt::starter(root, program, &line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::{files, os, project::for_test};

    #[test]
    fn the_library_has_a_version_in_its_name() {
        assert!(is_library("libstd-rust-web-1.96"));
        assert!(!is_library("libstd-rust-web-dev") && !is_library("libstd-rust-1.85"));
    }

    #[test]
    fn only_debian_has_it() {
        let dir = tempfile::tempdir().unwrap();
        for id in ["fedora", "ubuntu", "arch"] {
            let found = newer(&for_test(dir.path()), &os::for_test(id), &Version::default());
            assert!(found.unwrap().is_none(), "{id}");
        }
    }

    #[test]
    fn it_starts_with_its_own_libraries() {
        let dir = tempfile::tempdir().unwrap();
        let usr = dir.path().join("usr");
        fs::create_dir_all(usr.join("bin")).unwrap();
        files::write_script(&usr.join("bin/rustc"), "#!/bin/sh\necho $LD_LIBRARY_PATH 1.96.0 $1\n").unwrap();
        let output = child::capture(child::command(start(dir.path(), "rustc").unwrap()).arg("x"));
        let libraries = usr.canonicalize().unwrap().join(format!("lib/{}-linux-gnu", std::env::consts::ARCH));
        assert_eq!(output.unwrap(), format!("{} 1.96.0 x\n", libraries.display()));
    }
}
