// SPDX-License-Identifier: GPL-2.0

//! What the series would have made of the requests of a trace.
//!
//! The model has three rules. A request for a name that another load holds at that time
//! sleeps until that load has ended, and allocates nothing; that also goes for requests that
//! today get `EBUSY` at once, as the failed module is being freed. A request for a live module
//! returns `EEXIST` at once, with the series or without it. A request that comes when
//! neither is so loads the module itself, after a failure, too. Times are those of the
//! trace: the model does not guess how much shorter the loads would be.

use std::collections::BTreeMap;

use crate::request::{Request, Trace};

/// What a request is to the series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The series would merge it: it came while its name was loaded.
    Merged,
    /// Merged today already, with another request for the same file.
    ByInode,
    /// The load before it had failed: it loads the module again.
    AfterFailure,
    /// The module was live.
    Live,
    /// It loads the module, and no load of the name had failed before.
    Load,
    /// The trace does not tell for which module it was.
    Unknown,
}

impl Verdict {
    /// Those of named modules, in the order of the report.
    pub const NAMED: [Verdict; 5] =
        [Verdict::Merged, Verdict::ByInode, Verdict::AfterFailure, Verdict::Live, Verdict::Load];
}

/// All requests for one module, by the time of their entry, each with its verdict.
#[derive(Debug)]
pub struct Module<'a> {
    /// Its name, or nothing if the trace does not tell it.
    pub name: &'a str,
    /// The requests.
    pub requests: Vec<(&'a Request, Verdict)>,
    /// Runs of its init function that the series would save.
    pub saved_inits: usize,
}

impl Module<'_> {
    /// How many requests have this verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.requests.iter().filter(|(_, v)| *v == verdict).count()
    }

    /// The requests that the series would merge.
    pub fn merged(&self) -> impl Iterator<Item = &Request> {
        self.requests
            .iter()
            .filter(|(_, verdict)| *verdict == Verdict::Merged)
            .map(|(request, _)| *request)
    }
}

/// The modules of a trace, by name.
pub fn modules(trace: &Trace) -> Vec<Module<'_>> {
    let mut by_name: BTreeMap<&str, Vec<&Request>> = BTreeMap::new();
    for request in &trace.requests {
        by_name.entry(request.name.as_deref().unwrap_or("")).or_default().push(request);
    }
    let judged = by_name.into_iter().map(|(name, requests)| {
        let removed = trace.removals.iter().filter(|(_, n)| n == name).map(|(time, _)| *time);
        judge(name, requests, &removed.collect::<Vec<_>>())
    });
    judged.collect()
}

fn judge<'a>(name: &'a str, requests: Vec<&'a Request>, removed: &[u64]) -> Module<'a> {
    let mut walk = Walk { requests: &requests, removed, ..Walk::default() };
    let by_inode =
        |request: &&Request| if request.by_inode { Verdict::ByInode } else { Verdict::Unknown };
    let mut verdicts: Vec<_> = requests.iter().map(by_inode).collect();
    let mut order: Vec<usize> = (0..requests.len()).filter(|i| !requests[*i].by_inode).collect();
    order.sort_by_key(|i| requests[*i].claim);
    if !name.is_empty() {
        order.into_iter().for_each(|i| walk.take(i, &mut verdicts));
    }
    let saved_inits = walk.saved_inits();
    Module { name, requests: requests.into_iter().zip(verdicts).collect(), saved_inits }
}

/// A load: a request that loads the module, and those that would sleep in it.
#[derive(Debug)]
struct Load {
    end: u64,
    failed: bool,
    /// Who loads the module in the trace.
    loader: usize,
}

/// The requests for a name, one after the other.
#[derive(Default)]
struct Walk<'a> {
    requests: &'a [&'a Request],
    removed: &'a [u64],
    loads: Vec<Load>,
    live_since: Option<u64>,
}

