// SPDX-License-Identifier: GPL-2.0

//! From events to requests: a request is all that a thread does between the entry and the
//! return of one of the two system calls.

use std::collections::HashMap;

use anyhow::{bail, Result};

use crate::line::{self, Call, Event, Line, Probe};

/// A run of an init function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InitRun {
    /// When it returned, in nanoseconds.
    pub end: u64,
    /// What it returned.
    pub result: i64,
}

/// One call of `init_module()` or `finit_module()`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Which of them.
    pub call: Call,
    /// When it began, in nanoseconds.
    pub enter: u64,
    /// When it returned.
    pub exit: u64,
    /// What it returned.
    pub result: i64,
    /// The module, if the trace says it.
    pub name: Option<String>,
    /// When the kernel knew the name from the image; without a kprobe that says it, the entry.
    pub claim: u64,
    /// Bytes of the image.
    pub image: u64,
    /// Bytes that were allocated for the module.
    pub memory: u64,
    /// When the first of them were allocated.
    pub allocated: u64,
    /// The memory was complete, and init could run.
    pub loaded: bool,
    /// The run of the init function.
    pub init: Option<InitRun>,
    /// It did nothing but wait for another request for the same file.
    pub by_inode: bool,
}

impl Request {
    /// How long it took, in nanoseconds.
    pub fn duration(&self) -> u64 {
        self.exit - self.enter
    }

    /// Its init function ran and failed.
    pub fn init_failed(&self) -> bool {
        self.init.is_some_and(|init| init.result < 0)
    }

    /// When the module became live, if this request made it so.
    pub fn live(&self) -> Option<u64> {
        match self.init {
            Some(init) => (init.result >= 0).then_some(init.end),
            None => (self.result == 0).then_some(self.exit),
        }
    }
}

/// All that a trace says about loads.
#[derive(Debug, Default)]
pub struct Trace {
    /// The requests, by the time of their entry.
    pub requests: Vec<Request>,
    /// Modules that were removed, and when.
    pub removals: Vec<(u64, String)>,
    /// Requests whose entry or return is not in the trace.
    pub partial: usize,
    /// Events that the ring buffer had no room for.
    pub lost: u64,
}

/// A request that has not returned.
struct Open {
    request: Request,
    /// The inode that it waits for.
    cookie: Option<u64>,
    /// It has come to an image of its own.
    has_image: bool,
    /// The kernel has read the name from that.
    has_claim: bool,
}

#[derive(Default)]
struct Reader {
    trace: Trace,
    open: HashMap<u32, Open>,
    /// Requests merged by inode whose name is still to be found, by their place in the trace.
    nameless: Vec<(usize, u64)>,
    inodes: HashMap<u64, String>,
}

/// Reads the text of a trace.
pub fn read(text: &str) -> Result<Trace> {
    let mut reader = Reader::default();
    let mut events = 0;
    for text in text.lines() {
        if let Some(line) = line::parse(text) {
            reader.event(&line);
            events += 1;
        } else {
            reader.trace.lost += line::lost(text).or_else(|| line::overwritten(text)).unwrap_or(0);
        }
    }
    let trace = reader.finish();
    match (events, trace.requests.len()) {
        (0, _) => bail!(
            "this is no trace: give the text of tracefs' file trace, of trace-cmd report or of perf script"
        ),
        (_, 0) => bail!(
            "this trace has no init_module() or finit_module() from entry to return: record as rust/storm/record.sh says"
        ),
        _ => Ok(trace),
    }
}

impl Reader {
    fn event(&mut self, line: &Line<'_>) {
        match &line.event {
            Event::Enter(call, len) => self.enter(line, *call, *len),
            Event::Exit(call, result) => self.exit(line, *call, *result),
            Event::Free(name) if !self.open.contains_key(&line.pid) => {
                self.trace.removals.push((line.time, module(name)));
            }
            event => {
                if let Some(open) = self.open.get_mut(&line.pid) {
                    open.event(line.time, event, &mut self.inodes);
                }
            }
        }
    }

