// SPDX-License-Identifier: GPL-2.0

//! Signals and deaths at bad moments: what the kselftest has no module or no time for.

use std::{
    fs::{self, Permissions},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::PermissionsExt,
    },
    path::Path,
    thread::sleep,
    time::Duration,
};

use anyhow::{ensure, Context, Result};
use guest::{
    errno::Errno,
    files,
    module::{self, finit, init, FORCE, NONBLOCK},
    process,
};
use nix::{
    sched::{sched_getaffinity, sched_setaffinity, CpuSet},
    sys::{
        ptrace,
        signal::Signal,
        wait::{waitpid, WaitStatus},
    },
    unistd::Pid,
};

use crate::{
    gate,
    image::Image,
    kernel, memory,
    request::{self, End, Request},
};

const PATIENCE: Duration = Duration::from_secs(40);
const WAITERS: usize = 8;
/// A request is killed so long after its start, in this many steps more each time.
const STAGES: u32 = 80;
const STAGE: Duration = Duration::from_micros(100);
const GATED: &str = "test_module_load";
const OTHER: &str = "test_module_load2";

type Case = fn(&Scene) -> Result<()>;

/// All cases but those that leave the kernel unable to load.
pub fn run(dir: &Path) -> Result<()> {
    let cases: [(&str, Case); 6] = [
        ("waiter killed at each stage", waiter_killed_at_each_stage),
        ("owner killed at the gate", owner_killed_at_the_gate),
        ("owner killed in uninterruptible sleep", owner_killed_in_uninterruptible_sleep),
        ("waiter stopped by ptrace", waiter_stopped_by_ptrace),
        ("load that loads itself, owner killed", load_of_itself_ended_by_its_owner),
        ("load that loads itself, inner load killed", load_of_itself_ended_by_its_inner_load),
    ];
    play(dir, &cases)
}

/// An init that oopses: the load stays pending for ever.
pub fn oops(dir: &Path) -> Result<()> {
    play(dir, &[("owner whose init oopses", owner_whose_init_oopses)])
}

/// kernel.modules_disabled, which nothing takes back, is set while requests wait.
pub fn disabled(dir: &Path) -> Result<()> {
    gate::load(dir)?;
    gate::open(false)?;
    owner_killed_when_modules_are_disabled(&Scene { dir })?;
    println!("ok: owner of one file killed when modules are disabled");
    Ok(())
}

/// What modprobe would do, for a module whose init loads itself.
pub fn modprobe(name: &str) -> Result<()> {
    let program = std::env::current_exe()?;
    let dir = program.parent().context("a program without a folder")?;
    Ok(init(&*Image::read(dir, name)?.plain, c"")?)
}

fn play(dir: &Path, cases: &[(&str, Case)]) -> Result<()> {
    gate::load(dir)?;
    let scene = Scene { dir };
    for (name, case) in cases {
        gate::program(0, 0)?;
        gate::open(false)?;
        let result = case(&scene);
        gate::open(true)?;
        result.with_context(|| (*name).to_owned())?;
        scene.works(OTHER).with_context(|| (*name).to_owned())?;
        println!("ok: {name}");
    }
    Ok(())
}

struct Scene<'a> {
    dir: &'a Path,
}

impl Scene<'_> {
    /// Starts a load of its own file or image.
    fn load(&self, name: &str, by_file: bool) -> Result<Request> {
        let image = Image::read(self.dir, name)?.plain;
        if by_file {
            return load_file(name, &memory::file(&image)?);
        }
        Request::fork(name, &|| init(&*image, c""))
    }

    /// A load whose init waits at the gate, and others that wait for it.
    fn owner_and_waiters(&self) -> Result<(Request, Vec<Request>)> {
        let owner = self.load(GATED, false)?;
        until("the init runs", || Ok(gate::waiting()? == 1))?;
        Ok((owner, self.waiters(GATED)?))
    }

    fn waiters(&self, name: &str) -> Result<Vec<Request>> {
        asleep((0..WAITERS).map(|number| self.load(name, number % 2 == 0)).collect::<Result<_>>()?)
    }

    /// The name is free: it can be loaded and removed.
    fn works(&self, name: &str) -> Result<()> {
        gate::program(0, 0)?;
        gate::open(true)?;
        ended(&mut self.load(name, false)?, End::Returned(0))?;
        gate::remove(name)
    }
}

