// SPDX-License-Identifier: GPL-2.0

//! Formatting, of types that std does not print and the kernel does.

use std::{ffi::CStr, fmt};

/// What can be printed.
pub trait Display {
    /// Prints it.
    ///
    /// # Errors
    ///
    /// As of [`fmt::Display`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

impl Display for CStr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.to_bytes() {
            match byte {
                b' '..=b'~' => write!(f, "{}", char::from(*byte))?,
                _ => write!(f, "\\x{byte:02x}")?,
            }
        }
        Ok(())
    }
}

macro_rules! as_std {
    ($($integer:ty)*) => {$(
        impl Display for $integer {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    )*};
}

as_std!(i32 u32 i64);

impl<T: Display + ?Sized> Display for &T {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// Lets std print what the kernel does.
#[doc(hidden)]
pub struct Adapter<T>(pub T);

impl<T: Display> fmt::Display for Adapter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
