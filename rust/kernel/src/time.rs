// SPDX-License-Identifier: GPL-2.0

//! Time, which stands still: no interleaving depends on it.

use std::marker::PhantomData;

use crate::ffi::c_ulong;

/// A tick of the kernel's clock.
pub type Jiffies = c_ulong;

/// The clock that is never set.
#[derive(Clone, Copy)]
pub struct Monotonic;

/// A point in time.
#[derive(Clone, Copy)]
pub struct Instant<C>(PhantomData<C>);

impl<C> Instant<C> {
    /// This one.
    pub fn now() -> Self {
        Self(PhantomData)
    }

    /// How long ago it was.
    pub fn elapsed(&self) -> Delta {
        Delta
    }
}

/// A span of time.
pub struct Delta;

impl Delta {
    /// In nanoseconds.
    pub fn as_nanos(self) -> i64 {
        0
    }

    /// In milliseconds.
    pub fn as_millis(self) -> i64 {
        0
    }
}
