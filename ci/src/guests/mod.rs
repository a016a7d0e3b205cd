// SPDX-License-Identifier: GPL-2.0
//! Guests: how they are started, watched and judged.

pub mod qemu;
pub mod supervise;
pub mod systemd;
pub mod trial;
pub mod verdict;
pub mod vng;
