// SPDX-License-Identifier: GPL-2.0
//! Programs of the host: where they are, and of which version.
//!
//! The distribution's own come first, whatever somebody has put before them in PATH; of
//! those, the first that fits is used.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use regex_lite::Regex;

use crate::system::child;

/// An ordinary user may not have the last two in PATH.
const FIRST: &str = "/usr/bin";
const LAST: [&str; 2] = ["/usr/sbin", "/sbin"];

/// Numbers, compared one by one.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(Vec<u32>);

impl Version {
    /// The first version in `text`: of `clang version 19.1.7 (3)` it is 19.1.7.
    pub fn find(text: &str) -> Option<Version> {
        let pattern = Regex::new(r"\d+(\.\d+)+").expect("it is constant");
        let numbers = pattern.find(text)?.as_str().split('.').map(str::parse);
        numbers.collect::<Result<_, _>>().ok().map(Version)
    }

    /// Its first two numbers.
    pub fn release(&self) -> Vec<u32> {
        self.0.iter().take(2).copied().collect()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let numbers: Vec<String> = self.0.iter().map(u32::to_string).collect();
        f.write_str(&numbers.join("."))
    }
}

/// A tool that fits.
#[derive(Clone, Debug)]
pub struct Found {
    pub path: PathBuf,
    pub version: Version,
}

/// Where programs are looked for.
pub struct Folders(OsString);

impl Folders {
    pub fn of_host() -> Folders {
        let path = env::var_os("PATH").unwrap_or_default();
        Folders::new([PathBuf::from(FIRST)].into_iter().chain(env::split_paths(&path)))
    }

    fn new(folders: impl Iterator<Item = PathBuf>) -> Folders {
        // /bin is often /usr/bin under another name.
        let same = |folder: &Path| folder.canonicalize().unwrap_or(folder.to_owned());
        let mut unique: Vec<PathBuf> = vec![];
        for folder in folders.chain(LAST.map(PathBuf::from)) {
            if !unique.iter().any(|known| same(known) == same(&folder)) {
                unique.push(folder);
            }
        }
        // What came from PATH can go back there.
        Folders(env::join_paths(unique).unwrap_or_default())
    }

    /// All programs of that name, in order.
    pub fn all(&self, name: &str) -> Vec<PathBuf> {
        which::which_in_all(name, Some(&self.0), "/").map(Iterator::collect).unwrap_or_default()
    }
}

/// The first program of that name.
pub fn find(name: &str) -> Option<PathBuf> {
    Folders::of_host().all(name).into_iter().next()
}

/// What starts it, wherever it is: an ordinary user may have it outside of PATH.
pub fn command(name: &str) -> Command {
    child::command(find(name).unwrap_or(name.into()))
}

/// The distribution's Python: its packages are for that one.
pub fn python() -> Command {
    command("python3")
}

/// What the program says of itself; `None` if it does not start.
pub fn version(program: &Path) -> Option<Version> {
    let output = child::command(program).arg("--version").stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    output.status.success().then(|| text.lines().find_map(Version::find))?
}

/// Programs for tests: each is a script that says its version.
#[cfg(test)]
pub fn fake(dir: &Path, programs: &[(impl AsRef<Path>, &str)]) -> Folders {
    for (name, says) in programs {
        crate::system::files::write_script(&dir.join(name), &format!("#!/bin/sh\necho '{says}'\n")).unwrap();
    }
    Folders(dir.as_os_str().to_owned())
}

#[cfg(test)]
impl Folders {
    pub fn then(self, other: Folders) -> Folders {
        let both = env::split_paths(&self.0).chain(env::split_paths(&other.0));
        Folders(env::join_paths(both.collect::<Vec<_>>()).unwrap())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_numbers() {
        let version = |text| Version::find(text).map(|version| version.to_string());
        assert_eq!(version("Debian clang version 19.1.7 (3~deb12u1)").as_deref(), Some("19.1.7"));
        assert_eq!(version("rustc 1.96.0-nightly (4eb161250 2026-03-15)").as_deref(), Some("1.96.0"));
        assert_eq!(version("no number"), None);
        assert!(
            Version::find("1.85.1") > Version::find("1.85.0") && Version::find("1.9") < Version::find("1.10")
        );
    }

    #[test]
    fn the_distributions_own_come_first() {
        let folders = Folders::new(["/x", FIRST, "/x", "/y"].map(PathBuf::from).into_iter());
        assert!(folders.0.to_string_lossy().starts_with("/x:/usr/bin:/y:/usr/sbin"));
        assert!(Folders::of_host().0.to_string_lossy().starts_with("/usr/bin:"));
    }

    #[test]
    fn a_folder_with_two_names_is_one() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        std::fs::create_dir(&a).unwrap();
        std::os::unix::fs::symlink(&a, &b).unwrap();
        let folders = Folders::new([a.clone(), b].into_iter());
        fake(&a, &[("tool-of-a-test", "1.0")]);
        assert_eq!(folders.all("tool-of-a-test"), [a.join("tool-of-a-test")]);
    }

    #[test]
    fn programs_are_found_in_order() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let folders = fake(a.path(), &[("tool", "tool 1.0")]).then(fake(b.path(), &[("tool", "tool 2.0")]));
        let versions: Vec<_> = folders.all("tool").iter().filter_map(|tool| version(tool)).collect();
        assert_eq!(versions, [Version::find("1.0").unwrap(), Version::find("2.0").unwrap()]);
        assert!(folders.all("other").is_empty());
    }
}
