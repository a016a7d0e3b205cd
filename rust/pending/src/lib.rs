// SPDX-License-Identifier: GPL-2.0

//! `kernel/module/pending.rs` of the series, unchanged, over the stand-in `kernel` crate.

pub mod loader;
#[rustfmt::skip]
pub mod pending;
