// SPDX-License-Identifier: GPL-2.0

//! What bindgen makes of the headers of C, and what C has behind it.

#![expect(non_camel_case_types, non_upper_case_globals, reason = "the names of C")]

use std::{
    ffi::CStr,
    ptr,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use crate::{
    backend::AtomicU32,
    error::code::{EINTR, ERESTARTSYS},
    ffi::{c_char, c_int, c_long, c_uint, c_ulong, c_void},
    machine::machine,
    modules,
    seq_file::SeqFile,
    str::CStrExt as _,
    task,
};

pub use crate::swait::{
    complete, complete_all, completion, init_completion, wait_for_completion,
    wait_for_completion_interruptible, wait_for_completion_interruptible_timeout,
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

/// `MODULE_NAME_LEN`
pub const MODULE_NAME_LEN: usize = 56;

/// `struct module`
#[repr(C)]
pub struct module {
    /// What the loader is doing with the module. C changes it by `WRITE_ONCE()`.
    pub state: AtomicU32,
    /// Its name, which ends with a nul.
    pub name: [c_char; MODULE_NAME_LEN],
    /// How many use it. Its load does, before it returns.
    pub refcnt: AtomicU32,
}

/// Looks for a module, under RCU here.
///
/// # Safety
///
/// `name` must be valid for reads of `len` bytes.
pub unsafe fn find_module_all(name: *const c_char, len: usize, even_unformed: bool) -> *mut module {
    // SAFETY: `name` is valid for reads of `len` bytes, by the safety requirements.
    modules::find(unsafe { std::slice::from_raw_parts(name, len) }, even_unformed)
}

/// `struct seq_file`
pub type seq_file = SeqFile;

/// `struct mod_claim`
#[derive(Debug)]
#[repr(C)]
#[expect(missing_docs, reason = "only claim.rs knows what it is")]
pub struct mod_claim {
    pub role: c_ulong,
    pub load: *mut c_void,
}

impl Default for mod_claim {
    fn default() -> Self {
        Self { role: 0, load: ptr::null_mut() }
    }
}

/// What a request gets that is to start over.
pub const MOD_LOAD_AGAIN: c_uint = 1;

/// Checks whether a signal ended the load of this task, as main.c does.
///
/// # Safety
///
/// Always safe to call: it is unsafe because bindgen makes all functions of C so.
pub unsafe fn mod_load_interrupted(ret: c_int) -> bool {
    let task = task::current();
    ret != 0
        && task.signal_pending()
        && (task.fatal_signal_pending() || ret == ERESTARTSYS.to_errno() || ret == EINTR.to_errno())
}

/// Counts a duplicate, which takes a mutex and may allocate memory.
///
/// # Safety
///
/// `name` must point at a nul-terminated string.
pub unsafe fn mod_stat_bump_duplicate(name: *const c_char) {
    task::current().may_reclaim();
    // SAFETY: `name` is nul-terminated, by the safety requirements.
    let name = unsafe { CStr::from_char_ptr(name) };
    machine().count_duplicate(name);
}

/// `loff_t`
pub type loff_t = i64;

/// `struct file`: what is in it, and how much of that was read.
#[derive(Default)]
pub struct file {
    /// Its content.
    pub bytes: Vec<u8>,
    /// How many bytes of it were read.
    pub read: AtomicUsize,
    /// The error that reading it ends with, or 0.
    pub error: isize,
}

/// Reads a part of a file, which may sleep.
///
/// # Safety
///
/// `file` and `pos` must be valid, and `buf` for writes of `count` bytes.
pub unsafe fn kernel_read(
    file: *mut file,
    buf: *mut c_void,
    count: usize,
    pos: *mut loff_t,
) -> isize {
    task::current().may_reclaim();
    // SAFETY: Both are valid, by the safety requirements.
    let (file, pos) = unsafe { (&*file, &mut *pos) };
    if file.error != 0 {
        return file.error;
    }
    let rest = usize::try_from(*pos).ok().and_then(|pos| file.bytes.get(pos..)).unwrap_or(&[]);
    let part = &rest[..rest.len().min(count)];
    file.read.fetch_add(part.len(), Relaxed);
    // SAFETY: `buf` is valid for writes of `count` bytes, by the safety requirements.
    unsafe { ptr::copy_nonoverlapping(part.as_ptr(), buf.cast(), part.len()) };
    *pos += part.len() as loff_t;
    part.len() as isize
}

// What kernel/module/claim.h declares.
extern "C" {
    #![expect(missing_docs, reason = "documented at their definitions")]
    #![expect(improper_ctypes, reason = "both sides are Rust")]
    pub fn mod_claim_init() -> c_int;
    pub fn mod_claim_memory(claim: *mut mod_claim, start: *const c_void, len: c_ulong) -> c_int;
    pub fn mod_claim_file(claim: *mut mod_claim, file: *mut file, len: loff_t) -> c_int;
    pub fn mod_claim_name(claim: *mut mod_claim, name: *const c_char, refused: c_int) -> c_int;
    pub fn mod_claim_live(claim: *mut mod_claim);
    pub fn mod_claim_end(claim: *mut mod_claim, ret: c_int) -> c_int;
    pub fn mod_wait_loaded(name: *const c_char, timeout: c_long) -> c_long;
    pub fn mod_pending_show(file: *mut seq_file);
}
