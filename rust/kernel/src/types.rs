// SPDX-License-Identifier: GPL-2.0

//! Values that C owns for a time.

use crate::ffi::c_void;

/// A value that can be given to C and taken back.
pub trait ForeignOwnable: Sized {
    /// Gives the value away.
    fn into_foreign(self) -> *mut c_void;

    /// The value as long as C has it.
    type Borrowed<'a>;

    /// Looks at the value while C has it.
    ///
    /// # Safety
    ///
    /// `ptr` must come from [`Self::into_foreign`] and not be taken back during `'a`.
    unsafe fn borrow<'a>(ptr: *mut c_void) -> Self::Borrowed<'a>;

    /// Takes the value back.
    ///
    /// # Safety
    ///
    /// `ptr` must come from [`Self::into_foreign`] and not have been taken back.
    unsafe fn from_foreign(ptr: *mut c_void) -> Self;
}
