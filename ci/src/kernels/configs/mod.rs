// SPDX-License-Identifier: GPL-2.0
//! The rows of configs.toml: kernels with other compilers and other configurations. `make
//! boot CONFIG=` builds them, boots them, and notes what came of it.

mod debian;
mod record;

use std::collections::BTreeMap;
use std::fs;

use anyhow::{bail, Context, Result};
use serde::Deserialize;

use crate::kernels::build::{self, Job, Kernel};
use crate::kernels::kconfig;
use crate::kernels::matrix::{self, Arch, Selection};
use crate::results::booted;
use crate::series::tree::Tree;
use crate::system::child::Interrupted;
use crate::system::deps::{self, Tools};
use crate::system::project::{data, Project};
use crate::system::tools::Compiler;
use debian::Debian;
use record::{Booted, Outcome, Rows};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Configs {
    fragments: Vec<String>,
    debian: Debian,
    compiler: BTreeMap<String, Compiler>,
    config: BTreeMap<String, Config>,
}

/// A row; configs.toml says what the fields are.
#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub about: String,
    #[serde(default = "x86_64")]
    arch: String,
    #[serde(default = "clang")]
    compiler: String,
    file: Option<String>,
    #[serde(default)]
    fragments: Vec<String>,
    pub like: Option<String>,
    #[serde(default)]
    cc: Vec<String>,
    #[serde(default)]
    parameter: String,
    refused: Option<Refused>,
}

/// Why a row cannot be built.
#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
struct Refused {
    option: String,
    file: String,
    line: String,
}

fn x86_64() -> String {
    "x86_64".to_owned()
}

fn clang() -> String {
    "clang".to_owned()
}

fn configs() -> Configs {
    data("configs.toml", include_str!("../../../configs.toml"))
}

/// The row of that name.
pub fn find(name: &str) -> Option<Config> {
    configs().config.remove(name)
}

impl Config {
    /// Its fragments, after those that all kernels of the architecture have.
    pub fn fragments(&self, common: &[String]) -> Vec<String> {
        let configs = configs();
        match self.file {
            Some(_) => [&configs.debian.fragments[..], &self.fragments].concat(),
            None => [common, &configs.fragments, &self.fragments].concat(),
        }
    }

    /// What its kernel is compiled with.
    fn compiler(&self) -> Compiler {
        configs().compiler[&self.compiler]
    }
}

/// The configuration that a kernel begins with, if it is not allnoconfig.
pub fn base(project: &Project, name: &str) -> Result<Option<String>> {
    let file = find(name).and_then(|row| row.file);
    file.map(|file| configs().debian.config(project, &file)).transpose()
}

fn row(name: &str) -> Result<Config> {
    find(name).with_context(|| format!("ci/configs.toml has no row {name}"))
}

/// The architecture of a row, with that kernel alone.
pub fn arch(name: &str) -> Result<Arch> {
    let row = row(name)?;
    let mut arch = matrix::arch(&row.arch)?.with_kernels(&[name]);
    if !row.cc.is_empty() {
        arch.cc = row.cc;
    }
    arch.parameter = format!("{} {}", arch.parameter, row.parameter).trim().to_owned();
    Ok(arch)
}

/// What CONFIG= chose: names of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen(Vec<String>);

impl Chosen {
    /// The architectures of the rows.
    pub fn architectures(&self) -> Result<Selection> {
        let mut list: Vec<Arch> = vec![];
        for name in &self.0 {
            let arch = matrix::arch(&row(name)?.arch)?;
            if list.iter().all(|known| known.name != arch.name) {
                list.push(arch);
            }
        }
        Ok(Selection(list))
    }

    /// `all`, or names with commas between them.
    pub fn parse(words: &str) -> Result<Chosen> {
        let known: Vec<String> = configs().config.into_keys().collect();
        if words == "all" {
            return Ok(Chosen(known));
        }
        let chosen: Vec<String> = words.split(',').map(str::to_owned).collect();
        match chosen.iter().find(|name| !known.contains(name)) {
            Some(name) => bail!("no configuration {name}: there are {}; all", known.join(", ")),
            None => Ok(Chosen(chosen)),
        }
    }
}

/// Builds the kernel of a row.
pub fn build(project: &Project, tools: &Tools, tree: &Tree, name: &str) -> Result<Kernel> {
    let (row, arch) = (row(name)?, arch(name)?);
    deps::ensure_for(project, &format!("CONFIG={name}"))?;
    let mut kernels = build::ensure(project, &tools.with(project, &row.compiler(), &arch)?, tree, &arch)?;
    kernels.remove(name).with_context(|| format!("no kernel {name} was built"))
}

/// The same of all rows; one that Kconfig refuses is passed over.
pub fn build_all(project: &Project, tools: &Tools, tree: &Tree, chosen: &Chosen) -> Result<()> {
    for name in &chosen.0 {
        if row(name)?.refused.is_none() {
            build(project, tools, tree, name)?;
        }
    }
    Ok(())
}

