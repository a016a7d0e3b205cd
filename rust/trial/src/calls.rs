// SPDX-License-Identifier: GPL-2.0

//! The system calls, with arguments that need not make sense.

use std::{
    ffi::CString,
    num::NonZeroUsize,
    os::fd::{AsRawFd, BorrowedFd, OwnedFd},
};

use nix::{
    errno::Errno,
    sys::{
        memfd::{memfd_create, MFdFlags},
        mman::{mmap, MapFlags, ProtFlags},
    },
};

/// `MODULE_INIT_COMPRESSED_FILE` of `linux/module.h`.
pub const COMPRESSED_FILE: u32 = 4;
/// `delete_module(2)`: fail rather than wait.
pub const NONBLOCK: u32 = libc::O_NONBLOCK as u32;
/// `delete_module(2)`: even if the module is in use or has no exit.
pub const FORCE: u32 = libc::O_TRUNC as u32;

/// What a pointer argument points at.
#[derive(Clone, PartialEq, Eq)]
pub enum Memory {
    /// These bytes.
    Bytes(Vec<u8>),
    /// Whatever is there, and how much of it.
    Address(usize, usize),
}

impl Memory {
    /// A C string.
    pub fn text(text: &str) -> Self {
        Self::Bytes(CString::new(text).expect("no nul inside").into_bytes_with_nul())
    }

    fn parts(&self) -> (usize, usize) {
        match self {
            Self::Bytes(bytes) => (bytes.as_ptr() as usize, bytes.len()),
            Self::Address(address, len) => (*address, *len),
        }
    }
}

/// `init_module(2)`.
pub fn init_module(image: &Memory, params: &Memory) -> Result<(), i32> {
    let ((image, len), (params, _)) = (image.parts(), params.parts());
    // SAFETY: The kernel only reads the memory, and checks that it may.
    done(unsafe { libc::syscall(libc::SYS_init_module, image, len, params) })
}

/// `finit_module(2)`.
pub fn finit_module(file: i32, params: &Memory, flags: u32) -> Result<(), i32> {
    // SAFETY: The kernel only reads the memory, and checks that it may.
    done(unsafe { libc::syscall(libc::SYS_finit_module, file, params.parts().0, flags) })
}

/// `delete_module(2)`.
pub fn delete_module(name: &Memory, flags: u32) -> Result<(), i32> {
    // SAFETY: The kernel only reads the memory, and checks that it may.
    done(unsafe { libc::syscall(libc::SYS_delete_module, name.parts().0, flags) })
}

/// A file of its own, in memory, with these bytes.
pub fn memory_file(bytes: &[u8]) -> Result<OwnedFd, Errno> {
    let file = memfd_create(c"module", MFdFlags::MFD_CLOEXEC)?;
    let mut rest = bytes;
    while !rest.is_empty() {
        rest = &rest[nix::unistd::write(&file, rest)?..];
    }
    // Open for reading only, as the kernel wants a file that it executes from.
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    nix::fcntl::open(path.as_str(), nix::fcntl::OFlag::O_RDONLY, nix::sys::stat::Mode::empty())
}

/// The first `len` bytes of a file of [`memory_file`], for good.
pub fn map(file: &OwnedFd, len: usize) -> Result<&'static [u8], Errno> {
    let size = NonZeroUsize::new(len).ok_or(Errno::EINVAL)?;
    // SAFETY: A new mapping changes nothing that exists.
    let start = unsafe { mmap(None, size, ProtFlags::PROT_READ, MapFlags::MAP_SHARED, file, 0) }?;
    // SAFETY: It is that long, is never unmapped, and nobody can write to the file.
    Ok(unsafe { std::slice::from_raw_parts(start.as_ptr().cast(), len) })
}

/// The number of an open file, as a system call wants it.
pub fn number(file: BorrowedFd) -> i32 {
    file.as_raw_fd()
}

/// The number as it comes: the kernel may return one that no program should see.
fn done(result: libc::c_long) -> Result<(), i32> {
    match result {
        -1 => Err(Errno::last_raw()),
        _ => Ok(()),
    }
}