    fn enter(&mut self, line: &Line<'_>, call: Call, len: Option<u64>) {
        let request = Request {
            call,
            enter: line.time,
            exit: line.time,
            result: 0,
            name: None,
            claim: line.time,
            image: len.unwrap_or(0),
            memory: 0,
            allocated: line.time,
            loaded: false,
            init: None,
            by_inode: false,
        };
        let open = Open { request, cookie: None, has_image: false, has_claim: false };
        if self.open.insert(line.pid, open).is_some() {
            self.trace.partial += 1;
        }
    }

    fn exit(&mut self, line: &Line<'_>, call: Call, result: i64) {
        let same = |open: &Open| open.request.call == call && open.request.enter <= line.time;
        let Some(open) = self.open.remove(&line.pid).filter(same) else {
            self.trace.partial += 1;
            return;
        };
        let Open { mut request, cookie, has_image, has_claim } = open;
        request.exit = line.time;
        request.result = result;
        let is_own = has_image || has_claim || request.loaded;
        request.by_inode = call == Call::Finit && cookie.is_some() && !is_own;
        if let (Some(cookie), None) = (cookie.filter(|_| request.by_inode), &request.name) {
            self.nameless.push((self.trace.requests.len(), cookie));
        }
        self.trace.requests.push(request);
    }

    fn finish(mut self) -> Trace {
        for (place, cookie) in self.nameless {
            self.trace.requests[place].name = self.inodes.get(&cookie).cloned();
        }
        self.trace.partial += self.open.len();
        self.trace.requests.sort_by_key(|request| request.enter);
        self.trace
    }
}

impl Open {
    fn event(&mut self, time: u64, event: &Event<'_>, inodes: &mut HashMap<u64, String>) {
        let request = &mut self.request;
        match event {
            Event::Load(name) => {
                request.name = Some(module(name));
                request.loaded = true;
            }
            Event::InitFinish(result) => {
                request.init = Some(InitRun { end: time, result: *result })
            }
            // What an init function asks for is not the loader's.
            Event::Probe(probe) if !request.loaded => self.probe(time, probe, inodes),
            _ => {}
        }
    }

    fn probe(&mut self, time: u64, probe: &Probe<'_>, inodes: &mut HashMap<u64, String>) {
        let request = &mut self.request;
        if let Some(name) = probe.name.filter(|name| !name.is_empty()) {
            request.name = Some(module(name));
            // A file's name is known before its image.
            if !self.has_claim && !name.contains(".ko") {
                request.claim = time;
                self.has_claim = true;
            }
            if let Some(inode) = probe.inode {
                inodes.insert(inode, module(name));
            }
        }
        if let Some(size) = probe.size {
            if request.memory == 0 {
                request.allocated = time;
            }
            request.memory += size;
        }
        request.image = probe.len.unwrap_or(request.image);
        self.cookie = self.cookie.or(probe.cookie);
        self.has_image |= probe.len.is_some() || probe.size.is_some() || probe.inode.is_some();
    }
}

