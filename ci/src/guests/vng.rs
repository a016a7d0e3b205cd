// SPDX-License-Identifier: GPL-2.0
//! Guests in virtme-ng: a shell script on the host's files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{bail, Context, Result};

use crate::guests::{qemu, supervise, verdict::Verdict};
use crate::kernels::build::Kernel;
use crate::kernels::initramfs::{DONE, UP};
use crate::system::{child, files, project::Project, tools::Tools, ui::Step};

/// Folders of the guest: the kernel's stage folder, a copy of it in memory, and that for results.
const STAGE: &str = "/tmp/stage";
const WORK: &str = "/run/work";
pub const OUT: &str = "/tmp/out";
/// More than a small machine has, as on the large ones that the series is for.
pub const CPUS: u32 = 8;
/// The verdict on a guest that was killed because it did not come up.
const HUNG: &str = "hang in boot";

/// Options of virtme-ng with which the guest's clock counts instructions, for one CPU.
pub fn exact() -> Vec<String> {
    vec!["--disable-kvm".to_owned(), format!("--qemu-opts={}", qemu::COUNTED.join(" "))]
}

/// What the guest is to do: a shell script, run in a copy of the kernel's stage folder.
pub struct Guest<'a> {
    /// As ci/splats.toml calls it.
    pub name: String,
    pub kernel: &'a Kernel,
    pub cpus: u32,
    pub script: String,
    pub limit: Duration,
    /// The folder of the host that the guest has as `OUT`.
    pub out: PathBuf,
    /// More options of virtme-ng.
    pub options: Vec<String>,
}

/// Boots, runs the script, judges. `Err` is for what is not the guest's doing.
pub fn run(project: &Project, tools: &Tools, step: &mut Step, guest: &Guest) -> Result<Verdict> {
    files::empty(&guest.out)?;
    let script = "run.sh";
    fs::write(guest.out.join(script), wrapped(guest))?;
    let mut vng = command(project, tools, guest.kernel, guest.cpus)?;
    vng.arg("--verbose").arg(format!("--rwdir={OUT}={}", guest.out.display()));
    vng.arg(format!("--exec=sh {OUT}/{script}")).args(&guest.options);
    supervise::save_command(project, step, &qemu(&vng)?)?;
    let mut boot = supervise::run(step, &mut vng, &guest.name, guest.limit)?;
    if boot.verdict.what == HUNG && !kvm_works() {
        project.ui.say(&format!(
            "{}: hung before it was up, as emulated guests do now and then: once more",
            guest.name
        ));
        boot = supervise::run(step, &mut vng, &guest.name, guest.limit)?;
    }
    step.write(&fs::read_to_string(guest.out.join("leaks")).unwrap_or_default())?;
    Ok(boot.verdict)
}

/// The same, for a script that must succeed.
pub fn run_clean(project: &Project, tools: &Tools, step: &mut Step, guest: &Guest) -> Result<()> {
    run(project, tools, step, guest)?.fail_unless_clean(&guest.out)
}

/// As in guest/init.c; the kernel log has only the number of them.
const LEAKS: &str = "leaks=/sys/kernel/debug/kmemleak\n\
                     [ ! -e $leaks ] || { sleep 6; echo scan > $leaks; echo scan > $leaks; cat $leaks; }";

/// The script between its markers. Its output goes to a file: on the console it
/// would be mixed with the kernel's, character by character. It runs in memory: hundreds of programs
/// that close a file of the host at once can wait for ever for QEMU 10's 9p.
fn wrapped(guest: &Guest) -> String {
    format!(
        "# SPDX-License-Identifier: GPL-2.0\n\
         echo '{UP}' > /dev/kmsg\n\
         ( cp -r {STAGE} {WORK} && cd {WORK} || exit\n{script}) > {OUT}/output 2>&1\n\
         code=$?\n\
         {{ {LEAKS}; }} > {OUT}/leaks\n\
         echo \"{DONE}$code\" > /dev/kmsg\n",
        script = guest.script,
    )
}

/// virtme-ng on `kernel`, without saying yet what it shall do.
pub fn command(project: &Project, tools: &Tools, kernel: &Kernel, cpus: u32) -> Result<Command> {
    let memory = memory(&fs::read_to_string("/proc/meminfo")?)?;
    let mut cmd = start(project.opts.root.as_deref(), tools, kernel, cpus)?;
    cmd.args(["--memory", &memory]);
    if !kvm_works() {
        cmd.arg("--disable-kvm");
    }
    Ok(cmd)
}

