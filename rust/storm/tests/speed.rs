// SPDX-License-Identifier: GPL-2.0

//! A boot of 10,000 requests is read in less than a second, picture and all.

use std::fmt::Write;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

const REQUESTS: u64 = 10_000;
/// As many requests for each module, one after the other; each is 100 times as long.
const MODULES: u64 = 40;

/// A storm: each module is asked for 250 times, the first request loads it.
fn boot() -> String {
    let mut events: Vec<(u64, u64, String)> = vec![];
    for request in 0..REQUESTS {
        let (pid, module, enter) = (1000 + request, request / (REQUESTS / MODULES), request * 100);
        let mut add = |after: u64, text: String| events.push((enter + after, pid, text));
        add(0, "sys_init_module(umod: 7f0c, len: 10000, uargs: 7f0d)".to_owned());
        add(1, "image: (module_sig_check+0x0/0xa0) len=65536".to_owned());
        add(2, format!("name: (find_module_all+0x0/0xa0) name=\"driver{module}\""));
        add(3, format!("name: (module_frob_arch_sections+0x0/0xa0) name=\"driver{module}\""));
        add(4, "alloc: (execmem_alloc+0x0/0xa0) size=65536".to_owned());
        if request % (REQUESTS / MODULES) == 0 {
            add(5, format!("module_load: driver{module} "));
            add(6, format!("initcall_start: func=f+0x0/0x10 [driver{module}]"));
            add(30_000, format!("initcall_finish: func=f+0x0/0x10 [driver{module}] ret=0"));
            add(30_001, "sys_init_module -> 0x0".to_owned());
        } else {
            add(30_000, "sys_init_module -> 0xffffffffffffffef".to_owned());
        }
    }
    events.sort();
    let mut text = String::new();
    for (time, pid, event) in events {
        let (seconds, micros) = (time / 1_000_000, time % 1_000_000);
        writeln!(text, "   (udev-worker)-{pid}  [000] .....  {seconds}.{micros:06}: {event}")
            .unwrap();
    }
    text
}

#[test]
#[cfg_attr(debug_assertions, ignore = "for cargo test --release, as make test runs it")]
fn ten_thousand_requests_take_less_than_a_second() {
    let dir = tempfile::tempdir().unwrap();
    let trace = dir.path().join("boot.trace");
    let text = boot();
    fs::write(&trace, &text).unwrap();
    let start = Instant::now();
    let mut storm = Command::new(env!("CARGO_BIN_EXE_storm"));
    let output =
        storm.arg(&trace).arg("--picture").arg(dir.path().join("boot.svg")).output().unwrap();
    let took = start.elapsed();
    let report = String::from_utf8(output.stdout).unwrap();
    println!(
        "{REQUESTS} requests, {} lines, {} KiB: {took:?}",
        text.lines().count(),
        text.len() / 1024
    );
    assert!(report.contains("the series would merge 9960 of 10000 requests"), "{report}");
    assert!(took < Duration::from_secs(1), "{took:?}");
}
