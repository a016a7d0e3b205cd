// SPDX-License-Identifier: GPL-2.0

//! One module: its image, and loading and unloading it.

use std::{
    fs::{self, File},
    os::fd::AsRawFd,
    path::Path,
};

use anyhow::{ensure, Context, Result};
use guest::{
    clock::Spent,
    errno::Errno,
    files,
    module::{self, NONBLOCK, SYS_MODULE},
};

/// A module's file, open, and what is in it.
pub struct Module {
    /// Its name.
    pub name: String,
    file: File,
    image: Vec<u8>,
}

impl Module {
    /// Reads the file, so that nothing of that is measured.
    pub fn read(path: &Path) -> Result<Self> {
        let image = fs::read(path).with_context(|| format!("{}", path.display()))?;
        Ok(Self { name: module::name_of(path)?, file: File::open(path)?, image })
    }

    /// `init_module(2)`.
    pub fn init(&self) -> Result<(), Errno> {
        module::init(&*self.image, c"")
    }

    /// `finit_module(2)`.
    pub fn finit(&self) -> Result<(), Errno> {
        module::finit(self.file.as_raw_fd(), c"", 0)
    }

    /// `delete_module(2)`.
    pub fn delete(&self) -> Result<(), Errno> {
        module::unload(&self.name, NONBLOCK)
    }

    /// Live, coming, going, or nothing if it is not there.
    pub fn state(&self) -> String {
        files::read(format!("{SYS_MODULE}/{}/initstate", self.name)).unwrap_or_default()
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

/// What one caller has spent, and what it got.
pub type Outcome = Result<(Spent, Vec<Result<(), Errno>>)>;

/// Loads one module after the other.
pub fn load(modules: &[&Module]) -> Outcome {
    Ok(Spent::during(|| modules.iter().map(|module| module.init()).collect())?)
}
