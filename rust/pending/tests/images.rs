// SPDX-License-Identifier: GPL-2.0

//! Random images, good and damaged, against a reader that has all of the image at hand.

#![cfg(not(any(feature = "loom", feature = "shuttle")))] // There is one task.

use std::{
    ffi::{CStr, CString},
    mem::{offset_of, size_of},
    sync::atomic::Ordering::Relaxed,
};

use kernel::{
    bindings::{file, module, MODULE_NAME_LEN},
    memory,
    modules::{Module, LIVE},
    uaccess,
};
use pending::{
    elf::{image, Section, HEADER, MODULE, NAMES, SECTION, TABLE},
    loader::{
        errno::{EEXIST, ENOEXEC},
        explore, Claim, Image, SMALL,
    },
};
use proptest::prelude::*;

const MODULE_SECTION: &[u8] = b".gnu.linkonce.this_module\0";
const MOST_SECTIONS: usize = 512;

/// What the documentation of `image::name()` promises.
const MOST_READ: usize = 46 << 10;

/// Names of the modules in an image; most are those of modules, the last has no end.
const PLACES: [&[u8]; 8] = [
    b"module\0",
    b"other\0",
    b"\0",
    b"a name that is as long as names can be, and no longer..\0",
    b"x\0",
    b"module2\0",
    b"\xff\n \0",
    &[b'n'; MODULE_NAME_LEN],
];

fn section() -> impl Strategy<Value = Section> {
    let kinds = prop_oneof![
        12 => Just((false, false)),
        2 => Just((false, true)),
        1 => Just((true, false)),
        2 => Just((true, true)),
    ];
    (kinds, 0..PLACES.len()).prop_map(|((named, sized), place)| Section { named, sized, place })
}

/// Writes a large image as a linker does: the headers of the sections come last.
fn large(sections: &[Section]) -> Vec<u8> {
    image(sections, SMALL + 1, |place| PLACES[place])
}

/// The number at a place of the image.
fn number(image: &[u8], at: usize, size: usize) -> Option<usize> {
    let bytes = image.get(at..at.checked_add(size)?)?;
    let number = bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte));
    usize::try_from(number).ok()
}

/// Where the image has its module, that of the last section if there are more.
fn place(image: &[u8]) -> Option<usize> {
    let (table, count) = (number(image, 40, 8)?, number(image, 60, 2)?);
    if !image.starts_with(b"\x7fELF") || number(image, 58, 2)? != SECTION || count > MOST_SECTIONS {
        return None;
    }
    let header = table.checked_add(number(image, 62, 2)? * SECTION)?;
    let names = number(image.get(header..header.checked_add(SECTION)?)?, 24, 8)?;
    let headers = image.get(table..table.checked_add(count * SECTION)?)?.chunks(SECTION);
    let sized = |header: &&[u8]| number(header, 32, 8) == Some(size_of::<module>());
    for header in headers.rev().filter(sized) {
        let name = names.checked_add(number(header, 0, 4)?)?;
        if image.get(name..name.checked_add(MODULE_SECTION.len())?)? == MODULE_SECTION {
            return number(header, 24, 8);
        }
    }
    None
}

/// The name of that module.
fn expected(image: &[u8]) -> Option<CString> {
    let start = place(image)?.checked_add(offset_of!(module, name))?;
    let room = image.get(start..start.checked_add(MODULE_NAME_LEN)?)?;
    let name = CStr::from_bytes_until_nul(room).ok()?;
    (!name.is_empty()).then(|| name.into())
}

/// A look at a file of a length, which may have shrunk since: what it returned, and how many bytes it read. A name that is found becomes
/// that of a live module, which the look finds then.
fn look(bytes: &[u8], len: usize, name: Option<&CStr>) -> usize {
    let _module = name.map(|name| Module::add(name, LIVE));
    let mut file = file { bytes: bytes.into(), ..Default::default() };
    let mut claim = Claim::default();
    let ret = claim.look_at_file(&mut file, len as i64);
    assert_eq!(ret, if name.is_some() { EEXIST } else { 0 }, "{name:?}");
    assert_eq!(memory::in_use(), 0, "a name where there is none");
    assert_eq!(claim.end(ENOEXEC), ENOEXEC);
    file.read.load(Relaxed)
}

fn check(bytes: Vec<u8>) {
    explore(move || {
        let read = look(&bytes, bytes.len(), expected(&bytes).as_deref());
        assert!(read <= MOST_READ, "{read} bytes read");
    });
}

fn check_that(bytes: Vec<u8>, has: Option<&CStr>) {
    assert_eq!(expected(&bytes).as_deref(), has);
    check(bytes);
}

