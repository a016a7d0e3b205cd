// SPDX-License-Identifier: GPL-2.0

//! How much of a module the kernel has copied for a request.
//!
//! What it reads from files it counts itself (`rchar` of /proc/PID/io), to the byte. For an image
//! in memory, the pages that were looked at since [`forget`] tell: part of a page counts as all of
//! it.

use std::{ffi::c_void, fs, ops::Range, ptr::NonNull};

use anyhow::{Context, Result};
use nix::{
    sys::mman::{mmap_anonymous, MapFlags, ProtFlags},
    unistd::Pid,
};

/// An image in memory of its own, from the beginning of a page on.
pub struct Image(&'static [u8]);

impl Image {
    /// Copies `bytes`; the memory lives as long as the program.
    pub fn new(bytes: &[u8]) -> Result<Self> {
        let memory = map(bytes.len(), MapFlags::MAP_PRIVATE)?;
        // SAFETY: The memory is that long, zero, and nobody else knows of it.
        let image = unsafe { std::slice::from_raw_parts_mut(memory.as_ptr().cast(), bytes.len()) };
        image.copy_from_slice(bytes);
        Ok(Self(image))
    }

    /// The image.
    pub fn bytes(&self) -> &[u8] {
        self.0
    }

    fn place(&self) -> Range<usize> {
        let range = self.0.as_ptr_range();
        range.start as usize..range.end as usize
    }
}

/// New memory, which is zero, for as long as the program runs.
pub fn map(len: usize, flags: MapFlags) -> Result<NonNull<c_void>> {
    let len = len.try_into().context("nothing to map")?;
    let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: The kernel chooses the place, so nothing else is mapped there.
    unsafe { mmap_anonymous(None, len, access, flags) }.context("no memory")
}

/// Makes all pages of this process pages that were not looked at.
pub fn forget() {
    // A kernel without this file has no `Referenced:` lines, either.
    let _ = fs::write("/proc/self/clear_refs", "1");
}

/// The bytes that were copied for a process since its beginning, from files and from `image`;
/// nothing if this kernel does not count.
pub fn by(pid: Pid, image: Option<&Image>) -> Option<u64> {
    match image {
        None => read_bytes(&fs::read_to_string(format!("/proc/{pid}/io")).ok()?),
        Some(image) => {
            referenced(&fs::read_to_string(format!("/proc/{pid}/smaps")).ok()?, image.place())
        }
    }
}

fn read_bytes(io: &str) -> Option<u64> {
    io.lines().find_map(|line| line.strip_prefix("rchar: "))?.parse().ok()
}

/// The sum over all mappings that are part of `place`.
fn referenced(smaps: &str, place: Range<usize>) -> Option<u64> {
    let (mut inside, mut sum) = (false, None);
    for line in smaps.lines() {
        if let Some(start) = mapping(line) {
            inside = place.contains(&start);
        } else if let Some(size) = line.strip_prefix("Referenced:").filter(|_| inside) {
            let kib: u64 = size.trim().strip_suffix(" kB")?.parse().ok()?;
            *sum.get_or_insert(0) += kib * 1024;
        }
    }
    sum
}

/// Where the mapping begins that this line is about, if it is a mapping's first line.
fn mapping(line: &str) -> Option<usize> {
    let (start, _) = line.split_once('-')?;
    usize::from_str_radix(start, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMAPS: &str = "\
7f0000000000-7f0000002000 rw-p 00000000 00:00 0
Size:                  8 kB
Referenced:            8 kB
7f0000002000-7f0000003000 rw-p 00000000 00:00 0
Referenced:            4 kB
ffff-10000 r--p 00000000 00:00 0 /lib/a-b.so
Referenced:            4 kB
";

    #[test]
    fn only_the_image_counts() {
        assert_eq!(referenced(SMAPS, 0x7f0000000000..0x7f0000001800), Some(8192));
        assert_eq!(referenced(SMAPS, 0x7f0000000000..0x7f0000003000), Some(12288));
        assert_eq!(referenced(SMAPS, 0x1000..0x2000), None);
        assert_eq!(referenced(&SMAPS.replace("Referenced", "Seen"), 0..usize::MAX), None);
    }

    #[test]
    fn the_kernels_own_count_is_read() {
        assert_eq!(read_bytes("rchar: 5384\nwchar: 2\n"), Some(5384));
        assert_eq!(read_bytes("wchar: 2\n"), None);
    }

    #[test]
    fn an_image_is_what_it_was_made_of() {
        let image = Image::new(&[1, 2, 3]).unwrap();
        assert_eq!(image.bytes(), [1, 2, 3]);
        assert_eq!(image.place().start % 4096, 0);
        assert!(Image::new(&[]).is_err());
    }
}
