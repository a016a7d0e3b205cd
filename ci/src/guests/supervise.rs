// SPDX-License-Identifier: GPL-2.0
//! One boot of a guest, whatever starts it: time limits, log, verdict.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::guests::verdict::{self, Verdict, ENDED, KILLED};
use crate::kernels::initramfs::{DONE, UP};
use crate::system::child::{self, End};
use crate::system::{project::Project, ui::Step};

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
pub fn run(step: &mut Step, cmd: &mut Command, guest: &str, limit: Duration) -> Result<Boot> {
    let mut log = String::new();
    let mut watch = Watch::new(limit);
    let mut written = Ok(());
    let end = child::supervise(cmd, Some(watch.deadline), |line| {
        log += line;
        if let Some(text) = verdict::progress(line) {
            step.progress(text);
        }
        if let Err(error) = step.write(line) {
            written = Err(error);
        }
        watch.see(line);
        Some(watch.deadline)
    })?;
    written?;
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

/// Makes a folder for results: what an earlier guest has left there is not to be taken for those
/// of the next one.
pub fn empty(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot remove {}", dir.display()));
        }
        _ => {}
    }
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))
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
