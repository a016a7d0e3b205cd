// SPDX-License-Identifier: GPL-2.0

//! Sizes by name.

/// 256 KiB.
pub const SZ_256K: usize = 256 << 10;
