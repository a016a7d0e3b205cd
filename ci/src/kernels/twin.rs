// SPDX-License-Identifier: GPL-2.0
//! A build folder that begins as a copy of another kernel's. kbuild then compiles what
//! depends on the options that differ; in a folder of its own it would compile all.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::system::{child, ui::Step};

/// What is built by another Makefile than kbuild's, with absolute paths in its commands:
/// taken for changed in another folder, and all that was compiled with it, too.
const MOVED: &str = "tools/objtool";

/// Copies the folder `from` to `to`; all of it or nothing.
pub fn begin(step: &mut Step, from: &Path, to: &Path) -> Result<()> {
    let parent = to.parent().context("no folder")?;
    let part = tempfile::Builder::new().prefix(".part-").tempdir_in(parent)?;
    let copy = part.path().join("copy");
    let mut cp = child::command("cp");
    step.run(cp.args(["--archive", "--reflink=auto"]).arg(from).arg(&copy))?;
    move_commands(&copy.join(MOVED), from, to)?;
    fs::rename(copy, to).context("cannot move the build folder into place")
}

/// Puts `to` in place of `from` in what kbuild and its like note of their commands.
fn move_commands(dir: &Path, from: &Path, to: &Path) -> Result<()> {
    if !dir.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            move_commands(&path, from, to)?;
        } else if path.extension() == Some(OsStr::new("cmd")) {
            let text = fs::read_to_string(&path)?;
            let word = |folder: &Path| format!("{}/", folder.display());
            fs::write(&path, text.replace(&word(from), &word(to)))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::ui::Ui;

    #[test]
    fn commands_name_the_new_folder_and_nothing_is_newer() {
        let root = tempfile::tempdir().unwrap();
        let (off, on) = (root.path().join("off"), root.path().join("on"));
        let tool = off.join(MOVED);
        fs::create_dir_all(tool.join("arch")).unwrap();
        let command = |folder: &Path| format!("cmd_a.o := gcc -o {0}/a.o -I{0}-guest\n", folder.display());
        fs::write(tool.join("arch/.a.o.cmd"), command(&off)).unwrap();
        fs::write(tool.join("arch/a.o"), "object").unwrap();
        fs::write(off.join(".a.o.cmd"), command(&off)).unwrap();

        let ui = Ui::new(false, root.path().join("log"));
        ui.step("copy", |step| begin(step, &off, &on)).unwrap();
        let moved = fs::read_to_string(on.join(MOVED).join("arch/.a.o.cmd")).unwrap();
        assert_eq!(moved, format!("cmd_a.o := gcc -o {}/a.o -I{}-guest\n", on.display(), off.display()));
        assert_eq!(fs::read_to_string(on.join(".a.o.cmd")).unwrap(), command(&off), "kbuild sees to its own");
        let time = |dir: &Path| dir.join(MOVED).join("arch/a.o").metadata().unwrap().modified().unwrap();
        assert_eq!(time(&on), time(&off));
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 3, "the folder in between is gone");
    }
}
