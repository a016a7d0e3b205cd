// SPDX-License-Identifier: GPL-2.0
//! The system that the driver runs on, by os-release(5).

use std::collections::BTreeMap;
use std::fs;

/// The key of ci/deps.toml for every system that has none of its own.
const ANY: &str = "any";

pub struct System {
    /// As a person calls it.
    pub title: String,
    /// The codename of the release, the system's id, the ids of those that it is like.
    pub names: Vec<String>,
}

impl System {
    pub fn this() -> System {
        let read = |path| fs::read_to_string(path).ok();
        System::parse(&read("/etc/os-release").or_else(|| read("/usr/lib/os-release")).unwrap_or_default())
    }

    fn parse(os_release: &str) -> System {
        let value = |key: &str| {
            let mut lines = os_release.lines().filter_map(|line| line.trim().split_once('='));
            lines.find(|(name, _)| *name == key).map(|(_, value)| value.trim_matches(['"', '\'']))
        };
        let names = ["VERSION_CODENAME", "ID", "ID_LIKE"].into_iter().filter_map(value);
        System {
            title: value("PRETTY_NAME").unwrap_or("an unknown system").to_owned(),
            names: names.flat_map(str::split_whitespace).map(str::to_owned).collect(),
        }
    }

    /// What `table` has for this system, by the first of its names that is there.
    pub fn choose<'a, T>(&self, table: &'a BTreeMap<String, T>) -> Option<&'a T> {
        self.names.iter().find_map(|name| table.get(name)).or_else(|| table.get(ANY))
    }

    pub fn is(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }

    /// Whether it is Debian, or has Debian's releases under their names: Ubuntu has its own.
    pub fn has_debians_packages(&self) -> bool {
        self.is("debian") && !self.is("ubuntu")
    }

    /// The codename of its release, which apt takes for a suite.
    pub fn codename(&self) -> &str {
        self.names.first().map_or("", String::as_str)
    }
}

/// Systems by what their os-release says, for tests.
#[cfg(test)]
pub fn for_test(id: &str) -> System {
    System::parse(match id {
        "bookworm" => {
            "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_CODENAME=bookworm\nID=debian\n"
        }
        "trixie" => "PRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\nVERSION_CODENAME=trixie\nID=debian\n",
        "ubuntu" => {
            "PRETTY_NAME=\"Ubuntu 26.04 LTS\"\nVERSION_CODENAME=resolute\nID=ubuntu\nID_LIKE=debian\n"
        }
        "fedora" => "PRETTY_NAME=\"Fedora Linux 43\"\nID=fedora\nVERSION_CODENAME=\"\"\n",
        "arch" => "PRETTY_NAME=\"Arch Linux\"\nID=arch\n",
        "nixos" => "PRETTY_NAME=\"NixOS 26.05\"\nID=nixos\n",
        "suse" => {
            "PRETTY_NAME='openSUSE Tumbleweed'\nID=\"opensuse-tumbleweed\"\nID_LIKE=\"opensuse suse\"\n"
        }
        _ => "",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_that_is_known_decides() {
        let table = [("bookworm", 12), ("debian", 13), ("suse", 1), (ANY, 0)];
        let table = table.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let chosen = |id| *for_test(id).choose(&table).unwrap();
        assert_eq!(["bookworm", "trixie", "ubuntu"].map(chosen), [12, 13, 13]);
        assert_eq!(["suse", "fedora", "something else"].map(chosen), [1, 0, 0]);
    }

    #[test]
    fn quotes_are_no_part_of_a_name() {
        assert_eq!(for_test("suse").title, "openSUSE Tumbleweed");
        assert_eq!(for_test("fedora").names, ["fedora"]);
        assert_eq!(for_test("nothing").title, "an unknown system");
        assert!(for_test("ubuntu").is("debian") && !for_test("arch").is("debian"));
    }
}
