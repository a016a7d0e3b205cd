// SPDX-License-Identifier: GPL-2.0

//! What a burst changes, and undoes in the end.

use std::{
    fs::File,
    os::fd::AsRawFd,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use guest::{
    errno::Errno,
    files, gate,
    module::{finit, unload, NONBLOCK, SYS_MODULE},
};

/// A module that is gone from the kernel when this value is gone.
pub struct Unloaded {
    name: String,
}

impl Unloaded {
    /// Takes charge of the module `name`, which must not be there yet.
    pub fn absent(name: &str) -> Result<Self> {
        let is_loaded = Path::new(SYS_MODULE).join(name).exists();
        anyhow::ensure!(!is_loaded, "module {name} is loaded already: rmmod {name} first");
        Ok(Self { name: name.to_owned() })
    }

    /// Loads the module from `file`.
    pub fn load(&self, file: &Path) -> Result<()> {
        let image = File::open(file).with_context(|| format!("{}", file.display()))?;
        finit(image.as_raw_fd(), c"", 0)
            .with_context(|| format!("{}: the kernel did not load it, see dmesg", file.display()))
    }
}

impl Drop for Unloaded {
    fn drop(&mut self) {
        match unload(&self.name, NONBLOCK) {
            Ok(()) | Err(Errno(libc::ENOENT)) => {}
            Err(error) => eprintln!("burst: module {:?} stays loaded: {error}", self.name),
        }
    }
}

/// The gate, loaded. What was changed is undone when this value is gone.
pub struct Gate {
    old: Vec<(PathBuf, String)>,
    _unloaded: Option<Unloaded>,
}

impl Gate {
    /// The gate, if it is loaded or can be loaded from `file`.
    pub fn find(file: Option<&Path>) -> Result<Option<Self>> {
        let unloaded = match file {
            _ if gate::parameter(gate::OPEN).exists() => None,
            None => return Ok(None),
            Some(file) => {
                let gate = Unloaded::absent(gate::NAME)?;
                gate.load(file)?;
                Some(gate)
            }
        };
        Ok(Some(Self { old: Vec::new(), _unloaded: unloaded }))
    }

    /// Writes a value into a file of the gate until this value is gone.
    pub fn set(&mut self, file: PathBuf, value: impl ToString) -> Result<()> {
        let old = files::read(&file)?;
        files::write(&file, value)?;
        self.old.push((file, old));
        Ok(())
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        for (file, value) in self.old.iter().rev() {
            if let Err(error) = files::write(file, value) {
                eprintln!("burst: not reset: {error:#}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn parameters_get_their_old_values_back() {
        let dir = tempfile::tempdir().unwrap();
        let file = |param| dir.path().join(param);
        fs::write(file("hold_ms"), "7\n").unwrap();
        fs::write(file("open_init"), "Y\n").unwrap();

        let mut gate = Gate { old: Vec::new(), _unloaded: None };
        gate.set(file("hold_ms"), 20).unwrap();
        gate.set(file("hold_ms"), 30).unwrap();
        gate.set(file("open_init"), 'N').unwrap();
        assert_eq!(fs::read_to_string(file("hold_ms")).unwrap(), "30");
        assert_eq!(fs::read_to_string(file("open_init")).unwrap(), "N");
        drop(gate);
        assert_eq!(fs::read_to_string(file("hold_ms")).unwrap(), "7");
        assert_eq!(fs::read_to_string(file("open_init")).unwrap(), "Y");
    }
}
