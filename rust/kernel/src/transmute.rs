// SPDX-License-Identifier: GPL-2.0

//! Types by what their bytes may be.

/// Any bytes are a value of it.
///
/// # Safety
///
/// They must be.
pub unsafe trait FromBytes {}

// SAFETY: It is a byte.
unsafe impl FromBytes for u8 {}
