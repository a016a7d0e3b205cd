// SPDX-License-Identifier: GPL-2.0
//! The series and its tree: base kernels, commits, patches.

pub mod base;
pub mod export;
#[cfg(test)]
pub mod fixture;
pub mod import;
pub mod kdir;
pub mod patches;
pub mod source;
pub mod stamps;
pub mod tree;
