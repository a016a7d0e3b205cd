// SPDX-License-Identifier: GPL-2.0
//! Steps: one line each on the terminal, the whole output in `log/`.

use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail, Context, Result};
use comfy_table::{presets, CellAlignment, Row, Table};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use regex_lite::Regex;

use crate::system::child::{self, End, Interrupted};

pub struct Ui {
    verbose: bool,
    log_dir: PathBuf,
    /// Of the steps that run at the moment.
    spinners: MultiProgress,
}

pub struct Step {
    log: File,
    pub log_name: String,
    note: String,
    verbose: bool,
    name: String,
    spinner: Option<ProgressBar>,
}

impl Ui {
    pub fn new(verbose: bool, log_dir: PathBuf) -> Ui {
        Ui { verbose, log_dir, spinners: MultiProgress::new() }
    }

    /// Runs `body` as one step. An error of it ends with the path of the step's log.
    pub fn step<T>(&self, name: &str, body: impl FnOnce(&mut Step) -> Result<T>) -> Result<T> {
        let lines = last_time(&self.log_dir, name);
        let mut step = Step::start(&self.log_dir, name, self.verbose)?;
        let start = Instant::now();
        step.spinner = self.spinner(name, lines);
        let result = body(&mut step);
        if let Some(spinner) = &step.spinner {
            spinner.finish_and_clear();
        }
        let seconds = start.elapsed().as_secs_f64();
        match result {
            Ok(value) => {
                self.say(&format!("{name:<42} {seconds:>7.1} s  {}", step.note));
                Ok(value)
            }
            Err(error) if error.is::<Interrupted>() => Err(error),
            Err(error) => Err(anyhow!("{name}: {error:#} (log: {})", step.log_name)),
        }
    }

    /// A line of its own, whatever runs at the moment.
    pub fn say(&self, line: &str) {
        self.spinners.suspend(|| println!("{line}"));
    }

    /// `lines`: of output that are to come, if that is known.
    fn spinner(&self, name: &str, lines: Option<u64>) -> Option<ProgressBar> {
        if self.verbose || !std::io::stderr().is_terminal() {
            return None;
        }
        let bar = lines.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
        let spinner = self.spinners.add(bar.with_style(style(lines)).with_message(name.to_owned()));
        spinner.enable_steady_tick(Duration::from_millis(200));
        Some(spinner)
    }
}

fn log_file(name: &str) -> String {
    format!("{}.log", name.replace([' ', '/'], "-"))
}

/// How many lines the log of that step had the last time.
fn last_time(dir: &Path, name: &str) -> Option<u64> {
    let log = std::fs::read_to_string(dir.join(log_file(name))).ok()?;
    Some(log.lines().count() as u64).filter(|lines| *lines > 0)
}

/// With the time that is left, if it is known how many lines of output are to come.
fn style(lines: Option<u64>) -> ProgressStyle {
    let template = match lines {
        Some(_) => "{spinner} {msg} {elapsed}, {percent} %, {eta} left",
        None => "{spinner} {msg} {elapsed}",
    };
    ProgressStyle::with_template(template).expect("it is constant")
}

impl Step {
    fn start(dir: &Path, name: &str, verbose: bool) -> Result<Step> {
        std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let file = log_file(name);
        let path = dir.join(&file);
        let log = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        let log_name = format!("log/{file}");
        let (name, note) = (name.to_owned(), String::new());
        Ok(Step { log, log_name, note, verbose, name, spinner: None })
    }

    /// How far it is, on a terminal.
    pub fn progress(&self, text: &str) {
        if let Some(spinner) = &self.spinner {
            spinner.set_message(format!("{}: {text}", self.name));
        }
    }

    /// What the step's line says after its time, behind what was noted before.
    pub fn note(&mut self, text: impl AsRef<str>) {
        if !self.note.is_empty() {
            self.note += "; ";
        }
        self.note += text.as_ref();
    }

    pub fn write(&mut self, text: &str) -> Result<()> {
        if self.verbose {
            print!("{text}");
            std::io::stdout().flush()?;
        }
        if let Some(spinner) = &self.spinner {
            spinner.inc(text.lines().count() as u64);
            // More than the last time: nobody knows how much more.
            if spinner.length().is_some_and(|lines| spinner.position() > lines) {
                spinner.unset_length();
                spinner.set_style(style(None));
            }
        }
        self.log.write_all(text.as_bytes()).with_context(|| format!("cannot write {}", self.log_name))
    }

    /// Runs a command; its output goes to the log, a failure shows its first error line.
    pub fn run(&mut self, cmd: &mut Command) -> Result<String> {
        match self.run_until(cmd, None)? {
            (End::Exited(status), output) if status.success() => Ok(output),
            (_, output) => bail!("{}", complaint(&output)),
        }
    }

