// SPDX-License-Identifier: GPL-2.0
//! One boot of a guest, whatever starts it: time limits, log, verdict.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::guests::verdict::{self, Verdict, ENDED, KILLED};
use crate::kernels::initramfs::{DONE, UP};
use crate::system::{child::End, project::Project, ui::Step};

/// Limits outside of the test, generous: an emulated guest beside a busy compiler.
/// KUnit's suites run during the boot, those of a kernel with KASAN, too.
const BOOT: Duration = Duration::from_secs(600);
const SHUTDOWN: Duration = Duration::from_secs(60);

/// How a boot went.
pub struct Boot {
    pub verdict: Verdict,
    pub log: String,
    /// From the start to the marker that the guest is up; all of it without the marker.
    pub took: Duration,
}

/// Starts the guest and judges it; `guest` is its name in ci/splats.toml, `limit` that
/// of what it is to do. `Err` is for what is not the guest's doing.
///
/// If QEMU itself fails before the guest is up, the guest is started once more: emulation with
/// several threads can do that (seen with QEMU 7.2, once in hundreds of boots).
pub fn run(step: &mut Step, cmd: &mut Command, guest: &str, limit: Duration) -> Result<Boot> {
    let boot = run_once(step, cmd, guest, limit)?;
    if !qemu_has_failed(&boot.log) {
        return Ok(boot);
    }
    step.note("QEMU failed, started again");
    run_once(step, cmd, guest, limit)
}

/// Whether an assertion of QEMU was the end of a guest that was not up yet.
fn qemu_has_failed(log: &str) -> bool {
    let is_assertion = |line: &str| line.contains("qemu-system-") && line.contains(": Assertion `");
    !log.contains(UP) && log.lines().any(is_assertion)
}

fn run_once(step: &mut Step, cmd: &mut Command, guest: &str, limit: Duration) -> Result<Boot> {
    let mut watch = Watch::new(limit);
    let (end, mut log) = step.watch(cmd, Some(watch.deadline), |step, line| {
        if let Some(text) = verdict::progress(line) {
            step.progress(text);
        }
        watch.see(line);
        Some(watch.deadline)
    })?;
    let text = match end {
        End::TimedOut => format!("\n{KILLED}{}: see above for where it was\n", watch.phase),
        End::Exited(status) if status.success() => format!("\n{ENDED}\n"),
        End::Exited(status) => format!("\nci: the machine has ended badly: {status}\n"),
    };
    step.write(&text)?;
    log += &text;
    let verdict = verdict::judge(&log, guest);
    Ok(Boot { verdict, log, took: watch.up.unwrap_or(watch.start.elapsed()) })
}

/// The exact command goes beside the log.
pub fn save_command(project: &Project, step: &Step, command: &str) -> Result<()> {
    let path = Path::new(&step.log_name).with_extension("qemu");
    fs::write(project.root.join(path), format!("{}\n", command.trim_end()))
        .context("cannot save the QEMU command")
}

/// Which time limit is running.
struct Watch {
    phase: &'static str,
    limit: Duration,
    start: Instant,
    up: Option<Duration>,
    deadline: Instant,
}

impl Watch {
    fn new(limit: Duration) -> Watch {
        let start = Instant::now();
        Watch { phase: "boot", limit, start, up: None, deadline: start + BOOT }
    }

    fn see(&mut self, line: &str) {
        if self.phase == "boot" && line.contains(UP) {
            self.phase = "test";
            self.up = Some(self.start.elapsed());
            self.deadline = Instant::now() + self.limit;
        } else if line.contains(DONE) {
            self.phase = "shutdown";
            self.deadline = Instant::now() + SHUTDOWN;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::{child, ui::Ui};

    /// A shell in place of the guest.
    fn boot(script: &str, limit: Duration) -> Boot {
        let dir = tempfile::tempdir().unwrap();
        let mut sh = child::command("sh");
        sh.args(["-c", script]);
        Ui::new(false, dir.path().to_owned()).step("guest", |step| run(step, &mut sh, "x", limit)).unwrap()
    }

    #[test]
    fn the_limit_of_the_test_begins_when_the_guest_is_up() {
        let script = format!("sleep 0.5; echo '[ 0.1] {UP}'; echo '[ 0.2] busy'; sleep 60");
        let Boot { verdict, log, took } = boot(&script, Duration::from_millis(300));
        assert_eq!((verdict.what.as_str(), verdict.line.as_str()), ("hang in test", "[ 0.2] busy"));
        assert!(log.contains(&format!("{KILLED}test: ")), "{log}");
        assert!(Duration::from_millis(500) <= took && took < Duration::from_secs(60), "{took:?}");
    }

    #[test]
    fn a_guest_is_started_again_only_if_qemu_failed_at_boot() {
        let dir = tempfile::tempdir().unwrap();
        let first = dir.path().join("first").display().to_string();
        let failure = "[    1.8] pci 0000:00:09qemu-system-x86_64: hw/x.c:2: f: Assertion `a' failed.";
        let up = format!("echo '[ 0.1] {UP}'");
        let script = |line: &str, before: &str| {
            format!("[ -e {first} ] || {{ touch {first}; {before}; echo \"{line}\"; exit 134; }}; {up}; echo '[ 0.2] {DONE}0'")
        };
        let failure = failure.replace('`', "\\`");
        assert!(boot(&script(&failure, ":"), BOOT).verdict.is_clean());
        for (line, before) in [(failure.as_str(), up.as_str()), ("[ 0.1] Kernel panic", ":")] {
            fs::remove_file(&first).unwrap();
            assert!(!boot(&script(line, before), BOOT).verdict.is_clean(), "{line}");
        }
    }

    #[test]
    fn a_guest_that_ends_says_how() {
        let script = format!("echo '[ 0.1] {UP}'; echo '[ 0.2] {DONE}0'");
        assert!(boot(&script, BOOT).verdict.is_clean());
        let Boot { verdict, log, .. } = boot(&format!("{script}; exit 3"), BOOT);
        assert_eq!(verdict.what, "truncated");
        assert!(log.contains("ci: the machine has ended badly: exit status: 3"), "{log}");
    }

    #[test]
    fn each_phase_has_its_limit() {
        let limit = BOOT * 2;
        let mut watch = Watch::new(limit);
        let mut seen = vec![];
        for line in ["[ 0.1] Linux", UP, "[ 0.3] ok 1", UP, DONE] {
            watch.see(line);
            let left = watch.deadline - Instant::now();
            // A moment has passed since the limit was set.
            let limits = [BOOT, limit, SHUTDOWN];
            let of = limits.iter().position(|limit| left <= *limit && left + Duration::from_secs(9) > *limit);
            seen.push((watch.phase, of));
        }
        let [boot, test, shutdown] = [("boot", Some(0)), ("test", Some(1)), ("shutdown", Some(2))];
        assert_eq!(seen, [boot, test, test, test, shutdown]);
    }
}
