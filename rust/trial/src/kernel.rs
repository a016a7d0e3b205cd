// SPDX-License-Identifier: GPL-2.0

//! What the kernel shows of its modules.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use guest::{files, module::SYS_MODULE, report::PROGRESS};

/// A line of /proc/modules, without the address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// Its name.
    pub name: String,
    /// Size, references and users, as the kernel prints them.
    pub usage: String,
    /// Live, Loading or Unloading.
    pub state: String,
    /// The letters of what it taints the kernel with.
    pub taint: String,
}

/// The modules that are there.
pub fn modules() -> Result<Vec<Module>> {
    let text = fs::read("/proc/modules").context("/proc/modules")?;
    String::from_utf8_lossy(&text).lines().map(|l| parse(l).context("/proc/modules")).collect()
}

fn parse(line: &str) -> Option<Module> {
    let words: Vec<&str> = line.split(' ').collect();
    let [name, size, references, users, state, _address, taint @ ..] = words.as_slice() else {
        return None;
    };
    Some(Module {
        name: (*name).to_owned(),
        usage: format!("{size} {references} {users}"),
        state: (*state).to_owned(),
        taint: taint.concat(),
    })
}

/// What /sys/module has of each module that is there: its files and what the short ones say.
pub fn sysfs(modules: &[Module]) -> Result<Vec<String>> {
    let mut lines = names(Path::new(SYS_MODULE))?;
    for module in modules {
        let dir = Path::new(SYS_MODULE).join(&module.name);
        lines.push(format!("{}: {}", module.name, names(&dir)?.join(" ")));
        for file in ["refcnt", "initstate", "taint", "coresize"] {
            let value = files::read(dir.join(file)).unwrap_or_default();
            lines.push(format!("{}/{file}: {value}", module.name));
        }
    }
    Ok(lines)
}

/// /proc/sys/kernel/tainted.
pub fn tainted() -> Result<String> {
    files::read("/proc/sys/kernel/tainted")
}

/// Tells whoever looks at the console how far it is.
pub fn progress(text: &str) {
    let _ = fs::write("/dev/kmsg", format!("{PROGRESS}{text}\n"));
}

fn names(dir: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(dir).with_context(|| format!("{}", dir.display()))?;
    let mut names: Vec<String> =
        entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_not_kept() {
        let line = "gate 12288 1 load,load2, Live 0xffffffffc0000000 (OE)";
        let module = parse(line).unwrap();
        assert_eq!((module.name.as_str(), module.state.as_str()), ("gate", "Live"));
        assert_eq!((module.usage.as_str(), module.taint.as_str()), ("12288 1 load,load2,", "(OE)"));
        assert_eq!(parse("gate 12288"), None);
    }
}
