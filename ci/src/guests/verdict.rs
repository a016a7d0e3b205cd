// SPDX-License-Identifier: GPL-2.0
//! The verdict on a boot, from its log alone.

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{bail, Result};
pub use guest::report::PROGRESS;
use regex_lite::Regex;
use serde::Deserialize;

use crate::kernels::initramfs::{DONE, UP};
use crate::system::data::data;

/// Lines that the guest writes into the kernel log, and the driver into the file.
pub const KILLED: &str = "ci: killed, time limit of the ";
/// Not every console shows what the kernel says when it powers off (s390x).
pub const ENDED: &str = "ci: the machine has ended by itself";
/// The verdict on a guest that came to its end and was not content.
pub const FAILED: &str = "failed";
/// What says this is not the kernel: a Debian without systemd lacks a program that it warns of.
const INIT: &str = "virtme-ng-init: ";
/// The kernel's last words, when it powers off or restarts (QEMU ends on both).
const POWER: [&str; 3] = ["reboot: Power down", "reboot: Restarting system", "reboot: System halted"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rules {
    splat: Vec<Splat>,
    exception: Vec<Exception>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Splat {
    name: String,
    pattern: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exception {
    guests: Vec<String>,
    pattern: String,
    #[allow(dead_code, reason = "for people; no exception goes without it")]
    reason: String,
}

/// `what` is "clean" or names the worst that was found, `line` shows it.
#[derive(Debug, PartialEq, Eq)]
pub struct Verdict {
    pub what: String,
    pub line: String,
}

impl Verdict {
    fn new(what: impl Into<String>, line: &str) -> Verdict {
        Verdict { what: what.into(), line: line.trim().to_owned() }
    }

    pub fn is_clean(&self) -> bool {
        self.what == "clean"
    }

    /// For a script with its output in the folder `out`: the last line of that is part of the error.
    pub fn fail_unless_clean(&self, out: &Path) -> Result<()> {
        if !self.is_clean() {
            let said = fs::read_to_string(out.join("output")).unwrap_or_default();
            bail!("{self} {}", said.lines().last().unwrap_or_default());
        }
        Ok(())
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.line)
    }
}

/// A crash outranks a hang, a hang outranks a failure.
pub fn judge(log: &str, guest: &str) -> Verdict {
    let messages: Vec<&str> = log.lines().filter_map(message).collect();
    let said = |line: &&str| !line.trim().is_empty() && !line.starts_with("ci: ");
    let last = log.lines().rfind(said).unwrap_or_default();
    let killed = log.lines().find_map(|l| l.strip_prefix(KILLED));
    let phase = |text: &str| text.split(':').next().unwrap_or_default().to_owned();
    let done = messages.iter().find_map(|m| m.strip_prefix(DONE));
    let ended = log.lines().any(|l| l.starts_with(ENDED));
    let powered_off = ended || messages.iter().any(|m| POWER.iter().any(|p| m.starts_with(p)));

    if let Some(splat) = splat(&messages, guest) {
        return splat;
    }
    if let Some(text) = killed {
        return Verdict::new(format!("hang in {}", phase(text)), last);
    }
    if !messages.iter().any(|m| m.starts_with(UP)) {
        return Verdict::new("never booted", last);
    }
    match done.map(str::trim) {
        None if powered_off => Verdict::new("no end marker", last),
        None => Verdict::new("truncated", last),
        Some(_) if !powered_off => Verdict::new("truncated", last),
        Some("0") => Verdict::new("clean", ""),
        Some(code) => Verdict::new(FAILED, &format!("exit code {code}")),
    }
}

/// The log of a guest that wrote its test's output into it: the lines of the boot as they
/// are, and the text of those between the markers. `None` without both markers.
pub fn halves(log: &str) -> Option<(String, String)> {
    let lines: Vec<&str> = log.lines().collect();
    let marker = |marker: &str| lines.iter().position(|l| message(l).is_some_and(|m| m.starts_with(marker)));
    let (up, done) = (marker(UP)?, marker(DONE)?);
    let booting = lines[..up].iter().map(|l| format!("{l}\n")).collect();
    let running = lines.get(up..done)?.iter().filter_map(|l| text(l)).map(|l| format!("{l}\n")).collect();
    Some((booting, running))
}

/// How far the guest says that it is.
pub fn progress(line: &str) -> Option<&str> {
    message(line)?.strip_prefix(PROGRESS)
}

/// What the kernel said in a line of its log.
fn message(line: &str) -> Option<&str> {
    text(line).map(str::trim)
}

/// What comes after the time stamp.
fn text(line: &str) -> Option<&str> {
    let (stamp, text) = line.trim().strip_prefix('[')?.split_once(']')?;
    let stamp = stamp.trim_start().starts_with(|c: char| c.is_ascii_digit());
    stamp.then(|| text.strip_prefix(' ').unwrap_or(text))
}

fn rules() -> Rules {
    data!("splats.toml")
}

fn splat(messages: &[&str], guest: &str) -> Option<Verdict> {
    let rules = rules();
    let regex = |pattern: &str| Regex::new(pattern).expect("ci/splats.toml: pattern");
    let runs = guest.split(' ').next().unwrap_or_default();
    let is_for = |known: &String| known == guest || known == runs;
    let exceptions = rules.exception.iter().filter(|e| e.guests.iter().any(is_for));
    let exceptions: Vec<Regex> = exceptions.map(|e| regex(&e.pattern)).collect();
    let counts = |m: &&&str| !m.starts_with(INIT) && !exceptions.iter().any(|e| e.is_match(m));
    rules.splat.iter().find_map(|splat| {
        let pattern = regex(&splat.pattern);
        let line = messages.iter().filter(counts).find(|m| pattern.is_match(m))?;
        Some(Verdict::new(&splat.name, line))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Each log in tests/golden has its verdict beside it; each splat is in one of them.
    #[test]
    fn golden_logs_get_their_verdicts() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        let mut seen = BTreeSet::new();
        for entry in fs::read_dir(dir).unwrap() {
            let log = entry.unwrap().path();
            if log.extension().is_some_and(|e| e == "log") {
                let verdict = fs::read_to_string(log.with_extension("verdict")).unwrap();
                let found = judge(&fs::read_to_string(&log).unwrap(), "burst on");
                assert_eq!(found.what, verdict.trim(), "{}: {}", log.display(), found.line);
                seen.insert(found.what);
            }
        }
        let unseen: Vec<String> = rules().splat.into_iter().map(|splat| splat.name).collect();
        let unseen: Vec<&String> = unseen.iter().filter(|name| !seen.contains(*name)).collect();
        assert!(unseen.is_empty(), "no golden log has {unseen:?}");
    }

    #[test]
    fn an_exception_is_for_its_guests_only() {
        let line = "[    9.1] execmem: unable to allocate memory\n";
        assert_eq!(judge(line, "burst on").what, "no memory");
        assert_eq!(judge(line, "burst off").what, "never booted");
        assert_eq!(judge(line, "kselftest any").what, "never booted");
    }

    #[test]
    fn a_log_has_two_halves() {
        let log = format!("[ 0.1] KTAP version 1\r\n[ 0.2] {UP}\r\n[ 0.3] 1..1\r\nother\n[ 0.4]     ok 1 a\n[ 0.5] {DONE}0\n[ 0.6] x");
        let (booting, running) = halves(&log).unwrap();
        assert_eq!(booting, "[ 0.1] KTAP version 1\n");
        assert_eq!(running, format!("{UP}\n1..1\n    ok 1 a\n"));
        assert_eq!(halves(&format!("[ 0.1] {UP}\n")), None);
    }

    #[test]
    fn progress_is_read_from_the_kernel_log() {
        assert_eq!(progress("[    9.1] ci: progress: 5 of 9\n"), Some("5 of 9"));
        assert_eq!(progress("ci: progress: 5 of 9\n"), None);
    }

    #[test]
    fn one_oops_is_excepted_and_no_other() {
        let oops = |address: &str, count: u32| {
            let at = format!("[    9.1] BUG: unable to handle page fault for address: {address}\n");
            judge(&format!("{at}[    9.2] Oops: Oops: 0002 [#{count}] SMP\n"), "oops on").what
        };
        assert_eq!(oops("0000000000007e57", 1), "never booted");
        for kernel in crate::kernels::matrix::variants() {
            let line = "[    9.2] Oops: Oops: 0002 [#1] SMP\n";
            assert_eq!(judge(line, &format!("oops {kernel}")).what, "never booted", "{kernel}");
        }
        assert_eq!(oops("0000000000007e58", 1), "oops");
        assert_eq!(oops("0000000000007e57", 2), "oops");
    }

    #[test]
    fn a_machine_that_ends_by_itself_is_off() {
        let log = format!("[ 0.1] {UP}\n[ 0.2] {DONE}0\n");
        assert_eq!(judge(&log, "x").what, "truncated");
        assert_eq!(judge(&format!("{log}{ENDED}\n"), "x").what, "clean");
        assert_eq!(judge(&format!("[ 0.1] {UP}\n{ENDED}\n"), "x").what, "no end marker");
    }

    #[test]
    fn a_debug_option_is_no_bug() {
        assert_eq!(judge("[ 9.1] only in CONFIG_DYNAMIC_DEBUG builds\n", "x").what, "never booted");
        assert_eq!(judge("[ 9.1] BUG kmalloc-8 (Tainted: G): Redzone\n", "x").what, "bug");
    }

    #[test]
    fn what_a_program_prints_is_no_splat() {
        assert_eq!(message("WARNING: from a program"), None);
        assert_eq!(message("[    1.234567] [ T12] WARNING: x"), Some("[ T12] WARNING: x"));
    }
}