#[test]
fn the_largest_table_is_searched_at_the_cost_that_is_said() {
    let mut sections = vec![Section { named: false, ..MODULE }; MOST_SECTIONS - 1];
    sections[0].named = true;
    check_that(large(&sections), Some(c"module"));
    sections.push(MODULE);
    check_that(large(&sections), None);
}

#[test]
fn what_is_no_elf_file_with_such_headers_is_refused() {
    let good = large(&[MODULE]);
    check_that(good.clone(), Some(c"module"));
    for place in [0, 1, 2, 3, 58, 59] {
        let mut bad = good.clone();
        bad[place] ^= 1;
        check_that(bad, None);
    }
}

#[test]
fn each_name_is_found_and_what_is_none_is_not() {
    for (place, name) in PLACES.iter().enumerate() {
        let name = CStr::from_bytes_until_nul(name).ok().filter(|name| !name.is_empty());
        check_that(large(&[Section { place, ..MODULE }]), name);
    }
}

/// The module is the last thing in the image, cut off by so many bytes.
#[test]
fn an_image_that_ends_in_its_module_has_no_name() {
    for (cut, name) in [(0, Some(c"module")), (1, None), (size_of::<module>(), None)] {
        let mut bytes = large(&[MODULE]);
        let end = bytes.len();
        let header = SMALL + 1 + SECTION;
        let begin = end - offset_of!(module, name);
        bytes[header + 24..][..8].copy_from_slice(&(begin as u64).to_le_bytes());
        bytes.extend([0; MODULE_NAME_LEN]);
        bytes[end..][..6].copy_from_slice(b"module");
        let len = bytes.len();
        let longer = bytes.clone();
        explore(move || assert!(look(&longer, len - cut, name) > 0));
        bytes.truncate(len - cut);
        check_that(bytes.clone(), name);
        explore(move || assert!(look(&bytes, len, name) > 0));
    }
}

/// No random damage makes a sum come out right again that does not fit its type.
#[test]
fn a_name_behind_the_end_of_all_numbers_is_not_one_at_their_start() {
    let mut image = large(&[MODULE]);
    let further = 1 << 20;
    let table = SMALL + 1;
    image[table + 24..][..8].copy_from_slice(&(HEADER as u64).wrapping_sub(further).to_le_bytes());
    image[table + SECTION..][..4].copy_from_slice(&(7 + further as u32).to_le_bytes());
    check_that(image, None);
}

#[test]
fn a_table_behind_the_end_of_all_numbers_is_not_one_at_their_start() {
    let mut image = image(&[MODULE; 30], TABLE, |place| PLACES[place]);
    image.resize(SMALL + 1, 0);
    image[62] = 20;
    let table = (TABLE as u64).wrapping_sub(20 * SECTION as u64);
    image[40..48].copy_from_slice(&table.to_le_bytes());
    check_that(image, None);
}

#[test]
fn a_module_behind_the_end_of_all_numbers_is_not_one_at_their_start() {
    for offset in [0, 1, offset_of!(module, name) as u64] {
        let mut image = large(&[MODULE]);
        let header = SMALL + 1 + SECTION;
        image[header + 24..][..8].copy_from_slice(&0_u64.wrapping_sub(offset + 1).to_le_bytes());
        check_that(image, None);
    }
}

#[test]
fn memory_is_read_as_a_file_is() {
    let bytes = image(&[MODULE], TABLE, |place| PLACES[place]);
    // Nothing is mapped behind it.
    let start = uaccess::map(bytes.leak());
    explore(move || {
        let _module = Module::add(c"module", LIVE);
        let mut claim = Claim::default();
        let mut look = |start, len| {
            let ret = claim.look(Image { start, len });
            assert_eq!(claim.end(ENOEXEC), ENOEXEC);
            ret
        };
        assert_eq!(look(start, SMALL + 1), EEXIST);
        assert_eq!(look(start + 1, SMALL + 1), 0);
        assert_eq!(look(start - 1, SMALL + 1), 0);
    });
}

proptest! {
    #[test]
    fn the_module_is_found_where_it_is(
        sections in prop::collection::vec(section(), 0..80),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        length in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let mut bytes = large(&sections);
        for (index, byte) in damage {
            // Of the headers mostly, what counts is there.
            let headers = HEADER + NAMES.len();
            let index = index.index(headers + bytes.len().min(SMALL + 400) - SMALL);
            bytes[if index < headers { index } else { index - headers + SMALL }] = byte;
        }
        if let Some(length) = length {
            bytes.truncate(SMALL + 1 + length.index(bytes.len() - SMALL));
        }
        check(bytes);
    }
}
