// SPDX-License-Identifier: GPL-2.0
//! Kernels: which there are, how they are configured, how they are built.

pub mod build;
pub mod configs;
pub mod contract;
pub mod initramfs;
pub mod kbuild;
pub mod kconfig;
pub mod matrix;
pub mod toolchain;
pub mod twin;
