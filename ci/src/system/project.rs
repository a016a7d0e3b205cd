// SPDX-License-Identifier: GPL-2.0
//! Where everything is.

use std::env;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{bail, Context, Result};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::system::{child, options::Options, ui::Ui};

/// The project's folder, for one verb alone.
pub type Lock = Flock<File>;

/// What every verb gets: the folders, the options, the terminal.
pub struct Project {
    pub root: PathBuf,
    pub cache: PathBuf,
    pub opts: Options,
    pub ui: Ui,
}

impl Project {
    pub fn new(opts: Options) -> Result<Project> {
        // Set by `cargo run`; the folder may have moved since the build.
        let manifest = env::var_os("CARGO_MANIFEST_DIR").context("start the driver through make")?;
        let root = Path::new(&manifest).parent().context("ci/ has no parent folder")?.to_owned();
        let ui = Ui::new(opts.verbose, root.join("log"));
        Ok(Project { cache: cache()?, root, opts, ui })
    }

    /// Verbs share folders: one at a time, until what this gives is dropped. A file system
    /// without locks has none.
    pub fn lock(&self) -> Result<Option<Lock>> {
        let root = File::open(&self.root).context("cannot open the project's folder")?;
        match Flock::lock(root, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Some(lock)),
            Err((_, Errno::EWOULDBLOCK)) => {
                bail!("another make works in {}: wait for it, or use another clone", self.root.display())
            }
            Err(_) => Ok(None),
        }
    }

    /// Clones share the cache: waits until no other one makes `name` there, and keeps them out
    /// until what this gives is dropped.
    pub fn lock_in_cache(&self, name: &str) -> Result<Option<Lock>> {
        fs::create_dir_all(&self.cache).context("cannot make the cache folder")?;
        let file =
            File::create(self.cache.join(format!("{name}.lock"))).context("cannot write to the cache")?;
        Ok(Flock::lock(file, FlockArg::LockExclusive).ok())
    }

    /// cargo with these words, for one of the project's workspaces.
    pub fn cargo(&self, workspace: &str, words: &[&str]) -> Command {
        let mut cargo = child::command("cargo");
        cargo.args(words).arg("--manifest-path").arg(self.root.join(workspace).join("Cargo.toml"));
        cargo
    }

    pub fn patches(&self) -> PathBuf {
        self.root.join("patches")
    }

    /// The folder `name` of the cache. If it is not there, `fill` makes it in a folder that goes
    /// away, and says where in that; only what is whole is moved into place.
    pub fn cached(&self, name: &str, fill: impl FnOnce(&Path) -> Result<PathBuf>) -> Result<PathBuf> {
        let done = self.cache.join(name);
        if !done.exists() {
            fs::create_dir_all(&self.cache).context("cannot make the cache folder")?;
            let part = tempfile::Builder::new().prefix("part-").tempdir_in(&self.cache)?;
            let whole = fill(part.path())?;
            let moved = fs::rename(whole, &done);
            // Another clone may have been faster.
            if !done.exists() {
                moved.with_context(|| format!("cannot move {name} into the cache"))?;
            }
        }
        Ok(done)
    }

    /// Removes what can be made again.
    pub fn clean(&self) -> Result<()> {
        for name in ["build", "log"] {
            let dir = self.root.join(name);
            if dir.exists() {
                fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {name}/"))?;
                self.ui.say(&format!("removed {name}/"));
            }
        }
        Ok(())
    }

    /// Checks the room for a base, a tree and two kernels, before anything of it is made.
    pub fn need_space_for_all(&self) -> Result<()> {
        const BASE: u64 = 3;
        const TREE_AND_KERNELS: u64 = 6;
        let device = |dir: &Path| fs::metadata(existing(dir)).map(|m| m.dev()).ok();
        if device(&self.root) == device(&self.cache) {
            return self.need_space(&self.root, BASE + TREE_AND_KERNELS, "all that is made");
        }
        self.need_space(&self.cache, BASE, "the cache")?;
        self.need_space(&self.root, TREE_AND_KERNELS, "a kernel tree and two kernels")
    }

    /// Checks that `gib` GiB are free where `dir` is or will be.
    pub fn need_space(&self, dir: &Path, gib: u64, what: &str) -> Result<()> {
        let existing = existing(dir);
        let stat = nix::sys::statvfs::statvfs(existing)
            .with_context(|| format!("cannot read the free space of {}", existing.display()))?;
        let free = stat.blocks_available() as u64 * stat.fragment_size() as u64 / (1 << 30);
        if free < gib {
            bail!("{what} needs {gib} GiB in {}, {free} are free: make room first", existing.display());
        }
        Ok(())
    }
}

/// The folder that `dir` is or will be in.
fn existing(dir: &Path) -> &Path {
    dir.ancestors().find(|d| d.exists()).unwrap_or(Path::new("/"))
}

fn cache() -> Result<PathBuf> {
    let base = match env::var_os("XDG_CACHE_HOME").filter(|v| !v.is_empty()) {
        Some(dir) => PathBuf::from(dir),
        None => Path::new(&env::var_os("HOME").context("HOME is not set")?).join(".cache"),
    };
    Ok(base.join("module-merge-loads"))
}

#[cfg(test)]
pub fn for_test(root: &Path) -> Project {
    use clap::{Args, FromArgMatches};
    let command = Options::augment_args(clap::Command::new("make"));
    let opts = Options::from_arg_matches(&command.get_matches_from(["make"])).unwrap();
    let ui = Ui::new(false, root.join("log"));
    Project { root: root.to_owned(), cache: root.join("cache"), opts, ui }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_verb_works_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let project = for_test(dir.path());
        let first = project.lock().unwrap();
        let second = project.lock().unwrap_err().to_string();
        assert!(second.starts_with("another make works in "), "{second}");
        drop(first);
        project.lock().unwrap();
    }

    #[test]
    fn the_cache_holds_whole_things_only() {
        let dir = tempfile::tempdir().unwrap();
        let project = for_test(dir.path());
        let broken = project.cached("a", |part| {
            fs::write(part.join("half"), "")?;
            bail!("the network is gone")
        });
        assert_eq!(broken.unwrap_err().to_string(), "the network is gone");
        assert_eq!(fs::read_dir(&project.cache).unwrap().count(), 0);
        let fill = |part: &Path| {
            fs::create_dir(part.join("whole"))?;
            Ok(part.join("whole"))
        };
        assert_eq!(project.cached("a", fill).unwrap(), project.cache.join("a"));
        assert!(project.cached("a", |_| panic!("it is there")).unwrap().is_dir());
        let beaten = |part: &Path| {
            fs::create_dir_all(project.cache.join("b/full"))?;
            fill(part)
        };
        assert!(project.cached("b", beaten).unwrap().join("full").exists());
        fs::remove_dir_all(project.cache.join("b")).unwrap();
        assert_eq!(fs::read_dir(&project.cache).unwrap().count(), 1);
    }
}
