// SPDX-License-Identifier: GPL-2.0

//! Processes: forked, and seen from outside.

use std::{
    fs,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{ensure, Context, Result};
use nix::{
    sys::{prctl::set_pdeathsig, signal::Signal},
    unistd::{self, ForkResult, Pid},
};

/// Between two looks at a process.
pub const POLL: Duration = Duration::from_millis(2);

/// Forks a process that ends with what `life` returns, or with its parent. Fails if this process
/// has other threads: they may hold a lock that `life` would then wait for, for ever.
pub fn fork(life: impl FnOnce() -> i32) -> Result<Pid> {
    let stat = fs::read_to_string("/proc/self/stat").context("/proc/self/stat")?;
    ensure!(field(&stat, THREADS) == Some("1"), "fork needs a process with one thread");
    // SAFETY: There is one thread, which was just checked, so no lock is held by another.
    match unsafe { unistd::fork() }.context("cannot fork")? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            let _ = set_pdeathsig(Signal::SIGKILL);
            let code = life();
            // SAFETY: Ends this process, without handlers that belong to the parent, and so that
            // nothing of the parent is dropped twice.
            unsafe { libc::_exit(code) }
        }
    }
}

/// The state of a process or thread: R for running, S for sleeping, D if no signal ends that, ...
pub fn state(pid: Pid) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    field(&stat, STATE)?.chars().next()
}

/// How often a process or thread has gone to sleep so far.
pub fn sleeps(pid: Pid) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let count = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    Ok(count.context("no voluntary_ctxt_switches in /proc")?.trim().parse()?)
}

/// Calls `done` until it returns true, for `patience` at most; returns whether it did.
pub fn until(patience: Duration, mut done: impl FnMut() -> Result<bool>) -> Result<bool> {
    let begin = Instant::now();
    while begin.elapsed() < patience {
        let look = Instant::now();
        if done()? {
            return Ok(true);
        }
        // No more time for looking than for what is looked at.
        sleep(POLL.max(look.elapsed()));
    }
    Ok(false)
}

// Fields of /proc/PID/stat, as proc(5) counts them.
const STATE: usize = 3;
const THREADS: usize = 20;

/// A field behind the name, which is in parentheses and may contain anything.
fn field(stat: &str, number: usize) -> Option<&str> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(number - STATE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_follows_the_last_parenthesis() {
        let state_of = |stat| field(stat, STATE);
        assert_eq!(state_of("12 (burst) S 1 12 12 0"), Some("S"));
        assert_eq!(state_of("12 (a) S (b) D 1 12 12 0"), Some("D"));
        assert_eq!(state_of("12 (burst)"), None);
        assert_eq!(state_of(""), None);
    }

    #[test]
    fn a_thread_sees_itself_run() {
        assert_eq!(state(unistd::gettid()), Some('R'));
        let before = sleeps(unistd::gettid()).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(1));
        assert!(sleeps(unistd::gettid()).unwrap() > before);
    }

    /// A test is a thread beside the one that started it.
    #[test]
    fn several_threads_cannot_be_forked() {
        assert!(fork(|| 0).is_err());
    }
}
