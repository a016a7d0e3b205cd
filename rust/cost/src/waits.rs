// SPDX-License-Identifier: GPL-2.0

//! Loads that wait in the kernel for a module that they need, while another comes and goes.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicI32, Ordering},
    thread::{self, sleep},
    time::{Duration, Instant},
};

use anyhow::{ensure, Context, Result};
use nix::unistd::gettid;
use serde::Serialize;

use crate::{
    caller::{self, Costs, Outcome},
    module::{self, Module},
};

const POLL: Duration = Duration::from_millis(2);
/// Less than a load waits for what it needs.
const PATIENCE: Duration = Duration::from_secs(20);
/// Where test_module_gate says whether inits may go on.
const GATE: &str = "/sys/module/test_module_gate/parameters/open_init";

/// What it cost.
#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    costs: Costs,
    /// How often the other module woke the one that it woke most often.
    woken_by_other: u64,
}

/// A load that needs the base, and who asks for it.
struct User {
    module: Module,
    thread: AtomicI32,
}

impl User {
    fn read(path: &Path) -> Result<Self> {
        Ok(Self { module: Module::read(path)?, thread: AtomicI32::new(0) })
    }

    fn load(&self) -> Outcome {
        self.thread.store(gettid().as_raw(), Ordering::Release);
        caller::load(&[&self.module])
    }

    fn sleeps(&self) -> bool {
        let stat = self.read_proc("stat").unwrap_or_default();
        stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('S'))
    }

    /// How often it has gone to sleep so far.
    fn switches(&self) -> Result<u64> {
        let status = self.read_proc("status")?;
        let field = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        Ok(field.context("no voluntary_ctxt_switches in /proc")?.trim().parse()?)
    }

    fn read_proc(&self, file: &str) -> Result<String> {
        let thread = self.thread.load(Ordering::Acquire);
        Ok(fs::read_to_string(format!("/proc/self/task/{thread}/{file}"))?)
    }
}

/// Users of `base` wait for it while `other` comes and goes `rounds` times; JSON.
pub fn run(base: &Path, users: &[PathBuf], other: &Path, rounds: u32) -> Result<String> {
    let (base, other) = (Module::read(base)?, Module::read(other)?);
    let users: Vec<User> = users.iter().map(|path| User::read(path)).collect::<Result<_>>()?;
    open("N")?;
    let report = thread::scope(|scope| {
        let owner = scope.spawn(|| base.init());
        let callers: Result<Vec<_>> = wait_until(|| base.state() == "coming")
            .map(|()| users.iter().map(|user| scope.spawn(|| user.load())).collect());
        let released = Instant::now();
        let disturbed = callers.is_ok().then(|| disturb(&users, &other, rounds));
        // Whatever went wrong, nobody stays behind the gate.
        open("Y")?;
        let woken_by_other = disturbed.transpose()?.unwrap_or_default();
        let mut costs = Costs::default();
        for caller in callers? {
            costs.add(caller.join().expect("no caller panics"))?;
        }
        owner.join().expect("no owner panics").context("the base")?;
        let costs = Costs { wall_ms: released.elapsed().as_secs_f64() * 1e3, ..costs };
        anyhow::Ok(Report { costs, woken_by_other })
    })?;
    module::unload(users.iter().map(|user| &user.module).chain([&base]).collect())?;
    Ok(serde_json::to_string(&report)?)
}

/// How often the user that woke up most often did while `other` came and went.
fn disturb(users: &[User], other: &Module, rounds: u32) -> Result<u64> {
    wait_until(|| users.iter().all(User::sleeps))?;
    let switches = || users.iter().map(User::switches).collect::<Result<Vec<_>>>();
    let before = switches()?;
    for _ in 0..rounds {
        other.init().context("the other module")?;
        other.delete().context("the other module")?;
    }
    let wakes = switches()?.into_iter().zip(before).map(|(after, before)| after - before);
    Ok(wakes.max().unwrap_or_default())
}

fn open(answer: &str) -> Result<()> {
    fs::write(GATE, answer).context(GATE)
}

fn wait_until(done: impl Fn() -> bool) -> Result<()> {
    let start = Instant::now();
    while !done() {
        ensure!(start.elapsed() < PATIENCE, "the base does not come, or its users do not wait");
        sleep(POLL);
    }
    Ok(())
}
