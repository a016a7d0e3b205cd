// SPDX-License-Identifier: GPL-2.0

//! Modules: their names, the system calls that load and unload them, and what sysfs has of them.

use std::{
    ffi::{CStr, CString},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::errno::Errno;

/// `MODULE_INIT_COMPRESSED_FILE` of `linux/module.h`.
pub const COMPRESSED_FILE: u32 = 4;
/// `delete_module(2)`: fail rather than wait.
pub const NONBLOCK: u32 = libc::O_NONBLOCK as u32;
/// `delete_module(2)`: even if the module is in use or has no exit.
pub const FORCE: u32 = libc::O_TRUNC as u32;
/// Where the kernel shows the modules that it has.
pub const SYS_MODULE: &str = "/sys/module";

/// Memory as a system call takes it: an address and a length, which need not make sense.
#[derive(Clone, Copy)]
pub struct Memory(pub usize, pub usize);

impl From<&[u8]> for Memory {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.as_ptr() as usize, bytes.len())
    }
}

impl From<&CStr> for Memory {
    fn from(text: &CStr) -> Self {
        text.to_bytes_with_nul().into()
    }
}

/// `init_module(2)`.
pub fn init(image: impl Into<Memory>, params: impl Into<Memory>) -> Result<(), Errno> {
    let (Memory(image, len), Memory(params, _)) = (image.into(), params.into());
    // SAFETY: The kernel only reads the memory, and checks that it may.
    done(unsafe { libc::syscall(libc::SYS_init_module, image, len, params) })
}

/// `finit_module(2)`.
pub fn finit(file: i32, params: impl Into<Memory>, flags: u32) -> Result<(), Errno> {
    // SAFETY: The kernel only reads the memory, and checks that it may.
    done(unsafe { libc::syscall(libc::SYS_finit_module, file, params.into().0, flags) })
}

/// `delete_module(2)`.
pub fn delete(name: impl Into<Memory>, flags: u32) -> Result<(), Errno> {
    // SAFETY: The kernel only reads the memory, and checks that it may.
    done(unsafe { libc::syscall(libc::SYS_delete_module, name.into().0, flags) })
}

/// Unloads the module of that name.
pub fn unload(name: &str, flags: u32) -> Result<(), Errno> {
    let name = CString::new(name).map_err(|_| Errno(libc::ENOENT))?;
    delete(&*name, flags)
}

fn done(result: libc::c_long) -> Result<(), Errno> {
    match result {
        -1 => Err(Errno(nix::errno::Errno::last_raw())),
        _ => Ok(()),
    }
}

/// The name of the module in `file`: the file's name without its extensions, `-` as `_`.
pub fn name_of(file: &Path) -> Result<String> {
    let name = file.file_name().and_then(|name| name.to_str());
    let (stem, _) = name
        .and_then(|name| name.split_once(".ko"))
        .filter(|(stem, rest)| !stem.is_empty() && matches!(*rest, "" | ".gz" | ".xz" | ".zst"))
        .with_context(|| format!("{}: not the name of a module file (NAME.ko)", file.display()))?;
    Ok(stem.replace('-', "_"))
}

/// Where a module has a parameter.
pub fn parameter(module: &str, name: &str) -> PathBuf {
    [SYS_MODULE, module, "parameters", name].iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (file, name) in [
            ("crc8.ko", Some("crc8")),
            ("/a.ko/aes-arm-bs.ko.xz", Some("aes_arm_bs")),
            ("m.ko.zst", Some("m")),
            ("m.ko.txt", None),
            (".ko", None),
            ("m.o", None),
            ("/", None),
        ] {
            assert_eq!(name_of(Path::new(file)).ok().as_deref(), name, "{file}");
        }
    }

    /// None of these calls reaches a module, whoever runs the tests.
    #[test]
    fn an_error_is_a_number() {
        for refused in [init(&b"no image"[..], c""), finit(-1, c"", 0), unload("no_such", NONBLOCK)]
        {
            assert!([libc::ENOEXEC, libc::EBADF, libc::ENOENT, libc::EPERM, libc::ENOSYS]
                .contains(&refused.unwrap_err().0));
        }
    }
}
