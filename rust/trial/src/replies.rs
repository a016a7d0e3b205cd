// SPDX-License-Identifier: GPL-2.0

//! What workers say of their requests.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    os::fd::{AsFd, OwnedFd},
};

use anyhow::{ensure, Result};
use nix::{
    errno::Errno,
    poll::{poll, PollFd, PollFlags},
    unistd::read,
};

/// In place of an errno: the worker waits for all others, and, once more, it has begun.
pub const READY: u32 = u32::MAX;
/// Milliseconds that a worker may take to get ready.
const PATIENCE: u16 = 60_000;
const RECORD: usize = 8;

/// What a worker writes into the pipe: an errno, or [`READY`].
pub fn record(slot: usize, what: u32) -> [u8; RECORD] {
    ((slot as u64) << 32 | u64::from(what)).to_ne_bytes()
}

/// What the workers have said, each identified by its place among them.
pub struct Replies {
    pipe: OwnedFd,
    ends: RefCell<BTreeMap<usize, i32>>,
    ready: Cell<usize>,
    /// A signal may reach them late.
    spoiled: RefCell<BTreeSet<usize>>,
}

impl Replies {
    /// Of the workers that write into the pipe.
    pub fn new(pipe: OwnedFd) -> Self {
        Self { pipe, ends: RefCell::default(), ready: Cell::new(0), spoiled: RefCell::default() }
    }

    /// Forgets how requests have ended, before the next ones.
    pub fn forget(&self) {
        self.ends.borrow_mut().clear();
    }

    /// The workers that cannot take another ticket, once.
    pub fn take_spoiled(&self) -> BTreeSet<usize> {
        self.spoiled.take()
    }

    /// What a worker's request came to, if it has ended.
    pub fn take(&self, slot: usize) -> Result<Option<i32>> {
        self.read()?;
        Ok(self.ends.borrow_mut().remove(&slot))
    }

    /// The worker has ended, or will, before it can take another ticket.
    pub fn spoil(&self, slot: usize) {
        self.spoiled.borrow_mut().insert(slot);
    }

    fn read(&self) -> Result<()> {
        let mut ends = self.ends.borrow_mut();
        let mut buffer = [0; RECORD * 512];
        loop {
            let len = match read(&self.pipe, &mut buffer) {
                Err(Errno::EAGAIN) => return Ok(()),
                len => len?,
            };
            for record in buffer[..len].chunks_exact(RECORD) {
                let record = u64::from_ne_bytes(record.try_into().expect("a whole record"));
                match record as u32 {
                    READY => self.ready.set(self.ready.get() + 1),
                    errno => _ = ends.insert((record >> 32) as usize, errno as i32),
                }
            }
        }
    }

    /// Waits until so many workers have said [`READY`].
    pub fn wait_until_ready(&self, count: usize) -> Result<()> {
        while self.ready.get() < count {
            let mut fds = [PollFd::new(self.pipe.as_fd(), PollFlags::POLLIN)];
            ensure!(poll(&mut fds, PATIENCE)? > 0, "a worker does not get ready");
            self.read()?;
        }
        self.ready.set(0);
        Ok(())
    }
}
