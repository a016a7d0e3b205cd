// SPDX-License-Identifier: GPL-2.0
//! The series and its tree: base kernels, commits, patches.

pub mod base;
pub mod patches;
pub mod tree;
pub mod unpacked;
