// SPDX-License-Identifier: GPL-2.0

//! The JSON that the programs print, and the driver reads.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    clock::{ms, Spent},
    errno::{self, Errno},
};

/// A line of the kernel log that begins with this says how far a program is.
pub const PROGRESS: &str = "ci: progress: ";

/// How many requests got what, by the name of the error; "0" is success.
pub type Results = BTreeMap<String, u64>;

/// What a burst comes to.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Burst {
    /// From the release of the requests to the return of the last.
    pub wall_ms: f64,
    /// How often an init ran; unknown without the gate.
    pub runs: Option<u64>,
    /// Above what was in use before.
    pub peak_vmalloc_kib: u64,
    /// What the requests got.
    pub results: Results,
}

/// All that `burst` prints. CPU time and switches are those within the system calls.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Detailed {
    /// What it comes to.
    #[serde(flatten)]
    pub burst: Burst,
    /// How many there were.
    pub requests: usize,
    /// CPU time of all requests.
    pub sys_cpu_ms: f64,
    /// Times that requests went to sleep.
    pub voluntary_switches: u64,
    /// So many or fewer had 95 of 100 requests.
    pub p95_voluntary_switches: u64,
    /// Times that requests were preempted.
    pub involuntary_switches: u64,
    /// The median of the times that requests took.
    pub p50_ms: f64,
    /// So long or less took 95 of 100 requests.
    pub p95_ms: f64,
    /// The longest request.
    pub max_ms: f64,
    /// The size of the module's file.
    pub image_bytes: u64,
    /// What was read from files or copied from memory; unknown if this kernel does not count.
    pub copied_bytes: Option<u64>,
    /// Whether the module was live before.
    pub live: bool,
    /// The system call: init or finit.
    pub syscall: String,
    /// Whether each request had a file of its own.
    pub copies: bool,
}

/// `cost many` and `cost waits`: over all callers, each a thread.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Costs {
    /// How many there were.
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
    /// What the requests got.
    pub results: Results,
    /// `cost waits`: how often the other module woke the load that it woke most often.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub woken_by_other: Option<u64>,
}

impl Costs {
    /// Adds what a caller has spent and got.
    pub fn add(&mut self, spent: Spent, results: &[Result<(), Errno>]) {
        self.callers += 1;
        self.requests += results.len();
        self.cpu_ms += ms(spent.cpu_ns);
        self.sleeps += spent.voluntary;
        self.most_sleeps = self.most_sleeps.max(spent.voluntary);
        for result in results {
            *self.results.entry(errno::name(errno::number(*result))).or_default() += 1;
        }
    }
}

/// `cost single`: CPU time in ns, one number for each round.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Single {
    /// Of `init_module(2)`.
    pub init: Vec<u64>,
    /// Of `finit_module(2)`.
    pub finit: Vec<u64>,
    /// Of the removal of what `init` loaded.
    pub unload: Vec<u64>,
    /// Of `init_module(2)` for a module that is live.
    pub live_init: Vec<u64>,
    /// Of `finit_module(2)` for a module that is live.
    pub live_finit: Vec<u64>,
}

/// `cost coldplug`: over the whole machine.
#[derive(Debug, Serialize, Deserialize)]
pub struct Coldplug {
    /// Modules that are live now, of those that were asked about.
    pub modules: usize,
    /// From the first event until udev has handled all.
    pub wall_ms: f64,
    /// CPU time in the kernel, in ticks of 10 ms.
    pub cpu_ms: u64,
    /// CPU time outside the kernel, in ticks of 10 ms.
    pub user_ms: u64,
    /// Context switches.
    pub switches: u64,
    /// Above what was in use before.
    pub peak_vmalloc_kib: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_are_added_up() {
        let mut costs = Costs::default();
        for voluntary in [3, 1] {
            let spent = Spent { cpu_ns: 500_000, voluntary, involuntary: 0 };
            costs.add(spent, &[Ok(()), Err(Errno(libc::EBUSY))]);
        }
        assert_eq!((costs.callers, costs.requests, costs.sleeps, costs.most_sleeps), (2, 4, 4, 3));
        assert_eq!(costs.cpu_ms, 1.0);
        assert_eq!(costs.results["EBUSY"], 2);
    }
}