fn waiter_killed_at_each_stage(scene: &Scene) -> Result<()> {
    let mut owner = scene.load(GATED, false)?;
    until("the init runs", || Ok(gate::waiting()? == 1))?;
    for by_file in [false, true] {
        for stage in 0..STAGES {
            let mut waiter = scene.load(GATED, by_file)?;
            sleep(STAGE * stage);
            waiter.kill()?;
            ended(&mut waiter, End::Killed)?;
        }
        // The last stage, however slow the machine is.
        let mut waiters = asleep(vec![scene.load(GATED, by_file)?])?;
        waiters[0].kill()?;
        all_ended(&mut waiters, End::Killed)?;
    }
    gate::open(true)?;
    ended(&mut owner, End::Returned(0))?;
    gate::remove(GATED)
}

fn owner_killed_at_the_gate(scene: &Scene) -> Result<()> {
    let (mut owner, mut waiters) = scene.owner_and_waiters()?;
    owner.kill()?;
    ended(&mut owner, End::Killed)?;
    until("one of the others is the owner", || Ok(gate::waiting()? == 1))?;
    gate::open(true)?;
    request::all_ended(&mut waiters, PATIENCE, "waiters")?;
    let returned = |errno| waiters.iter().filter(|w| w.end == Some(End::Returned(errno))).count();
    let results = (returned(0), returned(libc::EEXIST));
    ensure!(results == (1, WAITERS - 1), "{results:?} waiters have loaded it, or found it loaded");
    gate::remove(GATED)
}

fn owner_killed_in_uninterruptible_sleep(scene: &Scene) -> Result<()> {
    let (mut owner, mut waiters) = scene.owner_and_waiters()?;
    gate::program(0, 2000)?;
    gate::open(true)?;
    until("the init sleeps", || Ok(gate::waiting()? == 0))?;
    until("the owner sleeps", || Ok(owner.state() == Some('D')))?;
    owner.kill()?;
    ensure!(waiters.iter_mut().all(|w| matches!(w.reap(), Ok(false))), "a waiter did not wait");
    ended(&mut owner, End::Killed)?;
    all_ended(&mut waiters, End::Returned(libc::EEXIST))?;
    gate::remove(GATED)
}

fn waiter_stopped_by_ptrace(scene: &Scene) -> Result<()> {
    let (mut owner, mut waiters) = scene.owner_and_waiters()?;
    let mut traced = waiters.pop().context("no waiter")?;
    ptrace::seize(traced.pid, ptrace::Options::empty())?;
    ptrace::interrupt(traced.pid)?;
    let stop = waitpid(traced.pid, None)?;
    let stopped = matches!(stop, WaitStatus::PtraceEvent(..) | WaitStatus::Stopped(..));
    ensure!(stopped, "the traced waiter is not stopped: {stop:?}");
    gate::open(true)?;
    ended(&mut owner, End::Returned(0))?;
    all_ended(&mut waiters, End::Returned(libc::EEXIST))?;
    ensure!(!traced.reap()?, "the traced waiter ended");
    ptrace::detach(traced.pid, None)?;
    ended(&mut traced, End::Returned(libc::EEXIST))?;
    gate::remove(GATED)
}

fn load_of_itself_ended_by_its_owner(scene: &Scene) -> Result<()> {
    let (mut owner, inner) = load_of_itself(scene)?;
    owner.kill()?;
    ended(&mut owner, End::Killed)?;
    // The inner load starts over: it is the owner now, and loads itself in turn.
    let next = asleep_modprobe(Some(inner))?;
    nix::sys::signal::kill(next, Signal::SIGKILL)?;
    gone(next)?;
    gone(inner)
}

fn load_of_itself_ended_by_its_inner_load(scene: &Scene) -> Result<()> {
    let (mut owner, inner) = load_of_itself(scene)?;
    nix::sys::signal::kill(inner, Signal::SIGKILL)?;
    ended(&mut owner, End::Returned(libc::ECHILD))?;
    gone(inner)
}

const MODPROBE: &str = "/tmp/trial-modprobe";
/// A module whose init loads itself.
const SELF: &str = "trial_self";

/// The load that owns the name, and the process that its init waits for, which waits for it.
fn load_of_itself(scene: &Scene) -> Result<(Request, Pid)> {
    let program = std::env::current_exe()?;
    // The kernel calls it as -q -- NAME.
    fs::write(MODPROBE, format!("#!/bin/sh\nexec {} modprobe \"$3\"\n", program.display()))?;
    fs::set_permissions(MODPROBE, Permissions::from_mode(0o755))?;
    files::write("/proc/sys/kernel/modprobe", MODPROBE)?;
    let owner = scene.load(SELF, false)?;
    Ok((owner, asleep_modprobe(None)?))
}

/// The process that an init has started to load itself, and that waits for that init.
fn asleep_modprobe(other_than: Option<Pid>) -> Result<Pid> {
    let mut found = None;
    until("the inner load sleeps", || {
        found = find_modprobe(SELF, other_than)?;
        Ok(found.is_some_and(|pid| process::state(pid) == Some('S')))
    })?;
    found.context("no inner load")
}

