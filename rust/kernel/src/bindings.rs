// SPDX-License-Identifier: GPL-2.0

//! What bindgen makes of the loader's headers.

#![expect(non_camel_case_types, non_upper_case_globals, reason = "the names of C")]

use std::ffi::CString;

use crate::{
    ffi::{c_char, c_int, c_uint},
    modules,
};

/// `enum module_state`
pub type module_state = c_uint;
/// Normal state.
pub const module_state_MODULE_STATE_LIVE: module_state = 0;
/// Full formed, running module_init.
pub const module_state_MODULE_STATE_COMING: module_state = 1;
/// Going away.
pub const module_state_MODULE_STATE_GOING: module_state = 2;
/// Still setting it up.
pub const module_state_MODULE_STATE_UNFORMED: module_state = 3;

/// `struct module`
pub struct module {
    /// What the loader is doing with the module.
    pub state: module_state,
    pub(crate) name: CString,
}

/// `struct mod_pending`, which C knows by its name only.
#[repr(C)]
pub struct mod_pending {
    _private: [u8; 0],
}

/// Looks for a module, under RCU here.
///
/// # Safety
///
/// `name` must be valid for reads of `len` bytes.
pub unsafe fn find_module_all(name: *const c_char, len: usize, even_unformed: bool) -> *mut module {
    // SAFETY: By the requirements of this function.
    modules::find(unsafe { std::slice::from_raw_parts(name, len) }, even_unformed)
}

// What kernel/module/internal.h declares.
extern "C" {
    #![expect(missing_docs, reason = "documented at their definitions")]
    pub fn mod_pending_init() -> c_int;
    pub fn mod_pending_claim(name: *const c_char, load: *mut *mut mod_pending) -> c_int;
    pub fn mod_pending_wait(load: *mut mod_pending) -> c_int;
    pub fn mod_pending_finish(load: *mut mod_pending, ret: c_int);
}
