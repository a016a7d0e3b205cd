// SPDX-License-Identifier: GPL-2.0

//! Tracepoints, which nobody has enabled.

pub use crate::declare_trace;

/// Declares the Rust side of tracepoints.
#[macro_export]
macro_rules! declare_trace {
    ($($(#[$attr:meta])* $pub:vis unsafe fn $name:ident($($arg:ident : $type:ty),* $(,)?);)*) => {$(
        $(#[$attr])*
        $pub unsafe fn $name($($arg: $type),*) {
            $(let _ = $arg;)*
        }
    )*};
}
