// SPDX-License-Identifier: GPL-2.0

//! What a burst cost, for programs (JSON) and for people (a table).

use guest::{
    clock::ms,
    errno,
    report::{Burst, Detailed},
};

use crate::request::Outcome;

/// Adds up what the requests saw.
pub fn of(released_ns: u64, outcomes: &[Outcome]) -> Detailed {
    let mut took: Vec<u64> = outcomes.iter().map(|o| o.end_ns - o.start_ns).collect();
    took.sort_unstable();
    let mut voluntary: Vec<u64> = outcomes.iter().map(|o| o.spent.voluntary).collect();
    voluntary.sort_unstable();
    let wall_ns = outcomes.iter().map(|o| o.end_ns - released_ns).max().unwrap_or(0);
    let mut burst = Burst { wall_ms: ms(wall_ns), ..Burst::default() };
    for outcome in outcomes {
        *burst.results.entry(errno::name(outcome.errno)).or_default() += 1;
    }
    Detailed {
        burst,
        requests: outcomes.len(),
        sys_cpu_ms: ms(outcomes.iter().map(|o| o.spent.cpu_ns).sum()),
        voluntary_switches: voluntary.iter().sum(),
        p95_voluntary_switches: percentile(&voluntary, 95),
        involuntary_switches: outcomes.iter().map(|o| o.spent.involuntary).sum(),
        p50_ms: ms(percentile(&took, 50)),
        p95_ms: ms(percentile(&took, 95)),
        max_ms: ms(percentile(&took, 100)),
        ..Detailed::default()
    }
}

/// For people.
pub fn table(report: &Detailed) -> String {
    let burst = &report.burst;
    let runs = burst.runs.map_or("unknown (no gate)".to_owned(), |runs| format!("{runs} times"));
    let results: Vec<_> = burst.results.iter().map(|(name, n)| format!("{n} × {name}")).collect();
    let copied = report.copied_bytes.map_or("unknown".to_owned(), |bytes| format!("{bytes} bytes"));
    let each = if report.copies { " each" } else { "" };
    format!(
        "requests      {} × {}_module, {} bytes{each}\n\
         results       {}\n\
         init ran      {runs}\n\
         wall          {:.1} ms\n\
         request       p50 {:.1} ms, p95 {:.1} ms, max {:.1} ms\n\
         peak vmalloc  {:.1} MiB\n\
         copied        {copied}\n\
         system CPU    {:.1} ms\n\
         switches      {} voluntary, {} involuntary\n",
        report.requests,
        report.syscall,
        report.image_bytes,
        results.join(", "),
        burst.wall_ms,
        report.p50_ms,
        report.p95_ms,
        report.max_ms,
        burst.peak_vmalloc_kib as f64 / 1024.0,
        report.sys_cpu_ms,
        report.voluntary_switches,
        report.involuntary_switches
    )
}

/// The nearest-rank percentile of sorted values.
fn percentile(sorted: &[u64], percent: usize) -> u64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use guest::clock::Spent;

    fn outcome(errno: i32, start: u64, end: u64) -> Outcome {
        let ns = 1_000_000;
        let spent = Spent { cpu_ns: ns, voluntary: 2, involuntary: 1 };
        Outcome { errno, start_ns: start * ns, end_ns: end * ns, spent }
    }

    fn report(outcomes: &[Outcome]) -> Detailed {
        Detailed { syscall: "finit".to_owned(), ..of(1_000_000, outcomes) }
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
        let results = report.burst.results.iter().map(|(name, n)| (name.as_str(), *n));
        let results: Vec<_> = results.collect();
        assert_eq!(results, [("0", 1), ("EBUSY", 2), ("ENODEV", 1), ("errno 513", 1)]);
    }

    #[test]
    fn wall_is_from_release_to_the_last_return() {
        assert_eq!(report(&[outcome(0, 2, 9), outcome(0, 3, 5)]).burst.wall_ms, 8.0);
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
        let json = serde_json::to_value(report(&[outcome(16, 1, 2)])).unwrap();
        let mut keys: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        let agreed = "copied_bytes copies image_bytes involuntary_switches live max_ms p50_ms \
                      p95_ms p95_voluntary_switches peak_vmalloc_kib requests results runs \
                      sys_cpu_ms syscall voluntary_switches wall_ms";
        assert_eq!(keys.join(" "), agreed);
        assert_eq!(json["syscall"], "finit");
        assert_eq!(json["results"]["EBUSY"], 1);
    }
}
