// SPDX-License-Identifier: GPL-2.0
//! Child processes: each leads a process group of its own, so that whatever it
//! started (compilers, QEMU) ends with it on Ctrl-C and on a time limit.

use std::env;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{channel, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{anyhow, Context, Result};
use nix::sys::signal::{killpg, Signal};
use nix::unistd::Pid;

use crate::system::{needs, options::variables, os::System};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// How often a wait looks at the clock and at the interrupt flag.
const TICK: Duration = Duration::from_millis(50);
/// The time between SIGTERM and SIGKILL, and the time for which pipes are read once the process
/// has ended. A driver that is a child gets longer: it first ends its own children, then cleans up.
const GRACE: Duration = Duration::from_secs(5);
const GRACE_OF_DRIVER: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub struct Interrupted;

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// Ctrl-C only raises a flag: every wait sees it, and the way out runs all clean-up.
pub fn catch_signals() -> Result<()> {
    ctrlc::set_handler(|| INTERRUPTED.store(true, Ordering::SeqCst)).context("no signal handler")
}

pub fn fail_if_interrupted() -> Result<()> {
    if INTERRUPTED.load(Ordering::SeqCst) {
        return Err(Interrupted.into());
    }
    Ok(())
}

/// A command free of what `make` and `cargo run` left in the environment for us.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut cmd = Command::new(program);
    for name in ["MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "LD_LIBRARY_PATH"] {
        cmd.env_remove(name);
    }
    for name in variables() {
        cmd.env_remove(name);
    }
    // Messages are read by this program, too.
    cmd.env("LC_ALL", "C.UTF-8");
    cmd
}

/// What `cmd` starts by name is looked for in `dir` first.
pub fn look_first(cmd: &mut Command, dir: &Path) {
    let path = env::var("PATH").unwrap_or_default();
    cmd.env("PATH", format!("{}:{path}", dir.display()));
}

/// The standard output of a short command, as text.
pub fn capture(cmd: &mut Command) -> Result<String> {
    Ok(String::from_utf8_lossy(&capture_bytes(cmd)?).into_owned())
}

/// The standard output of a short command.
pub fn capture_bytes(cmd: &mut Command) -> Result<Vec<u8>> {
    let output = cmd.stdin(Stdio::null()).output().map_err(|e| not_started(cmd, e))?;
    fail_if_interrupted()?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        return Err(anyhow!("{}: {}", describe(cmd), text.lines().next().unwrap_or("failed")));
    }
    Ok(output.stdout)
}

/// Starts a command that others talk to.
pub fn spawn(cmd: &mut Command) -> Result<Child> {
    cmd.spawn().map_err(|e| not_started(cmd, e))
}

/// True when a short, silent command succeeds.
pub fn succeeds(cmd: &mut Command) -> Result<bool> {
    let cmd = cmd.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = cmd.status().map_err(|e| not_started(cmd, e))?;
    fail_if_interrupted()?;
    Ok(status.success())
}

#[derive(Debug)]
pub enum End {
    Exited(ExitStatus),
    TimedOut,
}

/// Runs `cmd` to its end. `on_line` sees each line and says when the next limit is.
pub fn supervise(
    cmd: &mut Command,
    mut deadline: Option<Instant>,
    mut on_line: impl FnMut(&str) -> Option<Instant>,
) -> Result<End> {
    fail_if_interrupted()?;
    cmd.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let child = cmd.spawn().map_err(|e| not_started(cmd, e))?;
    // It may start this program.
    let grace = if cmd.get_program() == "make" { GRACE_OF_DRIVER } else { GRACE };
    let mut group = Group { child, grace, over: false };
    let lines = group.lines();
    loop {
        match lines.recv_timeout(TICK) {
            Ok(line) => deadline = on_line(&line),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => thread::sleep(TICK),
        }
        fail_if_interrupted()?;
        if let Some(status) = group.child.try_wait()? {
            // What was written last is still in the pipes, which somebody else may hold open.
            let limit = Instant::now() + GRACE;
            while let Ok(line) = lines.recv_timeout(limit.saturating_duration_since(Instant::now())) {
                on_line(&line);
            }
            group.over = true;
            return Ok(End::Exited(status));
        }
        if deadline.is_some_and(|limit| Instant::now() >= limit) {
            return Ok(End::TimedOut);
        }
    }
}

/// A running process group; dropping it ends all of it.
struct Group {
    child: Child,
    grace: Duration,
    over: bool,
}

impl Group {
    fn lines(&mut self) -> Receiver<String> {
        let (sender, receiver) = channel();
        forward(self.child.stdout.take(), sender.clone());
        forward(self.child.stderr.take(), sender);
        receiver
    }

    fn signal(&self, signal: Signal) {
        // Nobody left to signal is what is wanted.
        let _ = killpg(Pid::from_raw(self.child.id() as i32), signal);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        self.signal(Signal::SIGTERM);
        let limit = Instant::now() + self.grace;
        while Instant::now() < limit && matches!(self.child.try_wait(), Ok(None)) {
            thread::sleep(TICK);
        }
        self.signal(Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

fn forward(pipe: Option<impl Read + Send + 'static>, to: Sender<String>) {
    let Some(pipe) = pipe else { return };
    thread::spawn(move || {
        let mut reader = BufReader::new(pipe);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            if to.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                break;
            }
            line.clear();
        }
    });
}

fn describe(cmd: &Command) -> String {
    let program = cmd.get_program().to_string_lossy().into_owned();
    let first = cmd.get_args().find(|a| !a.to_string_lossy().starts_with('-'));
    format!("{program} {}", first.map(|a| a.to_string_lossy()).unwrap_or_default())
}

fn not_started(cmd: &Command, error: std::io::Error) -> anyhow::Error {
    let program = cmd.get_program().to_string_lossy().into_owned();
    if error.kind() == ErrorKind::NotFound {
        return anyhow!("{program} is missing: {}", needs::remedy(&program, &System::this()));
    }
    anyhow!("{program} does not start: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_limit_ends_the_whole_group() {
        let mut pid = 0;
        let mut cmd = command("sh");
        cmd.args(["-c", "sleep 60 & echo $!; wait"]);
        let end = supervise(&mut cmd, None, |line| {
            pid = line.trim().parse().unwrap();
            Some(Instant::now() + Duration::from_millis(100))
        });
        assert!(matches!(end, Ok(End::TimedOut)));
        assert!(pid > 0);
        let dead = || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.is_empty() || stat.contains(") Z ")
        };
        // A killed process is gone a moment later, on a busy machine.
        let limit = Instant::now() + Duration::from_secs(10);
        while !dead() && Instant::now() < limit {
            thread::sleep(TICK);
        }
        assert!(dead(), "the grandchild lives");
    }

    #[test]
    fn the_last_words_are_heard() {
        let mut heard = String::new();
        let mut cmd = command("sh");
        cmd.args(["-c", "echo one; printf two >&2; exit 3"]);
        let end = supervise(&mut cmd, None, |line| {
            heard += line;
            None
        });
        assert!(matches!(end, Ok(End::Exited(s)) if s.code() == Some(3)));
        assert!(heard.contains("one\n") && heard.contains("two"));
    }

    #[test]
    fn a_missing_program_names_its_package() {
        let error = capture(&mut command("qemu-system-x86_64-not-there")).unwrap_err();
        assert!(error.to_string().contains("make deps"), "{error}");
    }
}
