// SPDX-License-Identifier: GPL-2.0
//! The initramfs of guests that need nothing but a kernel: the series' kselftest over nolibc.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::kernels::{contract::contract, matrix::Arch};
use crate::system::{child, tools::Tools, ui::Step};

/// Lines that the guest writes into the kernel log when it is up, and when it is done.
pub const UP: &str = "ci: the guest is up";
pub const DONE: &str = "ci: the guest is done, exit code ";
const INIT: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/guest/init.c"));
pub const ARCHIVE: &str = "initramfs.cpio";
/// A policy of SELinux; init loads and enforces it, if there is one.
pub const POLICY: &str = "policy";

/// Builds the programs and packs the archive, in the stage folder.
pub fn make(
    step: &mut Step,
    (tools, tree): (&Tools, &Path),
    arch: &Arch,
    (obj, stage, headers): (&Path, &Path, &Path),
) -> Result<()> {
    let contract = contract();
    let init = stage.join("init.c");
    fs::write(&init, INIT)?;
    let selftest = tree.join(&contract.directory).join(format!("{}.c", contract.program));
    for (source, program) in [(&init, "init"), (&selftest, "selftest")] {
        let mut cc = nolibc((tools, tree), arch, headers);
        step.run(cc.arg("-o").arg(stage.join(program)).arg(source))?;
    }
    let list = stage.join("initramfs.list");
    fs::write(&list, contents(stage)?)?;
    let archive = stage.join(ARCHIVE);
    step.run(child::command(obj.join("usr/gen_init_cpio")).arg("-o").arg(archive).arg(list)).map(drop)
}

/// The compiler for a static program without a C library.
fn nolibc((tools, tree): (&Tools, &Path), arch: &Arch, headers: &Path) -> Command {
    let include = tree.join("tools/include/nolibc");
    let mut cc = child::command(tools.llvm("clang"));
    cc.args(&arch.cc).args(["-nostdlib", "-static", "-fno-builtin", "-Os", "-Wall"]);
    cc.arg(format!("--ld-path={}", tools.llvm("ld.lld").display()));
    cc.arg("-include").arg(include.join("nolibc.h")).arg("-I").arg(&include);
    cc.arg("-isystem").arg(headers);
    cc.arg(format!("-DUP=\"{UP}\"")).arg(format!("-DDONE=\"{DONE}\""));
    cc
}

/// The list that gen_init_cpio reads: devices, folders, programs, all modules, a policy.
fn contents(stage: &Path) -> Result<String> {
    let mut list = String::new();
    for dir in ["/dev", "/proc", "/sys", "/tmp"] {
        list += &format!("dir {dir} 0755 0 0\n");
    }
    list += "nod /dev/console 0600 0 0 c 5 1\nnod /dev/kmsg 0600 0 0 c 1 11\nnod /dev/null 0666 0 0 c 1 3\n";
    let mut files = vec!["init".to_owned(), "selftest".to_owned()];
    for entry in fs::read_dir(stage)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let is_module = [".ko", ".ko.xz", ".ko.zst", ".ko.gz"].iter().any(|end| name.ends_with(end));
        if is_module || name == POLICY {
            files.push(name);
        }
    }
    files.sort();
    for name in files {
        list += &format!("file /{name} {} 0755 0 0\n", stage.join(&name).display());
    }
    Ok(list)
}