impl Walk<'_> {
    fn take(&mut self, i: usize, verdicts: &mut [Verdict]) {
        let request = self.requests[i];
        if self.loads.last().is_some_and(|load| load.loader == i) {
            return;
        }
        if self.loads.last().is_some_and(|load| request.claim < load.end) {
            verdicts[i] = Verdict::Merged;
            return;
        }
        // A module may have been loaded before the trace begins, and be removed unseen.
        let known = self.is_live(request.claim) && !request.loaded;
        if known || (request.result == -EEXIST && self.loader(i) == i) {
            self.live_since = self.live_since.max(Some(request.claim));
            verdicts[i] = Verdict::Live;
            return;
        }
        let has_failed = self.loads.last().is_some_and(|load| load.failed);
        let verdict = if has_failed { Verdict::AfterFailure } else { Verdict::Load };
        let loader = self.loader(i);
        verdicts[i] = Verdict::Merged;
        verdicts[loader] = verdict;
        self.begin(loader);
    }

    fn begin(&mut self, loader: usize) {
        let request = self.requests[loader];
        let live = request.live();
        self.live_since = live.or(self.live_since);
        self.loads.push(Load { end: live.unwrap_or(request.exit), failed: live.is_none(), loader });
    }

    fn is_live(&self, time: u64) -> bool {
        self.live_since.is_some_and(|since| {
            !self.removed.iter().any(|removed| (since..=time).contains(removed))
        })
    }

    /// Who loads the module while request `i`, the first, is under way: another may have
    /// overtaken it.
    fn loader(&self, i: usize) -> usize {
        let first = self.requests[i];
        if first.loaded {
            return i;
        }
        let overtakes = |request: &Request| {
            request.loaded
                && !request.by_inode
                && (first.claim..first.exit).contains(&request.claim)
        };
        let others = (0..self.requests.len()).filter(|other| overtakes(self.requests[*other]));
        others.min_by_key(|other| self.requests[*other].claim).unwrap_or(i)
    }

    /// Each load runs its init function once; in the trace, one that another one was in the
    /// way of may not have come to that.
    fn saved_inits(&self) -> usize {
        let inits = self.requests.iter().filter(|request| request.init.is_some()).count();
        inits.saturating_sub(self.loads.len())
    }
}

const EEXIST: i64 = 17;

