// SPDX-License-Identifier: GPL-2.0

//! Warnings.

/// Warns if the condition is true, and yields it.
#[macro_export]
macro_rules! warn_on {
    ($cond:expr) => {{
        let cond = $cond;
        if cond {
            $crate::warn();
        }
        cond
    }};
}

/// Does something, in the kernel once; here each time, since a test counts.
#[macro_export]
macro_rules! do_once_lite {
    ($($body:tt)*) => {{ $($body)* }};
}
