// SPDX-License-Identifier: GPL-2.0

//! Time, which stands still, but for a jiffy that each sleep takes.

use std::marker::PhantomData;

use crate::ffi::{c_uint, c_ulong};

/// A tick of the kernel's clock.
pub type Jiffies = c_ulong;

/// Milliseconds.
pub type Msecs = c_uint;

/// A jiffy is 4 ms.
pub fn msecs_to_jiffies(msecs: Msecs) -> Jiffies {
    Jiffies::try_from(msecs.div_ceil(4)).expect("64 bits")
}

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
