// SPDX-License-Identifier: GPL-2.0

//! Memory allocation that is counted and can be made to fail.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::{machine::machine, task};

/// How an allocation behaves.
#[derive(Clone, Copy)]
pub struct Flags;

/// May sleep until memory is reclaimed.
pub const GFP_KERNEL: Flags = Flags;

/// There was no memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllocError;

/// Lets the next `count` allocations succeed and all others fail.
pub fn limit(count: usize) {
    machine().memory.left.store(count, Relaxed);
}

/// How many allocations are in use.
pub fn in_use() -> usize {
    machine().memory.in_use()
}

pub(crate) struct Account {
    in_use: AtomicUsize,
    left: AtomicUsize,
}

impl Default for Account {
    fn default() -> Self {
        Self { in_use: AtomicUsize::new(0), left: AtomicUsize::new(usize::MAX) }
    }
}

impl Account {
    pub(crate) fn in_use(&self) -> usize {
        self.in_use.load(Relaxed)
    }
}

/// One allocation, in use until it is dropped.
pub(crate) struct Allocation(&'static Account);

impl Allocation {
    pub(crate) fn new(_flags: Flags) -> Result<Self, AllocError> {
        task::current().may_reclaim();
        let account = &machine().memory;
        account
            .left
            .fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1))
            .map_err(|_| AllocError)?;
        account.in_use.fetch_add(1, Relaxed);
        Ok(Self(account))
    }
}

impl Drop for Allocation {
    fn drop(&mut self) {
        self.0.in_use.fetch_sub(1, Relaxed);
    }
}
