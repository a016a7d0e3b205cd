// SPDX-License-Identifier: GPL-2.0

//! Requests: system calls, each of a process of its own, which is watched.

use std::{
    fs,
    rc::Rc,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{bail, ensure, Result};
use guest::{
    errno::{self, Errno},
    process::{self, POLL},
};
use nix::{
    sys::{
        signal::{kill, sigaction, SaFlags, SigAction, SigHandler, SigSet, Signal},
        wait::{waitpid, WaitPidFlag, WaitStatus},
    },
    unistd::Pid,
};

use crate::replies::Replies;

/// Stands for all that the kernel keeps to itself, such as ERESTARTSYS: an exit code has 8 bits.
pub const NO_ERRNO: i32 = 255;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The system call returned 0 or failed with this.
    Returned(i32),
    /// A signal ended the process.
    Killed,
}

/// A process that was started.
pub struct Request {
    /// The process.
    pub pid: Pid,
    /// The name of the module.
    pub module: String,
    /// How it ended, if it did.
    pub end: Option<End>,
    /// If its process is a worker: its place, and what all have said.
    worker: Option<(usize, Rc<Replies>)>,
}

impl Request {
    /// Forks a process that does `work` and returns its errno.
    pub fn fork(module: &str, work: &dyn Fn() -> Result<(), Errno>) -> Result<Self> {
        let pid = process::fork(|| code(work()))?;
        Ok(Self { pid, module: module.to_owned(), end: None, worker: None })
    }

    /// Forks a process that asks for no module, but does `work` beside those that do.
    pub fn helper(work: &dyn Fn()) -> Result<Self> {
        Self::fork("helper", &|| {
            work();
            Ok(())
        })
    }

    /// One that a worker makes.
    pub fn of_worker(pid: Pid, module: &str, slot: usize, replies: &Rc<Replies>) -> Self {
        let worker = Some((slot, replies.clone()));
        Self { pid, module: module.to_owned(), end: None, worker }
    }

    /// Looks whether it has ended; whether that is news.
    pub fn reap(&mut self) -> Result<bool> {
        if self.end.is_some() {
            return Ok(false);
        }
        let said = self.said()?;
        self.end = match said {
            Some(_) => said,
            None => self.exit()?,
        };
        Ok(self.end.is_some())
    }

    /// What the worker says that the system call returned.
    fn said(&self) -> Result<Option<End>> {
        let Some((slot, replies)) = &self.worker else { return Ok(None) };
        Ok(replies.take(*slot)?.map(End::Returned))
    }

    /// How the process ended. A worker may have answered before it did.
    fn exit(&self) -> Result<Option<End>> {
        let end = match waitpid(self.pid, Some(WaitPidFlag::WNOHANG))? {
            WaitStatus::Exited(_, code) => End::Returned(code),
            WaitStatus::Signaled(..) => End::Killed,
            _ => return Ok(None),
        };
        let Some((slot, replies)) = &self.worker else { return Ok(Some(end)) };
        replies.spoil(*slot);
        ensure!(end == End::Killed, "a worker ended, and has not answered");
        Ok(self.said()?.or(Some(end)))
    }

    /// Sends a signal, unless it has ended.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        self.reap()?;
        if self.end.is_none() {
            if let Some((slot, replies)) = &self.worker {
                replies.spoil(*slot);
            }
            kill(self.pid, signal)?;
        }
        Ok(())
    }

    /// Kills it; for its end, see [`all_ended`].
    pub fn kill(&mut self) -> Result<()> {
        self.signal(Signal::SIGKILL)
    }

    /// Running, sleeping, ...
    pub fn state(&self) -> Option<char> {
        process::state(self.pid)
    }

    fn describe(&self) -> String {
        let stack = fs::read_to_string(format!("/proc/{}/stack", self.pid)).unwrap_or_default();
        let frames: Vec<&str> = stack.lines().filter_map(|l| l.split(' ').nth(1)).collect();
        format!("{} (pid {}, {:?}, {})", self.module, self.pid, self.state(), frames.join(" < "))
    }
}

/// Kills what still runs: it must not outlive the one that watches it.
impl Drop for Request {
    fn drop(&mut self) {
        if self.end.is_none() {
            let _ = self.kill();
        }
    }
}

/// Waits until all of `requests` have ended. As long as one ends now and then it is patient; fails
/// if nothing happens for `patience`.
pub fn all_ended(requests: &mut [Request], patience: Duration, what: &str) -> Result<()> {
    let mut last = Instant::now();
    loop {
        let sweep = Instant::now();
        let mut open = 0;
        for request in requests.iter_mut() {
            if request.reap()? {
                last = Instant::now();
            }
            open += usize::from(request.end.is_none());
        }
        if open == 0 {
            return Ok(());
        }
        if last.elapsed() > patience {
            let first = requests.iter().find(|r| r.end.is_none()).map(Request::describe);
            bail!("{open} {what} do not end, the first for {}", first.unwrap_or_default());
        }
        // No more time for looking than for what is looked at.
        sleep(POLL.max(sweep.elapsed()));
    }
}

/// Waits until each request has ended or sleeps, in two looks at all of them; no longer than
/// `patience`. One that sleeps while another one's image is copied goes on once more: what the
/// first look finds asleep may have been woken before that look has come to the end.
pub fn settled(requests: &mut [Request], patience: Duration) -> Result<bool> {
    let mut before = false;
    process::until(patience, || {
        let now = are_settled(requests)?;
        Ok(std::mem::replace(&mut before, now) && now)
    })
}

fn are_settled(requests: &mut [Request]) -> Result<bool> {
    for request in requests {
        request.reap()?;
        if request.end.is_none() && request.state() != Some('S') {
            return Ok(false);
        }
    }
    Ok(true)
}

/// As the exit code of a request; 0 for success.
pub fn code(result: Result<(), Errno>) -> i32 {
    errno::number(result).min(NO_ERRNO)
}

/// From here on the signal ends a wait if it is caught, or else the process.
pub fn catch(signal: Signal, caught: bool) -> Result<(), Errno> {
    let handler = if caught { SigHandler::Handler(nothing) } else { SigHandler::SigDfl };
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    // SAFETY: A handler does nothing.
    Ok(unsafe { sigaction(signal, &action) }.map(drop)?)
}

extern "C" fn nothing(_: libc::c_int) {}
