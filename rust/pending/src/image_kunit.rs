// SPDX-License-Identifier: GPL-2.0

//! Tests of the peek at an image, of the width that this kernel has.

use super::*;

/// Where the parts of an image are.
const NAMES: usize = 128;
const MODULE: usize = 256;
const SECTIONS: usize = MODULE + size_of::<bindings::module>();
const END: usize = SECTIONS + 3 * size_of::<Section>();

/// An image in kernel memory.
struct Bytes(KVec<u8>);

impl Bytes {
    /// A header, the name of a section, a `struct module` of that name, and section headers.
    fn new(name: &[u8]) -> Result<Self> {
        let mut image = Self(KVec::from_elem(0, END, GFP_KERNEL)?);
        image.put(MODULE + offset_of!(bindings::module, name), name);
        image.put(NAMES, MODULE_SECTION);
        image.put_header(|_| {});
        let mut module = Section {
            offset: MODULE as Word,
            size: size_of::<bindings::module>() as Word,
            ..Section::default()
        };
        image.put(SECTIONS + size_of::<Section>(), module.as_mut_bytes());
        let mut names = Section {
            offset: NAMES as Word,
            ..Section::default()
        };
        image.put(SECTIONS + 2 * size_of::<Section>(), names.as_mut_bytes());
        Ok(image)
    }

    fn put(&mut self, pos: usize, bytes: &[u8]) {
        self.0[pos..][..bytes.len()].copy_from_slice(bytes);
    }

    fn put_header(&mut self, change: impl FnOnce(&mut Header)) {
        let mut header = Header {
            sections: SECTIONS as Word,
            section_size: size_of::<Section>() as u16,
            section_count: 3,
            section_of_names: 2,
            ..Header::default()
        };
        header.ident[..MAGIC.len()].copy_from_slice(MAGIC);
        change(&mut header);
        self.put(0, header.as_mut_bytes());
    }

    /// Whether the peek finds `expected`.
    fn has_name(&self, expected: &CStr) -> bool {
        name(self, &mut [0; NAME_LEN]).is_ok_and(|name| *name == *expected)
    }

    /// Whether the peek is left to the checks of the whole image.
    fn is_odd(&self) -> bool {
        name(self, &mut [0; NAME_LEN]) == Err(ENOEXEC)
    }
}

impl Image for Bytes {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_part(&self, pos: u64, to: &mut [u8]) -> Result {
        to.copy_from_slice(&self.0[pos as usize..][..to.len()]);
        Ok(())
    }
}

#[kunit_tests(module_image)]
mod tests {
    use super::*;

    #[test]
    fn name_is_found() -> Result {
        assert!(Bytes::new(b"name\0")?.has_name(c"name"));
        Ok(())
    }

    #[test]
    fn name_without_end_and_empty_name_are_odd() -> Result {
        assert!(Bytes::new(&[b'x'; NAME_LEN])?.is_odd());
        assert!(Bytes::new(b"")?.is_odd());
        Ok(())
    }

    #[test]
    fn damaged_header_is_odd() -> Result {
        let damages: [fn(&mut Header); 6] = [
            |header| header.ident[0] = 0,
            |header| header.section_size += 1,
            |header| header.section_count = MOST_SECTIONS as u16 + 1,
            |header| header.section_count = 0,
            |header| header.sections = Word::MAX,
            |header| header.section_of_names = u16::MAX,
        ];
        for damage in damages {
            let mut image = Bytes::new(b"name\0")?;
            image.put_header(damage);
            assert!(image.is_odd());
        }
        Ok(())
    }

    #[test]
    fn nothing_is_read_beyond_the_end() -> Result {
        for len in 0..END {
            let mut image = Bytes::new(b"name\0")?;
            image.0.truncate(len);
            assert!(image.is_odd());
        }
        Ok(())
    }
}
