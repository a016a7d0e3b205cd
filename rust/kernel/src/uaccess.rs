// SPDX-License-Identifier: GPL-2.0

//! Memory of user space: what the test maps.

use std::{
    collections::BTreeMap,
    ptr,
    sync::{Mutex, PoisonError},
};

use crate::{
    error::{code::EFAULT, Result},
    task,
};

/// Start and length of what is mapped, for ever.
static MAPPED: Mutex<BTreeMap<usize, usize>> = Mutex::new(BTreeMap::new());

/// Makes memory readable for the kernel. Returns its address.
pub fn map(bytes: &'static [u8]) -> usize {
    let start = bytes.as_ptr().expose_provenance();
    MAPPED.lock().unwrap_or_else(PoisonError::into_inner).insert(start, bytes.len());
    start
}

/// An address of user space.
#[derive(Clone, Copy)]
pub struct UserPtr(usize);

impl UserPtr {
    /// Any address can be asked for.
    pub fn from_addr(addr: usize) -> Self {
        Self(addr)
    }
}

/// A part of user space.
pub struct UserSlice {
    start: usize,
    length: usize,
}

impl UserSlice {
    /// Nothing is checked yet.
    pub fn new(ptr: UserPtr, length: usize) -> Self {
        Self { start: ptr.0, length }
    }

    /// To read from.
    pub fn reader(self) -> UserSliceReader {
        UserSliceReader(self)
    }
}

/// Reads user space.
pub struct UserSliceReader(UserSlice);

impl UserSliceReader {
    /// Copies from user space, which may sleep.
    ///
    /// # Errors
    ///
    /// [`EFAULT`] if that is not mapped, or longer than what was asked for.
    pub fn read_slice(&mut self, out: &mut [u8]) -> Result {
        task::current().may_reclaim();
        let UserSlice { start, length } = &mut self.0;
        let mapped = MAPPED.lock().unwrap_or_else(PoisonError::into_inner);
        let (first, size) = mapped.range(..=*start).next_back().ok_or(EFAULT)?;
        if out.len() > *length || *start - first + out.len() > *size {
            return Err(EFAULT);
        }
        let from = ptr::with_exposed_provenance::<u8>(*start);
        // SAFETY: It is mapped, and stays so for ever.
        unsafe { ptr::copy_nonoverlapping(from, out.as_mut_ptr(), out.len()) };
        *start += out.len();
        *length -= out.len();
        Ok(())
    }
}
