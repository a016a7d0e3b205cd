// SPDX-License-Identifier: GPL-2.0
//! git, free of the user's settings, so that the same input gives the same bytes.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::system::child;

/// The commit that the series is on. In full: a branch may have the same name.
pub const BASE: &str = "refs/tags/base";

/// Who commits what nobody wrote, and when: always the same, for the same ids.
pub const NAME: &str = "module-merge-loads";
pub const EMAIL: &str = "module-merge-loads@localhost";
pub const DATE: u32 = 946_684_800;

pub struct Git {
    pub dir: PathBuf,
}

impl Git {
    pub fn at(dir: impl Into<PathBuf>) -> Git {
        Git { dir: dir.into() }
    }

    pub fn cmd<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Command {
        let mut cmd = child::command("git");
        cmd.current_dir(&self.dir).args(args);
        // A folder may belong to another user than the one who builds.
        cmd.envs([("GIT_CONFIG_KEY_0", "safe.directory"), ("GIT_CONFIG_VALUE_0", "*")]);
        cmd.envs([("GIT_CONFIG_KEY_1", "gc.auto"), ("GIT_CONFIG_VALUE_1", "0")]).env("GIT_CONFIG_COUNT", "2");
        cmd.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY"] {
            cmd.env_remove(name);
        }
        for role in ["AUTHOR", "COMMITTER"] {
            cmd.env(format!("GIT_{role}_NAME"), NAME);
            cmd.env(format!("GIT_{role}_EMAIL"), EMAIL);
            cmd.env(format!("GIT_{role}_DATE"), format!("{DATE} +0000"));
        }
        cmd
    }

    pub fn capture<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Result<String> {
        Ok(child::capture(&mut self.cmd(args))?.trim_end().to_owned())
    }

    pub fn succeeds<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Result<bool> {
        child::succeeds(&mut self.cmd(args))
    }

    pub fn head(&self) -> Result<String> {
        self.capture(["rev-parse", "HEAD"])
    }

    /// The branch that is checked out; an error if there is none.
    pub fn branch(&self) -> Result<String> {
        self.capture(["symbolic-ref", "--short", "HEAD"])
    }

    /// The commit that the series is on, by its id.
    pub fn base(&self) -> Result<String> {
        self.capture(["rev-parse", "--verify", &format!("{BASE}^{{commit}}")])
    }

    /// How many commits are on top of the base.
    pub fn series_length(&self) -> Result<usize> {
        Ok(self.capture(["rev-list", "--count", &format!("{BASE}..HEAD")])?.parse()?)
    }

    /// Ends `git am` in the middle of a patch. Not through `capture`, which runs nothing
    /// after Ctrl-C.
    pub fn abort_am(&self) -> Result<()> {
        self.cmd(["am", "--abort"]).output().context("cannot run git").map(drop)
    }

    pub fn is_clean(&self) -> Result<bool> {
        Ok(self.capture(["status", "--porcelain", "--untracked-files=no"])?.is_empty())
    }

    pub fn is_repository(dir: &Path) -> Result<bool> {
        let git = Git::at(dir);
        Ok(dir.is_dir() && git.succeeds(["rev-parse", "--git-dir"])?)
    }
}
