// SPDX-License-Identifier: GPL-2.0

//! Stands in for the kernel's own crate `kernel`, so that kernel source is tested in user space
//! without a change.
//!
//! Offered is what the Rust files of `kernel/module/` use, under the same names and with the same
//! contracts, but checked: a use after free, an operation that may sleep where the kernel must
//! not, a leak or a warning ends the test. [`machine::explore`] runs a test on a fresh kernel, and
//! what is beside the kernel's own interface ([`machine`], [`memory`], [`modules`], [`task`]) is
//! for the test: to spawn and signal tasks, to let memory run out, to change the module list.
//!
//! Threads, locks and atomics are those of std, or of loom or shuttle by the feature of that name.
//! Then [`machine::explore`] runs the test under many interleavings.

pub mod backend;
pub mod bindings;
mod bug;
pub mod error;
pub mod fmt;
pub mod list;
pub mod machine;
pub mod memory;
pub mod modules;
pub mod prelude;
pub mod seq_file;
pub mod sizes;
pub mod str;
mod swait;
pub mod sync;
pub mod task;
pub mod time;
pub mod tracepoint;
pub mod types;
pub mod uaccess;

#[doc(hidden)]
pub use machine::warn;

/// C types, as the kernel has them: built with -funsigned-char.
pub mod ffi {
    #![expect(non_camel_case_types, reason = "the names of C")]

    /// `char`
    pub type c_char = u8;
    /// `int`
    pub type c_int = i32;
    /// `unsigned int`
    pub type c_uint = u32;
    /// `long`
    pub type c_long = isize;
    /// `unsigned long`
    pub type c_ulong = usize;
    pub use core::ffi::c_void;
}