/// The most memory that the series would have saved at one time: images and modules of
/// requests that would be merged, in bytes.
pub fn peak<'a>(merged: impl Iterator<Item = &'a Request>) -> u64 {
    let mut changes: Vec<(u64, i128)> = vec![];
    for request in merged {
        changes.push((request.enter, request.image.into()));
        changes.push((request.allocated, request.memory.into()));
        changes.push((request.exit, -i128::from(request.image + request.memory)));
    }
    // What is freed at an instant is gone before the next is allocated.
    changes.sort();
    let held = changes.iter().scan(0, |held, (_, change)| {
        *held += change;
        Some(*held)
    });
    held.max().unwrap_or(0).try_into().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::Call;
    use crate::request::InitRun;

    const EBUSY: i64 = 16;
    const ENODEV: i64 = 19;

    /// A request for `a` from `enter` to `exit` that neither allocates nor loads.
    fn request(enter: u64, exit: u64, result: i64) -> Request {
        Request {
            call: Call::Init,
            enter,
            exit,
            result,
            name: Some("a".to_owned()),
            claim: enter,
            image: 0,
            memory: 0,
            allocated: enter,
            loaded: false,
            init: None,
            by_inode: false,
        }
    }

    /// One whose init function runs until `end`.
    fn load(enter: u64, end: u64, exit: u64, result: i64) -> Request {
        Request {
            loaded: true,
            init: Some(InitRun { end, result }),
            ..request(enter, exit, result)
        }
    }

    fn verdicts(requests: Vec<Request>, removals: &[u64]) -> (Vec<Verdict>, usize) {
        let removals = removals.iter().map(|time| (*time, "a".to_owned())).collect();
        let trace = Trace { requests, removals, ..Trace::default() };
        let modules = modules(&trace);
        assert_eq!(modules.len(), 1);
        (modules[0].requests.iter().map(|(_, verdict)| *verdict).collect(), modules[0].saved_inits)
    }

    #[test]
    fn requests_during_a_load_would_be_merged_until_it_is_live() {
        let requests = vec![
            load(0, 50, 100, 0),
            request(10, 100, -EEXIST),
            request(49, 100, -EEXIST),
            request(50, 60, -EEXIST),
        ];
        use Verdict::*;
        assert_eq!(verdicts(requests, &[]), (vec![Load, Merged, Merged, Live], 0));
    }

    #[test]
    fn a_failed_init_runs_once_for_the_requests_of_its_time_and_again_for_later_ones() {
        let requests = vec![
            load(0, 50, 60, -ENODEV),
            load(10, 90, 100, -ENODEV),
            request(20, 70, -EBUSY),
            load(61, 140, 150, -ENODEV),
        ];
        use Verdict::*;
        assert_eq!(verdicts(requests, &[]), (vec![Load, Merged, Merged, AfterFailure], 1));
    }

    #[test]
    fn a_load_that_another_one_was_in_the_way_of_would_run_its_init() {
        let requests = vec![
            load(0, 50, 60, -ENODEV),
            load(10, 90, 100, -ENODEV),
            load(20, 95, 110, -ENODEV),
            request(70, 80, -EBUSY),
        ];
        use Verdict::*;
        assert_eq!(verdicts(requests, &[]), (vec![Load, Merged, Merged, AfterFailure], 1));
    }

    #[test]
    fn the_request_that_loads_the_module_may_not_be_the_first() {
        let requests =
            vec![request(0, 100, -EEXIST), load(10, 90, 95, 0), request(92, 93, -EEXIST)];
        use Verdict::*;
        assert_eq!(verdicts(requests, &[]), (vec![Merged, Load, Live], 0));
    }

    #[test]
    fn a_module_may_be_live_before_the_trace_and_be_removed_in_it() {
        let requests = vec![request(0, 1, -EEXIST), load(20, 30, 30, 0), request(50, 60, -EBUSY)];
        use Verdict::*;
        assert_eq!(verdicts(requests.clone(), &[10, 40]), (vec![Live, Load, Load], 0));
        assert_eq!(verdicts(requests, &[10]), (vec![Live, Load, Live], 0));
        let unseen = vec![load(0, 10, 10, 0), load(20, 30, 30, 0)];
        assert_eq!(verdicts(unseen, &[]), (vec![Load, Load], 0));
        let requests = vec![request(0, 1, -EEXIST), request(5, 6, -EBUSY)];
        assert_eq!(verdicts(requests, &[]), (vec![Live, Live], 0));
    }

    #[test]
    fn merged_by_inode_is_no_merit_of_the_series_and_no_name_is_no_duplicate() {
        let by_inode = Request { by_inode: true, ..request(10, 100, 0) };
        use Verdict::*;
        assert_eq!(verdicts(vec![load(0, 50, 100, 0), by_inode], &[]), (vec![Load, ByInode], 0));
        let nameless = || Request { name: None, ..request(0, 100, -ENODEV) };
        assert_eq!(verdicts(vec![nameless(), nameless()], &[]), (vec![Unknown, Unknown], 0));
    }

    #[test]
    fn the_peak_counts_what_is_held_at_one_time() {
        let with = |enter, allocated, exit| Request {
            image: 10,
            memory: 5,
            allocated,
            ..request(enter, exit, -EBUSY)
        };
        let requests = [with(0, 20, 30), with(10, 25, 40), with(30, 35, 50)];
        assert_eq!(peak(requests.iter()), 30);
        assert_eq!(peak([].iter()), 0);
    }
}
