// SPDX-License-Identifier: GPL-2.0

//! udev's coldplug of the CPUs, as at boot: for each of them one of its workers loads all
//! modules that fit.

use std::{
    fs,
    path::Path,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{ensure, Context, Result};
use guest::{report::Coldplug, vmalloc::Peak};

use crate::module::{self, Module};

/// Each look takes some 10 µs.
const SAMPLING: Duration = Duration::from_millis(5);

/// Has udev load the modules of `list`, a modules.dep beside them, and unloads them; JSON.
/// Without a list it loads what there is, and that stays.
pub fn run(list: Option<&Path>) -> Result<String> {
    let modules = list.map_or(Ok(vec![]), listed)?;
    let before = Counters::now()?;
    let released = Instant::now();
    let peak_vmalloc_kib = peak_while(coldplug)?;
    let wall_ms = released.elapsed().as_secs_f64() * 1e3;
    let after = Counters::now()?;
    let live = modules.iter().filter(|module| module.state() == "live").count();
    ensure!(live == modules.len(), "udev loaded {live} of {} modules", modules.len());
    module::unload(modules.iter().collect())?;
    Ok(serde_json::to_string(&Coldplug {
        modules: live,
        wall_ms,
        cpu_ms: (after.system_ticks - before.system_ticks) * 10,
        user_ms: (after.user_ticks - before.user_ticks) * 10,
        switches: after.switches - before.switches,
        peak_vmalloc_kib,
    })?)
}

fn listed(list: &Path) -> Result<Vec<Module>> {
    let text = fs::read_to_string(list).with_context(|| format!("{}", list.display()))?;
    let dir = list.parent().context("not a file")?;
    let files = text.lines().filter_map(|line| line.split_once(':'));
    files.map(|(file, _)| Module::read(&dir.join(file))).collect()
}

fn coldplug() -> Result<()> {
    udevadm(&["trigger", "--action=add", "--subsystem-match=cpu"])?;
    udevadm(&["settle", "--timeout=3000"])
}

/// The highest use of vmalloc memory while `work` runs.
fn peak_while(work: impl FnOnce() -> Result<()>) -> Result<u64> {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let watcher = scope.spawn(|| -> Result<u64> {
            let mut peak = Peak::start()?;
            while !done.load(Ordering::Relaxed) {
                peak.sample()?;
                thread::sleep(SAMPLING);
            }
            Ok(peak.kib())
        });
        let worked = work();
        done.store(true, Ordering::Relaxed);
        let peak = watcher.join().expect("it does not panic");
        worked.and(peak)
    })
}

fn udevadm(args: &[&str]) -> Result<()> {
    let status = Command::new("udevadm").args(args).status().context("udevadm")?;
    ensure!(status.success(), "udevadm {}: {status}", args.join(" "));
    Ok(())
}

/// Of the whole machine, since it was started.
#[derive(Debug, PartialEq)]
struct Counters {
    user_ticks: u64,
    system_ticks: u64,
    switches: u64,
}

impl Counters {
    fn now() -> Result<Self> {
        Self::parse(&fs::read_to_string("/proc/stat")?).context("/proc/stat is not as it should be")
    }

    fn parse(stat: &str) -> Option<Self> {
        let field = |line: &str, number: usize| -> Option<u64> {
            let line = stat.lines().find_map(|known| known.strip_prefix(line))?;
            line.split_whitespace().nth(number)?.parse().ok()
        };
        Some(Self {
            user_ticks: field("cpu ", 0)?,
            // After user and nice time.
            system_ticks: field("cpu ", 2)?,
            switches: field("ctxt ", 0)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Counters;

    #[test]
    fn the_counters_are_found() {
        let stat = "cpu  10 20 30 40 50\ncpu0 1 2 3 4 5\nintr 7 8\nctxt 99\nbtime 5\n";
        assert_eq!(
            Counters::parse(stat),
            Some(Counters { user_ticks: 10, system_ticks: 30, switches: 99 })
        );
        assert_eq!(Counters::parse("cpu  1 2\n"), None);
    }
}
