// SPDX-License-Identifier: GPL-2.0

//! Loads that wait in the kernel for a module that they need, while another comes and goes.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicI32, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{ensure, Context, Result};
use guest::{gate, process, report::Costs};
use nix::unistd::{gettid, Pid};

use crate::module::{self, Module, Outcome};

/// Less than a load waits for what it needs.
const PATIENCE: Duration = Duration::from_secs(20);

/// A load that needs the base, and the thread that asks for it.
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
        module::load(&[&self.module])
    }

    fn sleeps(&self) -> bool {
        process::state(self.thread()) == Some('S')
    }

    fn thread(&self) -> Pid {
        Pid::from_raw(self.thread.load(Ordering::Acquire))
    }
}

/// Users of `base` wait for it while `other` comes and goes `rounds` times; JSON.
pub fn run(base: &Path, users: &[PathBuf], other: &Path, rounds: u32) -> Result<String> {
    let (base, other) = (Module::read(base)?, Module::read(other)?);
    let users: Vec<User> = users.iter().map(|path| User::read(path)).collect::<Result<_>>()?;
    gate::open(false)?;
    let report = thread::scope(|scope| {
        let owner = scope.spawn(|| base.init());
        let coming = until("the base is coming", || base.state() == "coming");
        let released = Instant::now();
        let callers: Result<Vec<_>> =
            coming.map(|()| users.iter().map(|user| scope.spawn(|| user.load())).collect());
        let disturbed = callers.is_ok().then(|| disturb(&users, &other, rounds));
        // Whatever went wrong, nobody stays behind the gate.
        gate::open(true)?;
        let woken_by_other = disturbed.transpose()?;
        let mut costs = Costs::default();
        for caller in callers? {
            let (spent, results) = caller.join().expect("no caller panics")?;
            costs.add(spent, &results);
        }
        owner.join().expect("no owner panics").context("the base")?;
        let wall_ms = released.elapsed().as_secs_f64() * 1e3;
        anyhow::Ok(Costs { wall_ms, woken_by_other, ..costs })
    })?;
    module::unload(users.iter().map(|user| &user.module).chain([&base]).collect())?;
    Ok(serde_json::to_string(&report)?)
}

/// How often the user that woke up most often did while `other` came and went.
fn disturb(users: &[User], other: &Module, rounds: u32) -> Result<u64> {
    until("the users wait", || users.iter().all(User::sleeps))?;
    let switches =
        || users.iter().map(|user| process::sleeps(user.thread())).collect::<Result<Vec<_>>>();
    let before = switches()?;
    for _ in 0..rounds {
        other.init().context("the other module")?;
        other.delete().context("the other module")?;
    }
    let wakes = switches()?.into_iter().zip(before).map(|(after, before)| after - before);
    Ok(wakes.max().unwrap_or_default())
}

fn until(what: &str, done: impl Fn() -> bool) -> Result<()> {
    ensure!(process::until(PATIENCE, || Ok(done()))?, "it takes too long until {what}");
    Ok(())
}
