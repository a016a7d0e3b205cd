// SPDX-License-Identifier: GPL-2.0
//! Numbers that verbs have left.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{de::DeserializeOwned, Serialize};

/// Numbers that a verb has left; nothing if it has never run to its end.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    if !path.exists() {
        return Ok(None);
    }
    let name = path.display();
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
    serde_json::from_str(&text).map(Some).with_context(|| format!("{name} has other numbers: measure again"))
}

/// Writes them, one line for each field, so that differences can be read.
pub fn write<T: Serialize>(path: &Path, numbers: &T) -> Result<()> {
    let text = serde_json::to_string_pretty(numbers)? + "\n";
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

pub fn median(mut numbers: Vec<f64>) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    let half = numbers.len() / 2;
    match numbers.len() {
        0 => None,
        n if n % 2 == 1 => Some(numbers[half]),
        _ => Some((numbers[half - 1] + numbers[half]) / 2.0),
    }
}
