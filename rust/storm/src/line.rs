// SPDX-License-Identifier: GPL-2.0

//! One line of a trace, as tracefs, `trace-cmd report` or `perf script` print it.

/// The two system calls that load a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// `init_module()`: the image comes from memory.
    Init,
    /// `finit_module()`: the image comes from a file.
    Finit,
}

impl Call {
    /// Its name in a table.
    pub fn short(self) -> &'static str {
        match self {
            Call::Init => "init",
            Call::Finit => "finit",
        }
    }
}

/// The fields of a kprobe event. They say what the event means; its own name does not.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Probe<'a> {
    /// The module, or the file that it comes from.
    pub name: Option<&'a str>,
    /// Bytes of the image.
    pub len: Option<u64>,
    /// Bytes of memory that are allocated for the module.
    pub size: Option<u64>,
    /// The inode whose load this request waits for.
    pub cookie: Option<u64>,
    /// The inode that is read.
    pub inode: Option<u64>,
}

/// An event that tells something about loads.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A request begins; `init_module()` says how many bytes its image has.
    Enter(Call, Option<u64>),
    /// A request returns this.
    Exit(Call, i64),
    /// The memory of a module is complete; its init function is next.
    Load(&'a str),
    /// A module is freed, after a failure or a removal.
    Free(&'a str),
    /// An init function begins.
    InitStart,
    /// An init function has returned this.
    InitFinish(i64),
    /// A kprobe was hit.
    Probe(Probe<'a>),
    /// Something else.
    Other,
}

/// A line that has an event.
#[derive(Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// The thread.
    pub pid: u32,
    /// Its name.
    pub task: &'a str,
    /// When, in nanoseconds.
    pub time: u64,
    /// What happened.
    pub event: Event<'a>,
}

/// The line's event; `None` if it is not a line of a trace.
pub fn parse(line: &str) -> Option<Line<'_>> {
    // The processor; but a task's name may have brackets, too.
    line.match_indices(" [").find_map(|(at, _)| around_cpu(&line[..at], &line[at + 2..]))
}

/// How many events the buffer has dropped here, if the line says so; 1, if it does not say how many.
pub fn lost(line: &str) -> Option<u64> {
    let (_, rest) = line.strip_prefix("CPU:")?.split_once('[')?;
    let rest = rest.strip_prefix("LOST ").unwrap_or(rest);
    match rest.split_once("EVENTS")?.0.trim_end() {
        "" => Some(1),
        count => count.parse().ok(),
    }
}

/// How many events the ring buffer has overwritten, if the line is the header that says so.
pub fn overwritten(line: &str) -> Option<u64> {
    let numbers = line.strip_prefix("# entries-in-buffer/entries-written: ")?;
    let (kept, written) = numbers.split_whitespace().next()?.split_once('/')?;
    written.parse::<u64>().ok()?.checked_sub(kept.parse().ok()?)
}

/// `task [cpu] time: event`, if that is what stands before and after the bracket.
fn around_cpu<'a>(before: &'a str, after: &'a str) -> Option<Line<'a>> {
    let (cpu, after) = after.split_once("] ")?;
    cpu.parse::<u32>().ok()?;
    let (task, pid) = task(before)?;
    let (time, text) = time(after)?;
    Some(Line { pid, task, time, event: event(text) })
}

/// `task-pid`, or `task-pid (process)` with the option record-tgid (tracefs, trace-cmd), or
/// `task  pid` (perf).
fn task(text: &str) -> Option<(&str, u32)> {
    let text = text.trim();
    let process = text.strip_suffix(')').and_then(|text| text.rsplit_once('('));
    let text = process.map_or(text, |(text, _)| text.trim_end());
    let name = text.trim_end_matches(|c: char| c.is_ascii_digit());
    let pid = text[name.len()..].parse().ok()?;
    let name = name.strip_suffix('-').or_else(|| name.strip_suffix(' '))?;
    Some((name.trim(), pid))
}

/// `flags seconds: text`; not every tool prints the flags.
fn time(text: &str) -> Option<(u64, &str)> {
    let text = text.trim_start();
    let (word, rest) = text.split_once(' ')?;
    match nanoseconds(word) {
        Some(time) => Some((time, rest.trim_start())),
        None => {
            let (word, rest) = rest.trim_start().split_once(' ')?;
            Some((nanoseconds(word)?, rest.trim_start()))
        }
    }
}

fn nanoseconds(word: &str) -> Option<u64> {
    let (seconds, fraction) = word.strip_suffix(':')?.split_once('.')?;
    let digits = u32::try_from(fraction.len()).ok().filter(|digits| (1..=9).contains(digits))?;
    let fraction = fraction.parse::<u64>().ok()? * 10_u64.pow(9 - digits);
    seconds.parse::<u64>().ok()?.checked_mul(1_000_000_000)?.checked_add(fraction)
}

/// `group:` stands before the event's name in perf only.
fn event(text: &str) -> Event<'_> {
    let text = match text.split_once(':') {
        Some((group, rest)) if !rest.starts_with(' ') && is_word(group) => rest,
        _ => text,
    };
    system_call(text).or_else(|| tracepoint(text)).unwrap_or(Event::Other)
}

