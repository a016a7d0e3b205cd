// SPDX-License-Identifier: GPL-2.0

//! Images of modules, and ways to spoil them.

use std::{fs, ops::Range, path::Path};

use anyhow::{Context, Result};
use fastrand::Rng;
use object::{elf::FileHeader64, read::elf::ElfFile, Endianness, Object, ObjectSection};

/// `MODULE_NAME_LEN` of a 64-bit kernel.
pub const NAME_LEN: usize = 56;
/// Where an ELF header says for which machine it is.
const E_MACHINE: usize = 18;
/// A `struct module_signature` that says that all before it is the signature, and the mark
/// behind it.
pub const NO_SIGNATURE: &[u8] = b"\0\0\x02\0\0\0\0\0\xff\xff\xff\xff~Module signature appended~\n";

/// A module's file.
#[derive(Clone)]
pub struct Image {
    /// The name of the module.
    pub name: String,
    /// The file.
    pub plain: Vec<u8>,
    /// The file, compressed.
    pub xz: Vec<u8>,
    /// The file with a signature that this kernel knows the key of.
    pub signed: Vec<u8>,
}

impl Image {
    /// Reads `name`.ko, and what the build has made of it, from `dir`.
    pub fn read(dir: &Path, name: &str) -> Result<Self> {
        let read = |extension: &str| {
            let path = dir.join(format!("{name}.{extension}"));
            fs::read(&path).with_context(|| format!("{}: --modules says where", path.display()))
        };
        let (plain, xz, signed) = (read("ko")?, read("ko.xz")?, read("ko.signed")?);
        Ok(Self { name: name.to_owned(), plain, xz, signed })
    }

    /// Only what was appended to the file.
    pub fn signature(&self) -> &[u8] {
        &self.signed[self.plain.len()..]
    }
}

/// Where a section is in the file.
pub fn section(image: &[u8], name: &str) -> Option<Range<usize>> {
    let elf = ElfFile::<FileHeader64<Endianness>>::parse(image).ok()?;
    let (start, len) = elf.section_by_name(name)?.file_range()?;
    Some(start as usize..(start + len) as usize)
}

/// Flips 1 to 8 bits within `range`.
pub fn flip(image: &mut [u8], range: Range<usize>, rng: &mut Rng) {
    for _ in 0..rng.usize(1..=8) {
        image[rng.usize(range.clone())] ^= 1 << rng.u8(..8);
    }
}

/// Makes the image one of another kernel.
pub fn break_vermagic(image: &mut [u8]) {
    if let Some(at) = find(image, b"vermagic=") {
        image[at + b"vermagic=".len()] ^= 1;
    }
}

/// Makes the image one of another architecture.
pub fn break_machine(image: &mut [u8]) {
    image[E_MACHINE] ^= 1;
}

/// Gives the module another name; one of [`NAME_LEN`] bytes has no nul at its end.
pub fn rename(image: &mut [u8], old: &str, new: &str) {
    let Some(module) = section(image, ".gnu.linkonce.this_module") else { return };
    let Some(at) = find(&image[module.clone()], old.as_bytes()) else { return };
    let field = &mut image[module][at..at + NAME_LEN];
    field.fill(0);
    field[..new.len()].copy_from_slice(new.as_bytes());
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
