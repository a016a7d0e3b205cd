// SPDX-License-Identifier: GPL-2.0

//! One request: what a forked process does, and the shared memory in which it says how it went.

use std::{
    ffi::CString,
    fs::{self, File},
    io::Read,
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::Path,
    sync::atomic::{AtomicI32, AtomicU64, AtomicU8, Ordering},
};

use anyhow::{Context, Result};
use nix::{
    errno::Errno,
    fcntl::{open, OFlag},
    kmod::{finit_module, init_module, ModuleInitFlags},
    sys::{
        resource::{getrusage, UsageWho},
        stat::Mode,
    },
    time::{clock_gettime, ClockId},
};
use tempfile::TempDir;

use crate::{
    cli::{Args, Syscall},
    copied::{self, Image},
};

/// `MODULE_INIT_COMPRESSED_FILE` of `linux/module.h`.
const COMPRESSED_FILE: u32 = 4;

/// What all requests ask of the kernel.
pub struct Request {
    source: Source,
    params: CString,
    /// The size of the module's file.
    pub image_bytes: u64,
}

enum Source {
    Memory(Image),
    /// Request `i` opens file `i` modulo their number.
    Files {
        paths: Vec<CString>,
        flags: ModuleInitFlags,
        _copies: Option<TempDir>,
    },
}

impl Request {
    /// Prepares everything, so that a request has nothing to allocate.
    pub fn new(args: &Args) -> Result<Self> {
        let image = fs::read(&args.file).with_context(|| format!("{}", args.file.display()))?;
        let image_bytes = image.len() as u64;
        let source = match args.syscall {
            Syscall::Init => Source::Memory(Image::new(&image)?),
            Syscall::Finit => Source::files(args, &image)?,
        };
        Ok(Self { source, params: args.params.clone(), image_bytes })
    }

    /// The image, if it is in memory.
    pub fn image(&self) -> Option<&Image> {
        match &self.source {
            Source::Memory(image) => Some(image),
            Source::Files { .. } => None,
        }
    }

    /// The life of request number `index`: waits until the other end of `start` is closed, issues
    /// the system call and fills in `slot`. Does not return, so that nothing of the parent is
    /// dropped twice, and waits to be killed, so that no stack is freed while memory is measured.
    pub fn serve(&self, index: usize, slot: &Slot, start: OwnedFd) -> ! {
        let file = self.open(index);
        copied::forget();
        slot.set(State::Ready);
        let _ = File::from(start).read(&mut [0]);

        let before = Stamp::now();
        slot.set(State::Started);
        let errno = self.issue(file);
        slot.fill(errno, &before, &Stamp::now());
        loop {
            nix::unistd::pause();
        }
    }

    fn open(&self, index: usize) -> Option<OwnedFd> {
        let Source::Files { paths, .. } = &self.source else {
            return None;
        };
        let path = paths[index % paths.len()].as_c_str();
        match open(path, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()) {
            Ok(file) => Some(file),
            // SAFETY: Ends this process, without handlers that belong to the parent.
            Err(error) => unsafe { libc::_exit(error as i32) },
        }
    }

    fn issue(&self, file: Option<OwnedFd>) -> i32 {
        let result = match (&self.source, file) {
            (Source::Files { flags, .. }, Some(file)) => finit_module(file, &self.params, *flags),
            (Source::Memory(image), _) => init_module(image.bytes(), &self.params),
            (Source::Files { .. }, None) => Err(Errno::EBADF),
        };
        result.err().map_or(0, |errno| errno as i32)
    }
}

impl Source {
    fn files(args: &Args, image: &[u8]) -> Result<Self> {
        let mut flags = ModuleInitFlags::empty();
        if args.compressed {
            flags |= ModuleInitFlags::from_bits_retain(COMPRESSED_FILE);
        }
        let (paths, copies) = if args.copies {
            let dir = tempfile::Builder::new().prefix("burst").tempdir()?;
            let paths = (0..args.requests).map(|i| copy(image, &dir.path().join(i.to_string())));
            (paths.collect::<Result<_>>()?, Some(dir))
        } else {
            (vec![c_path(&args.file)?], None)
        };
        Ok(Self::Files { paths, flags, _copies: copies })
    }
}

