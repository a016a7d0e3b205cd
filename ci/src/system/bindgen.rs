// SPDX-License-Identifier: GPL-2.0
//! A bindgen of a newer Debian than the system's, unpacked in the cache.

use anyhow::{Context, Result};

use crate::system::apt::{self, Apt};
use crate::system::needs::NewerBindgen;
use crate::system::programs::{self, Found, Version};
use crate::system::{child, os::System, project::Project};

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
                step.note(format!("of {}", self.suite));
                let root = Apt::new(part, &[&self.suite])?.unpack(step, &self.packages);
                let root = root.context("apt-get cannot download it: check the network")?;
                let program = apt::start(&root, "bindgen", "")?;
                step.run(child::command(program).arg("--version"))?;
                Ok(root)
            })
        })?;
        Ok(self.look(project).filter(|found| found.version >= *least))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

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
}
