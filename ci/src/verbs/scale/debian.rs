// SPDX-License-Identifier: GPL-2.0
//! The user space of a guest: packages of a Debian in an initramfs, made without root.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::results::scale::plan::Debian;
use crate::system::{apt::Apt, child, project::Project, ui::Step};

/// The archive of a Debian, in the cache, by its packages.
pub fn archive(project: &Project, debian: &Debian) -> Result<PathBuf> {
    let versions = debian.packages.join("_").replace([':', '/'], "-");
    project.cached(&format!("{}_{versions}.cpio", debian.suite), |part| {
        project.ui.step(&format!("download {}", debian.name), |step| {
            step.note(debian.packages.join(" "));
            let apt = Apt::new(part, &[&debian.suite])?;
            let wanted: Vec<&str> = debian.packages.iter().map(String::as_str).collect();
            let root = apt
                .unpack_all(step, &wanted)
                .with_context(|| apt.lacks(&debian.packages.join(" "), "ci/scale.toml"))?;
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
