// SPDX-License-Identifier: GPL-2.0

//! The module test_module_gate: decides how long an init takes and what it returns, and counts.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::module::{Unloaded, SYS_MODULE};

const NAME: &str = "test_module_gate";

/// The gate, loaded. What was changed is undone when this value is gone.
pub struct Gate {
    params: PathBuf,
    old: Vec<(&'static str, String)>,
    _unloaded: Option<Unloaded>,
}

impl Gate {
    /// The gate, if it is loaded or can be loaded from `file`.
    pub fn find(file: Option<&Path>) -> Result<Option<Self>> {
        let params: PathBuf = [SYS_MODULE, NAME, "parameters"].iter().collect();
        let unloaded = match file {
            _ if params.exists() => None,
            None => return Ok(None),
            Some(file) => {
                let gate = Unloaded::absent(NAME)?;
                gate.load(file)?;
                Some(gate)
            }
        };
        Ok(Some(Self { params, old: Vec::new(), _unloaded: unloaded }))
    }

    /// Sets a parameter until this value is gone.
    pub fn set(&mut self, param: &'static str, value: impl ToString) -> Result<()> {
        let old = self.read(param)?;
        self.write(param, &value.to_string())?;
        self.old.push((param, old));
        Ok(())
    }

    /// Makes every init wait until [`Self::open`].
    pub fn close(&mut self) -> Result<()> {
        self.set("open_init", 'N')
    }

    /// Lets every init go on.
    pub fn open(&self) -> Result<()> {
        self.write("open_init", "Y")
    }

    /// How often an init has run since the gate was loaded.
    pub fn runs(&self) -> Result<u64> {
        Ok(self.read("runs")?.parse()?)
    }

    fn read(&self, param: &str) -> Result<String> {
        let path = self.params.join(param);
        let value = fs::read_to_string(&path).with_context(|| format!("{}", path.display()))?;
        Ok(value.trim().to_owned())
    }

    fn write(&self, param: &str, value: &str) -> Result<()> {
        let path = self.params.join(param);
        fs::write(&path, value).with_context(|| format!("{}: {value}", path.display()))
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        for (param, value) in self.old.iter().rev() {
            if let Err(error) = self.write(param, value) {
                eprintln!("burst: not reset: {error:#}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_get_their_old_values_back() {
        let dir = tempfile::tempdir().unwrap();
        let file = |param| dir.path().join(param);
        fs::write(file("hold_ms"), "7\n").unwrap();
        fs::write(file("open_init"), "Y\n").unwrap();

        let params = dir.path().to_owned();
        let mut gate = Gate { params, old: Vec::new(), _unloaded: None };
        gate.set("hold_ms", 20).unwrap();
        gate.set("hold_ms", 30).unwrap();
        gate.close().unwrap();
        assert_eq!(fs::read_to_string(file("hold_ms")).unwrap(), "30");
        assert_eq!(fs::read_to_string(file("open_init")).unwrap(), "N");
        drop(gate);
        assert_eq!(fs::read_to_string(file("hold_ms")).unwrap(), "7");
        assert_eq!(fs::read_to_string(file("open_init")).unwrap(), "Y");
    }
}
