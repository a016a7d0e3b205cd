// SPDX-License-Identifier: GPL-2.0

//! What a burst cost, for programs (JSON) and for people (a table).

use std::{collections::BTreeMap, fmt};

use nix::errno::Errno;
use serde::Serialize;

use crate::{cli::Syscall, request::Outcome};

/// The measures of one burst. CPU time and switches are those within the system calls.
#[derive(Debug, Serialize)]
pub struct Report {
    requests: usize,
    wall_ms: f64,
    /// How often an init ran; unknown without the gate.
    runs: Option<u64>,
    peak_vmalloc_kib: u64,
    /// What was read from files or copied from memory; unknown if this kernel does not count.
    copied_bytes: Option<u64>,
    /// How many requests got what, by the name of the error; "0" is success.
    results: BTreeMap<String, usize>,
    sys_cpu_ms: f64,
    voluntary_switches: u64,
    /// So many or fewer had 95 of 100 requests.
    p95_voluntary_switches: u64,
    involuntary_switches: u64,
    p50_ms: f64,
    p95_ms: f64,
    max_ms: f64,
    image_bytes: u64,
    syscall: Syscall,
    copies: bool,
    live: bool,
}

/// What a report needs beside the outcomes.
pub struct Facts {
    /// When the requests were released.
    pub released_ns: u64,
    /// How often an init ran.
    pub runs: Option<u64>,
    /// The peak of vmalloc memory above what was in use before.
    pub peak_vmalloc_kib: u64,
    /// What was copied for all requests, if this kernel counts.
    pub copied_bytes: Option<u64>,
    /// The size of the file.
    pub image_bytes: u64,
    /// The system call.
    pub syscall: Syscall,
    /// Whether each request had a file of its own.
    pub copies: bool,
    /// Whether the module was live before.
    pub live: bool,
}

impl Report {
    /// Adds up what the requests saw.
    pub fn new(outcomes: &[Outcome], facts: &Facts) -> Self {
        let mut took: Vec<u64> = outcomes.iter().map(|o| o.end_ns - o.start_ns).collect();
        took.sort_unstable();
        let mut voluntary: Vec<u64> = outcomes.iter().map(|o| o.voluntary).collect();
        voluntary.sort_unstable();
        let last = outcomes.iter().map(|o| o.end_ns).max().unwrap_or(facts.released_ns);
        let mut results = BTreeMap::new();
        for outcome in outcomes {
            *results.entry(errno_name(outcome.errno)).or_default() += 1;
        }
        Self {
            requests: outcomes.len(),
            wall_ms: ms(last - facts.released_ns),
            runs: facts.runs,
            peak_vmalloc_kib: facts.peak_vmalloc_kib,
            copied_bytes: facts.copied_bytes,
            results,
            sys_cpu_ms: ms(outcomes.iter().map(|o| o.cpu_ns).sum()),
            voluntary_switches: voluntary.iter().sum(),
            p95_voluntary_switches: percentile(&voluntary, 95),
            involuntary_switches: outcomes.iter().map(|o| o.involuntary).sum(),
            p50_ms: ms(percentile(&took, 50)),
            p95_ms: ms(percentile(&took, 95)),
            max_ms: ms(percentile(&took, 100)),
            image_bytes: facts.image_bytes,
            syscall: facts.syscall,
            copies: facts.copies,
            live: facts.live,
        }
    }

    /// One line of JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a report has string keys and finite numbers only")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runs = self.runs.map_or("unknown (no gate)".to_owned(), |runs| format!("{runs} times"));
        let results: Vec<_> =
            self.results.iter().map(|(name, n)| format!("{n} × {name}")).collect();
        let each = if self.copies { " each" } else { "" };
        let [syscall, image_bytes] = [format!("{:?}", self.syscall), self.image_bytes.to_string()];
        writeln!(
            f,
            "requests      {} × {}_module, {image_bytes} bytes{each}",
            self.requests,
            syscall.to_lowercase()
        )?;
        writeln!(f, "results       {}", results.join(", "))?;
        writeln!(f, "init ran      {runs}")?;
        writeln!(f, "wall          {:.1} ms", self.wall_ms)?;
        writeln!(
            f,
            "request       p50 {:.1} ms, p95 {:.1} ms, max {:.1} ms",
            self.p50_ms, self.p95_ms, self.max_ms
        )?;
        writeln!(f, "peak vmalloc  {:.1} MiB", self.peak_vmalloc_kib as f64 / 1024.0)?;
        let copied =
            self.copied_bytes.map_or("unknown".to_owned(), |bytes| format!("{bytes} bytes"));
        writeln!(f, "copied        {copied}")?;
        writeln!(f, "system CPU    {:.1} ms", self.sys_cpu_ms)?;
        writeln!(
            f,
            "switches      {} voluntary, {} involuntary",
            self.voluntary_switches, self.involuntary_switches
        )
    }
}

