// SPDX-License-Identifier: GPL-2.0

//! Atomics, those of the backend.

use crate::{backend::AtomicU32, modules::POISON};

/// Orders nothing else.
pub struct Relaxed;

/// A type that an [`Atomic`] can have.
pub trait AtomicType: Copy {
    /// What it is made of.
    type Cell;
    /// A cell with a value.
    fn cell(value: Self) -> Self::Cell;
}

impl AtomicType for u32 {
    type Cell = AtomicU32;

    fn cell(value: u32) -> AtomicU32 {
        AtomicU32::new(value)
    }
}

/// An atomic variable.
pub struct Atomic<T: AtomicType>(T::Cell);

impl<T: AtomicType> Atomic<T> {
    /// With a value.
    pub fn new(value: T) -> Self {
        Self(T::cell(value))
    }
}

impl Atomic<u32> {
    /// Its value.
    pub fn load(&self, _: Relaxed) -> u32 {
        self.0.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Adds, and yields what it was.
    pub fn fetch_add(&self, value: u32, _: Relaxed) -> u32 {
        let before = self.0.fetch_add(value, std::sync::atomic::Ordering::Relaxed);
        assert!(before.checked_add(value).is_some(), "an atomic overflows");
        before
    }

    /// Subtracts, and yields what it was.
    pub fn fetch_sub(&self, value: u32, _: Relaxed) -> u32 {
        let before = self.0.fetch_sub(value, std::sync::atomic::Ordering::Relaxed);
        assert!(before >= value, "an atomic overflows");
        before
    }
}

/// A field of a structure of C that is changed by `WRITE_ONCE()` only: it is an atomic here.
pub trait Shared {
    /// The type that it has in C.
    type Value;
    /// Its value.
    fn read_once(&self) -> Self::Value;
}

impl Shared for AtomicU32 {
    type Value = u32;

    fn read_once(&self) -> u32 {
        let value = self.load(std::sync::atomic::Ordering::Relaxed);
        assert_ne!(value, POISON, "a module is looked at after it was freed");
        value
    }
}

/// `READ_ONCE()`
///
/// # Safety
///
/// `ptr` must be valid.
pub unsafe fn atomic_load<T: Shared>(ptr: *mut T, _: Relaxed) -> T::Value {
    // SAFETY: It is valid, by the safety requirements.
    unsafe { &*ptr }.read_once()
}
