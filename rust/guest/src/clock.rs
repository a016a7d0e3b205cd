// SPDX-License-Identifier: GPL-2.0

//! Clocks and counters.

use nix::{
    sys::resource::{getrusage, UsageWho},
    time::{clock_gettime, ClockId},
    Result,
};

/// What a thread has spent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spent {
    /// CPU time. The kernel splits a short life into user and system time by guess, but their
    /// sum is exact.
    pub cpu_ns: u64,
    /// How often it went to sleep, and so was woken.
    pub voluntary: u64,
    /// How often it was preempted.
    pub involuntary: u64,
}

impl Spent {
    /// What this thread spends on a call, and what the call returns.
    pub fn during<T>(call: impl FnOnce() -> T) -> Result<(Self, T)> {
        let before = Self::now()?;
        let value = call();
        let after = Self::now()?;
        let spent = Self {
            cpu_ns: after.cpu_ns - before.cpu_ns,
            voluntary: after.voluntary - before.voluntary,
            involuntary: after.involuntary - before.involuntary,
        };
        Ok((spent, value))
    }

    /// Since the thread began.
    fn now() -> Result<Self> {
        let cpu_ns = clock_ns(ClockId::CLOCK_THREAD_CPUTIME_ID)?;
        let usage = getrusage(UsageWho::RUSAGE_THREAD)?;
        Ok(Self {
            cpu_ns,
            voluntary: usage.voluntary_context_switches() as u64,
            involuntary: usage.involuntary_context_switches() as u64,
        })
    }
}

/// `CLOCK_MONOTONIC`, the same for all processes.
pub fn monotonic_ns() -> Result<u64> {
    clock_ns(ClockId::CLOCK_MONOTONIC)
}

/// Milliseconds, as reports have them.
pub fn ms(ns: u64) -> f64 {
    ns as f64 / 1e6
}

fn clock_ns(clock: ClockId) -> Result<u64> {
    clock_gettime(clock).map(|time| time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64)
}
