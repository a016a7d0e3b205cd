// SPDX-License-Identifier: GPL-2.0
//! Debian's own configurations: what rows with a file begin with.

use anyhow::Result;
use serde::Deserialize;

use crate::system::{apt::Package, child, project::Project};

/// Where they are; configs.toml says it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Debian {
    package: Package,
    pub fragments: Vec<String>,
}

impl Debian {
    /// What is built in by the configuration `file`.
    pub fn config(&self, project: &Project, file: &str) -> Result<String> {
        let unpacked = self.package.unpacked(project, "ci/configs.toml")?;
        let path = unpacked.join("usr/src").join(&self.package.name).join(format!("{file}.xz"));
        Ok(built_in(&child::capture(child::command("xz").arg("-dc").arg(path))?))
    }
}

/// The same without what is a module: two cores do not compile 4000 drivers.
fn built_in(config: &str) -> String {
    let line = |line: &str| match line.strip_suffix("=m") {
        Some(option) => format!("# {option} is not set\n"),
        None => format!("{line}\n"),
    };
    config.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::built_in;

    #[test]
    fn modules_are_left_out() {
        let config =
            "# Linux\nCONFIG_A=y\nCONFIG_B=m\nCONFIG_C=\"x=m\"\n# CONFIG_D is not set\nCONFIG_E=8192\n";
        let without = config.replace("CONFIG_B=m", "# CONFIG_B is not set");
        assert_eq!(built_in(config), without);
    }
}
