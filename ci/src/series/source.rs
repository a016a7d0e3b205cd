// SPDX-License-Identifier: GPL-2.0
//! The kernel that the series is put on.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::series::{base, kdir};
use crate::system::{child, git::Git, programs::Version, project::Project};

/// A kernel without the series, to be read.
pub enum Source {
    /// What the series is put on is its HEAD, or its tag `base`.
    Repository(PathBuf),
    /// An unpacked archive.
    Folder(PathBuf),
}

impl Source {
    /// The oldest version of `tool` that it takes for the architecture, by its own script.
    pub fn least(&self, tool: &str, arch: &str) -> Result<Version> {
        const SCRIPT: &str = "scripts/min-tool-version.sh";
        let text = match self {
            Source::Folder(dir) => {
                fs::read_to_string(dir.join(SCRIPT)).with_context(|| format!("no {SCRIPT}"))?
            }
            Source::Repository(dir) => Git::at(dir).capture(["show", &format!("HEAD:{SCRIPT}")])?,
        };
        let mut sh = child::command("sh");
        sh.args(["-c", &text, SCRIPT, tool]).envs([("ARCH", arch), ("SRCARCH", arch)]);
        Version::find(&child::capture(&mut sh)?)
            .with_context(|| format!("{SCRIPT} says no version of {tool}"))
    }
}

/// Where the kernel of the options is, downloaded if it is not there: the room for all that
/// comes after is looked at first.
pub fn of(project: &Project) -> Result<Source> {
    let dir = project.root.join("linux");
    if !dir.exists() {
        project.need_space_for_all()?;
    }
    match &project.opts.kdir {
        Some(kdir) => {
            kdir::check(kdir)?;
            Ok(if kdir::is_git(kdir) {
                Source::Repository(kdir.clone())
            } else {
                Source::Folder(kdir.clone())
            })
        }
        None if dir.exists() => Ok(Source::Repository(dir)),
        None => base::repository(project, &base::ours(project)?).map(Source::Repository),
    }
}

/// The same, without a download.
pub fn if_there(project: &Project) -> Option<Source> {
    let pinned = base::pinned();
    let is_there = project.opts.kdir.is_some() || project.root.join("linux").exists();
    (is_there || base::is_cached(project, &pinned)).then(|| of(project).ok())?
}
