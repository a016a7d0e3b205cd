// SPDX-License-Identifier: GPL-2.0
//! Configures the kernel's files as for the machine that `kernel::bindings` stands for.

fn main() {
    println!("cargo:rustc-cfg=CONFIG_64BIT");
    println!("cargo:rustc-cfg=CONFIG_MODULE_STATS");
    println!("cargo:rerun-if-changed=build.rs");
}
