// SPDX-License-Identifier: GPL-2.0

//! Files of the kernel.

use std::{fs, path::Path};

use anyhow::{Context, Result};

/// What a file says, without white space around it.
pub fn read(path: impl AsRef<Path>) -> Result<String> {
    let path = path.as_ref();
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    Ok(text.trim().to_owned())
}

/// Writes a value into a file.
pub fn write(path: impl AsRef<Path>, value: impl ToString) -> Result<()> {
    let (path, value) = (path.as_ref(), value.to_string());
    fs::write(path, &value).with_context(|| format!("{}: {value}", path.display()))
}