fn owner_whose_init_oopses(scene: &Scene) -> Result<()> {
    const OOPS: &str = "trial_oops";
    ended(&mut scene.load(OOPS, true)?, End::Killed)?;
    other_files_load(scene)?;
    let state = kernel::modules()?.into_iter().find(|m| m.name == OOPS).map(|m| m.state);
    ensure!(state.as_deref() == Some("Loading"), "{OOPS} is {state:?}");
    for _ in 0..2 {
        let mut waiters = scene.waiters(OOPS)?;
        scene.works(GATED).context("beside it")?;
        waiters.iter_mut().try_for_each(Request::kill)?;
        all_ended(&mut waiters, End::Killed)?;
    }
    let removed = module::unload(OOPS, NONBLOCK | FORCE);
    ensure!(removed == Err(Errno(libc::EBUSY)), "its removal: {removed:?}");
    Ok(())
}

/// Of many new files, none counts as the file of the load that never ends: its inode is still
/// there, so that no other has its address.
fn other_files_load(scene: &Scene) -> Result<()> {
    gate::program(0, 0)?;
    gate::open(true)?;
    for (number, file) in new_files(&Image::read(scene.dir, OTHER)?.plain)?.iter().enumerate() {
        let wanted = if number == 0 { 0 } else { libc::EEXIST };
        ended(&mut load_file(OTHER, file)?, End::Returned(wanted))?;
    }
    gate::remove(OTHER)
}

/// Enough to get the memory of every inode that was freed: from each CPU, which keeps some, and
/// after RCU has freed it.
fn new_files(image: &[u8]) -> Result<Vec<OwnedFd>> {
    const OF_EACH_CPU: usize = 100;
    sleep(Duration::from_secs(1));
    let anywhere = sched_getaffinity(Pid::from_raw(0))?;
    let mut files = vec![];
    for cpu in (0..CpuSet::count()).filter(|&cpu| anywhere.is_set(cpu) == Ok(true)) {
        let mut one = CpuSet::new();
        one.set(cpu)?;
        sched_setaffinity(Pid::from_raw(0), &one)?;
        for _ in 0..OF_EACH_CPU {
            files.push(memory::file(image)?);
        }
    }
    sched_setaffinity(Pid::from_raw(0), &anywhere)?;
    Ok(files)
}

fn owner_killed_when_modules_are_disabled(scene: &Scene) -> Result<()> {
    let file = memory::file(&Image::read(scene.dir, GATED)?.plain)?;
    let mut owner = load_file(GATED, &file)?;
    until("the init runs", || Ok(gate::waiting()? == 1))?;
    let load = |_| load_file(GATED, &file);
    let mut waiters = asleep((0..WAITERS).map(load).collect::<Result<_>>()?)?;
    files::write("/proc/sys/kernel/modules_disabled", "1")?;
    owner.kill()?;
    ended(&mut owner, End::Killed)?;
    all_ended(&mut waiters, End::Returned(libc::EPERM))?;
    gate::is_alone()
}

/// Starts a load of this file, which others may load, too.
fn load_file(name: &str, file: &OwnedFd) -> Result<Request> {
    Request::fork(name, &|| finit(file.as_raw_fd(), c"", 0))
}

/// They all sleep.
fn asleep(mut waiters: Vec<Request>) -> Result<Vec<Request>> {
    ensure!(request::settled(&mut waiters, PATIENCE)?, "the waiters do not sleep");
    ensure!(waiters.iter().all(|w| w.end.is_none()), "a waiter did not wait");
    Ok(waiters)
}

fn ended(request: &mut Request, end: End) -> Result<()> {
    all_ended(std::slice::from_mut(request), end)
}

fn all_ended(requests: &mut [Request], end: End) -> Result<()> {
    request::all_ended(requests, PATIENCE, "requests")?;
    for request in requests {
        ensure!(request.end == Some(end), "{}: {:?}, not {end:?}", request.module, request.end);
    }
    Ok(())
}

fn until(what: &str, done: impl FnMut() -> Result<bool>) -> Result<()> {
    ensure!(process::until(PATIENCE, done)?, "it takes too long until {what}");
    Ok(())
}

fn gone(pid: Pid) -> Result<()> {
    until("the inner load is gone", || Ok(process::state(pid).is_none()))
}

/// The process that the kernel started to load `name`.
fn find_modprobe(name: &str, other_than: Option<Pid>) -> Result<Option<Pid>> {
    for entry in fs::read_dir("/proc")?.flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse() else { continue };
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let pid = Pid::from_raw(pid);
        if Some(pid) != other_than && line.ends_with(format!("\0modprobe\0{name}\0").as_bytes()) {
            return Ok(Some(pid));
        }
    }
    Ok(None)
}
