// SPDX-License-Identifier: GPL-2.0

//! Files whose text is made when they are read.

use std::{cell::RefCell, fmt};

use crate::bindings::seq_file;

pub use crate::seq_print;

/// A file that is being read.
#[derive(Default)]
#[repr(transparent)]
pub struct SeqFile(RefCell<String>);

impl SeqFile {
    /// Wraps the C structure.
    ///
    /// # Safety
    ///
    /// `file` must be valid, and not be accessed by others, for `'a`.
    pub unsafe fn from_raw<'a>(file: *mut seq_file) -> &'a Self {
        // SAFETY: By the requirements of this function.
        unsafe { &*file }
    }

    /// What was printed.
    pub fn into_text(self) -> String {
        self.0.into_inner()
    }

    #[doc(hidden)]
    pub fn call_printf(&self, text: fmt::Arguments<'_>) {
        self.0.borrow_mut().push_str(&text.to_string());
    }
}

/// Prints to a [`SeqFile`].
#[macro_export]
macro_rules! seq_print {
    ($file:expr, $format:literal $(, $value:expr)* $(,)?) => {
        $file.call_printf(format_args!($format $(, $crate::fmt::Adapter($value))*))
    };
}
