// SPDX-License-Identifier: GPL-2.0
//! Guests that need nothing but a kernel: the series' kselftest over nolibc in an
//! initramfs, in QEMU, or in user-mode Linux.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::guests::verdict::{DONE, UP};
use crate::kernels::build::Kernel;
use crate::kernels::matrix::Arch;
use crate::results::kselftest::{self, CPUS};
use crate::system::child;
use crate::system::deps::Tools;
use crate::system::ui::Step;

const INIT: &str = include_str!("../../guest/init.c");
const ARCHIVE: &str = "initramfs.cpio";
/// Enough for 64 copies of an image, too little for a module with a huge section.
const MEMORY: &str = "1G";

/// Builds the programs and packs the archive, in the stage folder.
pub fn make(
    step: &mut Step,
    (tools, tree): (&Tools, &Path),
    arch: &Arch,
    (obj, stage, headers): (&Path, &Path, &Path),
) -> Result<()> {
    let contract = kselftest::contract();
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

/// The list that gen_init_cpio reads: devices, folders, programs, all modules.
fn contents(stage: &Path) -> Result<String> {
    let mut list = String::new();
    for dir in ["/dev", "/proc", "/sys", "/tmp"] {
        list += &format!("dir {dir} 0755 0 0\n");
    }
    list += "nod /dev/console 0600 0 0 c 5 1\nnod /dev/kmsg 0600 0 0 c 1 11\nnod /dev/null 0666 0 0 c 1 3\n";
    let mut files = vec!["init".to_owned(), "selftest".to_owned()];
    for entry in fs::read_dir(stage)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if [".ko", ".ko.xz", ".ko.zst", ".ko.gz"].iter().any(|end| name.ends_with(end)) {
            files.push(name);
        }
    }
    files.sort();
    for name in files {
        list += &format!("file /{name} {} 0755 0 0\n", stage.join(&name).display());
    }
    Ok(list)
}

/// What starts the guest, kernel log on standard output.
pub fn command(kernel: &Kernel) -> Result<Command> {
    let arch = &kernel.arch;
    let archive = kernel.stage.join(ARCHIVE);
    let ours = "panic=-1 printk.devkmsg=on kunit.enable=1 kunit.autorun=1";
    let line = format!("console={} {ours} {}", arch.console, arch.parameter);
    let Some((qemu, machine)) = arch.start.split_first() else {
        let mut um = child::command(&kernel.image);
        // On one processor: with more, it does not run where processes are traced.
        um.arg(format!("initrd={}", archive.display())).arg(format!("mem={MEMORY}"));
        um.args(["con=null", "con0=null,fd:1"]).args(line.split_whitespace());
        return Ok(um);
    };
    let mut cmd = child::command(qemu);
    cmd.args(machine).args(["-m", MEMORY, "-smp", &CPUS.to_string()]);
    cmd.args(["-display", "none", "-serial", "stdio", "-monitor", "none", "-nic", "none", "-no-reboot"]);
    cmd.arg("-kernel").arg(&kernel.image).arg("-initrd").arg(archive).args(["-append", &line]);
    Ok(cmd)
}

/// A command as a shell takes it.
pub fn quoted(cmd: &Command) -> Result<String> {
    let words = std::iter::once(cmd.get_program()).chain(cmd.get_args());
    let words: Option<Vec<&str>> = words.map(|w| w.to_str()).collect();
    let words = words.context("a path is not UTF-8")?;
    let quoted = words.iter().map(|w| match w.contains(' ') {
        true => format!("'{w}'"),
        false => (*w).to_owned(),
    });
    Ok(quoted.collect::<Vec<_>>().join(" "))
}
