// SPDX-License-Identifier: GPL-2.0

//! Sizes by name.

/// 16 KiB.
pub const SZ_16K: usize = 16 << 10;
/// 256 KiB.
pub const SZ_256K: usize = 256 << 10;
