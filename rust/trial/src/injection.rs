// SPDX-License-Identifier: GPL-2.0

//! Allocations that fail when they are told to, where the kernel can do that.

use std::{fs::File, io, os::unix::fs::FileExt, path::Path};

use anyhow::Result;
use guest::files;

/// Which allocation of this thread fails next, counted from 1.
const FAIL_NTH: &str = "/proc/thread-self/fail-nth";
/// Allocations that may sleep or be of any size fail, too, and quietly.
const SETTINGS: [(&str, &str); 6] = [
    ("failslab/ignore-gfp-wait", "N"),
    ("failslab/verbose", "0"),
    ("fail_page_alloc/ignore-gfp-wait", "N"),
    ("fail_page_alloc/ignore-gfp-highmem", "N"),
    ("fail_page_alloc/min-order", "0"),
    ("fail_page_alloc/verbose", "0"),
];

/// Sets it up; whether the kernel can.
pub fn prepare() -> Result<bool> {
    if !Path::new(FAIL_NTH).exists() {
        return Ok(false);
    }
    let set =
        |(name, value): &(&str, &str)| files::write(format!("/sys/kernel/debug/{name}"), value);
    SETTINGS.iter().try_for_each(set)?;
    Ok(true)
}

/// The `nth` allocation from now on fails; with 0, none does.
pub fn fail(file: &File, nth: u32) -> io::Result<()> {
    file.write_all_at(nth.to_string().as_bytes(), 0)
}

/// The file of this thread.
pub fn open() -> io::Result<File> {
    File::options().read(true).write(true).open(FAIL_NTH)
}