fn copy(image: &[u8], path: &Path) -> Result<CString> {
    fs::write(path, image)
        .with_context(|| format!("{}: no room? TMPDIR chooses where", path.display()))?;
    c_path(path)
}

fn c_path(path: &Path) -> Result<CString> {
    Ok(CString::new(path.as_os_str().as_bytes())?)
}

/// How far a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
#[repr(u8)]
pub enum State {
    /// Not at the pipe yet; the value of fresh memory.
    Forked = 0,
    /// At the pipe.
    Ready,
    /// In the system call.
    Started,
    /// Back from the system call, everything is filled in.
    Done,
}

/// What a request shares with the parent. All zero bits are a valid value.
#[derive(Default)]
#[repr(C)]
pub struct Slot {
    state: AtomicU8,
    errno: AtomicI32,
    start_ns: AtomicU64,
    end_ns: AtomicU64,
    cpu_ns: AtomicU64,
    voluntary: AtomicU64,
    involuntary: AtomicU64,
}

/// How a request went.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    /// 0 or what the system call failed with.
    pub errno: i32,
    /// `CLOCK_MONOTONIC` before the system call.
    pub start_ns: u64,
    /// `CLOCK_MONOTONIC` after the system call.
    pub end_ns: u64,
    /// CPU time between the two.
    pub cpu_ns: u64,
    /// Times that the request went to sleep between the two.
    pub voluntary: u64,
    /// Times that it was preempted between the two.
    pub involuntary: u64,
}

impl Slot {
    /// How far the request has come.
    pub fn state(&self) -> State {
        match self.state.load(Ordering::Acquire) {
            0 => State::Forked,
            1 => State::Ready,
            2 => State::Started,
            _ => State::Done,
        }
    }

    /// How the request went, once it is done.
    pub fn outcome(&self) -> Outcome {
        let load = |cell: &AtomicU64| cell.load(Ordering::Relaxed);
        Outcome {
            errno: self.errno.load(Ordering::Relaxed),
            start_ns: load(&self.start_ns),
            end_ns: load(&self.end_ns),
            cpu_ns: load(&self.cpu_ns),
            voluntary: load(&self.voluntary),
            involuntary: load(&self.involuntary),
        }
    }

    fn set(&self, state: State) {
        self.state.store(state as u8, Ordering::Release);
    }

    fn fill(&self, errno: i32, before: &Stamp, after: &Stamp) {
        let store = |cell: &AtomicU64, value| cell.store(value, Ordering::Relaxed);
        self.errno.store(errno, Ordering::Relaxed);
        store(&self.start_ns, before.time_ns);
        store(&self.end_ns, after.time_ns);
        store(&self.cpu_ns, after.cpu_ns - before.cpu_ns);
        store(&self.voluntary, after.voluntary - before.voluntary);
        store(&self.involuntary, after.involuntary - before.involuntary);
        self.set(State::Done);
    }
}

/// The clocks and counters of this process.
struct Stamp {
    time_ns: u64,
    cpu_ns: u64,
    voluntary: u64,
    involuntary: u64,
}

impl Stamp {
    fn now() -> Self {
        // The kernel splits a short life into user and system time by guess, but their sum is
        // exact, and between two stamps there is little else than the system call.
        let cpu_ns = clock_ns(ClockId::CLOCK_PROCESS_CPUTIME_ID);
        let usage = getrusage(UsageWho::RUSAGE_SELF).ok();
        Self {
            time_ns: monotonic_ns(),
            cpu_ns,
            voluntary: usage.map_or(0, |u| u.voluntary_context_switches() as u64),
            involuntary: usage.map_or(0, |u| u.involuntary_context_switches() as u64),
        }
    }
}

/// `CLOCK_MONOTONIC`, the same for all processes.
pub fn monotonic_ns() -> u64 {
    clock_ns(ClockId::CLOCK_MONOTONIC)
}

fn clock_ns(clock: ClockId) -> u64 {
    clock_gettime(clock).map_or(0, |t| t.tv_sec() as u64 * 1_000_000_000 + t.tv_nsec() as u64)
}
