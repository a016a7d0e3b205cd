// SPDX-License-Identifier: GPL-2.0

//! Random bursts, disturbed in every way, for as long as asked for; after each the contract is
//! checked, and in the end that nothing is left over.

use std::{
    collections::BTreeMap,
    ops::Range,
    path::Path,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{ensure, Context, Result};
use fastrand::Rng;
use guest::{
    errno::{self, Errno},
    files,
    module::{init, unload, FORCE, NONBLOCK},
    vmalloc,
};
use nix::sys::signal::Signal;

use crate::{
    episode::{Episode, How, MODULES},
    gate,
    invariants::Facts,
    kernel, leaks,
    pool::{Pool, Ticket},
    request::{self, End, Request, NO_ERRNO},
    scene::Scene,
};

/// A request that sleeps for so long though no load is running does so for ever.
const PATIENCE: Duration = Duration::from_secs(120);
/// Requests that wait for each other are not all asleep, ever.
const SETTLE: Duration = Duration::from_secs(60);
/// The switch of the second CPU.
const ONLINE: &str = "/sys/devices/system/cpu/cpu1/online";
/// What the hog leaves of the memory, in bytes.
const SPARED: usize = 256 << 20;
/// Whether each name can be loaded is looked at after so many episodes.
const PROBE: u32 = 10;
const PROGRESS: Duration = Duration::from_secs(15);
/// The kernel's caches have their size after so many episodes.
const WARM_UP: u32 = 20;

/// Runs for `time`, at least until the caches are warm.
pub fn run(dir: &Path, time: Duration, seed: u64) -> Result<()> {
    gate::load(dir)?;
    let mut soak = Soak::new(dir, seed)?;
    soak.episodes(WARM_UP, Duration::MAX)?;
    soak.probe()?;
    soak.pool.clear();
    leaks::forget_old()?;
    let before = leaks::Snapshot::take()?;
    soak.episodes(u32::MAX, time)?;
    soak.probe()?;
    soak.pool.clear();
    let left = before.compare(&leaks::Snapshot::take()?)?;
    leaks::scan()?;
    ensure!(soak.one_owner > 0, "no burst was left alone: run it for longer");
    println!("seed={seed} {} {left}", soak.totals());
    Ok(())
}

struct Soak {
    rng: Rng,
    scene: Scene,
    pool: Pool,
    begin: Instant,
    episodes: u32,
    inits: u64,
    removals: u32,
    one_owner: u32,
    ends: BTreeMap<String, u32>,
}

impl Soak {
    fn new(dir: &Path, seed: u64) -> Result<Self> {
        Ok(Self {
            rng: Rng::with_seed(seed),
            scene: Scene::read(dir)?,
            pool: Pool::new()?,
            begin: Instant::now(),
            episodes: 0,
            inits: 0,
            removals: 0,
            one_owner: 0,
            ends: BTreeMap::new(),
        })
    }

    fn episodes(&mut self, count: u32, time: Duration) -> Result<()> {
        let begin = Instant::now();
        let mut shown = begin;
        for _ in 0..count {
            if begin.elapsed() >= time {
                break;
            }
            let seed = self.rng.u64(..);
            self.episode(seed)
                .with_context(|| format!("episode {} of this seed", self.episodes + 1))?;
            self.episodes += 1;
            if self.episodes % PROBE == 0 {
                self.probe()?;
            }
            if shown.elapsed() > PROGRESS {
                shown = Instant::now();
                kernel::progress(&self.totals());
            }
        }
        Ok(())
    }

    fn episode(&mut self, seed: u64) -> Result<()> {
        let episode = &self.scene.episode(seed);
        gate::program(-episode.result, episode.hold_ms)?;
        gate::veto(episode.vetoed.map_or("", |module| MODULES[module].0))?;
        gate::open(!episode.gated)?;
        let runs = gate::runs()?;

        let mut disturbers = disturbers(episode)?;
        let (forced, all) = (episode.first_forced(), episode.requests());
        let mut loads = self.start(seed, episode, 0..forced)?;
        let mut removals = loads.split_off(episode.loads.len());
        let settled = send(episode, &mut loads, &mut removals)?;
        gate::open(true)?;
        request::all_ended(&mut loads, PATIENCE, "loads")?;
        request::all_ended(&mut removals, PATIENCE, "removals")?;
        let mut pulled = self.start(seed, episode, forced..all)?;
        request::all_ended(&mut pulled, PATIENCE, "forced removals")?;
        removals.extend(pulled);
        disturbers.iter_mut().try_for_each(Request::kill)?;
        request::all_ended(&mut disturbers, PATIENCE, "disturbers")?;
        if Path::new(ONLINE).exists() {
            files::write(ONLINE, "1")?;
        }

        let inits = gate::runs()? - runs;
        self.judge(episode, &loads, &removals, settled, inits as usize)?;
        clean_up()?;
        self.inits += inits;
        self.removals += removals.len() as u32;
        for load in &loads {
            *self.ends.entry(name(load.end)).or_default() += 1;
        }
        Ok(())
    }

    /// Starts these of the loads and, after them, the removals, all at the same moment.
    fn start(&mut self, seed: u64, episode: &Episode, which: Range<usize>) -> Result<Vec<Request>> {
        let loads = episode.loads.iter().map(|load| load.module);
        let modules = loads.chain(episode.removals.iter().map(|(module, _)| *module));
        let ticket = |index| Ticket { episode: seed, index };
        let tickets: Vec<_> =
            (0..).map(ticket).zip(modules.map(|module| MODULES[module].0)).collect();
        let tickets = &tickets[which];
        if tickets.is_empty() {
            return Ok(vec![]);
        }
        let scene = &self.scene;
        self.pool.start(tickets, &|ticket, wait| request::code(scene.serve(ticket, wait)))
    }

    /// Holds what happened to each name, and to all of them, against the contract.
    fn judge(
        &mut self,
        episode: &Episode,
        loads: &[Request],
        removals: &[Request],
        settled: bool,
        inits: usize,
    ) -> Result<()> {
        let alone = episode.is_plain();
        ensure!(settled || !alone, "the loads of a burst that is left alone do not all sleep");
        let (mut most_inits, mut bursts) = (0, 0);
        for (module, (name, _)) in MODULES.iter().enumerate() {
            let facts = facts(episode, module, loads, removals);
            facts.check(name)?;
            // Their inits do not pass the gate, which would hold and count them.
            if facts.depends || *name == "trial_stay" {
                continue;
            }
            most_inits += facts.most_inits();
            if alone && !facts.loads.is_empty() {
                facts.check_one_owner(name)?;
                bursts += 1;
            }
        }
        // What the loads return does not tell how many of them were owners, if init returns what
        // duplicates do, or if they share a file.
        ensure!(!alone || inits == bursts, "{inits} inits ran for {bursts} bursts left alone");
        self.one_owner += bursts as u32;
        ensure!(inits <= most_inits, "{inits} inits ran, and {most_inits} loads were owners");
        Ok(())
    }

    /// Each name can be loaded and removed: nothing of it is pending.
    fn probe(&mut self) -> Result<()> {
        gate::program(0, 0)?;
        gate::veto("")?;
        // What depends on another comes after it.
        for source in self.scene.images.iter().rev() {
            let load = || init(source.plain, c"");
            let mut load = [Request::fork(source.name, &load)?];
            request::all_ended(&mut load, PATIENCE, "loads beside none")?;
            let end = load[0].end;
            ensure!(
                end == Some(End::Returned(0)),
                "{}: no load after all others: {end:?}",
                source.name
            );
        }
        clean_up()
    }

    fn totals(&self) -> String {
        let requests: u32 = self.ends.values().sum();
        let ends: Vec<String> = self.ends.iter().map(|(name, n)| format!("{name}={n}")).collect();
        format!(
            "seconds={} episodes={} requests={requests} inits={} bursts_with_one_owner={} removals={} {}",
            self.begin.elapsed().as_secs(),
            self.episodes,
            self.inits,
            self.one_owner,
            self.removals,
            ends.join(" ")
        )
    }
}

/// What makes it harder for the requests, in processes of their own.
fn disturbers(episode: &Episode) -> Result<Vec<Request>> {
    let mut disturbers = vec![];
    if episode.hog {
        let available = vmalloc::meminfo_kib("MemAvailable")? << 10;
        let bytes = (available as usize).saturating_sub(SPARED);
        disturbers.push(Request::helper(&|| hog(bytes))?);
    }
    if episode.hotplug && Path::new(ONLINE).exists() {
        disturbers.push(Request::helper(&hotplug)?);
    }
    Ok(disturbers)
}

/// Sends the signals of the episode. While the gate is closed, those that are killed must be gone
/// before it opens. Whether all loads had come as far as they come before it opens.
fn send(episode: &Episode, loads: &mut [Request], removals: &mut [Request]) -> Result<bool> {
    let mut settled = false;
    if episode.gated {
        settled = request::settled(loads, SETTLE)?;
        request::settled(removals, SETTLE)?;
    }
    let mut killed = vec![];
    for (index, by_kill, delay) in &episode.signals {
        sleep(Duration::from_millis(u64::from(*delay)));
        if loads[*index].end.is_none() {
            loads[*index].signal(if *by_kill { Signal::SIGKILL } else { Signal::SIGINT })?;
            killed.extend(by_kill.then_some(*index));
        }
    }
    if episode.gated && episode.hold_ms == 0 {
        for index in killed {
            let victim = std::slice::from_mut(&mut loads[index]);
            request::all_ended(victim, PATIENCE, "killed loads")?;
        }
    }
    Ok(settled)
}

fn facts(episode: &Episode, module: usize, loads: &[Request], removals: &[Request]) -> Facts {
    let name = MODULES[module].0;
    let ends = |requests: &[Request]| {
        requests.iter().filter(|r| r.module == name).filter_map(|r| r.end).collect()
    };
    let ours = || episode.loads.iter().filter(|load| load.module == module);
    Facts {
        result: if name == "trial_stay" { 0 } else { episode.result },
        bad_params: ours().any(|load| load.bad_params),
        vetoed: episode.vetoed == Some(module),
        depends: name == "trial_user",
        signals: !episode.signals.is_empty(),
        no_memory: episode.hog || episode.loads.iter().any(|load| load.fail_nth.is_some()),
        compressed: ours().any(|load| load.how == How::Xz),
        one_file: ours().any(|load| load.how == How::OneFile),
        loads: ends(loads),
        removals: ends(removals),
    }
}

/// Removes all that was loaded, and checks that nothing else is there.
fn clean_up() -> Result<()> {
    for (name, _) in MODULES {
        let removed = unload(name, NONBLOCK | FORCE);
        ensure!(
            matches!(removed, Ok(()) | Err(Errno(libc::ENOENT))),
            "{name} cannot be removed: {removed:?}"
        );
    }
    gate::is_alone()?;
    ensure!(gate::waiting()? == 0, "an init waits at the gate though nothing is loaded");
    Ok(())
}

/// Takes so many bytes of memory, and keeps them until it is killed.
fn hog(bytes: usize) {
    let memory = vec![1u8; bytes];
    std::hint::black_box(&memory);
    nix::unistd::pause();
}

/// Takes the second CPU away and gives it back, until it is killed.
fn hotplug() {
    while files::write(ONLINE, "0").is_ok() {
        sleep(Duration::from_millis(20));
        let _ = files::write(ONLINE, "1");
    }
}

fn name(end: Option<End>) -> String {
    match end {
        Some(End::Returned(NO_ERRNO)) => "ERESTART".to_owned(),
        Some(End::Returned(number)) => errno::name(number),
        Some(End::Killed) => "killed".to_owned(),
        None => "running".to_owned(),
    }
}