/// Builds and boots the rows, shows what came of them, and notes each if the series is the one
/// of patches/.
pub fn boot(project: &Project, tools: &Tools, tree: &Tree, chosen: &Chosen) -> Result<()> {
    let is_noted = tree.is_published(project)?;
    let (mut rows, mut errors) = (Rows::new(), vec![]);
    for name in &chosen.0 {
        let outcome = match outcome(project, tools, tree, name) {
            Err(error) if error.is::<Interrupted>() => return Err(error),
            outcome => outcome,
        };
        let failure = match &outcome {
            Ok(outcome) => outcome.failure(),
            Err(error) => Some(format!("{error:#}")),
        };
        errors.extend(failure.map(|failure| format!("{name}: {failure}")));
        let outcome = outcome.ok();
        if is_noted {
            record::save(&project.root, name, outcome.clone())?;
        }
        rows.extend(outcome.map(|outcome| (name.clone(), outcome)));
    }
    println!("{}", record::table(&rows)?);
    for error in &errors {
        println!("failed: {error}");
    }
    match errors.len() {
        0 => Ok(()),
        failed => bail!("{failed} of {} configurations failed", chosen.0.len()),
    }
}

fn outcome(project: &Project, tools: &Tools, tree: &Tree, name: &str) -> Result<Outcome> {
    if let Some(refused) = row(name)?.refused {
        return refusal(project, tools, tree, name, &refused);
    }
    let kernel = build(project, tools, tree, name)?;
    let tests = booted::boot(project, tree, &kernel)?;
    for surprise in &tests.surprises {
        println!("    {surprise}");
    }
    Ok(Outcome::Booted(Booted {
        objects: record::objects(&kernel.obj)?,
        compilers: kernel.compilers,
        build_s: kernel.is_new.then_some(kernel.took.as_secs_f64()),
        boot_s: tests.up.as_secs_f64(),
        kunit: tests.kunit,
        selftest: tests.selftest,
    }))
}

/// Makes sure that Kconfig says no, and that the reason still stands there.
fn refusal(project: &Project, tools: &Tools, tree: &Tree, name: &str, refused: &Refused) -> Result<Outcome> {
    let Refused { option, file, line } = refused;
    let arch = arch(name)?;
    let tools = tools.with(project, &row(name)?.compiler(), &arch)?;
    let job = Job::new(project, &tools, tree, &arch, name)?;
    project.ui.step(&format!("configure {}-{name}", arch.name), |step| {
        fs::create_dir_all(&job.obj)?;
        job.write_config(step)
    })?;
    if kconfig::is_on(&fs::read_to_string(job.obj.join(".config"))?, option) {
        bail!("Kconfig does not refuse {option}, as ci/configs.toml says: remove that");
    }
    let kconfig = fs::read_to_string(tree.dir.join(file)).with_context(|| format!("no {file}"))?;
    if !kconfig.lines().any(|known| known.trim() == line) {
        bail!("{file} does not say {line:?}, as ci/configs.toml does");
    }
    Ok(Outcome::Refused(format!("{file}: {line}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_is_well_formed() {
        let configs = configs();
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../kernel-config");
        for (name, row) in &configs.config {
            assert!(configs.compiler.contains_key(&row.compiler), "{name}: compiler {}", row.compiler);
            assert!(!matrix::variants().contains(name), "{name} is in kernels.toml, too");
            let fragments = row.fragments(&[]);
            assert!(fragments.iter().all(|file| root.join(file).exists()), "{name}: {fragments:?}");
            assert_eq!(arch(name).unwrap().kernels, [name.as_str()]);
            // The folder of another compiler would be compiled anew.
            let Some(like) = &row.like else { continue };
            let other = &configs.config[like];
            assert_eq!((&other.compiler, &other.arch), (&row.compiler, &row.arch), "{name} is like {like}");
        }
    }

    #[test]
    fn rows_are_chosen_by_name() {
        assert_eq!(Chosen::parse("gcc,clang").unwrap().0, ["gcc", "clang"]);
        assert_eq!(Chosen::parse("all").unwrap().0.len(), configs().config.len());
        let error = Chosen::parse("gcc,tcc").unwrap_err().to_string();
        assert!(
            error.starts_with("no configuration tcc: there are ") && error.contains("preempt-rt"),
            "{error}"
        );
        assert!(Chosen::parse("").is_err());
        let architectures = Chosen::parse("gcc,gcc-arm64,clang").unwrap().architectures().unwrap().0;
        let names: Vec<&str> = architectures.iter().map(|arch| arch.name.as_str()).collect();
        assert_eq!(names, ["x86_64", "arm64"]);
    }

    #[test]
    fn what_a_row_says_of_its_guest_is_added() {
        let plain = matrix::arch("x86_64").unwrap();
        let gcc = arch("gcc").unwrap();
        assert_eq!((gcc.parameter, gcc.cc), (plain.parameter, plain.cc));
        assert!(arch("tcc").is_err());
    }
}
