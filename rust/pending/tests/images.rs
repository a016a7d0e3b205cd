// SPDX-License-Identifier: GPL-2.0

//! Random images, good and damaged, against a reader that has all of the image at hand.

#![cfg(not(any(feature = "loom", feature = "shuttle")))] // There is one task.

use std::mem::size_of;

use kernel::bindings::{mod_image, module};
use pending::image::mod_image_find_module;
use proptest::prelude::*;

const THIS_MODULE: &[u8] = b".gnu.linkonce.this_module\0";
const NAMES: &[u8] = b"\0.text\0.gnu.linkonce.this_module\0.shstrtab\0";
const HEADER: usize = 64;
const SECTION: usize = 64;
const MOST_SECTIONS: usize = 512;

/// What the documentation of the function promises.
const MOST_READ: usize = 46 << 10;

/// A section: whether it has the name, and the size, of the one that is looked for.
#[derive(Clone, Copy, Debug)]
struct Section {
    named: bool,
    sized: bool,
}

fn section() -> impl Strategy<Value = Section> {
    prop_oneof![
        12 => Just(Section { named: false, sized: false }),
        2 => Just(Section { named: false, sized: true }),
        1 => Just(Section { named: true, sized: false }),
        2 => Just(Section { named: true, sized: true }),
    ]
}

/// Writes an image as a linker does: the headers of the sections come last.
fn image(sections: &[Section]) -> Vec<u8> {
    let table = HEADER + NAMES.len();
    let mut image = vec![0; HEADER];
    image[..4].copy_from_slice(b"\x7fELF");
    image[40..48].copy_from_slice(&(table as u64).to_le_bytes());
    image[58..60].copy_from_slice(&(SECTION as u16).to_le_bytes());
    image[60..62].copy_from_slice(&(sections.len() as u16 + 1).to_le_bytes());
    image.extend(NAMES);
    image.extend(header(7, HEADER, NAMES.len()));
    for (number, section) in sections.iter().enumerate() {
        let name = if section.named { 7 } else { 1 };
        let size = if section.sized { size_of::<module>() } else { 5 };
        image.extend(header(name, number, size));
    }
    image
}

fn header(name: u32, offset: usize, size: usize) -> [u8; SECTION] {
    let mut header = [0; SECTION];
    header[..4].copy_from_slice(&name.to_le_bytes());
    header[24..32].copy_from_slice(&(offset as u64).to_le_bytes());
    header[32..40].copy_from_slice(&(size as u64).to_le_bytes());
    header
}

/// The number at a place of the image.
fn number(image: &[u8], at: usize, size: usize) -> Option<usize> {
    let bytes = image.get(at..at.checked_add(size)?)?;
    let number = bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte));
    usize::try_from(number).ok()
}

/// Where the image has the section, the last one if there are more.
fn expected(image: &[u8]) -> Option<usize> {
    let (table, count) = (number(image, 40, 8)?, number(image, 60, 2)?);
    if !image.starts_with(b"\x7fELF") || number(image, 58, 2)? != SECTION || count > MOST_SECTIONS {
        return None;
    }
    let header = table.checked_add(number(image, 62, 2)? * SECTION)?;
    let names = number(image.get(header..header.checked_add(SECTION)?)?, 24, 8)?;
    let headers = image.get(table..table.checked_add(count * SECTION)?)?.chunks(SECTION);
    for header in headers.rev().filter(|header| number(header, 32, 8) == Some(size_of::<module>()))
    {
        let name = names.checked_add(number(header, 0, 4)?)?;
        if image.get(name..name.checked_add(THIS_MODULE.len())?)? == THIS_MODULE {
            return number(header, 24, 8);
        }
    }
    None
}

fn find(bytes: Vec<u8>) -> Option<usize> {
    let image = mod_image { bytes, ..Default::default() };
    let mut found = 0;
    // SAFETY: Both are valid.
    let ret = unsafe { mod_image_find_module(&image, &mut found) };
    assert!(ret <= 0);
    assert!(image.read.get() <= MOST_READ, "{} bytes read", image.read.get());
    (ret == 0).then(|| usize::try_from(found).expect("64 bits"))
}

#[test]
fn the_largest_table_is_searched_at_the_cost_that_is_said() {
    let mut sections = vec![Section { named: false, sized: true }; MOST_SECTIONS - 1];
    sections[0].named = true;
    assert_eq!(find(image(&sections)), Some(0));
    sections.push(Section { named: true, sized: true });
    assert_eq!(find(image(&sections)), None);
}

#[test]
fn what_is_no_elf_file_with_such_headers_is_refused() {
    let good = image(&[Section { named: true, sized: true }]);
    assert_eq!(find(good.clone()), Some(0));
    for place in [0, 1, 2, 3, 58, 59] {
        let mut bad = good.clone();
        bad[place] ^= 1;
        assert_eq!(find(bad), None, "byte {place}");
    }
}

/// No random damage makes a sum come out right again that does not fit its type.
#[test]
fn a_name_behind_the_end_of_all_numbers_is_not_one_at_their_start() {
    let mut image = image(&[Section { named: true, sized: true }]);
    let table = HEADER + NAMES.len();
    let further = 1 << 20;
    image[table + 24..][..8].copy_from_slice(&(HEADER as u64).wrapping_sub(further).to_le_bytes());
    image[table + SECTION..][..4].copy_from_slice(&(7 + further as u32).to_le_bytes());
    assert_eq!(find(image), None);
}

#[test]
fn a_table_behind_the_end_of_all_numbers_is_not_one_at_their_start() {
    let mut image = image(&[Section { named: true, sized: true }; 20]);
    let table = (HEADER + NAMES.len()) as u64;
    image[62] = 10;
    image[40..48].copy_from_slice(&table.wrapping_sub(10 * SECTION as u64).to_le_bytes());
    assert_eq!(find(image), None);
}

proptest! {
    #[test]
    fn the_module_is_found_where_it_is(
        sections in prop::collection::vec(section(), 0..80),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        length in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let mut bytes = image(&sections);
        for (index, byte) in damage {
            // Of the headers mostly, what counts is there.
            let index = index.index(bytes.len().min(400));
            bytes[index] = byte;
        }
        if let Some(length) = length {
            bytes.truncate(length.index(bytes.len()));
        }
        prop_assert_eq!(find(bytes.clone()), expected(&bytes));
    }
}
