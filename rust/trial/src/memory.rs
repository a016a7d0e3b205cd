// SPDX-License-Identifier: GPL-2.0

//! Memory that system calls are pointed at, and files in memory.

use std::{
    ffi::CString,
    fs::File,
    io::Write,
    num::NonZeroUsize,
    os::fd::{AsRawFd, OwnedFd},
};

use guest::{errno::Errno, module};
use nix::sys::{
    memfd::{memfd_create, MFdFlags},
    mman::{mmap, MapFlags, ProtFlags},
};

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
}

impl From<&Memory> for module::Memory {
    fn from(memory: &Memory) -> Self {
        match memory {
            Memory::Bytes(bytes) => bytes.as_slice().into(),
            Memory::Address(address, len) => Self(*address, *len),
        }
    }
}

/// A file of its own, in memory, with these bytes.
pub fn file(bytes: &[u8]) -> Result<OwnedFd, Errno> {
    let mut file = File::from(memfd_create(c"module", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(bytes)?;
    // Open for reading only, as the kernel wants a file that it executes from.
    Ok(File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))?.into())
}

/// The first `len` bytes of a file of [`file`], for good.
pub fn map(file: &OwnedFd, len: usize) -> Result<&'static [u8], Errno> {
    let size = NonZeroUsize::new(len).ok_or(Errno(libc::EINVAL))?;
    // SAFETY: A new mapping changes nothing that exists.
    let start = unsafe { mmap(None, size, ProtFlags::PROT_READ, MapFlags::MAP_SHARED, file, 0) }?;
    // SAFETY: It is that long, is never unmapped, and nobody can write to the file.
    Ok(unsafe { std::slice::from_raw_parts(start.as_ptr().cast(), len) })
}
