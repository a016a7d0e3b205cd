// SPDX-License-Identifier: GPL-2.0
//! Root file systems of guests: packages of a Debian in an initramfs, made without root.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::system::{apt::Apt, child, data::data, project::Project, ui::Step};

/// A Debian; rootfs.toml says what the fields are.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rootfs {
    pub name: String,
    packages: Vec<String>,
}

/// All of them, by suite.
pub fn all() -> BTreeMap<String, Rootfs> {
    data!("rootfs.toml")
}

/// The archive of a suite, in the cache, by its packages.
pub fn archive(project: &Project, suite: &str) -> Result<PathBuf> {
    let rootfs = all().remove(suite).with_context(|| format!("ci/rootfs.toml has no {suite}"))?;
    let versions = rootfs.packages.join("_").replace([':', '/'], "-");
    project.cached(&format!("{suite}_{versions}.cpio"), |part| {
        project.ui.step(&format!("download {}", rootfs.name), |step| {
            let (list, apt) = (rootfs.packages.join(" "), Apt::new(part, &[suite])?);
            step.note(&list);
            let root = apt.unpack_all(step, &rootfs.packages);
            let root = root.with_context(|| apt.lacks(&list, "ci/rootfs.toml"))?;
            complete(step, &root)?;
            let archive = part.join("archive");
            pack(step, &root, &archive)?;
            Ok(archive)
        })
    })
}

/// What an installation would have made, of that what udev needs.
fn complete(step: &mut Step, root: &Path) -> Result<()> {
    for name in ["bin", "sbin", "lib", "lib64"] {
        if !root.join(name).exists() {
            symlink(format!("usr/{name}"), root.join(name))?;
        }
    }
    // Where `add_modules` puts them. What is not merged into /usr finds them, too.
    if !root.join("lib").is_symlink() && !root.join("lib/modules").exists() {
        symlink("/usr/lib/modules", root.join("lib/modules"))?;
    }
    // The database of hardware. The program is of the guest's Debian, and so are its libraries.
    let libraries = ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu/systemd"];
    let libraries = libraries.map(|name| root.join(name).display().to_string()).join(":");
    let loader = "lib/x86_64-linux-gnu/ld-linux-x86-64.so.2";
    let mut hwdb = child::command(root.join(loader));
    hwdb.args(["--library-path", &libraries]).arg(root.join("bin/systemd-hwdb"));
    step.run(hwdb.arg(format!("--root={}", root.display())).arg("update")).map(drop)
}

/// The files of a folder as an initramfs.
pub fn pack(step: &mut Step, folder: &Path, archive: &Path) -> Result<()> {
    let mut sh = child::command("sh");
    sh.args(["-c", "find . | cpio --quiet -o -H newc -R 0:0 -F \"$1\"", "sh"]).arg(archive);
    step.run(sh.current_dir(folder)).map(drop)
}

/// Puts the modules that a kernel has installed below `from` where the guest looks for them.
pub fn add_modules(step: &mut Step, from: &Path, folder: &Path) -> Result<()> {
    let to = folder.join("usr/lib");
    fs::create_dir_all(&to)?;
    step.run(child::command("cp").arg("-a").arg(from.join("lib/modules")).arg(to)).map(drop)
}

/// One archive of several: the kernel takes them one behind the other.
pub fn join(to: &Path, archives: &[&Path]) -> Result<()> {
    let mut file = File::create(to).with_context(|| format!("cannot write {}", to.display()))?;
    for archive in archives {
        io::copy(&mut File::open(archive)?, &mut file)?;
    }
    Ok(())
}
