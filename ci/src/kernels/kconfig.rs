// SPDX-License-Identifier: GPL-2.0
//! Kconfig fragments: what was asked for against what the kernel was built with.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{bail, Context, Result};

/// Several fragments as one configuration; a later one may change an earlier one.
#[derive(Default)]
pub struct Fragments {
    /// By option: its value, which is `n` for "is not set", and the fragment that asks for it.
    requests: BTreeMap<String, (String, String)>,
}

impl Fragments {
    pub fn read(dir: &Path, names: &[String]) -> Result<Fragments> {
        let mut all = Fragments::default();
        for name in names {
            let path = dir.join(name);
            let text = fs::read_to_string(&path)
                .with_context(|| format!("cannot read the fragment kernel-config/{name}"))?;
            all.add(&format!("kernel-config/{name}"), &text)?;
        }
        Ok(all)
    }

    /// `text` is what the file `fragment` says.
    pub fn add(&mut self, fragment: &str, text: &str) -> Result<()> {
        for line in text.lines() {
            if let Some((option, value)) = option(line) {
                self.requests.insert(option.to_owned(), (value.to_owned(), fragment.to_owned()));
            } else if !line.trim().is_empty() && !line.starts_with('#') {
                bail!("{fragment}: not a line of Kconfig: {line}");
            }
        }
        Ok(())
    }

    /// Drops what `symbols` (without CONFIG_) does not have.
    pub fn keep_only(&mut self, symbols: &BTreeSet<&str>) {
        self.requests.retain(|option, _| symbols.contains(option.trim_start_matches("CONFIG_")));
    }

    /// As KCONFIG_ALLCONFIG wants it.
    pub fn text(&self) -> String {
        self.requests.iter().map(|(option, (value, _))| format!("{option}={value}\n")).collect()
    }

    /// Fails when an option did not get the value that a fragment asks for.
    pub fn check(&self, config: &str) -> Result<()> {
        let built: BTreeMap<&str, &str> = config.lines().filter_map(option).collect();
        for (option, (wanted, fragment)) in &self.requests {
            // What Kconfig does not write at all is off.
            let value = built.get(option.as_str()).copied().unwrap_or("n");
            if value != wanted {
                bail!(
                    "{option} is {value} in the built .config, {fragment} asks for {wanted}: \
                     a dependency is missing, or the symbol is gone"
                );
            }
        }
        Ok(())
    }
}

/// Whether a .config has `option` (without CONFIG_) built in, or as a module.
pub fn is_on(config: &str, option: &str) -> bool {
    let [built_in, module] = ["y", "m"].map(|value| format!("CONFIG_{option}={value}"));
    config.lines().any(|line| line == built_in || line == module)
}

fn option(line: &str) -> Option<(&str, &str)> {
    let line = line.trim();
    if let Some(rest) = line.strip_prefix("# CONFIG_") {
        let name = rest.strip_suffix(" is not set")?;
        return Some((&line[2..2 + "CONFIG_".len() + name.len()], "n"));
    }
    line.strip_prefix("CONFIG_")?;
    line.split_once('=')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fragments(text: &str) -> Fragments {
        let mut all = Fragments::default();
        all.add("kernel-config/test.config", text).unwrap();
        all
    }

    #[test]
    fn a_dropped_option_is_an_error_that_names_its_fragment() {
        let asked = fragments("# why\nCONFIG_A=y\nCONFIG_B=m\n# CONFIG_C is not set\n");
        asked.check("CONFIG_A=y\nCONFIG_B=m\n").unwrap();
        asked.check("CONFIG_A=y\nCONFIG_B=m\n# CONFIG_C is not set\n").unwrap();
        for wrong in ["CONFIG_B=m\n", "CONFIG_A=y\nCONFIG_B=y\n", "CONFIG_A=y\nCONFIG_B=m\nCONFIG_C=y\n"] {
            let error = asked.check(wrong).unwrap_err().to_string();
            assert!(error.contains("kernel-config/test.config"), "{error}");
        }
    }

    #[test]
    fn an_option_is_on_or_off() {
        let config = "CONFIG_A=y\nCONFIG_B=m\n# CONFIG_C is not set\nCONFIG_D_E=y\nCONFIG_F=\"y\"\n";
        let on = |name| is_on(config, name);
        assert!(on("A") && on("B") && on("D_E"));
        assert!(!on("C") && !on("D") && !on("E") && !on("F") && !on("G"));
    }

    #[test]
    fn a_later_fragment_wins() {
        let mut all = fragments("CONFIG_A=y\n");
        all.add("later.config", "# CONFIG_A is not set\n").unwrap();
        assert_eq!(all.text(), "CONFIG_A=n\n");
    }

    #[test]
    fn a_line_that_is_no_option_is_refused() {
        assert!(Fragments::default().add("x.config", "CONFIGA=y\n").is_err());
    }
}
