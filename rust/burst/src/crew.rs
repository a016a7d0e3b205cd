// SPDX-License-Identifier: GPL-2.0

//! The processes of a burst: forked, gathered at a pipe, released together, killed in the end.

use std::{
    mem::size_of,
    os::fd::OwnedFd,
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc,
    },
};

use anyhow::{bail, Context, Result};
use guest::{clock::monotonic_ns, process};
use nix::{
    sys::{
        mman::MapFlags,
        signal::{kill, Signal},
        wait::{waitid, waitpid, Id, WaitPidFlag, WaitStatus},
    },
    unistd::{pipe, Pid},
};
use thiserror::Error;

use crate::{
    copied::{self, Image},
    request::{Outcome, Request, Slot, State},
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
    pub fn fork(count: u32, request: &Request) -> Result<Self> {
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
            let pid = process::fork(|| {
                // The pipe ends only when nobody has its other end.
                crew.start = None;
                request.serve(index, &crew.slots[index], wait)
            });
            crew.pids.push(pid.context("cannot fork that many requests")?);
        }
        Ok(crew)
    }

    /// Lets all requests go, and says when.
    pub fn release(&mut self) -> Result<u64> {
        let now = monotonic_ns()?;
        self.start = None;
        Ok(now)
    }

    /// Whether all requests have come that far.
    pub fn all(&self, state: State) -> bool {
        self.slots.iter().all(|slot| slot.state() >= state)
    }

    /// Whether every request is done or sleeps, interruptibly, inside its system call.
    ///
    /// One that sleeps while another one's image is copied goes on once more, so the last look is
    /// at all of them. The looks before it are at those that were awake, for there are thousands.
    pub fn all_settled(&mut self) -> bool {
        self.look();
        if self.unsettled.is_empty() {
            self.unsettled = (0..self.slots.len()).collect();
            self.look();
        }
        self.unsettled.is_empty()
    }

    /// Leaves those in `unsettled` that are.
    fn look(&mut self) {
        let (slots, pids) = (self.slots, &self.pids);
        // The state is read first: a request that is not `Started` yet sleeps at the pipe.
        self.unsettled.retain(|&index| match slots[index].state() {
            State::Done => false,
            State::Started => process::state(pids[index]) != Some('S'),
            State::Ready | State::Forked => true,
        });
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

/// Memory that forked processes share with this one; it lives as long as the program.
fn shared_slots(count: usize) -> Result<&'static [Slot]> {
    let memory = copied::map(count * size_of::<Slot>(), MapFlags::MAP_SHARED)?;
    // SAFETY: The memory is large enough, aligned to a page, never unmapped, and zero, which is a
    // valid `Slot`; all of a `Slot` is atomic, so other processes may write to it.
    Ok(unsafe { std::slice::from_raw_parts(memory.as_ptr().cast(), count) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_slots_start_as_forked() {
        let slots = shared_slots(100_000).unwrap();
        assert!(slots.iter().all(|slot| slot.state() == State::Forked));
    }
}
