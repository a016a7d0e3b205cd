// SPDX-License-Identifier: GPL-2.0

//! Values of C.

use std::{cell::UnsafeCell, mem::MaybeUninit};

use pinned_init::PinInit;

/// A value that only C looks into. Here it is dropped, with what it checks then.
pub struct Opaque<T>(UnsafeCell<MaybeUninit<T>>);

impl<T> Opaque<T> {
    /// Makes the value by a function of C.
    pub fn ffi_init(init: impl FnOnce(*mut T)) -> impl PinInit<Self> {
        let init = move |slot: *mut Self| {
            init(slot.cast());
            Ok(())
        };
        // SAFETY: `init` initializes the slot, which has the layout of `T`.
        unsafe { pinned_init::pin_init_from_closure::<Self, std::convert::Infallible>(init) }
    }

    /// The value for C.
    pub fn get(&self) -> *mut T {
        self.0.get().cast()
    }
}

impl<T> Drop for Opaque<T> {
    fn drop(&mut self) {
        // SAFETY: It was initialized, and is not used any more.
        unsafe { self.0.get_mut().assume_init_drop() };
    }
}
