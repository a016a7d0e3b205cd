// SPDX-License-Identifier: GPL-2.0

//! A value that is set at most once.

use std::{
    cell::UnsafeCell,
    sync::atomic::Ordering::{Acquire, Relaxed, Release},
};

use crate::backend::AtomicUsize;

const EMPTY: usize = 0;
const BEING_SET: usize = 1;
const SET: usize = 2;

/// A value that is set at most once.
pub struct SetOnce<T> {
    state: AtomicUsize,
    value: UnsafeCell<Option<T>>,
}

// SAFETY: The value is written by one thread, before it is `SET`, and only read after that.
unsafe impl<T: Send + Sync> Sync for SetOnce<T> {}

impl<T: Copy> SetOnce<T> {
    /// Not set.
    #[expect(clippy::new_without_default, reason = "not needed")]
    pub fn new() -> Self {
        Self { state: AtomicUsize::new(EMPTY), value: UnsafeCell::new(None) }
    }

    /// Sets the value, unless it is set, and says whether it did.
    pub fn populate(&self, value: T) -> bool {
        let mine = self.state.compare_exchange(EMPTY, BEING_SET, Relaxed, Relaxed).is_ok();
        if mine {
            // SAFETY: No other thread has seen `EMPTY`, and nobody reads before `SET`.
            unsafe { *self.value.get() = Some(value) };
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
        unsafe { *self.value.get() }
    }
}