/// What is the same on every host. `root`: the file system of the guest, if not the host's.
fn start(root: Option<&Path>, tools: &Tools, kernel: &Kernel, cpus: u32) -> Result<Command> {
    let mut cmd = child::command(&tools.vng.path);
    // vng finds its parts through PATH.
    if let Some(folder) = tools.vng.path.parent() {
        child::look_first(&mut cmd, folder);
    }
    cmd.arg("--run").arg(&kernel.image).args(["--user", "root", "--cpus", &cpus.to_string()]);
    cmd.arg(format!("--rodir={STAGE}={}", kernel.stage.display()));
    match (root, &kernel.arch.vng) {
        (Some(root), Some(name)) => {
            let root = root.canonicalize()?;
            // As the host sees it.
            cmd.arg(format!("--cwd={}{STAGE}", root.display()));
            cmd.args(["--arch", name, "--root"]).arg(root);
        }
        _ => {
            cmd.arg(format!("--cwd={STAGE}"));
        }
    }
    // 9p is in QEMU itself: nothing else to install, to start and to clean up. The guest
    // gets its modules from the stage folder, not from a view of the build folder.
    cmd.args(["--force-9p", "--skip-modules", "--append"]);
    // What virtme-ng calls the root. The kernel would guess that only with CONFIG_BLOCK.
    cmd.arg(format!("root=/dev/root printk.devkmsg=on {}", kernel.arch.parameter));
    Ok(cmd)
}

/// 2 GiB, or half of what is free. (With 4, a section that is to be too large for a module is not.)
fn memory(meminfo: &str) -> Result<String> {
    let line = meminfo.lines().find_map(|l| l.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|l| l.trim().trim_end_matches(" kB").parse::<u64>().ok());
    let mib = (kib.context("/proc/meminfo has no MemAvailable")? / 2048).min(2048);
    if mib < 1024 {
        bail!("the guest needs 1 GiB, and {mib} MiB is half of what is free: end other programs");
    }
    Ok(format!("{mib}M"))
}

/// A /dev/kvm without VMX or SVM hangs before the first line of output.
pub fn kvm_works() -> bool {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = cpuinfo.lines().find(|l| l.starts_with("flags")).unwrap_or_default();
    let usable = fs::OpenOptions::new().read(true).write(true).open("/dev/kvm").is_ok();
    usable && flags.split_whitespace().any(|f| f == "vmx" || f == "svm")
}

/// The command that virtme-ng starts QEMU with.
fn qemu(vng: &Command) -> Result<String> {
    let mut dry = child::command(vng.get_program());
    dry.args(vng.get_args()).arg("--dry-run");
    for (name, value) in vng.get_envs() {
        value.map(|value| dry.env(name, value));
    }
    child::capture(&mut dry).context("virtme-ng cannot start the guest")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guests::qemu::quoted;
    use crate::system::tools;

    #[test]
    fn a_guest_has_the_hosts_files_and_the_stage_folder() {
        let kernel = Kernel::for_test("x86_64");
        let cmd = start(None, &tools::for_test(), &kernel, 8).unwrap();
        let (words, last) = (quoted(&cmd).unwrap(), cmd.get_args().last().unwrap());
        let wanted = "/x/vng --run /b/on/image --user root --cpus 8 '--rodir=/tmp/stage=/b/on-guest' \
                      '--cwd=/tmp/stage' --force-9p --skip-modules --append 'root=/dev/root ";
        assert!(words.starts_with(wanted), "{words}");
        assert_eq!(*last, *format!("root=/dev/root printk.devkmsg=on {}", kernel.arch.parameter));
        let path = cmd.get_envs().find(|(name, _)| *name == "PATH").and_then(|(_, value)| value);
        assert!(path.is_some_and(|path| path.to_string_lossy().starts_with("/x:")), "{path:?}");
    }

    #[test]
    fn a_guest_with_a_root_runs_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap().display().to_string();
        let cmd = start(Some(dir.path()), &tools::for_test(), &Kernel::for_test("arm64"), 2).unwrap();
        let words = format!(" '--cwd={root}/tmp/stage' --arch arm64 --root {root} ");
        assert!(quoted(&cmd).unwrap().contains(&words), "{cmd:?}");
    }

    #[test]
    fn memory_is_half_of_what_is_free() {
        let of = |mib: u64| memory(&format!("MemTotal: 9 kB\nMemAvailable: {} kB\n", mib * 1024));
        assert_eq!(of(3000).unwrap(), "1500M");
        assert_eq!(of(64000).unwrap(), "2048M");
        assert!(of(2000).unwrap_err().to_string().starts_with("the guest needs 1 GiB, and 1000 MiB is half"));
        assert!(memory("MemTotal: 9 kB\n").is_err());
    }

    #[test]
    fn the_script_is_between_its_markers_and_its_exit_code_counts() {
        let dir = tempfile::tempdir().unwrap();
        let kernel = Kernel::for_test("x86_64");
        let out = dir.path().to_owned();
        let (name, script) = ("x".to_owned(), "echo said; exit 3\n".to_owned());
        let guest =
            Guest { name, kernel: &kernel, cpus: 1, script, limit: Duration::ZERO, out, options: vec![] };
        let here =
            |text: String, from: &str, to: &str| text.replace(from, &dir.path().join(to).to_string_lossy());
        let script = here(here(here(wrapped(&guest), OUT, ""), STAGE, ""), "/dev/kmsg", "kmsg");
        let script = script.replace("> ", ">> ").replace("/sys/kernel/debug/kmemleak", "/nowhere");
        child::capture(child::command("sh").args(["-c", &script])).unwrap();
        let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!(read("kmsg"), format!("{UP}\n{DONE}3\n"));
        assert_eq!(read("output"), "said\n");
    }
}
