// SPDX-License-Identifier: GPL-2.0

//! Images of modules that are not copied yet.
//!
//! Where an image has its `struct module`, and with it the module's name, is known after a few
//! bounded reads. Nothing of it is trusted: what is read may change before it is read again, and
//! whatever is odd is left to the checks of the whole image, which have the last word.

use core::mem::offset_of;
use kernel::{
    bindings,
    prelude::*,
    uaccess::{
        UserPtr,
        UserSlice, //
    },
};

/// A field that is as wide as an address.
#[cfg(CONFIG_64BIT)]
type Word = u64;
#[cfg(not(CONFIG_64BIT))]
type Word = u32;

/// What an ELF file begins with.
const MAGIC: &[u8] = b"\x7fELF";

/// The name of the section that holds `struct module`.
const MODULE_SECTION: &[u8] = b".gnu.linkonce.this_module\0";

/// How many section headers are read at a time, which takes up to half a KiB of the stack.
const BATCH: usize = 8;

/// The longest section header table that is searched. Large modules have some 100 sections.
const MOST_SECTIONS: usize = 512;

/// `MODULE_NAME_LEN`
pub(super) const NAME_LEN: usize = 64 - size_of::<c_ulong>();
// Does not compile if the length is another one.
const _: fn(&bindings::module) -> &[c_char; NAME_LEN] = |module| &module.name;

/// `struct elf64_hdr`, or `struct elf32_hdr`.
#[derive(Clone, Copy, Default, FromBytes, IntoBytes)]
#[repr(C)]
struct Header {
    ident: [u8; 16],
    _kind: u16,
    _machine: u16,
    _version: u32,
    _entry: Word,
    _program_headers: Word,
    sections: Word,
    _flags: u32,
    _size: u16,
    _program_header_size: u16,
    _program_header_count: u16,
    section_size: u16,
    section_count: u16,
    section_of_names: u16,
}

/// `struct elf64_shdr`, or `struct elf32_shdr`.
#[derive(Clone, Copy, Default, FromBytes, IntoBytes)]
#[repr(C)]
struct Section {
    name: u32,
    _kind: u32,
    _flags: Word,
    _address: Word,
    offset: Word,
    size: Word,
    _link: u32,
    _info: u32,
    _alignment: Word,
    _entry_size: Word,
}

/// Widens a field.
fn wide(field: impl Into<u64>) -> u64 {
    field.into()
}

/// An image that can be read in parts.
pub(super) trait Image {
    /// How long it is, in bytes.
    fn len(&self) -> u64;

    /// Reads what starts at `pos`, all of which is part of the image.
    fn read_part(&self, pos: u64, to: &mut [u8]) -> Result;
}

/// An image in user memory.
pub(super) struct UserMemory {
    pub(super) start: usize,
    pub(super) len: usize,
}

impl Image for UserMemory {
    fn len(&self) -> u64 {
        self.len as u64
    }

    fn read_part(&self, pos: u64, to: &mut [u8]) -> Result {
        let start = UserPtr::from_addr(self.start.wrapping_add(pos as usize));
        UserSlice::new(start, to.len()).reader().read_slice(to)
    }
}

/// An image in a file.
///
/// # Invariants
///
/// `file` is open for reading.
pub(super) struct OpenFile {
    file: *mut bindings::file,
    len: u64,
}

impl OpenFile {
    /// An image of `len` bytes in a file.
    ///
    /// # Safety
    ///
    /// `file` must be open for reading as long as the image is in use.
    pub(super) unsafe fn new(file: *mut bindings::file, len: u64) -> Self {
        // INVARIANT: The file is open for reading, by the safety requirements.
        Self { file, len }
    }
}

impl Image for OpenFile {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_part(&self, pos: u64, to: &mut [u8]) -> Result {
        let mut pos = pos as bindings::loff_t;
        // SAFETY: The file is open, by the type invariant, and `to` is valid for writes of its
        // length.
        let read =
            unsafe { bindings::kernel_read(self.file, to.as_mut_ptr().cast(), to.len(), &mut pos) };
        if read < 0 {
            return Err(Error::from_errno(read as c_int));
        }
        if read as usize == to.len() {
            Ok(())
        } else {
            Err(ENOEXEC)
        }
    }
}

/// Reads what starts at `pos`.
///
/// Fails with [`ENOEXEC`] if that is not part of the image.
fn read<T: FromBytes + IntoBytes>(image: &dyn Image, pos: u64, to: &mut [T]) -> Result {
    let bytes = to.as_mut_bytes();
    let end = pos.checked_add(bytes.len() as u64).ok_or(ENOEXEC)?;
    if end > image.len() {
        return Err(ENOEXEC);
    }
    image.read_part(pos, bytes)
}

/// Where a section header is.
fn position(header: &Header, index: usize) -> Result<u64> {
    let offset = index as u64 * size_of::<Section>() as u64;
    wide(header.sections).checked_add(offset).ok_or(ENOEXEC)
}

/// Reads the header of an image whose section headers can be searched.
fn header(image: &dyn Image) -> Result<Header> {
    let mut room = [Header::default()];
    read(image, 0, &mut room)?;
    let [header] = room;

    if !header.ident.starts_with(MAGIC)
        || usize::from(header.section_size) != size_of::<Section>()
        || usize::from(header.section_count) > MOST_SECTIONS
    {
        return Err(ENOEXEC);
    }
    Ok(header)
}

/// Checks whether a section holds `struct module`.
///
/// Few are of that size: the names of others are not read.
fn holds_module(image: &dyn Image, section: &Section, names: u64) -> Result<bool> {
    if wide(section.size) != size_of::<bindings::module>() as u64 {
        return Ok(false);
    }

    let mut name = [0; MODULE_SECTION.len()];
    let pos = names.checked_add(section.name.into()).ok_or(ENOEXEC)?;
    read(image, pos, &mut name)?;
    Ok(name == *MODULE_SECTION)
}

/// Finds `struct module`, searching from the end, as it is linked late.
///
/// That it is the only one is left to the checks of the whole image.
fn find_module(image: &dyn Image) -> Result<u64> {
    let header = header(image)?;
    let mut room = [Section::default(); BATCH];
    read(
        image,
        position(&header, header.section_of_names.into())?,
        &mut room[..1],
    )?;
    let names = wide(room[0].offset);

    let mut end = usize::from(header.section_count);
    while end > 0 {
        let first = end.saturating_sub(BATCH);
        let batch = &mut room[..end - first];
        read(image, position(&header, first)?, batch)?;
        for section in batch.iter().rev() {
            if holds_module(image, section, names)? {
                return Ok(wide(section.offset));
            }
        }
        end = first;
    }
    Err(ENOEXEC)
}

/// Finds the name that a module seems to have, before its image is copied.
///
/// Reads up to 46 KiB of the image, in pieces of up to half a KiB.
///
/// # Errors
///
/// [`ENOEXEC`] if the image has no name, and whatever reading it fails with.
pub(super) fn name<'a>(image: &dyn Image, room: &'a mut [u8; NAME_LEN]) -> Result<&'a CStr> {
    let offset = offset_of!(bindings::module, name) as u64;
    let pos = find_module(image)?.checked_add(offset).ok_or(ENOEXEC)?;
    read(image, pos, room)?;

    let name = CStr::from_bytes_until_nul(room).map_err(|_| ENOEXEC)?;
    if name.is_empty() {
        return Err(ENOEXEC);
    }
    Ok(name)
}

#[cfg(CONFIG_MODULE_MERGE_LOADS_KUNIT_TEST)]
#[path = "image_kunit.rs"]
mod image_kunit;
