// SPDX-License-Identifier: GPL-2.0
//! apt with a configuration of its own: the machine's sources stay as they are. Packages that it
//! gets are unpacked in the cache, not installed.

use std::ffi::OsStr;
use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::system::{child, files, project::Project, ui::Step};

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

pub struct Apt {
    dir: PathBuf,
    pub mirror: String,
}

impl Apt {
    /// Knows the main parts of `suites`, from the mirror that this machine gets Debian
    /// itself from. Writes to `dir` only.
    pub fn new(dir: &Path, suites: &[impl Display]) -> Result<Apt> {
        let targets = ["indextargets", "--format", "$(LABEL) $(REPO_URI)"];
        let mirror = mirror(&child::capture(child::command("apt-get").args(targets))?)
            .context("apt knows no Debian mirror: add one to its sources")?;
        let line = |suite| format!("deb [signed-by={KEYRING}] {mirror} {suite} main\n");
        fs::write(dir.join("sources.list"), suites.iter().map(line).collect::<String>())?;
        for folder in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(dir.join(folder))?;
        }
        Ok(Apt { dir: dir.to_owned(), mirror })
    }

    /// What to do when it does not have `wanted`, which `file` names.
    pub fn lacks(&self, wanted: &str, file: &str) -> String {
        format!(
            "no {wanted} from {}: check the network, or that Debian still has this version ({file})",
            self.mirror
        )
    }

    pub fn cache(&self, words: &[&str]) -> Command {
        let mut cmd = child::command("apt-cache");
        cmd.args(self.options()).args(words);
        cmd
    }

    /// The options that keep apt-get and apt-cache to this configuration.
    pub fn options(&self) -> Vec<String> {
        let dir = self.dir.display();
        let options = [
            format!("Dir::Etc::sourcelist={dir}/sources.list"),
            "Dir::Etc::sourceparts=-".to_owned(),
            format!("Dir::State::lists={dir}/lists"),
            format!("Dir::Cache={dir}/cache"),
            "APT::Update::Error-Mode=any".to_owned(),
            "APT::Sandbox::User=root".to_owned(),
            "Acquire::Languages=none".to_owned(),
        ];
        options.into_iter().flat_map(|option| ["-o".to_owned(), option]).collect()
    }

    /// apt-get in its folder, where `download` puts packages.
    pub fn get(&self, words: &[&str]) -> Command {
        let mut cmd = child::command("apt-get");
        cmd.args(self.options()).args(words).current_dir(&self.dir);
        cmd
    }

    /// Unpacks `packages` (each `name=version`) below its folder; they are not installed.
    pub fn unpack(&self, step: &mut Step, packages: &[impl AsRef<OsStr>]) -> Result<PathBuf> {
        step.run(&mut self.get(&["update"]))?;
        step.run(self.get(&["download"]).args(packages))?;
        let to = self.dir.join("unpacked");
        extract(step, &self.dir, &to)?;
        Ok(to)
    }

    /// The same with all that they need, so that programs of theirs run.
    pub fn unpack_all(&self, step: &mut Step, packages: &[impl AsRef<OsStr>]) -> Result<PathBuf> {
        let status = self.status()?;
        step.run(&mut self.get(&["-o", &status, "update"]))?;
        let install = ["-o", &status, "install", "--download-only", "--no-install-recommends", "-y"];
        step.run(self.get(&install).args(packages))?;
        let root = self.dir.join("root");
        extract(step, &self.dir.join("cache/archives"), &root)?;
        Ok(root)
    }

    /// The option by which nothing is installed for apt, so that it gets all that packages need. The
    /// lock is beside the status: a user has no right to that of dpkg.
    fn status(&self) -> Result<String> {
        let status = self.dir.join("status");
        fs::write(&status, "")?;
        Ok(format!("Dir::State::status={}", status.display()))
    }
}

/// A package of a Debian.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    pub suite: String,
    pub name: String,
    pub version: String,
}

