// SPDX-License-Identifier: GPL-2.0

//! Images of modules, as far as the peek at their names looks at them.

use std::{ffi::CStr, mem::offset_of};

use kernel::bindings::module;

/// Size of the header of an image.
pub const HEADER: usize = 64;
/// Size of the header of a section.
pub const SECTION: usize = 64;
/// The names of the sections, behind the header.
pub const NAMES: &[u8] = b"\0.text\0.gnu.linkonce.this_module\0.shstrtab\0";
/// Where the section headers begin at the earliest.
pub const TABLE: usize = HEADER + NAMES.len() + MODULES;

/// Room for so many `struct module`.
const PLACES: usize = 8;
const MODULES: usize = PLACES * size_of::<module>();

/// A section: whether it has the name, and the size, of the one that holds `struct module`, and
/// which of the places.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// It is called `.gnu.linkonce.this_module`.
    pub named: bool,
    /// It is as large as a `struct module`.
    pub sized: bool,
    /// The place, modulo how many there are.
    pub place: usize,
}

/// The section that holds the first `struct module`.
pub const MODULE: Section = Section { named: true, sized: true, place: 0 };

/// Writes an image, with the section headers at `table`. Each place holds a `struct module` with the
/// name that `names` has for it.
pub fn image<'a>(sections: &[Section], table: usize, names: impl Fn(usize) -> &'a [u8]) -> Vec<u8> {
    let mut image = vec![0; HEADER];
    image[..4].copy_from_slice(b"\x7fELF");
    image[40..48].copy_from_slice(&(table as u64).to_le_bytes());
    image[58..60].copy_from_slice(&(SECTION as u16).to_le_bytes());
    image[60..62].copy_from_slice(&(sections.len() as u16 + 1).to_le_bytes());
    image.extend(NAMES);
    for place in 0..PLACES {
        let mut module = [0; size_of::<module>()];
        let name = names(place);
        module[offset_of!(module, name)..][..name.len()].copy_from_slice(name);
        image.extend(module);
    }
    image.resize(table, 0);
    image.extend(header(7, HEADER, NAMES.len()));
    for section in sections {
        let name = if section.named { 7 } else { 1 };
        let size = if section.sized { size_of::<module>() } else { 5 };
        let place = HEADER + NAMES.len() + section.place % PLACES * size_of::<module>();
        image.extend(header(name, place, size));
    }
    image
}

/// Writes an image that seems to be the module of a name.
pub fn image_of(name: &CStr) -> Vec<u8> {
    image(&[MODULE], TABLE, |_| name.to_bytes_with_nul())
}

fn header(name: u32, offset: usize, size: usize) -> [u8; SECTION] {
    let mut header = [0; SECTION];
    header[..4].copy_from_slice(&name.to_le_bytes());
    header[24..32].copy_from_slice(&(offset as u64).to_le_bytes());
    header[32..40].copy_from_slice(&(size as u64).to_le_bytes());
    header
}
