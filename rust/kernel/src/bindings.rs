// SPDX-License-Identifier: GPL-2.0

//! What bindgen makes of the loader's headers.

#![expect(non_camel_case_types, non_upper_case_globals, reason = "the names of C")]

use std::{cell::Cell, ffi::CString, ptr};

use crate::{
    error::code::ENOEXEC,
    ffi::{c_char, c_int, c_long, c_uint, c_ulong, c_void},
    modules,
    seq_file::SeqFile,
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

/// `struct seq_file`
pub type seq_file = SeqFile;

/// `struct mod_image`: the bytes, and how many were read.
#[derive(Default)]
pub struct mod_image {
    /// What it has in it.
    pub bytes: Vec<u8>,
    /// How many bytes of it were read.
    pub read: Cell<usize>,
}

/// Reads a part of an image.
///
/// # Safety
///
/// `buf` must be valid for writes of `len` bytes.
pub unsafe fn mod_image_read(image: &mod_image, pos: u64, buf: *mut c_void, len: usize) -> c_int {
    let part = usize::try_from(pos).ok().and_then(|pos| image.bytes.get(pos..)?.get(..len));
    let Some(part) = part else { return ENOEXEC.to_errno() };
    image.read.set(image.read.get() + len);
    // SAFETY: By the requirements of this function.
    unsafe { ptr::copy_nonoverlapping(part.as_ptr(), buf.cast(), len) };
    0
}

/// The header of an ELF file.
#[derive(Clone, Copy)]
#[repr(C)]
#[expect(missing_docs, reason = "the names of C")]
pub struct elf64_hdr {
    pub e_ident: [u8; 16],
    pub e_type: u16,
    pub e_machine: u16,
    pub e_version: u32,
    pub e_entry: u64,
    pub e_phoff: u64,
    pub e_shoff: u64,
    pub e_flags: u32,
    pub e_ehsize: u16,
    pub e_phentsize: u16,
    pub e_phnum: u16,
    pub e_shentsize: u16,
    pub e_shnum: u16,
    pub e_shstrndx: u16,
}

/// The header of a section.
#[derive(Clone, Copy)]
#[repr(C)]
#[expect(missing_docs, reason = "the names of C")]
pub struct elf64_shdr {
    pub sh_name: u32,
    pub sh_type: u32,
    pub sh_flags: u64,
    pub sh_addr: u64,
    pub sh_offset: u64,
    pub sh_size: u64,
    pub sh_link: u32,
    pub sh_info: u32,
    pub sh_addralign: u64,
    pub sh_entsize: u64,
}

// What kernel/module/internal.h declares.
extern "C" {
    #![expect(missing_docs, reason = "documented at their definitions")]
    #![expect(improper_ctypes, reason = "both sides are Rust")]
    pub fn mod_pending_init() -> c_int;
    pub fn mod_pending_any() -> bool;
    pub fn mod_pending_claim(
        name: *const c_char,
        confirmed: bool,
        load: *mut *mut mod_pending,
    ) -> c_int;
    pub fn mod_pending_confirm(load: *mut mod_pending, name: *const c_char) -> bool;
    pub fn mod_pending_wait(load: *mut mod_pending) -> c_int;
    pub fn mod_pending_wait_for(name: *const c_char, timeout: c_ulong) -> c_long;
    pub fn mod_pending_finish(load: *mut mod_pending, ret: c_int);
    pub fn mod_pending_show(file: *mut seq_file);
    pub fn mod_image_find_module(image: *const mod_image, position: *mut u64) -> c_int;
}