    /// Runs a command, at most until `deadline`; its output goes to the log.
    pub fn run_until(&mut self, cmd: &mut Command, deadline: Option<Instant>) -> Result<(End, String)> {
        self.write(&format!("$ {cmd:?}\n"))?;
        self.watch(cmd, deadline, |_, _| deadline)
    }

    /// The same, without a word about the command. `on_line` sees each line and says when the next
    /// limit is.
    pub fn watch(
        &mut self,
        cmd: &mut Command,
        deadline: Option<Instant>,
        mut on_line: impl FnMut(&Step, &str) -> Option<Instant>,
    ) -> Result<(End, String)> {
        let mut output = String::new();
        let mut written = Ok(());
        let end = child::supervise(cmd, deadline, |line| {
            output += line;
            written = std::mem::replace(&mut written, Ok(())).and_then(|()| self.write(line));
            on_line(self, line)
        })?;
        written?;
        Ok((end, output))
    }
}

/// Numbers are read from the right.
pub fn align_right(table: &mut Table, columns: impl IntoIterator<Item = usize>) {
    for column in columns {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

/// A table for the terminal that README.md can have, too.
pub fn table(header: impl Into<Row>) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN);
    table.set_header(header);
    table
}

/// What a tool's output says, and what a person does about it where that is known.
fn complaint(output: &str) -> String {
    const KNOWN: [(&str, &str); 4] = [
        ("No space left on device", "the disk is full: make room, and run it again"),
        ("CERTIFICATE_VERIFY_FAILED", TRUST),
        ("ertificate verif", TRUST),
        ("SSL certificate problem", TRUST),
    ];
    const TRUST: &str = "the certificate is not trusted: if it is a proxy's, add it to the system's \
                         (ca-certificates; for pip, PIP_CERT)";
    for (words, advice) in KNOWN {
        if let Some(line) = output.lines().find(|line| line.contains(words)) {
            return format!("{} – {advice}", line.trim());
        }
    }
    first_error(output).to_owned()
}

/// The line of a tool's output that says best what went wrong.
pub fn first_error(output: &str) -> &str {
    let error = Regex::new(r"(?i)(^|[\s:])(fatal )?error(\[E\d+\])?:|^fatal:|^E: |^make.*\*\*\*").unwrap();
    let mut lines = output.lines().filter(|l| !l.trim().is_empty());
    let found = lines.clone().find(|l| error.is_match(l));
    found.or(lines.next_back()).unwrap_or("it failed without a word").trim()
}

#[cfg(test)]
mod tests {
    use super::{complaint, first_error, last_time, style, Ui};

    #[test]
    fn a_step_knows_how_long_it_was() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(last_time(dir.path(), "build x86_64/on"), None);
        Ui::new(false, dir.path().to_owned()).step("build x86_64/on", |step| step.write("a\nb\n")).unwrap();
        assert_eq!(last_time(dir.path(), "build x86_64/on"), Some(2));
        // The templates are well formed.
        let _ = (style(None), style(Some(2)));
    }

    #[test]
    fn the_known_is_told_what_to_do_about() {
        let full = "error: a\nld.lld: error: failed to write vmlinux: No space left on device\n";
        assert!(complaint(full).ends_with("device – the disk is full: make room, and run it again"));
        for proxy in [
            "SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] self-signed'))",
            "Certificate verification failed: The certificate is NOT trusted.",
            "[60] SSL peer certificate: SSL certificate problem: unable to get local issuer",
        ] {
            assert!(complaint(proxy).contains(" – the certificate is not trusted"), "{proxy}");
        }
        assert_eq!(complaint("E: no\n"), "E: no");
    }

    #[test]
    fn the_first_error_line_is_found() {
        let gcc = "  CC a.o\na.c:3:1: error: expected ';'\nmake[1]: *** [a.o] Error 1\n";
        assert_eq!(first_error(gcc), "a.c:3:1: error: expected ';'");
        let rustc = "warning: x\nerror[E0433]: failed to resolve\n";
        assert_eq!(first_error(rustc), "error[E0433]: failed to resolve");
        assert_eq!(first_error("E: Unable to locate package x\n"), "E: Unable to locate package x");
        assert_eq!(first_error("fatal: not a tree\nlater\n"), "fatal: not a tree");
        assert_eq!(first_error("some\nlast words\n\n"), "last words");
    }

    #[test]
    fn a_note_does_not_hide_an_earlier_one() {
        let dir = tempfile::tempdir().unwrap();
        let noted = Ui::new(false, dir.path().to_owned()).step("x", |step| {
            step.note("QEMU failed");
            step.note("5 passed");
            Ok(step.note.clone())
        });
        assert_eq!(noted.unwrap(), "QEMU failed; 5 passed");
    }
}