/// A module's name, of its file's name, too.
fn module(name: &str) -> String {
    let stem = name.split_once(".ko").map_or(name, |(stem, _)| stem);
    stem.replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of thread 1, but for those that begin with another number.
    fn trace(lines: &[&str]) -> Trace {
        let line = |(number, text): (usize, &&str)| {
            let (pid, text) = match text.split_once('|') {
                Some((pid, text)) => (pid.trim(), text),
                None => ("1", *text),
            };
            format!("  udev-{pid}  [000] .....  1.0000{number:02}: {}\n", text.trim())
        };
        read(&lines.iter().enumerate().map(line).collect::<String>()).unwrap()
    }

    const US: u64 = 1000;
    const S: u64 = 1_000_000_000;

    #[test]
    fn a_request_is_all_that_its_thread_does() {
        let trace = trace(&[
            "sys_init_module(umod: 7f, len: 64, uargs: 0)",
            r#"2 | name: (find_module_all+0x0/0xa0) name="other""#,
            "image: (module_sig_check+0x0/0xa0) len=90",
            r#"name: (find_module_all+0x0/0xa0) name="a_b""#,
            r#"name: (module_frob_arch_sections+0x0/0xa0) name="a_b""#,
            "alloc: (execmem_alloc+0x0/0xa0) size=4096",
            "alloc: (execmem_alloc+0x0/0xa0) size=8192",
            "module_load: a_b ",
            "alloc: (execmem_alloc+0x0/0xa0) size=1",
            "initcall_finish: func=a+0x0/0x10 [a_b] ret=-19",
            "sys_init_module -> 0xffffffffffffffed",
        ]);
        let wanted = Request {
            call: Call::Init,
            enter: S,
            exit: S + 10 * US,
            result: -19,
            name: Some("a_b".to_owned()),
            claim: S + 3 * US,
            image: 90,
            memory: 12288,
            allocated: S + 5 * US,
            loaded: true,
            init: Some(InitRun { end: S + 9 * US, result: -19 }),
            by_inode: false,
        };
        assert_eq!(trace.requests, [wanted]);
        assert!(trace.requests[0].init_failed() && trace.requests[0].live().is_none());
    }

    #[test]
    fn a_request_merged_by_inode_gets_its_name_from_the_file() {
        let trace = trace(&[
            "1 | sys_finit_module(fd: 5, uargs: 0, flags: 4)",
            r#"1 | read: (kernel_read_file+0x0/0xa0) name="a-b.ko.xz" inode=0xff01"#,
            "2 | sys_finit_module(fd: 5, uargs: 0, flags: 4)",
            "2 | wait: (wait_for_completion_interruptible+0x0/0x30) cookie=0xff01",
            "1 | module_load: a_b",
            "1 | wait: (wait_for_completion+0x0/0x30) cookie=0x7",
            "1 | sys_finit_module -> 0x0",
            "2 | sys_finit_module -> 0x0",
        ]);
        let seen: Vec<_> = trace.requests.iter().map(|r| (r.name.as_deref(), r.by_inode)).collect();
        assert_eq!(seen, [(Some("a_b"), false), (Some("a_b"), true)]);
        // It has no init function.
        assert_eq!(trace.requests[0].live(), Some(S + 6 * US));
    }

    #[test]
    fn an_older_kernel_waits_while_it_reads_and_merges_nothing() {
        let trace = trace(&[
            "sys_finit_module(fd: 5, uargs: 0, flags: 4)",
            "wait: (wait_for_completion+0x0/0x30) cookie=0x1",
            r#"name: (find_module_all+0x0/0xa0) name="a""#,
            "sys_finit_module -> 0xffffffffffffffef",
        ]);
        assert!(!trace.requests[0].by_inode);
    }

    #[test]
    fn what_is_cut_off_is_counted_and_removals_are_kept() {
        let trace = trace(&[
            "1 | sys_init_module -> 0x0",
            "2 | sys_init_module(umod: 7f, len: 64, uargs: 0)",
            "3 | module_free: gone",
            "4 | sys_init_module(umod: 7f, len: 64, uargs: 0)",
            "4 | module_free: bad",
            "4 | sys_init_module -> 0xffffffffffffffed",
            "5 | sys_finit_module(fd: 5, uargs: 0, flags: 4)",
        ]);
        assert_eq!((trace.requests.len(), trace.partial), (1, 3));
        assert_eq!(trace.removals, [(S + 2 * US, "gone".to_owned())]);
    }

    #[test]
    fn what_is_no_trace_of_loads_is_refused() {
        let error = |text| read(text).unwrap_err().to_string();
        assert!(error("hello\nworld\n").starts_with("this is no trace: "));
        let other = "  sh-1  [000] .....  1.000001: sched_switch: a ==> b\n";
        assert!(error(other).starts_with("this trace has no init_module() or finit_module() "));
        let part = "  sh-1  [000] .....  1.000001: sys_init_module -> 0x0\n";
        assert!(error(part).starts_with("this trace has no init_module() or finit_module() "));
    }
}
