// SPDX-License-Identifier: GPL-2.0

//! One module: its image, and loading and unloading it.

use std::{
    ffi::CString,
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::{ensure, Context, Result};
use nix::{
    errno::Errno,
    kmod::{delete_module, finit_module, init_module, DeleteModuleFlags, ModuleInitFlags},
};

/// A module's file and what is in it.
pub struct Module {
    name: CString,
    path: PathBuf,
    image: Vec<u8>,
}

impl Module {
    /// Reads the file, so that nothing of that is measured.
    pub fn read(path: &Path) -> Result<Self> {
        let image = fs::read(path).with_context(|| format!("{}", path.display()))?;
        let stem =
            path.file_stem().and_then(|stem| stem.to_str()).context("not a module's name")?;
        Ok(Self { name: CString::new(stem.replace('-', "_"))?, path: path.to_owned(), image })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.name.to_str().unwrap_or_default()
    }

    /// `init_module(2)`.
    pub fn init(&self) -> Result<(), Errno> {
        init_module(&self.image, c"")
    }

    /// The file, as `finit_module(2)` wants it.
    pub fn open(&self) -> Result<File> {
        File::open(&self.path).with_context(|| format!("{}", self.path.display()))
    }

    /// `delete_module(2)`.
    pub fn delete(&self) -> Result<(), Errno> {
        delete_module(&self.name, DeleteModuleFlags::O_NONBLOCK)
    }

    /// Live, coming, going, or nothing if it is not there.
    pub fn state(&self) -> String {
        let path = format!("/sys/module/{}/initstate", self.name());
        fs::read_to_string(path).unwrap_or_default().trim().to_owned()
    }
}

/// Removes all of them, users first.
pub fn unload(mut modules: Vec<&Module>) -> Result<()> {
    while !modules.is_empty() {
        let before = modules.len();
        modules.retain(|module| module.delete().is_err());
        ensure!(modules.len() < before, "{before} modules cannot be removed");
    }
    Ok(())
}

/// `finit_module(2)`.
pub fn finit(file: &File) -> Result<(), Errno> {
    finit_module(file, c"", ModuleInitFlags::empty())
}
