// SPDX-License-Identifier: GPL-2.0

//! What kernel code has at hand.

pub use crate::{
    current,
    error::{code::*, Error, Result},
    ffi::{c_char, c_int, c_long, c_uint, c_ulong, c_void},
    memory::GFP_KERNEL,
    static_assert,
    str::CStrExt as _,
    try_pin_init,
};
pub use core::{
    ffi::CStr,
    mem::{align_of, size_of},
    pin::Pin,
};
pub use kernel_macros::export;
pub use pinned_init::{pin_data, pin_init, PinInit};
pub use zerocopy::{FromBytes, IntoBytes};

/// An initializer that can fail with an [`Error`].
#[macro_export]
macro_rules! try_pin_init {
    ($($initializer:tt)*) => {
        ::pinned_init::try_pin_init!($($initializer)*? $crate::error::Error)
    };
}

/// Fails to compile unless the condition holds.
#[macro_export]
macro_rules! static_assert {
    ($condition:expr $(,)?) => {
        const _: () = assert!($condition);
    };
}