impl Package {
    /// The folder of the cache where it is unpacked, with all that it needs. `file` names it.
    pub fn unpacked(&self, project: &Project, file: &str) -> Result<PathBuf> {
        let Package { suite, name, version } = self;
        let wanted = format!("{name}={version}");
        project.cached(&format!("{name}_{version}"), |part| {
            project.ui.step(&format!("download {name}"), |step| {
                step.note(format!("{wanted} from {suite}"));
                let apt = Apt::new(part, &[suite])?;
                apt.unpack_all(step, &[&wanted]).with_context(|| apt.lacks(&wanted, file))
            })
        })
    }
}

/// Writes `root/bin/program`, a script that starts what was unpacked in `root` with its own C
/// library, which may be newer than the system's. `words` come before other arguments; in them,
/// `$usr` is `root/usr`.
pub fn start(root: &Path, program: &str, words: &str) -> Result<PathBuf> {
    let loader = "\"$libraries\"/ld-linux*.so.? --library-path \"$libraries\"";
    starter(root, program, &format!("exec {loader} \"$usr/bin/{program}\" {words} \"$@\""))
}

/// Writes `root/bin/program`, a script with the line `start`, for which `$usr` and `$libraries` are set.
pub fn starter(root: &Path, program: &str, start: &str) -> Result<PathBuf> {
    let script = format!(
        "#!/bin/sh\n\
         usr=$(dirname \"$(dirname \"$(readlink -f \"$0\")\")\")/usr\n\
         libraries=$usr/lib/{}-linux-gnu\n{start}\n",
        std::env::consts::ARCH
    );
    let file = root.join("bin").join(program);
    fs::create_dir_all(root.join("bin")).context("no folder for the program")?;
    files::write_script(&file, &script)?;
    Ok(file)
}

/// Unpacks all packages that are in `from` into `to`.
fn extract(step: &mut Step, from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from)? {
        let package = entry?.path();
        if package.extension().is_some_and(|e| e == "deb") {
            step.run(child::command("dpkg-deb").arg("-x").arg(package).arg(to))?;
        }
    }
    Ok(())
}

fn mirror(indextargets: &str) -> Option<String> {
    let uri = indextargets.lines().find_map(|l| l.strip_prefix("Debian "))?;
    Some(uri.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_the_machines_own() {
        let targets =
            "Debian-Security http://sec.example/debian-security/\nDebian http://ftp.example/debian/\n";
        assert_eq!(mirror(targets).as_deref(), Some("http://ftp.example/debian"));
        assert_eq!(mirror("Docker http://docker.example/\n"), None);
    }

    #[test]
    fn a_program_is_started_by_its_own_loader() {
        let dir = tempfile::tempdir().unwrap();
        let usr = dir.path().join("usr").canonicalize().unwrap_or(dir.path().join("usr"));
        let libraries = usr.join(format!("lib/{}-linux-gnu", std::env::consts::ARCH));
        fs::create_dir_all(&libraries).unwrap();
        files::write_script(&libraries.join("ld-linux-x.so.2"), "#!/bin/sh\necho \"$@\"\n").unwrap();
        let script = start(dir.path(), "herd7", "-set-libdir $usr/share").unwrap();
        let said = child::capture(child::command(script).args(["-o", "x"])).unwrap();
        let (program, share) = (usr.join("bin/herd7"), usr.join("share"));
        let words = format!("{} -set-libdir {} -o x", program.display(), share.display());
        assert_eq!(said.trim_end(), format!("--library-path {} {words}", libraries.display()));
    }

    #[test]
    fn nothing_of_dpkg_is_locked() {
        let dir = tempfile::tempdir().unwrap();
        let apt = Apt { dir: dir.path().to_owned(), mirror: String::new() };
        for folder in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        fs::write(dir.path().join("sources.list"), "").unwrap();
        let said =
            apt.get(&["-o", &apt.status().unwrap(), "install", "--download-only", "x"]).output().unwrap();
        assert!(String::from_utf8_lossy(&said.stderr).contains("Unable to locate package x"), "{said:?}");
        assert!(dir.path().join("lock-frontend").exists(), "the lock is where the status is");
    }
}
