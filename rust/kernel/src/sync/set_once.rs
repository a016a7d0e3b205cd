// SPDX-License-Identifier: GPL-2.0

//! A value that is set at most once.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::backend::{AtomicU32, UnsafeCell};

const EMPTY: u32 = 0;
const BEING_SET: u32 = 1;
const SET: u32 = 2;

/// A value that is set at most once.
pub struct SetOnce<T> {
    state: AtomicU32,
    value: UnsafeCell<Option<T>>,
}

// SAFETY: The value is written by one thread, before it is `SET`, and only read after that.
unsafe impl<T: Send + Sync> Sync for SetOnce<T> {}

impl<T: Copy> SetOnce<T> {
    /// Not set.
    #[expect(clippy::new_without_default, reason = "not needed")]
    pub fn new() -> Self {
        Self { state: AtomicU32::new(EMPTY), value: UnsafeCell::new(None) }
    }

    /// Sets the value, unless it is set, and says whether it did.
    pub fn populate(&self, value: T) -> bool {
        let mine = self.state.compare_exchange(EMPTY, BEING_SET, Relaxed, Relaxed).is_ok();
        if mine {
            // SAFETY: No other thread has seen `EMPTY`, and nobody reads before `SET`.
            self.value.with_mut(|own| unsafe { *own = Some(value) });
            self.state.store(SET, Release);
        }
        mine
    }

    /// The value, if it is set.
    pub fn copy(&self) -> Option<T> {
        if self.state.load(Acquire) != SET {
            return None;
        }
        // SAFETY: Nobody writes after `SET`.
        self.value.with(|value| unsafe { *value })
    }
}
