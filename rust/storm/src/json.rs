// SPDX-License-Identifier: GPL-2.0

//! The requests as JSON, for programs: counts, and times in milliseconds.

use std::collections::BTreeMap;

use nix::errno::Errno;
use serde::Serialize;

use crate::line::Call;
use crate::model::Module;
use crate::report::span;
use crate::request::{Request, Trace};

/// All of a trace.
#[derive(Serialize)]
struct Report<'a> {
    /// Events that the ring buffer had no room for.
    lost: u64,
    /// Requests whose entry or return is not in the trace.
    partial: usize,
    /// Whatever module they are for.
    all: Requests,
    modules: BTreeMap<&'a str, Requests>,
}

/// What several requests come to.
#[derive(Serialize)]
struct Requests {
    requests: usize,
    init_module: usize,
    finit_module: usize,
    /// How many got what, by the name of the error; "0" is success.
    results: BTreeMap<String, usize>,
    inits: usize,
    failed_inits: usize,
    merged_by_inode: usize,
    /// Requests that got EEXIST or EBUSY.
    duplicates: usize,
    /// Of these, those that allocated memory for a module.
    duplicates_with_memory: usize,
    /// From the first entry to the last return.
    span_ms: f64,
}

/// One line.
pub fn text(trace: &Trace, modules: &[Module<'_>]) -> String {
    let of = |module: &Module<'_>| {
        Requests::new(&module.requests.iter().map(|(request, _)| *request).collect::<Vec<_>>())
    };
    let report = Report {
        lost: trace.lost,
        partial: trace.partial,
        all: Requests::new(&trace.requests.iter().collect::<Vec<_>>()),
        modules: modules.iter().map(|module| (module.name, of(module))).collect(),
    };
    serde_json::to_string(&report).expect("its keys are strings, its numbers finite") + "\n"
}

impl Requests {
    fn new(list: &[&Request]) -> Self {
        let count =
            |fits: fn(&Request) -> bool| list.iter().filter(|request| fits(request)).count();
        let mut results = BTreeMap::new();
        for request in list {
            *results.entry(result(request.result)).or_default() += 1;
        }
        Self {
            requests: list.len(),
            init_module: count(|request| request.call == Call::Init),
            finit_module: count(|request| request.call == Call::Finit),
            results,
            inits: count(|request| request.init.is_some()),
            failed_inits: count(Request::init_failed),
            merged_by_inode: count(|request| request.by_inode),
            duplicates: count(is_duplicate),
            duplicates_with_memory: count(|request| is_duplicate(request) && request.memory > 0),
            span_ms: span(list.iter().copied()) as f64 / 1e6,
        }
    }
}

fn is_duplicate(request: &Request) -> bool {
    [Errno::EEXIST, Errno::EBUSY].iter().any(|errno| request.result == -i64::from(*errno as i32))
}

/// "0", or the name of the error.
fn result(value: i64) -> String {
    match i32::try_from(-value).map(Errno::from_raw) {
        Ok(errno) if value < 0 && errno != Errno::UnknownErrno => format!("{errno:?}"),
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{json, Value};

    use super::*;
    use crate::{model, request};

    #[test]
    fn calls_results_and_memory_are_counted_for_each_module() {
        let events = [
            ("1", "sys_init_module(umod: 7f, len: 64, uargs: 0)"),
            ("1", r#"name: (find_module_all+0x0/0xa0) name="a""#),
            ("2", "sys_finit_module(fd: 5, uargs: 0, flags: 4)"),
            ("2", r#"name: (find_module_all+0x0/0xa0) name="a""#),
            ("2", "alloc: (execmem_alloc+0x0/0xa0) size=4096"),
            ("1", "alloc: (execmem_alloc+0x0/0xa0) size=4096"),
            ("1", "module_load: a"),
            ("1", "initcall_finish: func=a+0x0/0x10 [a] ret=-19"),
            ("1", "sys_init_module -> 0xffffffffffffffed"),
            ("2", "sys_finit_module -> 0xfffffffffffffff0"),
            ("3", "sys_init_module(umod: 7f, len: 64, uargs: 0)"),
            ("3", r#"name: (find_module_all+0x0/0xa0) name="b""#),
            ("3", "sys_init_module -> 0xffffffffffffffef"),
        ];
        let line = |(time, (pid, text)): (usize, &(&str, &str))| {
            format!("  udev-{pid}  [000] .....  1.0{time:02}000: {text}\n")
        };
        let trace: String = events.iter().enumerate().map(line).collect();
        let trace = request::read(&trace).unwrap();
        let report: Value = serde_json::from_str(&text(&trace, &model::modules(&trace))).unwrap();
        assert_eq!((&report["lost"], &report["partial"]), (&json!(0), &json!(0)));
        let wanted = json!({
            "requests": 2, "init_module": 1, "finit_module": 1, "results": { "ENODEV": 1, "EBUSY": 1 },
            "inits": 1, "failed_inits": 1, "merged_by_inode": 0,
            "duplicates": 1, "duplicates_with_memory": 1, "span_ms": 9.0,
        });
        assert_eq!(report["modules"]["a"], wanted);
        let all = &report["all"];
        assert_eq!(all["requests"], 3);
        assert_eq!((&all["duplicates"], &all["duplicates_with_memory"]), (&json!(2), &json!(1)));
    }

    #[test]
    fn results_are_named_as_errno_is() {
        assert_eq!([0, -16, -9999, 3].map(result), ["0", "EBUSY", "-9999", "3"]);
    }
}
