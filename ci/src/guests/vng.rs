// SPDX-License-Identifier: GPL-2.0
//! Guests in virtme-ng: a shell script on the host's files.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{bail, Context, Result};

use crate::guests::{supervise, verdict::Verdict};
use crate::kernels::build::Kernel;
use crate::kernels::initramfs::{DONE, UP};
use crate::system::{child, project::Project, tools::Tools, ui::Step};

/// Folders of the guest: the kernel's stage folder, and that for results.
const STAGE: &str = "/tmp/stage";
pub const OUT: &str = "/tmp/out";
/// More than a small machine has, as on the large ones that the series is for.
pub const CPUS: u32 = 8;
/// Options of virtme-ng: the guest's clock counts instructions, one for each nanosecond. For one
/// processor.
pub const EXACT: [&str; 2] = ["--disable-kvm", "--qemu-opts=-icount shift=0,sleep=off"];
/// The verdict on a guest that was killed because it did not come up.
const HUNG: &str = "hang in boot";

/// What the guest is to do: a shell script, run in the kernel's stage folder.
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
    supervise::empty(&guest.out)?;
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

/// The same, for a script that must succeed: what its last line said is part of the error.
pub fn run_clean(project: &Project, tools: &Tools, step: &mut Step, guest: &Guest) -> Result<()> {
    let verdict = run(project, tools, step, guest)?;
    if !verdict.is_clean() {
        let said = fs::read_to_string(guest.out.join("output")).unwrap_or_default();
        bail!("{}: {} {}", verdict.what, verdict.line, said.lines().last().unwrap_or_default());
    }
    Ok(())
}

/// As in guest/init.c; the kernel log has only the number of them.
const LEAKS: &str = "leaks=/sys/kernel/debug/kmemleak\n\
                     [ ! -e $leaks ] || { sleep 6; echo scan > $leaks; echo scan > $leaks; cat $leaks; }";

/// The script between its markers. Its output goes to a file: on the console it
/// would be mixed with the kernel's, character by character.
fn wrapped(guest: &Guest) -> String {
    format!(
        "# SPDX-License-Identifier: GPL-2.0\n\
         echo '{UP}' > /dev/kmsg\n\
         ( cd {STAGE} || exit\n{script}) > {OUT}/output 2>&1\n\
         code=$?\n\
         {{ {LEAKS}; }} > {OUT}/leaks\n\
         echo \"{DONE}$code\" > /dev/kmsg\n",
        script = guest.script,
    )
}

/// virtme-ng on `kernel`, without saying yet what it shall do.
pub fn command(project: &Project, tools: &Tools, kernel: &Kernel, cpus: u32) -> Result<Command> {
    let mut cmd = child::command(&tools.vng.path);
    // vng finds its parts through PATH.
    if let Some(folder) = tools.vng.path.parent() {
        child::look_first(&mut cmd, folder);
    }
    cmd.arg("--run").arg(&kernel.image).args(["--user", "root", "--cpus", &cpus.to_string()]);
    cmd.args(["--memory", &memory()?]);
    cmd.arg(format!("--rodir={STAGE}={}", kernel.stage.display()));
    match (&project.opts.root, &kernel.arch.vng) {
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
    if !kvm_works() {
        cmd.arg("--disable-kvm");
    }
    Ok(cmd)
}

/// 2 GiB, or half of what is free. (With 4, a section that is to be too large for a module is not.)
fn memory() -> Result<String> {
    let text = fs::read_to_string("/proc/meminfo")?;
    let line = text.lines().find_map(|l| l.strip_prefix("MemAvailable:"));
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
