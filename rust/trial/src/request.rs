// SPDX-License-Identifier: GPL-2.0

//! Requests: processes that do one system call each, and are watched.

use std::{
    fs,
    os::fd::{AsFd, OwnedFd},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{bail, Context, Result};
use nix::{
    errno::Errno,
    sys::{
        prctl::set_pdeathsig,
        signal::{sigaction, SaFlags, SigAction, SigHandler, SigSet, Signal},
        wait::{waitpid, WaitPidFlag, WaitStatus},
    },
    unistd::{fork, ForkResult, Pid},
};

use crate::{
    calls::{self, Memory},
    injection,
};

/// Stands for all that the kernel keeps to itself, such as ERESTARTSYS: an exit code has 8 bits.
pub const NO_ERRNO: i32 = 255;
const POLL: Duration = Duration::from_millis(2);

/// What a request asks for.
pub enum Job<'a> {
    /// `init_module(2)`.
    Init(&'a Memory),
    /// `finit_module(2)` with these flags.
    Finit(&'a OwnedFd, u32),
    /// `delete_module(2)` with these flags.
    Delete(u32),
    /// No request, but something that makes them harder.
    Other(&'a dyn Fn()),
}

/// How a request is made.
pub struct Order<'a> {
    /// The name of the module.
    pub module: &'a str,
    /// What it asks for.
    pub job: Job<'a>,
    /// Parameters of the module.
    pub params: &'a str,
    /// SIGINT ends a wait, not the process.
    pub catches: bool,
    /// The allocation that fails, counted from 1.
    pub fail_nth: Option<u32>,
}

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
}

impl Request {
    /// Forks a process that waits until `start` is closed on the other side.
    ///
    /// To be called while this process has one thread only.
    pub fn fork(order: &Order, start: Option<(&OwnedFd, &OwnedFd)>) -> Result<Self> {
        // SAFETY: There is one thread, so no lock can be held by another.
        match unsafe { fork() }.context("cannot fork a request")? {
            ForkResult::Parent { child } => {
                Ok(Self { pid: child, module: order.module.to_owned(), end: None })
            }
            ForkResult::Child => serve(order, start),
        }
    }

    /// Looks whether it has ended; whether that is news.
    pub fn reap(&mut self) -> Result<bool> {
        if self.end.is_some() {
            return Ok(false);
        }
        self.end = match waitpid(self.pid, Some(WaitPidFlag::WNOHANG))? {
            WaitStatus::Exited(_, code) => Some(End::Returned(code)),
            WaitStatus::Signaled(..) => Some(End::Killed),
            _ => None,
        };
        Ok(self.end.is_some())
    }

    /// Kills it; for its end, see [`all_ended`].
    pub fn kill(&mut self) -> Result<()> {
        self.reap()?;
        if self.end.is_none() {
            nix::sys::signal::kill(self.pid, Signal::SIGKILL)?;
        }
        Ok(())
    }

    /// Running, sleeping, ...
    pub fn state(&self) -> Option<char> {
        state_of(self.pid)
    }

    fn describe(&self) -> String {
        let stack = fs::read_to_string(format!("/proc/{}/stack", self.pid)).unwrap_or_default();
        let frames: Vec<&str> = stack.lines().filter_map(|l| l.split(' ').nth(1)).collect();
        format!("{} (pid {}, {:?}, {})", self.module, self.pid, self.state(), frames.join(" < "))
    }
}

/// The state in /proc/PID/stat: what follows the name in parentheses.
pub fn state_of(pid: Pid) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
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
            bail!(
                "{what}: {open} requests do not end, the first for {}",
                first.unwrap_or_default()
            );
        }
        // No more time for looking than for what is looked at.
        sleep(POLL.max(sweep.elapsed()));
    }
}

/// Waits until each request has ended or sleeps; no longer than `patience`.
pub fn settled(requests: &mut [Request], patience: Duration) -> Result<bool> {
    let begin = Instant::now();
    while begin.elapsed() < patience {
        let sweep = Instant::now();
        let mut asleep = true;
        for request in requests.iter_mut() {
            request.reap()?;
            asleep = request.end.is_some() || request.state() == Some('S');
            if !asleep {
                break;
            }
        }
        if asleep {
            return Ok(true);
        }
        sleep(POLL.max(sweep.elapsed()));
    }
    Ok(false)
}

/// The life of a request. Does not return, so that nothing of the parent is dropped twice.
fn serve(order: &Order, start: Option<(&OwnedFd, &OwnedFd)>) -> ! {
    let _ = set_pdeathsig(Signal::SIGKILL);
    if order.catches {
        let _ = catch(Signal::SIGINT);
    }
    if let Some((wait, other_end)) = start {
        use std::os::fd::AsRawFd;
        let _ = nix::unistd::close(other_end.as_raw_fd());
        let _ = nix::unistd::read(wait, &mut [0]);
    }
    if let Some(nth) = order.fail_nth {
        let _ = fs::write(injection::FAIL_NTH, nth.to_string());
    }
    let result = issue(order);
    // SAFETY: Ends this process, without handlers that belong to the parent.
    unsafe { libc::_exit(result.err().map_or(0, |errno| errno.min(NO_ERRNO))) }
}

fn issue(order: &Order) -> Result<(), i32> {
    let params = Memory::text(order.params);
    match order.job {
        Job::Init(image) => calls::init_module(image, &params),
        Job::Finit(file, flags) => calls::finit_module(calls::number(file.as_fd()), &params, flags),
        Job::Delete(flags) => calls::delete_module(&Memory::text(order.module), flags),
        Job::Other(work) => {
            work();
            Ok(())
        }
    }
}

/// From here on the signal ends a wait, not the process.
pub fn catch(signal: Signal) -> Result<(), Errno> {
    let handler = SigHandler::Handler(nothing);
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    // SAFETY: The handler does nothing.
    unsafe { sigaction(signal, &action) }.map(drop)
}

extern "C" fn nothing(_: libc::c_int) {}
