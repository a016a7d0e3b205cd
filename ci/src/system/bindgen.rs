// SPDX-License-Identifier: GPL-2.0
//! A bindgen of a newer Debian than the system's, unpacked in the cache.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::system::needs::NewerBindgen;
use crate::system::programs::{self, Found, Version};
use crate::system::{apt::Apt, child, files, os::System, project::Project};

impl NewerBindgen {
    fn folder(&self) -> String {
        format!("bindgen-{}", self.suite)
    }

    /// What is in the cache now.
    pub fn look(&self, project: &Project) -> Option<Found> {
        let path = project.cache.join(self.folder()).join("bin/bindgen");
        programs::version(&path).map(|version| Found { path, version })
    }

    /// The program, downloaded if it is not in the cache; `None`: the system has no such packages,
    /// or an older one than `least`.
    pub fn get(&self, project: &Project, system: &System, least: &Version) -> Result<Option<Found>> {
        if !system.has_debians_packages() {
            return Ok(None);
        }
        project.cached(&self.folder(), |part| {
            project.ui.step("download bindgen", |step| {
                let packages: Vec<&str> = self.packages.iter().map(String::as_str).collect();
                step.note(format!("of {}", self.suite));
                let root = Apt::new(part, &[&self.suite])?.unpack(step, &packages);
                let root = root.context("apt-get cannot download it: check the network")?;
                start(&root)?;
                step.run(child::command(root.join("bin/bindgen")).arg("--version"))?;
                Ok(root)
            })
        })?;
        Ok(self.look(project).filter(|found| found.version >= *least))
    }
}

/// Writes `root/bin/bindgen`, a script that starts it with its own C library: that may be newer
/// than the system's.
fn start(root: &Path) -> Result<PathBuf> {
    let script = format!(
        "#!/bin/sh\n\
         usr=$(dirname \"$(dirname \"$(readlink -f \"$0\")\")\")/usr\n\
         libraries=$usr/lib/{}-linux-gnu\n\
         exec \"$libraries\"/ld-linux*.so.? --library-path \"$libraries\" \"$usr/bin/bindgen\" \"$@\"\n",
        std::env::consts::ARCH
    );
    let bin = root.join("bin");
    let file = bin.join("bindgen");
    fs::create_dir_all(&bin).context("no folder for the program")?;
    files::write_script(&file, &script)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::{os, project::for_test};

    #[test]
    fn only_debian_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let package = NewerBindgen { suite: "x".to_owned(), packages: vec![] };
        for id in ["fedora", "ubuntu", "arch"] {
            let found = package.get(&for_test(dir.path()), &os::for_test(id), &Version::default());
            assert!(found.unwrap().is_none(), "{id}");
        }
    }

    #[test]
    fn an_old_one_in_the_cache_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let bin = dir.path().join("bindgen-x/bin");
        fs::create_dir_all(&bin).unwrap();
        programs::fake(&bin, &[("bindgen", "bindgen 0.71.1")]);
        let project = Project { cache: dir.path().to_owned(), ..for_test(dir.path()) };
        let package = NewerBindgen { suite: "x".to_owned(), packages: vec![] };
        let found = |least| {
            let least = Version::find(least).unwrap();
            package.get(&project, &os::for_test("bookworm"), &least).unwrap().map(|found| found.path)
        };
        assert_eq!(found("0.71.1"), Some(bin.join("bindgen")));
        assert_eq!(found("0.72.0"), None);
    }

    #[test]
    fn it_is_started_by_its_own_loader() {
        let dir = tempfile::tempdir().unwrap();
        let usr = dir.path().join("usr").canonicalize().unwrap_or(dir.path().join("usr"));
        let libraries = usr.join(format!("lib/{}-linux-gnu", std::env::consts::ARCH));
        fs::create_dir_all(&libraries).unwrap();
        files::write_script(&libraries.join("ld-linux-x.so.2"), "#!/bin/sh\necho \"$@\"\n").unwrap();
        let said = child::capture(child::command(start(dir.path()).unwrap()).args(["-o", "x"])).unwrap();
        let wanted =
            format!("--library-path {} {} -o x", libraries.display(), usr.join("bin/bindgen").display());
        assert_eq!(said.trim_end(), wanted);
    }
}
