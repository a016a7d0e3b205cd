// SPDX-License-Identifier: GPL-2.0

//! The processes of a burst: forked, gathered at a pipe, released together, killed in the end.

use std::{
    fs,
    mem::size_of,
    num::NonZeroUsize,
    os::fd::OwnedFd,
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc,
    },
};

use anyhow::{bail, ensure, Context, Result};
use nix::{
    sys::{
        mman::{mmap_anonymous, MapFlags, ProtFlags},
        prctl::set_pdeathsig,
        signal::{kill, Signal},
        wait::{waitid, waitpid, Id, WaitPidFlag, WaitStatus},
    },
    unistd::{fork, pipe, ForkResult, Pid},
};
use thiserror::Error;

use crate::{
    copied::{self, Image},
    request::{monotonic_ns, Outcome, Request, Slot, State},
};

/// The user ended the burst.
#[derive(Debug, Error)]
#[error("interrupted, all requests were killed")]
pub struct Interrupted;

/// All requests of a burst. They are gone when this value is gone.
pub struct Crew {
    slots: &'static [Slot],
    pids: Vec<Pid>,
    /// Those that were not settled when they were looked at last.
    unsettled: Vec<usize>,
    start: Option<OwnedFd>,
    interrupted: Arc<AtomicBool>,
}

impl Crew {
    /// Forks `count` processes, which stop just before their system call.
    ///
    /// Fails if this process has more than one thread.
    pub fn fork(count: u32, request: &Request) -> Result<Self> {
        fail_if_threaded()?;
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in [libc::SIGINT, libc::SIGTERM] {
            signal_hook::flag::register(signal, interrupted.clone())?;
        }
        let (wait, start) = pipe()?;
        let mut crew = Self {
            slots: shared_slots(count as usize)?,
            pids: Vec::with_capacity(count as usize),
            unsettled: (0..count as usize).collect(),
            start: Some(start),
            interrupted,
        };
        for index in 0..crew.slots.len() {
            let wait = wait.try_clone()?;
            // SAFETY: There is one thread, so no lock can be held by another.
            match unsafe { fork() }.context("cannot fork that many requests")? {
                ForkResult::Parent { child } => crew.pids.push(child),
                ForkResult::Child => {
                    let _ = set_pdeathsig(Signal::SIGKILL);
                    // The pipe ends only when nobody has its other end.
                    crew.start = None;
                    request.serve(index, &crew.slots[index], wait);
                }
            }
        }
        Ok(crew)
    }

    /// Lets all requests go, and says when.
    pub fn release(&mut self) -> u64 {
        let now = monotonic_ns();
        self.start = None;
        now
    }

    /// Whether all requests have come that far.
    pub fn all(&self, state: State) -> bool {
        self.slots.iter().all(|slot| slot.state() >= state)
    }

    /// Whether every request is done or sleeps, interruptibly, inside its system call.
    ///
    /// While the gate is closed nothing wakes who sleeps like that: no need to look twice.
    pub fn all_settled(&mut self) -> bool {
        let (slots, pids) = (self.slots, &self.pids);
        // The state is read first: a request that is not `Started` yet sleeps at the pipe.
        self.unsettled.retain(|&index| match slots[index].state() {
            State::Done => false,
            State::Started => !is_asleep(pids[index]),
            State::Ready | State::Forked => true,
        });
        self.unsettled.is_empty()
    }

    /// What was copied for all requests, if this kernel counts.
    pub fn copied_bytes(&self, image: Option<&Image>) -> Option<u64> {
        self.pids.iter().map(|&pid| copied::by(pid, image)).sum()
    }

    /// Fails if the user interrupted the burst or a request died.
    pub fn check(&self) -> Result<()> {
        if self.interrupted.load(Ordering::Relaxed) {
            bail!(Interrupted);
        }
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        match waitid(Id::All, flags)? {
            WaitStatus::Signaled(pid, signal, _) => {
                bail!("request {pid} died of {signal}, see dmesg")
            }
            WaitStatus::Exited(pid, code) => {
                let error = std::io::Error::from_raw_os_error(code);
                bail!("request {pid} could not open its file: {error}")
            }
            _ => Ok(()),
        }
    }

    /// How the requests went.
    pub fn outcomes(&self) -> Vec<Outcome> {
        self.slots.iter().map(Slot::outcome).collect()
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        for pid in &self.pids {
            let _ = kill(*pid, Signal::SIGKILL);
        }
        for pid in &self.pids {
            let _ = waitpid(*pid, None);
        }
    }
}

/// Fails if another thread could hold a lock at the moment of a fork: nobody would release it.
fn fail_if_threaded() -> Result<()> {
    let threads = fs::read_dir("/proc/self/task").context("there is no /proc")?.count();
    ensure!(threads == 1, "this process has {threads} threads: fork before they begin");
    Ok(())
}

/// Memory that forked processes share with this one; it lives as long as the program.
fn shared_slots(count: usize) -> Result<&'static [Slot]> {
    let bytes = NonZeroUsize::new(count * size_of::<Slot>()).context("no requests")?;
    // SAFETY: The kernel chooses the place, so nothing else is mapped there.
    let memory = unsafe {
        mmap_anonymous(
            None,
            bytes,
            ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
            MapFlags::MAP_SHARED,
        )
    }
    .context("no shared memory")?;
    // SAFETY: The memory is large enough, aligned to a page, never unmapped, and zero, which is a
    // valid `Slot`; all of a `Slot` is atomic, so other processes may write to it.
    Ok(unsafe { std::slice::from_raw_parts(memory.as_ptr().cast(), count) })
}

fn is_asleep(pid: Pid) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| state_of(&stat) == Some('S'))
}

/// The state in a line of /proc/PID/stat: what follows the name, which may contain anything.
fn state_of(stat: &str) -> Option<char> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.trim_start().chars().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_threads_is_not_forked() {
        // That of the test, and that of its harness.
        let error = fail_if_threaded().unwrap_err().to_string();
        assert!(error.ends_with("threads: fork before they begin"), "{error}");
    }

    #[test]
    fn the_state_follows_the_last_parenthesis() {
        assert_eq!(state_of("12 (burst) S 1 12 12 0"), Some('S'));
        assert_eq!(state_of("12 (a) S (b) D 1 12 12 0"), Some('D'));
        assert_eq!(state_of("12 (burst)"), None);
        assert_eq!(state_of(""), None);
    }

    #[test]
    fn shared_slots_start_as_forked() {
        let slots = shared_slots(100_000).unwrap();
        assert!(slots.iter().all(|slot| slot.state() == State::Forked));
    }
}
