// SPDX-License-Identifier: GPL-2.0
//! Files that are not to be there, and programs that are.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::process::Stdio;

use anyhow::{ensure, Context, Result};

use crate::system::child;

/// Removes a file, if there is one.
pub fn remove(file: &Path) -> Result<()> {
    gone(fs::remove_file(file), file)
}

/// Makes an empty folder, in place of what is there: what an earlier run has left is not to be taken
/// for results of the next one.
pub fn empty(dir: &Path) -> Result<()> {
    gone(fs::remove_dir_all(dir), dir)?;
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))
}

/// Writes a program, a script, by a process of its own. It could not be started while a child of
/// another thread had it open for writing.
pub fn write_script(file: &Path, text: &str) -> Result<()> {
    let mut install = child::command("install");
    install.args(["-m", "755", "/dev/stdin"]).arg(file).stdin(Stdio::piped());
    let mut writer = child::spawn(&mut install)?;
    let mut input = writer.stdin.take().context("install has no input")?;
    input.write_all(text.as_bytes())?;
    drop(input);
    ensure!(writer.wait()?.success(), "cannot write {}", file.display());
    Ok(())
}

fn gone(removed: io::Result<()>, path: &Path) -> Result<()> {
    match removed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed.with_context(|| format!("cannot remove {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_an_earlier_run_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("results/burst");
        empty(&out).unwrap();
        fs::write(out.join("ktap"), "old").unwrap();
        empty(&out).unwrap();
        assert_eq!(fs::read_dir(&out).unwrap().count(), 0);
    }

    #[test]
    fn what_cannot_be_removed_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let (file, folder) = (dir.path().join("a.o"), dir.path().join("b.o"));
        fs::write(&file, "").unwrap();
        fs::create_dir(&folder).unwrap();
        let error = empty(&file).unwrap_err().to_string();
        assert_eq!(error, format!("cannot remove {}", file.display()));
        assert!(remove(&folder).unwrap_err().to_string().starts_with("cannot remove "));
        remove(&file).unwrap();
        remove(&file).unwrap();
        assert!(!file.exists());
    }
}
