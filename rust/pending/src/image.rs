// SPDX-License-Identifier: GPL-2.0

//! Images of modules that are not copied yet.
//!
//! Where an image has its `struct module`, and with it the module's name, is known after a few
//! bounded reads. Nothing of it is trusted: what is read may change before it is read again, and
//! what is odd is left to the checks of the whole image, which have the last word.
//!
//! C header: [`kernel/module/internal.h`](srctree/kernel/module/internal.h)

use core::{
    mem::MaybeUninit,
    slice, //
};
#[cfg(not(CONFIG_64BIT))]
use kernel::bindings::{
    elf32_hdr as elf_hdr,
    elf32_shdr as elf_shdr, //
};
#[cfg(CONFIG_64BIT)]
use kernel::bindings::{
    elf64_hdr as elf_hdr,
    elf64_shdr as elf_shdr, //
};
use kernel::{
    bindings,
    error::to_result,
    ffi::c_int,
    prelude::*,
    transmute::FromBytes, //
};

/// What an ELF file begins with.
const MAGIC: &[u8] = b"\x7fELF";

/// The section that holds `struct module`.
const THIS_MODULE: &CStr = c".gnu.linkonce.this_module";

/// How many section headers are read at a time, which takes up to half a KiB of the stack.
const BATCH: usize = 8;

/// The longest section header table that is searched. Large modules have some 100 sections.
const MOST_SECTIONS: usize = 512;

#[repr(transparent)]
#[derive(Clone, Copy)]
#[allow(
    dead_code,
    reason = "it is only read; rustc up to 1.85 at least takes that for never constructed"
)]
struct Header(elf_hdr);

// SAFETY: It has integers only.
unsafe impl FromBytes for Header {}

#[repr(transparent)]
#[derive(Clone, Copy)]
struct Section(elf_shdr);

// SAFETY: It has integers only.
unsafe impl FromBytes for Section {}

/// A field that is as wide as an address is.
fn wide(field: impl Into<u64>) -> u64 {
    field.into()
}

/// An image in user memory, or in a file.
///
/// # Invariants
///
/// Its `file` is null, or a file that stays open for reading for `'a`.
struct Image<'a>(&'a bindings::mod_image);

/// Where an image has its section headers, and their names.
struct Sections {
    table: u64,
    count: usize,
    names: u64,
}

impl Sections {
    fn position(&self, index: usize) -> Result<u64> {
        let offset = (index * size_of::<Section>()) as u64;
        self.table.checked_add(offset).ok_or(ENOEXEC)
    }
}

impl Image<'_> {
    /// Reads what starts at `pos`, as much as there is room for. Fails with [`ENOEXEC`] if that is
    /// not part of the image.
    fn read<'b, T: FromBytes>(&self, pos: u64, room: &'b mut [MaybeUninit<T>]) -> Result<&'b [T]> {
        let len = size_of_val(room);
        // SAFETY: By the type invariant, the image can be read. The room is valid for writes of its
        // size.
        to_result(unsafe { bindings::mod_image_read(self.0, pos, room.as_mut_ptr().cast(), len) })?;
        // SAFETY: Without an error, all of the room has been written to. Any bytes are values of
        // its type.
        Ok(unsafe { slice::from_raw_parts(room.as_ptr().cast(), room.len()) })
    }

    fn sections(&self) -> Result<Sections> {
        let Header(header) = self.read(0, &mut [MaybeUninit::uninit()])?[0];
        let count = header.e_shnum.into();
        if !header.e_ident.starts_with(MAGIC)
            || usize::from(header.e_shentsize) != size_of::<Section>()
            || count > MOST_SECTIONS
        {
            return Err(ENOEXEC);
        }

        let mut sections = Sections {
            table: wide(header.e_shoff),
            count,
            names: 0,
        };
        let names = sections.position(header.e_shstrndx.into())?;
        let Section(names) = self.read(names, &mut [MaybeUninit::uninit()])?[0];
        sections.names = wide(names.sh_offset);
        Ok(sections)
    }

    /// Says whether a section holds `struct module`. Few are of that size: other names are not
    /// read.
    fn holds_module(&self, section: &elf_shdr, names: u64) -> Result<bool> {
        if section.sh_size as usize != size_of::<bindings::module>() {
            return Ok(false);
        }

        let mut room = [const { MaybeUninit::uninit() }; THIS_MODULE.to_bytes_with_nul().len()];
        let pos = names.checked_add(section.sh_name.into()).ok_or(ENOEXEC)?;
        let name: &[u8] = self.read(pos, &mut room)?;
        Ok(name == THIS_MODULE.to_bytes_with_nul())
    }

    /// Finds `struct module`. That it is the only one is left to the checks of the whole image, and
    /// it is searched from the end, as it is linked late.
    ///
    /// # Errors
    ///
    /// [`ENOEXEC`] if there is none of the size that this kernel has, and whatever reading the
    /// image fails with.
    fn find_module(&self) -> Result<u64> {
        let sections = self.sections()?;
        let mut room = [const { MaybeUninit::uninit() }; BATCH];
        let mut end = sections.count;

        while end > 0 {
            let first = end.saturating_sub(BATCH);
            let batch: &[Section] =
                self.read(sections.position(first)?, &mut room[..end - first])?;
            for Section(section) in batch.iter().rev() {
                if self.holds_module(section, sections.names)? {
                    return Ok(wide(section.sh_offset));
                }
            }
            end = first;
        }
        Err(ENOEXEC)
    }
}

/// Finds where an image has its `struct module`.
///
/// Returns 0 and stores the position, or an error: what the image is loaded for then is up to the
/// checks of the whole of it.
///
/// Context: process context. May sleep. Reads up to 46 KiB of the image, in pieces of up to half a
/// KiB.
///
/// # Safety
///
/// * `image` must be valid for reads during the call, and its `file` null or open for reading.
/// * `position` must be valid for a write.
#[export]
pub unsafe extern "C" fn mod_image_find_module(
    image: *const bindings::mod_image,
    position: *mut u64,
) -> c_int {
    // INVARIANT: By the requirements of this function, a file stays open during the call.
    // SAFETY: By the same requirements, the reference is valid during the call.
    let image = Image(unsafe { &*image });

    match image.find_module() {
        Ok(found) => {
            // SAFETY: By the requirements of this function.
            unsafe { position.write(found) };
            0
        }
        Err(err) => err.to_errno(),
    }
}
