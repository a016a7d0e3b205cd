// SPDX-License-Identifier: GPL-2.0
//! Guests that need nothing but a kernel and its initramfs, in QEMU, or in user-mode Linux.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::kernels::{build::Kernel, initramfs::ARCHIVE};
use crate::system::child;

/// With more than the host has, waking 64 tasks is slow, and shows nothing more.
pub const CPUS: u32 = 2;
/// Enough for 64 copies of an image, too little for a module with a huge section.
const MEMORY: &str = "1G";
/// The guest's clock advances by one nanosecond for each instruction of all CPUs together. It skips
/// the time when all are idle.
pub const COUNTED: [&str; 2] = ["-icount", "shift=0,sleep=off"];
/// The kernel runs the suites of KUnit while it boots.
pub const TESTS: &str = "kunit.enable=1 kunit.autorun=1";

/// What starts the guest, kernel log on standard output.
pub fn command(kernel: &Kernel) -> Command {
    let arch = &kernel.arch;
    let archive = kernel.stage.join(ARCHIVE);
    if !arch.start.is_empty() {
        return machine(kernel, &archive, (&["-smp", &CPUS.to_string()], MEMORY), TESTS);
    }
    let mut um = child::command(&kernel.image);
    // On one CPU: with more, it does not run where processes are traced.
    um.arg(format!("initrd={}", archive.display())).arg(format!("mem={MEMORY}"));
    um.args(["con=null", "con0=null,fd:1"]).args(parameters(kernel, TESTS).split_whitespace());
    um
}

/// The same in QEMU alone, with other options, initramfs and parameters of the kernel.
pub fn machine(kernel: &Kernel, initrd: &Path, (options, memory): (&[&str], &str), more: &str) -> Command {
    let (qemu, machine) = kernel.arch.start.split_first().expect("ci/kernels.toml: start");
    let mut cmd = child::command(qemu);
    cmd.args(machine).args(options).args(["-m", memory]);
    cmd.args(["-display", "none", "-serial", "stdio", "-monitor", "none", "-nic", "none", "-no-reboot"]);
    cmd.arg("-kernel").arg(&kernel.image).arg("-initrd").arg(initrd);
    cmd.arg("-append").arg(parameters(kernel, more));
    cmd
}

/// The parameters of the kernel.
fn parameters(kernel: &Kernel, more: &str) -> String {
    let arch = &kernel.arch;
    format!("console={} panic=-1 printk.devkmsg=on {} {more}", arch.console, arch.parameter)
}

/// A command as a shell takes it.
pub fn quoted(cmd: &Command) -> Result<String> {
    let words = std::iter::once(cmd.get_program()).chain(cmd.get_args());
    let words: Option<Vec<&str>> = words.map(|word| word.to_str()).collect();
    Ok(shlex::try_join(words.context("a path is not UTF-8")?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_gets_the_words_back() {
        let words = ["a b", "it's", "$HOME", "\"", ";", "*", "", "x=1", "`id`", "é"];
        let mut cmd = child::command("printf");
        cmd.arg("%s\\n").args(words);
        let said = child::capture(child::command("sh").args(["-c", &quoted(&cmd).unwrap()])).unwrap();
        assert_eq!(said.lines().collect::<Vec<_>>(), words);
    }

    #[test]
    fn a_guest_boots_its_kernel_and_initramfs() {
        for (arch, program, console) in
            [("arm64", "qemu-system-aarch64", "ttyAMA0"), ("s390x", "qemu-system-s390x", "ttyS0")]
        {
            let line = quoted(&command(&Kernel::for_test(arch))).unwrap();
            assert!(line.starts_with(&format!("{program} ")), "{line}");
            assert!(
                line.contains("-kernel /b/on/image -initrd /b/on-guest/initramfs.cpio -append '"),
                "{line}"
            );
            assert!(line.contains(&format!("console={console}")) && line.contains("panic=-1"), "{line}");
            assert!(line.contains(" -smp 2 -m 1G ") && line.ends_with(&format!(" {TESTS}'")), "{line}");
        }
        let um = quoted(&command(&Kernel::for_test("um"))).unwrap().replace('\'', "");
        assert!(um.starts_with("/b/on/image initrd=/b/on-guest/initramfs.cpio mem=1G con=null"), "{um}");
    }
}
