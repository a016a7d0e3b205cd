// SPDX-License-Identifier: GPL-2.0
//! apt with a configuration of its own: the machine's sources stay as they are.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::system::{child, ui::Step};

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

pub struct Apt {
    dir: PathBuf,
    pub mirror: String,
}

impl Apt {
    /// Knows the main parts of `suites`, from the mirror that this machine gets Debian
    /// itself from. Writes to `dir` only.
    pub fn new(dir: &Path, suites: &[&str]) -> Result<Apt> {
        let mirror =
            mirror(&indextargets()?).context("apt knows no Debian mirror: add one to its sources")?;
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
    pub fn unpack(&self, step: &mut Step, packages: &[&str]) -> Result<PathBuf> {
        step.run(&mut self.get(&["update"]))?;
        step.run(self.get(&["download"]).args(packages))?;
        let to = self.dir.join("unpacked");
        extract(step, &self.dir, &to)?;
        Ok(to)
    }

    /// The same with all that they need, so that programs of theirs run.
    pub fn unpack_all(&self, step: &mut Step, packages: &[&str]) -> Result<PathBuf> {
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

/// Unpacks all packages that are in `from` into `to`.
pub fn extract(step: &mut Step, from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from)? {
        let package = entry?.path();
        if package.extension().is_some_and(|e| e == "deb") {
            step.run(child::command("dpkg-deb").arg("-x").arg(package).arg(to))?;
        }
    }
    Ok(())
}

fn indextargets() -> Result<String> {
    let format = "$(LABEL) $(REPO_URI)";
    child::capture(child::command("apt-get").args(["indextargets", "--format", format]))
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
