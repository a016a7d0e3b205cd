// SPDX-License-Identifier: GPL-2.0

//! A thread that loads modules, and what it spends.

use std::{collections::BTreeMap, ops::Sub};

use anyhow::Result;
use nix::{
    errno::Errno,
    sys::resource::{getrusage, UsageWho},
    time::{clock_gettime, ClockId},
};
use serde::Serialize;

use crate::module::Module;

/// What this thread has spent so far, or between two moments.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spent {
    /// CPU time.
    pub cpu_ns: u64,
    /// How often it went to sleep, and so was woken.
    pub sleeps: u64,
}

impl Spent {
    /// Since the thread began.
    pub fn now() -> Result<Self> {
        let sleeps = getrusage(UsageWho::RUSAGE_THREAD)?.voluntary_context_switches() as u64;
        let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?;
        Ok(Self { cpu_ns: time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64, sleeps })
    }
}

impl Sub for Spent {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self { cpu_ns: self.cpu_ns - before.cpu_ns, sleeps: self.sleeps - before.sleeps }
    }
}

/// What one caller has spent, and what it got.
pub type Outcome = Result<(Spent, Vec<Result<(), Errno>>)>;

/// Loads one module after the other.
pub fn load(modules: &[&Module]) -> Outcome {
    let before = Spent::now()?;
    let results = modules.iter().map(|module| module.init()).collect();
    Ok((Spent::now()? - before, results))
}

/// What it cost, over all callers.
#[derive(Debug, Default, Serialize)]
pub struct Costs {
    /// Threads.
    pub callers: usize,
    /// System calls.
    pub requests: usize,
    /// From the release of the callers to the return of the last.
    pub wall_ms: f64,
    /// CPU time within the system calls.
    pub cpu_ms: f64,
    /// How often callers went to sleep.
    pub sleeps: u64,
    /// Of the caller that slept most often.
    pub most_sleeps: u64,
    /// How many requests got what.
    pub results: BTreeMap<String, usize>,
}

impl Costs {
    /// One caller more.
    pub fn add(&mut self, outcome: Outcome) -> Result<()> {
        let (spent, results) = outcome?;
        self.most_sleeps = self.most_sleeps.max(spent.sleeps);
        self.callers += 1;
        self.requests += results.len();
        self.cpu_ms += spent.cpu_ns as f64 / 1e6;
        self.sleeps += spent.sleeps;
        for result in results {
            let name = result.map_or_else(|errno| format!("{errno:?}"), |()| "0".to_owned());
            *self.results.entry(name).or_default() += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_are_added_up() {
        let mut costs = Costs::default();
        for sleeps in [3, 1] {
            let results = vec![Ok(()), Err(Errno::EBUSY)];
            costs.add(Ok((Spent { cpu_ns: 500_000, sleeps }, results))).unwrap();
        }
        assert_eq!((costs.callers, costs.requests, costs.sleeps, costs.most_sleeps), (2, 4, 4, 3));
        assert_eq!(costs.cpu_ms, 1.0);
        assert_eq!(costs.results["EBUSY"], 2);
    }
}
