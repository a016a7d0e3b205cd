// SPDX-License-Identifier: GPL-2.0

//! One module: its name, and loading and unloading it.

use std::{
    ffi::CString,
    fs::File,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use nix::{
    errno::Errno,
    kmod::{delete_module, finit_module, DeleteModuleFlags, ModuleInitFlags},
};

/// Where the kernel shows the modules that it has.
pub const SYS_MODULE: &str = "/sys/module";

/// The name of the module in `file`: the file's name without its extensions, `-` as `_`.
pub fn name_of(file: &Path) -> Result<String> {
    let name = file.file_name().and_then(|name| name.to_str());
    let (stem, _) = name
        .and_then(|name| name.split_once(".ko"))
        .filter(|(stem, rest)| !stem.is_empty() && matches!(*rest, "" | ".gz" | ".xz" | ".zst"))
        .with_context(|| format!("{}: not the name of a module file (NAME.ko)", file.display()))?;
    Ok(stem.replace('-', "_"))
}

/// A module that is gone from the kernel when this value is gone.
pub struct Unloaded {
    name: CString,
}

impl Unloaded {
    /// Takes charge of the module `name`, which must not be there yet.
    pub fn absent(name: &str) -> Result<Self> {
        let dir: PathBuf = [SYS_MODULE, name].iter().collect();
        anyhow::ensure!(!dir.exists(), "module {name} is loaded already: rmmod {name} first");
        Ok(Self { name: CString::new(name)? })
    }

    /// Loads the module from `file`.
    pub fn load(&self, file: &Path) -> Result<()> {
        let image = File::open(file).with_context(|| format!("{}", file.display()))?;
        finit_module(image, c"", ModuleInitFlags::empty())
            .with_context(|| format!("{}: the kernel did not load it, see dmesg", file.display()))
    }
}

impl Drop for Unloaded {
    fn drop(&mut self) {
        match delete_module(&self.name, DeleteModuleFlags::O_NONBLOCK) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(error) => eprintln!("burst: module {:?} stays loaded: {error}", self.name),
        }
    }
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
}
