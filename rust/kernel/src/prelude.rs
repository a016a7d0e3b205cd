// SPDX-License-Identifier: GPL-2.0

//! What kernel code has at hand.

pub use crate::{
    current,
    error::{code::*, Error, Result},
    memory::GFP_KERNEL,
    str::CStrExt as _,
    try_pin_init,
};
pub use core::{ffi::CStr, pin::Pin};
pub use kernel_macros::export;
pub use pinned_init::{pin_data, PinInit};

/// An initializer that can fail with an [`Error`].
#[macro_export]
macro_rules! try_pin_init {
    ($($initializer:tt)*) => {
        ::pinned_init::try_pin_init!($($initializer)*? $crate::error::Error)
    };
}
