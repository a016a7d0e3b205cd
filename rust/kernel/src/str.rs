// SPDX-License-Identifier: GPL-2.0

//! Strings that end with a nul.

use std::{ffi::CStr, ops::Deref};

use crate::{
    ffi::c_char,
    memory::{AllocError, Allocation, GFP_KERNEL},
};

/// What the kernel adds to [`CStr`], whose characters are unsigned there.
pub trait CStrExt {
    /// Wraps a string of C.
    ///
    /// # Safety
    ///
    /// `ptr` must point at a nul-terminated string that is valid for `'a`.
    unsafe fn from_char_ptr<'a>(ptr: *const c_char) -> &'a Self;

    /// The string for C.
    fn as_char_ptr(&self) -> *const c_char;
}

impl CStrExt for CStr {
    unsafe fn from_char_ptr<'a>(ptr: *const c_char) -> &'a Self {
        // SAFETY: By the requirements of this function.
        unsafe { CStr::from_ptr(ptr.cast()) }
    }

    fn as_char_ptr(&self) -> *const c_char {
        self.as_ptr().cast()
    }
}

/// A string of its own.
pub struct CString {
    string: std::ffi::CString,
    _memory: Allocation,
}

impl Deref for CString {
    type Target = CStr;

    fn deref(&self) -> &CStr {
        &self.string
    }
}

impl TryFrom<&CStr> for CString {
    type Error = AllocError;

    fn try_from(string: &CStr) -> Result<Self, AllocError> {
        let memory = Allocation::new(GFP_KERNEL)?;
        Ok(Self { string: string.into(), _memory: memory })
    }
}
