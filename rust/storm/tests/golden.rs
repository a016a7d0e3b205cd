// SPDX-License-Identifier: GPL-2.0

//! Real boots, trimmed: the report of each is as it was.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const SPDX: &str = "# SPDX-License-Identifier: GPL-2.0\n";

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

fn storm(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_storm")).args(arguments).current_dir(data()).output().unwrap()
}

fn traces() -> Vec<String> {
    let names = fs::read_dir(data())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut traces: Vec<_> = names.filter(|name| name.ends_with(".trace")).collect();
    traces.sort();
    traces
}

/// What storm prints about a trace in tests/data/.
fn report(trace: &str) -> String {
    let output = storm(&[trace, "--all"]);
    assert!(output.status.success(), "{trace}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn each_boot_has_the_report_that_it_had() {
    assert!(traces().len() >= 9);
    for trace in traces() {
        let golden = trace.replace(".trace", ".txt");
        let wanted = fs::read_to_string(data().join(&golden)).unwrap_or_default();
        let now = format!("{SPDX}{}", report(&trace));
        let other = Path::new(env!("CARGO_TARGET_TMPDIR")).join(&golden);
        fs::write(&other, &now).unwrap();
        assert!(
            now == wanted,
            "the report is not tests/data/{golden}: if {} is right, copy it there",
            other.display()
        );
    }
}

#[test]
fn the_readme_shows_rows_of_a_real_report() {
    let readme =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let cells = |line: &str| line.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let report: Vec<_> = report("debian12-6.12.trace").lines().map(cells).collect();
    let rows: Vec<_> = readme.lines().filter(|line| line.starts_with("| ")).collect();
    assert_eq!(rows.len(), 5);
    for row in rows {
        assert!(report.contains(&cells(row)), "README.md has another row: {row}");
    }
}

/// A kernel that has inlined a function, or has no type information, lacks its probe.
#[test]
fn a_probe_may_be_missing() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("less.trace");
    let without = |trace: &str, function: &str| {
        let text = fs::read_to_string(data().join(trace)).unwrap();
        let lines = text.lines().filter(|line| !line.contains(function));
        let less: String = lines.clone().map(|line| format!("{line}\n")).collect();
        assert!(lines.count() < text.lines().count(), "{trace} has no {function}");
        fs::write(&file, less).unwrap();
        report(file.to_str().unwrap())
    };
    for function in
        ["(idempotent_init_module+", "(module_frob_arch_sections+", "(module_sig_check+"]
    {
        let trace = "debian13-6.12.trace";
        assert_eq!(without(trace, function), report(trace), "{function}");
    }
    let counts = |report: &str| {
        let lines = report.lines().skip_while(|line| !line.contains(" requests in "));
        lines.take_while(|line| !line.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    let trace = "debian12-6.1.trace";
    let less = without(trace, "(find_module_all+");
    assert_eq!(counts(&less), counts(&report(trace)));
    assert!(without(trace, "name=").contains(" without a name"));
}

#[test]
fn trace_cmd_prints_the_same_requests() {
    assert_eq!(report("running-trace-cmd.trace"), report("running-tracefs.trace"));
}

#[test]
fn the_picture_has_a_bar_for_each_request() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("boot.svg");
    for trace in traces() {
        let output = storm(&[&trace, "--all", "--picture", file.to_str().unwrap()]);
        assert!(output.status.success());
        let report = report(&trace);
        let line = report.lines().find(|line| line.contains(" requests in ")).unwrap();
        let requests: usize = line.split(' ').next().unwrap().parse().unwrap();
        let svg = fs::read_to_string(&file).unwrap();
        // The legend has five, too.
        assert_eq!(svg.matches("<rect").count(), requests + 5, "{trace}");
        assert!(svg.starts_with("<!-- SPDX-License-Identifier: GPL-2.0 -->\n<svg "));
    }
}

#[test]
fn what_the_trace_lacks_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("cut.trace");
    let text = fs::read_to_string(data().join("debian12-6.1.trace")).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let (begin, end) = (lines.len() / 3, lines.len() * 2 / 3);
    fs::write(&file, format!("CPU:1 [LOST 42 EVENTS]\n{}\n", lines[begin..end].join("\n")))
        .unwrap();
    let report = report(file.to_str().unwrap());
    assert!(report.contains("\nNote: 42 events were lost"), "{report}");
    assert!(report.contains(" requests are in the trace in part"), "{report}");
}

#[test]
fn bad_input_gets_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("input");
    let refusal = |content: &[u8]| {
        fs::write(&file, content).unwrap();
        let output = storm(&[file.to_str().unwrap()]);
        assert!(!output.status.success() && output.stdout.is_empty());
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said.lines().count(), 1, "{said}");
        said
    };
    assert!(refusal(b"").contains("this is no trace"));
    assert!(refusal(b"\x7fELF\xff\xfe\n").contains("this is no trace"));
    assert!(refusal(b"\x17\x08\x44tracing6").contains("trace-cmd report -i"));
    assert!(refusal(b"PERFILE2").contains("perf script -i"));
    let other = b"  sh-1  [000] .....  1.000001: sched_switch: a ==> b\n";
    assert!(refusal(other).contains("record.sh"));
    let missing = storm(&["no-such-file"]);
    assert!(!missing.status.success());
    assert!(
        String::from_utf8_lossy(&missing.stderr).starts_with("storm: cannot read no-such-file: ")
    );
}
