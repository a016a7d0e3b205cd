// SPDX-License-Identifier: GPL-2.0
//! The matrix of kernels.toml: architectures and the variants of their kernels.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{bail, Context, Result};
use serde::Deserialize;

use crate::kernels::configs;
use crate::system::tools::Compiler;
use crate::system::{data::data, options::Options};

/// The kernels that are compared: before, after.
pub const COMPARED: [&str; 2] = ["off", "on"];
/// What the verb `suites` compares: without and with the option.
pub const SUITES: [&str; 2] = ["suites-off", "suites-on"];
/// What the verb `scale` compares.
pub const SCALE: [&str; 2] = ["scale-off", "scale-on"];
/// What ROOT= builds.
const ROOT: &str = "vng";
/// Of which nothing is booted: without the option, and with it.
pub const PLAIN: &str = "plain";
pub const PLAIN_ON: &str = "plain-on";
/// The fragment of kernels that virtme-ng boots.
pub const VNG: &str = "vng.config";
/// What verbs boot that boot one kernel.
pub const ORDINARY: &str = "on";
/// The same with DEBUG=1.
pub const DEBUG: &str = "debug";
/// What DEBUG=1 builds.
const DEBUG_KERNELS: [&str; 2] = ["kcsan", DEBUG];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Matrix {
    fragments: Vec<String>,
    variant: BTreeMap<String, Variant>,
    arch: BTreeMap<String, Arch>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Variant {
    fragments: Vec<String>,
    like: Option<String>,
}

/// One architecture; kernels.toml says what the fields are.
#[derive(Deserialize, Clone, Debug)]
#[serde(deny_unknown_fields)]
pub struct Arch {
    #[serde(skip)]
    pub name: String,
    pub kbuild: String,
    pub image: (String, String),
    fragments: Vec<String>,
    #[serde(default)]
    more: Vec<String>,
    pub kernels: Vec<String>,
    #[serde(default)]
    compilers: BTreeMap<String, String>,
    pub headers: String,
    pub cc: Vec<String>,
    #[serde(default)]
    pub gcc: String,
    pub start: Vec<String>,
    pub console: String,
    #[serde(default)]
    pub parameter: String,
    pub vng: Option<String>,
}

impl Arch {
    /// The fragments of one of its kernels, in order.
    pub fn fragments(&self, variant: &str) -> Vec<String> {
        let matrix = matrix();
        match configs::find(variant) {
            Some(row) => row.fragments(&[&matrix.fragments[..], &self.fragments].concat()),
            None => {
                let own = &matrix.variant[variant].fragments;
                [&matrix.fragments[..], &self.fragments, &self.more, own].concat()
            }
        }
    }

    /// What one of its kernels is compiled with.
    pub fn compiler(&self, variant: &str) -> Result<Compiler> {
        let of_variant = || self.compilers.get(variant).cloned().unwrap_or_else(configs::clang);
        let name = configs::find(variant).map_or_else(of_variant, |row| row.compiler);
        configs::compiler(&name).with_context(|| format!("ci/configs.toml has no compiler {name}"))
    }

    /// The same with other kernels.
    pub fn with_kernels(&self, variants: &[&str]) -> Arch {
        let kernels = variants.iter().map(|&name| name.to_owned()).collect();
        Arch { kernels, ..self.clone() }
    }

    /// Whether its kernels boot in virtme-ng, too, on the host's file system.
    pub fn has_vng(&self) -> bool {
        self.more.iter().any(|name| name == VNG)
    }

    /// What the names of its GCC begin with; `None`: it is the one of this machine.
    pub fn cross(&self) -> Option<&str> {
        (self.name != host_name()).then_some(self.gcc.as_str())
    }

    /// Whether what the option costs is measured: on kernels without and with it.
    pub fn is_compared(&self) -> bool {
        self.has_vng() && COMPARED.iter().all(|name| self.kernels.iter().any(|kernel| kernel == name))
    }
}

fn matrix() -> Matrix {
    let mut matrix: Matrix = data!("kernels.toml");
    for (name, arch) in &mut matrix.arch {
        arch.name.clone_from(name);
    }
    matrix
}

/// Whether the kernel boots from an initramfs, too: all but the one that others are
/// compared with.
pub fn has_initramfs(variant: &str) -> bool {
    variant != COMPARED[0]
}

/// The variant that this one differs from in few options.
pub fn like(variant: &str) -> Option<String> {
    match configs::find(variant) {
        Some(row) => row.like,
        None => matrix().variant.remove(variant)?.like,
    }
}

/// What KERNEL= may be: what boots on the host's file system.
pub fn variants() -> Vec<String> {
    let names = matrix().variant.into_keys();
    names.filter(|name| ![ROOT, PLAIN, PLAIN_ON].contains(&name.as_str())).collect()
}

/// The architecture of that name.
pub fn arch(name: &str) -> Result<Arch> {
    Ok(Selection::parse(name)?.0.swap_remove(0))
}

/// The architecture of a row of configs.toml, with that kernel alone.
pub fn of_row(name: &str) -> Result<Arch> {
    let row = configs::row(name)?;
    let mut arch = arch(&row.arch)?.with_kernels(&[name]);
    if !row.cc.is_empty() {
        arch.cc = row.cc;
    }
    arch.parameter = format!("{} {}", arch.parameter, row.parameter).trim().to_owned();
    Ok(arch)
}

/// What ARCH= may be.
pub fn words() -> Vec<String> {
    ["all", "host"].map(str::to_owned).into_iter().chain(architectures()).collect()
}

/// The names of all architectures.
pub fn architectures() -> Vec<String> {
    matrix().arch.into_keys().collect()
}

/// Puts the names of architectures and rows where ARCH= and CONFIG= have `all` or `host`, and
/// those of the rows where CONFIG= chooses. Makes sure that ROOT= can boot.
pub fn resolve(opts: &mut Options) -> Result<()> {
    let mut names: Vec<String> = match &mut opts.config {
        Some(rows) => {
            *rows = configs::chosen(rows);
            rows.iter().map(|row| Ok(configs::row(row)?.arch)).collect::<Result<_>>()?
        }
        None => Selection::parse(&opts.arch.join(","))?.0.into_iter().map(|arch| arch.name).collect(),
    };
    let mut known = BTreeSet::new();
    names.retain(|name| known.insert(name.clone()));
    opts.arch = names;
    if let Some(root) = &opts.root {
        // What virtme-ng starts there, and ends the guest with: often a link, to where only
        // the guest finds it.
        let bash = root.join("bin/bash").exists();
        let poweroff = root.join("sbin/poweroff").symlink_metadata().is_ok();
        for (program, is_there) in [("bin/bash", bash), ("sbin/poweroff", poweroff)] {
            if !is_there {
                bail!("ROOT={} is no root file system to boot: it has no {program}", root.display());
            }
        }
        if let Some(arch) = chosen(opts)?.0.iter().find(|arch| arch.vng.is_none()) {
            bail!("ROOT= does not work with {}: ci/kernels.toml has no vng for it", arch.name);
        }
    }
    Ok(())
}

/// The architectures that the variables choose, with the kernels that they do.
pub fn chosen(opts: &Options) -> Result<Selection> {
    let mut all = Selection::parse(&opts.arch.join(","))?;
    for arch in &mut all.0 {
        if opts.root.is_some() {
            *arch = arch.with_kernels(&[ROOT]);
        } else if opts.debug {
            *arch = arch.with_kernels(&DEBUG_KERNELS);
        }
    }
    Ok(all)
}

/// The kernel of verbs that boot one.
pub fn booted(opts: &Options) -> &str {
    let default = if opts.debug { DEBUG } else { ORDINARY };
    opts.kernel.as_deref().unwrap_or(default)
}

/// Architectures, each with the kernels that are to be built.
#[derive(Clone, Debug)]
pub struct Selection(pub Vec<Arch>);

impl Selection {
    /// The first that virtme-ng boots, for what runs nowhere else.
    pub fn with_vng(&self) -> Result<&Arch> {
        let Some(arch) = self.0.iter().find(|arch| arch.has_vng()) else {
            let names: Vec<String> =
                matrix().arch.into_values().filter(Arch::has_vng).map(|arch| arch.name).collect();
            bail!("this runs in virtme-ng, on {} only: leave ARCH out, on such a machine", names.join(", "));
        };
        Ok(arch)
    }

    /// `all`, `host`, or names with commas between them.
    pub fn parse(words: &str) -> Result<Selection> {
        let mut known = matrix().arch;
        if words == "all" {
            return Ok(Selection(known.into_values().collect()));
        }
        let list: Vec<&str> = known.keys().map(String::as_str).collect();
        let list = list.join(", ");
        let mut chosen = vec![];
        for word in words.split(',') {
            let name = if word == "host" { host_name() } else { word };
            match known.remove(name) {
                Some(arch) => chosen.push(arch),
                None => bail!("no architecture {name} (or it is named twice): there are {list}; all; host"),
            }
        }
        Ok(Selection(chosen))
    }
}

/// The architecture of this machine by the names of kernels.toml.
fn host_name() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "arm64",
        "powerpc64" => "ppc64le",
        name => name,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::system::project::for_test;

    #[test]
    fn the_forges_test_every_architecture() {
        let all = Selection::parse("all").unwrap().0;
        let mut all: Vec<&str> = all.iter().map(|arch| arch.name.as_str()).collect();
        all.sort();
        for workflow in [include_str!("../../forge/github.yml"), include_str!("../../forge/gitlab.yml")] {
            let lines = workflow.lines().filter_map(|line| line.split_once(": ["));
            let list = lines.filter(|(key, _)| key.to_lowercase().ends_with("arch")).map(|(_, list)| list);
            let mut named: Vec<_> = list.flat_map(|list| list.trim_end_matches(']').split(", ")).collect();
            named.sort();
            assert_eq!(named, all);
        }
    }

    #[test]
    fn the_data_is_well_formed() {
        let matrix = matrix();
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../kernel-config");
        for arch in matrix.arch.values() {
            assert!(!arch.kernels.is_empty(), "{}", arch.name);
            for variant in arch.compilers.keys() {
                assert!(matrix.variant.contains_key(variant), "{variant}");
                arch.compiler(variant).unwrap();
            }
            for variant in matrix.variant.keys() {
                let fragments = arch.fragments(variant);
                assert!(fragments.iter().all(|f| dir.join(f).exists()), "{}: {fragments:?}", arch.name);
            }
        }
    }

    #[test]
    fn architectures_are_chosen_by_name() {
        let names = |words: &str| -> Vec<String> {
            Selection::parse(words).unwrap().0.into_iter().map(|arch| arch.name).collect()
        };
        assert_eq!(names("s390x,arm64"), ["s390x", "arm64"]);
        assert_eq!(names("all").len(), matrix().arch.len());
        assert_eq!(names("host").len(), 1);
    }

    #[test]
    fn an_unknown_architecture_is_told_which_there_are() {
        let error = Selection::parse("arm64,vax").unwrap_err().to_string();
        assert!(error.contains("vax") && error.contains("s390x"), "{error}");
        assert!(Selection::parse("arm64,arm64").is_err());
        assert!(Selection::parse("").is_err());
    }

    #[test]
    fn who_needs_virtme_ng_is_told_where_it_is() {
        assert_eq!(Selection::parse("all").unwrap().with_vng().unwrap().name, "x86_64");
        let error = Selection::parse("arm64").unwrap().with_vng().unwrap_err().to_string();
        assert!(error.contains("on x86_64 only"), "{error}");
    }

    #[test]
    fn what_a_row_says_of_its_guest_is_added() {
        let plain = arch("x86_64").unwrap();
        let gcc = of_row("gcc").unwrap();
        assert_eq!((gcc.parameter, gcc.cc), (plain.parameter, plain.cc));
        assert!(of_row("tcc").is_err());
        for name in configs::words().into_iter().filter(|name| name != "all") {
            assert!(!variants().contains(&name), "{name} is in kernels.toml, too");
            assert_eq!(of_row(&name).unwrap().kernels, [name]);
        }
    }

    #[test]
    fn the_variables_choose_architectures_and_kernels() {
        let dir = tempfile::tempdir().unwrap();
        let mut opts = for_test(dir.path()).opts;
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        opts.config = Some(words(&["gcc", "gcc-arm64", "clang"]));
        resolve(&mut opts).unwrap();
        assert_eq!(opts.arch, ["x86_64", "arm64"]);
        opts.config = None;
        opts.arch = words(&["x86_64"]);
        opts.debug = true;
        assert_eq!(chosen(&opts).unwrap().0[0].kernels, DEBUG_KERNELS);
        opts.root = Some(dir.path().to_owned());
        let error = resolve(&mut opts).unwrap_err().to_string();
        assert!(error.ends_with("is no root file system to boot: it has no bin/bash"), "{error}");
    }
}
