// SPDX-License-Identifier: GPL-2.0

//! One request: what a forked process does, and the shared memory in which it says how it went.

use std::{
    ffi::CString,
    fs::{self, File},
    io::Read,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
    sync::atomic::{AtomicU64, AtomicU8, Ordering},
};

use anyhow::{Context, Result};
use guest::{
    clock::{monotonic_ns, Spent},
    errno::{self, Errno},
    module::{finit, init},
};
use nix::{
    fcntl::{open, OFlag},
    sys::stat::Mode,
};
use tempfile::TempDir;

use crate::{
    cli::{Args, Syscall},
    copied::{self, Image},
};

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
    /// the system call and fills in `slot`. Then it waits to be killed, so that no stack is freed
    /// while memory is measured; it returns if its file cannot be opened.
    pub fn serve(&self, index: usize, slot: &Slot, start: OwnedFd) -> i32 {
        match self.try_to_serve(index, slot, start) {
            Ok(()) => loop {
                nix::unistd::pause();
            },
            Err(Errno(errno)) => errno,
        }
    }

    fn try_to_serve(&self, index: usize, slot: &Slot, start: OwnedFd) -> Result<(), Errno> {
        let file = self.open(index)?;
        copied::forget();
        slot.set(State::Ready);
        let _ = File::from(start).read(&mut [0]);

        let (spent, (start_ns, result)) = Spent::during(|| {
            let start_ns = monotonic_ns();
            slot.set(State::Started);
            (start_ns, self.issue(file))
        })?;
        let (errno, start_ns, end_ns) = (errno::number(result), start_ns?, monotonic_ns()?);
        slot.fill(Outcome { errno, start_ns, end_ns, spent });
        Ok(())
    }

    fn open(&self, index: usize) -> Result<Option<OwnedFd>, Errno> {
        let Source::Files { paths, .. } = &self.source else {
            return Ok(None);
        };
        let path = paths[index % paths.len()].as_c_str();
        Ok(Some(open(path, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?))
    }

    fn issue(&self, file: Option<OwnedFd>) -> Result<(), Errno> {
        let params = &*self.params;
        match (&self.source, file) {
            (Source::Files { .. }, Some(file)) => finit(file.as_raw_fd(), params, 0),
            (Source::Memory(image), _) => init(image.bytes(), params),
            (Source::Files { .. }, None) => Err(Errno(libc::EBADF)),
        }
    }
}

impl Source {
    fn files(args: &Args, image: &[u8]) -> Result<Self> {
        let (paths, copies) = if args.copies {
            let dir = tempfile::Builder::new().prefix("burst").tempdir()?;
            let paths = (0..args.requests).map(|i| copy(image, &dir.path().join(i.to_string())));
            (paths.collect::<Result<_>>()?, Some(dir))
        } else {
            (vec![c_path(&args.file)?], None)
        };
        Ok(Self::Files { paths, _copies: copies })
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
#[repr(C)]
pub struct Slot {
    state: AtomicU8,
    /// Of [`Outcome`], in its order.
    numbers: [AtomicU64; 6],
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
    /// What the request spent between the two.
    pub spent: Spent,
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
        let numbers = self.numbers.each_ref().map(|number| number.load(Ordering::Relaxed));
        let [errno, start_ns, end_ns, cpu_ns, voluntary, involuntary] = numbers;
        let spent = Spent { cpu_ns, voluntary, involuntary };
        Outcome { errno: errno as i32, start_ns, end_ns, spent }
    }

    fn set(&self, state: State) {
        self.state.store(state as u8, Ordering::Release);
    }

    fn fill(&self, Outcome { errno, start_ns, end_ns, spent }: Outcome) {
        let Spent { cpu_ns, voluntary, involuntary } = spent;
        let numbers = [errno as u64, start_ns, end_ns, cpu_ns, voluntary, involuntary];
        for (place, number) in self.numbers.iter().zip(numbers) {
            place.store(number, Ordering::Relaxed);
        }
        self.set(State::Done);
    }
}
