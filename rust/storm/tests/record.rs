// SPDX-License-Identifier: GPL-2.0

//! What record.sh prints for a kernel's command line.

use std::process::{Command, Output};

/// COMMAND_LINE_SIZE of x86 is 2048, and others want room, too.
const LONGEST: usize = 1024;

fn sh(script: &str) -> Output {
    Command::new("sh")
        .args(["-c", script])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap()
}

fn stdout(script: &str) -> String {
    let output = sh(script);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_command_line_is_one_short_line() {
    let line = stdout("sh record.sh cmdline");
    assert!(line.lines().count() == 1 && line.len() < LONGEST, "{line}");
    let names: Vec<_> =
        line.split_whitespace().map(|word| word.split_once('=').unwrap().0).collect();
    assert_eq!(names, ["trace_clock", "trace_buf_size", "trace_event", "kprobe_event"]);
}

#[test]
fn grub_gets_the_same_in_quotes() {
    let text = stdout(
        "GRUB_CMDLINE_LINUX=quiet; eval \"$(sh record.sh grub)\"; echo \"$GRUB_CMDLINE_LINUX\"",
    );
    let line = stdout("sh record.sh cmdline");
    let (plain, probes) = line.trim_end().split_once(" kprobe_event").unwrap();
    assert_eq!(text, format!("quiet {plain} 'kprobe_event{probes}'\n"));
}

#[test]
fn another_word_is_refused_in_one_line() {
    let output = sh("sh record.sh begin");
    assert!(!output.status.success() && output.stdout.is_empty());
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "record.sh: say cmdline, grub, start or stop: the head of this script tells what they do\n"
    );
}