fn ms(ns: u64) -> f64 {
    ns as f64 / 1e6
}

/// The nearest-rank percentile of sorted values.
fn percentile(sorted: &[u64], percent: usize) -> u64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(0)
}

fn errno_name(errno: i32) -> String {
    match Errno::from_raw(errno) {
        _ if errno == 0 => "0".to_owned(),
        Errno::UnknownErrno => format!("errno {errno}"),
        known => format!("{known:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(errno: i32, start: u64, end: u64) -> Outcome {
        let ns = 1_000_000;
        Outcome {
            errno,
            start_ns: start * ns,
            end_ns: end * ns,
            cpu_ns: ns,
            voluntary: 2,
            involuntary: 1,
        }
    }

    fn report(outcomes: &[Outcome]) -> Report {
        let facts = Facts {
            released_ns: 1_000_000,
            runs: Some(1),
            peak_vmalloc_kib: 2150,
            copied_bytes: Some(10_000),
            image_bytes: 5000,
            syscall: Syscall::Finit,
            copies: true,
            live: false,
        };
        Report::new(outcomes, &facts)
    }

    #[test]
    fn results_are_counted_by_name() {
        let report = report(&[
            outcome(16, 1, 2),
            outcome(19, 1, 2),
            outcome(16, 1, 2),
            outcome(0, 1, 2),
            outcome(513, 1, 2),
        ]);
        let results: Vec<_> = report.results.iter().map(|(name, n)| (name.as_str(), *n)).collect();
        assert_eq!(results, [("0", 1), ("EBUSY", 2), ("ENODEV", 1), ("errno 513", 1)]);
    }

    #[test]
    fn wall_is_from_release_to_the_last_return() {
        assert_eq!(report(&[outcome(0, 2, 9), outcome(0, 3, 5)]).wall_ms, 8.0);
    }

    #[test]
    fn costs_are_summed() {
        let report = report(&[outcome(0, 2, 9), outcome(0, 3, 5)]);
        assert_eq!(report.sys_cpu_ms, 2.0);
        assert_eq!((report.voluntary_switches, report.involuntary_switches), (4, 2));
    }

    #[test]
    fn percentiles_are_values_that_occurred() {
        let hundred: Vec<u64> = (1..=100).collect();
        for (percent, value) in [(50, 50), (95, 95), (100, 100)] {
            assert_eq!(percentile(&hundred, percent), value);
        }
        assert_eq!(percentile(&[7], 50), 7);
        assert_eq!(percentile(&[1, 2, 3], 50), 2);
        assert_eq!(percentile(&[], 50), 0);
    }

    #[test]
    fn json_has_the_agreed_keys() {
        let json: serde_json::Value =
            serde_json::from_str(&report(&[outcome(16, 1, 2)]).to_json()).unwrap();
        let mut keys: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        let mut agreed = [
            "requests",
            "wall_ms",
            "runs",
            "peak_vmalloc_kib",
            "results",
            "sys_cpu_ms",
            "voluntary_switches",
            "p95_voluntary_switches",
            "involuntary_switches",
            "p50_ms",
            "p95_ms",
            "max_ms",
            "image_bytes",
            "copied_bytes",
            "live",
            "syscall",
            "copies",
        ];
        agreed.sort_unstable();
        assert_eq!(keys, agreed);
        assert_eq!(json["syscall"], "finit");
        assert_eq!(json["results"]["EBUSY"], 1);
    }
}
