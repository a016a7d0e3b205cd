// SPDX-License-Identifier: GPL-2.0

//! The requests as text: a summary, a table, and what to keep in mind.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fmt::Write;

use comfy_table::{presets, CellAlignment, Table};

use crate::line::Call;
use crate::model::{self, Module, Verdict};
use crate::request::{Request, Trace};

const HEADER: [&str; 14] = [
    "module",
    "requests",
    "by",
    "init ran",
    "failed",
    "waited s",
    "longest s",
    "span s",
    "held MiB",
    "merge",
    "inode",
    "after failure",
    "live",
    "load",
];

const LEGEND: &str = "\
by: init_module(), finit_module(); span: from the first entry to the last return.
waited: the time of all requests that did not load the module; longest: of one of them.
held: images and modules of requests that the series would merge: the most at one time.
merge: requests that the series would let sleep, without memory, until the load of the name ends.
The rest stays as it is: inode: finit_module() merges them today; after failure: they load the module
again; live: they get EEXIST at once; load: they load the module.
";

/// All of it; modules that were asked for once only if wanted.
pub fn text(trace: &Trace, modules: &[Module<'_>], all: bool) -> String {
    let rows = rows(modules, all);
    let mut text = summary(trace, modules);
    text += &warnings(trace);
    text += &of_old_kernel(trace, modules);
    if !rows.is_empty() {
        let _ = writeln!(text, "\n{}\n\n{LEGEND}", table(&rows));
    }
    text.trim_end().to_owned() + "\n"
}

/// The modules of the report, those first that would gain most.
pub fn rows<'a, 'b>(modules: &'b [Module<'a>], all: bool) -> Vec<&'b Module<'a>> {
    let wanted = |module: &&Module<'_>| all || module.requests.len() > 1;
    let mut rows: Vec<_> = modules.iter().filter(wanted).collect();
    rows.sort_by_key(|module| {
        let waited = waited(module).iter().sum::<u64>();
        (Reverse(module.count(Verdict::Merged)), Reverse(waited), module.name)
    });
    rows
}

fn summary(trace: &Trace, modules: &[Module<'_>]) -> String {
    let requests = &trace.requests;
    let count = |call| requests.iter().filter(|request| request.call == call).count();
    let named = modules.iter().filter(|module| !module.name.is_empty());
    let often = named.clone().filter(|module| module.requests.len() > 1).count();
    let mut text = answer(modules, requests.len());
    let _ = writeln!(
        text,
        "{} requests in {:.1} s ({} init_module, {} finit_module), for {} modules, {often} of them more than once:",
        requests.len(),
        seconds(span(requests.iter())),
        count(Call::Init),
        count(Call::Finit),
        named.count(),
    );
    for (verdict, what) in VERDICTS {
        let count: usize = modules.iter().map(|module| module.count(verdict)).sum();
        if count > 0 {
            let _ = writeln!(text, "{count:>7} {what}");
        }
    }
    text
}

const VERDICTS: [(Verdict, &str); 6] = [
    (Verdict::Merged, "while their module was loaded: the series would merge them"),
    (Verdict::ByInode, "merged today, by inode"),
    (Verdict::AfterFailure, "after a failed load: they load the module again"),
    (Verdict::Live, "for a live module"),
    (Verdict::Load, "to load the module"),
    (Verdict::Unknown, "without a name: they failed early, or a kprobe is missing (see dmesg)"),
];

/// To the question that the reader has.
fn answer(modules: &[Module<'_>], requests: usize) -> String {
    let merged: Vec<_> = modules.iter().flat_map(Module::merged).collect();
    if merged.is_empty() {
        return "This boot does not have the problem: the series would merge no request.\n\n"
            .to_owned();
    }
    let memory = merged.iter().map(|request| request.image + request.memory).sum();
    format!(
        "This boot has the problem: the series would merge {} of {requests} requests.\n\
         They took {:.1} s, and held {:.1} MiB in all, {:.1} MiB at one time. Runs of init to save: {}.\n\n",
        merged.len(),
        seconds(merged.iter().map(|request| request.duration()).sum()),
        mib(memory),
        mib(model::peak(merged.iter().copied())),
        modules.iter().map(|module| module.saved_inits).sum::<usize>(),
    )
}

/// What makes the numbers too small.
fn warnings(trace: &Trace) -> String {
    let mut text = String::new();
    let mut warn = |count: u64, what: &str| {
        if count > 0 {
            let _ = writeln!(text, "Note: {count} {what}");
        }
    };
    warn(trace.lost, "events were lost: record again with a larger trace_buf_size");
    warn(trace.partial as u64, "requests are in the trace in part, and not counted");
    text
}

/// What today's kernel would merge, if that of the trace may be too old to do so.
fn of_old_kernel(trace: &Trace, modules: &[Module<'_>]) -> String {
    let merged = modules.iter().flat_map(Module::merged);
    let finit = merged.filter(|request| request.call == Call::Finit).count();
    if finit == 0 || trace.requests.iter().any(|request| request.by_inode) {
        return String::new();
    }
    format!(
        "Note: {finit} of the requests to merge came by finit_module(), and the kernel merged none by inode.\n\
         If it is older than 6.5, a newer one merges those for one file, without the series.\n"
    )
}

fn table(rows: &[&Module<'_>]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN);
    table.set_header(HEADER);
    for module in rows {
        table.add_row(cells(module));
    }
    for column in (1..HEADER.len()).filter(|column| *column != 2) {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn cells(module: &Module<'_>) -> Vec<String> {
    let requests = || module.requests.iter().map(|(request, _)| *request);
    let calls: BTreeSet<_> = requests().map(|request| request.call).collect();
    let calls: Vec<_> = calls.into_iter().map(Call::short).collect();
    let waited = waited(module);
    let name = if module.name.is_empty() { "(no name)" } else { module.name };
    let mut cells = vec![
        name.to_owned(),
        module.requests.len().to_string(),
        calls.join(", "),
        requests().filter(|request| request.init.is_some()).count().to_string(),
        requests().filter(|request| request.init_failed()).count().to_string(),
        format!("{:.2}", seconds(waited.iter().sum())),
        format!("{:.2}", seconds(waited.iter().copied().max().unwrap_or(0))),
        format!("{:.2}", seconds(span(requests()))),
        format!("{:.2}", mib(model::peak(module.merged()))),
    ];
    cells.extend(Verdict::NAMED.map(|verdict| module.count(verdict).to_string()));
    cells
}

/// How long each request took that did not load the module.
fn waited(module: &Module<'_>) -> Vec<u64> {
    let requests = module.requests.iter().map(|(request, _)| request);
    requests.filter(|request| !request.loaded).map(|request| request.duration()).collect()
}

/// From the first entry to the last return.
pub fn span<'a>(requests: impl Iterator<Item = &'a Request> + Clone) -> u64 {
    let first = requests.clone().map(|request| request.enter).min().unwrap_or(0);
    requests.map(|request| request.exit).max().unwrap_or(0) - first
}

fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