fn is_word(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// tracefs prints `sys_init_module(umod: …, len: 1f, …)` and `sys_init_module -> 0x0`, the
/// others `sys_enter_init_module: umod: …, len: 0x1f, …` and `sys_exit_init_module: 0x0`.
fn system_call(text: &str) -> Option<Event<'_>> {
    let text = text.strip_prefix("sys_")?;
    let (word, rest) = text.split_at(text.find(['(', ':', ' '])?);
    let word = word.strip_prefix("enter_").or_else(|| word.strip_prefix("exit_")).unwrap_or(word);
    let call = match word {
        "init_module" => Call::Init,
        "finit_module" => Call::Finit,
        _ => return None,
    };
    let is_exit = text.starts_with("exit_") || rest.starts_with(" -> ");
    if is_exit {
        let value = rest.trim_start_matches(" -> ").trim_start_matches(':').trim();
        return Some(Event::Exit(call, hex(value)? as i64));
    }
    let len = rest.split("len: ").nth(1).and_then(|rest| hex(rest.split([',', ')']).next()?));
    Some(Event::Enter(call, len))
}

fn tracepoint(text: &str) -> Option<Event<'_>> {
    let (name, rest) = text.split_once(':')?;
    let rest = rest.trim_start();
    Some(match name {
        "module_load" => Event::Load(rest.split_whitespace().next()?),
        "module_free" => Event::Free(rest.split_whitespace().next()?),
        "initcall_start" => Event::InitStart,
        "initcall_finish" => Event::InitFinish(rest.split("ret=").nth(1)?.trim().parse().ok()?),
        _ if rest.starts_with('(') => Event::Probe(probe(rest.split_once(')')?.1)),
        _ => return None,
    })
}

fn probe(text: &str) -> Probe<'_> {
    let mut probe = Probe::default();
    for (key, value) in text.split_whitespace().filter_map(|word| word.split_once('=')) {
        match key {
            "name" => {
                probe.name = Some(value.trim_matches('"')).filter(|name| !name.starts_with('('))
            }
            "len" => probe.len = value.parse().ok(),
            "size" => probe.size = value.parse().ok(),
            "cookie" => probe.cookie = hex(value),
            "inode" => probe.inode = hex(value),
            _ => {}
        }
    }
    probe
}

fn hex(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event_of(line: &str) -> Event<'_> {
        parse(line).unwrap_or_else(|| panic!("no line of a trace: {line}")).event
    }

    #[test]
    fn a_line_of_tracefs() {
        let text = "   (udev-worker)-170     [003] ...1.    21.500709: sys_init_module(umod: 7f0, len: 1f, uargs: 0)";
        let line = parse(text).unwrap();
        assert_eq!((line.pid, line.task, line.time), (170, "(udev-worker)", 21_500_709_000));
        assert_eq!(line.event, Event::Enter(Call::Init, Some(31)));
        let exit =
            "   (udev-worker)-170 (    169) [003] ...1.    21.6: sys_finit_module -> 0xffffffffffffffef";
        assert_eq!(event_of(exit), Event::Exit(Call::Finit, -17));
        assert_eq!(parse(exit).unwrap().pid, 170);
    }

    #[test]
    fn a_line_of_trace_cmd_and_of_perf() {
        let enter = Event::Enter(Call::Finit, None);
        let line = "modprobe-12    [000]    21.500709001: sys_enter_finit_module: fd: 0x00000003, uargs: 0x7f, flags: 0x00000000";
        assert_eq!(
            parse(line),
            Some(Line { pid: 12, task: "modprobe", time: 21_500_709_001, event: enter })
        );
        let line =
            "modprobe      12 [000]    21.500709: syscalls:sys_exit_finit_module: 0xffffffffffffffed";
        let exit = Event::Exit(Call::Finit, -19);
        assert_eq!(
            parse(line),
            Some(Line { pid: 12, task: "modprobe", time: 21_500_709_000, event: exit })
        );
        let line =
            "modprobe      12 [000]    21.500709: storm:image: (ffffffff9e34e220) name=\"a_b\" len=512";
        let probe = Probe { name: Some("a_b"), len: Some(512), ..Probe::default() };
        assert_eq!(event_of(line), Event::Probe(probe));
    }

    #[test]
    fn tracepoints_and_probes() {
        let after = |text: &str| format!("  kworker/0:1 [1] x-9  [001] .....  1.000001: {text}");
        assert_eq!(event_of(&after("module_load: aesni_intel ")), Event::Load("aesni_intel"));
        assert_eq!(event_of(&after("module_free: a")), Event::Free("a"));
        assert_eq!(event_of(&after("initcall_start: func=a+0x0/0x1 [a]")), Event::InitStart);
        assert_eq!(
            event_of(&after("initcall_finish: func=a+0x0/0x1 [a] ret=-19")),
            Event::InitFinish(-19)
        );
        let wait = Probe { cookie: Some(0xff), ..Probe::default() };
        assert_eq!(event_of(&after("wait: (wait+0x0/0x30) cookie=0xff")), Event::Probe(wait));
        assert_eq!(event_of(&after("sched_switch: prev=a")), Event::Other);
        let fault = after("image: (f+0x0/0x30) name=(fault) len=1");
        assert_eq!(event_of(&fault), Event::Probe(Probe { len: Some(1), ..Probe::default() }));
    }

    #[test]
    fn what_is_no_line_of_a_trace() {
        for text in
            ["", "# tracer: nop", "Nov 28 08:31:34 guest kernel: [1] a: b", "a-1 [000] no: time"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn lost_events_are_counted() {
        assert_eq!(lost("CPU:1 [LOST 42 EVENTS]"), Some(42));
        assert_eq!(lost("CPU:1 [LOST EVENTS]"), Some(1));
        assert_eq!(lost("CPU:1 [7 EVENTS DROPPED]"), Some(7));
        assert_eq!(overwritten("# entries-in-buffer/entries-written: 100/130   #P:8"), Some(30));
        assert_eq!(lost("CPU 1"), None);
    }
}
