// SPDX-License-Identifier: GPL-2.0

//! Tracepoints, all of which are enabled.

use std::ffi::{CStr, CString};

use crate::{ffi::c_char, machine::machine, str::CStrExt as _};

pub use crate::declare_trace;

/// What a tracepoint recorded: its own name, the string that it was given, and all numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The name of the tracepoint.
    pub tracepoint: &'static str,
    /// The string.
    pub string: CString,
    /// The other arguments.
    pub numbers: Vec<i64>,
}

/// What was recorded, taken from the machine.
pub fn take_events() -> Vec<Event> {
    std::mem::take(&mut *machine().events.lock().unwrap())
}

#[doc(hidden)]
pub fn record(tracepoint: &'static str, fill: impl FnOnce(&mut Event)) {
    let mut event = Event { tracepoint, string: CString::default(), numbers: Vec::new() };
    fill(&mut event);
    machine().events.lock().unwrap().push(event);
}

/// What a tracepoint can record.
#[doc(hidden)]
pub trait Argument {
    /// Reads it.
    ///
    /// # Safety
    ///
    /// A pointer must point at a nul-terminated string.
    unsafe fn record(self, event: &mut Event);
}

impl Argument for *const c_char {
    unsafe fn record(self, event: &mut Event) {
        // SAFETY: It points at a nul-terminated string, by the safety requirements.
        event.string = unsafe { CStr::from_char_ptr(self) }.into();
    }
}

macro_rules! numbers {
    ($($type:ty)*) => {$(
        impl Argument for $type {
            unsafe fn record(self, event: &mut Event) {
                event.numbers.push(self.into());
            }
        }
    )*};
}

numbers!(i32 u32 i64);

/// Declares the Rust side of tracepoints.
#[macro_export]
macro_rules! declare_trace {
    ($($(#[$attr:meta])* $pub:vis unsafe fn $name:ident($($arg:ident : $type:ty),* $(,)?);)*) => {$(
        $(#[$attr])*
        $pub unsafe fn $name($($arg: $type),*) {
            $crate::tracepoint::record(stringify!($name), |event| {
                // SAFETY: A string is one by the requirements of the tracepoint.
                $(unsafe { $crate::tracepoint::Argument::record($arg, event) };)*
            });
        }
    )*};
}
