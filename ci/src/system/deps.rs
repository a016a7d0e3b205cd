// SPDX-License-Identifier: GPL-2.0
//! `deps`: what the other verbs need. On a system with apt it is installed if it is missing;
//! elsewhere its packages are named.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{anyhow, bail, Context, Result};
use nix::unistd::geteuid;
use serde::Deserialize;

use crate::kernels::matrix::Selection;
use crate::series::tree;
use crate::system::apt::Apt;
use crate::system::child;
use crate::system::os::System;
use crate::system::programs::{self, Folders, Version};
use crate::system::project::{data, Project};
use crate::system::rust;
pub use crate::system::tools::Tools;
use crate::system::tools::{Found, Tool, C};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Deps {
    bindgen: String,
    cargo_deny: String,
    cargo_mutants: String,
    virtme_ng: String,
    virtme_ng_needs: Vec<String>,
    oldest_rust: OldestRust,
    install: BTreeMap<String, String>,
    need: Vec<Need>,
}

/// The packages of the oldest Rust that the kernel takes.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct OldestRust {
    pub suite: String,
    pub version: String,
    pub packages: Vec<String>,
}

pub fn oldest_rust() -> OldestRust {
    deps().oldest_rust
}

/// Something that is needed; deps.toml says what the fields are.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct Need {
    purpose: String,
    programs: Vec<String>,
    headers: Vec<String>,
    modules: Vec<String>,
    tool: Option<Tool>,
    least: Option<String>,
    packages: BTreeMap<String, String>,
    arch: Vec<String>,
    verbs: Vec<String>,
}

impl Need {
    /// Whether `verb` needs it and not every verb does; `None`: whether every verb does.
    fn is_of(&self, verb: Option<&str>, chosen: &Selection) -> bool {
        let arch = self.arch.is_empty() || chosen.0.iter().any(|arch| self.arch.contains(&arch.name));
        arch && verb.map_or(self.verbs.is_empty(), |verb| self.verbs.iter().any(|known| known == verb))
    }

    /// Its packages on `system`; none: the driver makes it. `None`: there is no such need.
    fn packages(&self, system: &System) -> Option<Vec<&str>> {
        Some(system.choose(&self.packages)?.split_whitespace().collect())
    }

    fn least(&self) -> Version {
        self.least.as_deref().and_then(Version::find).unwrap_or_default()
    }

    /// What is missing of it.
    fn missing(&self, folders: &Folders) -> Vec<String> {
        let no_program = |name: &&String| folders.all(name).is_empty();
        let mut missing: Vec<String> = self.programs.iter().filter(no_program).cloned().collect();
        missing.extend(self.headers.iter().filter(|name| !has_header(name)).cloned());
        missing.extend(
            self.modules.iter().filter(|name| !has_module(name)).map(|name| format!("Python's {name}")),
        );
        if let Some(tool) = self.tool {
            if let Err(refused) = tool.find(&self.least(), folders) {
                missing.push(wanted(tool, &self.least(), &refused));
            }
        }
        missing
    }
}

fn deps() -> Deps {
    data("deps.toml", include_str!("../../deps.toml"))
}

fn need_of(deps: &Deps, tool: Tool) -> &Need {
    deps.need.iter().find(|need| need.tool == Some(tool)).expect("ci/deps.toml has every tool")
}

/// `rustc from 1.85.0 on (/usr/bin/rustc is 1.63.0)`
fn wanted(tool: Tool, least: &Version, refused: &[String]) -> String {
    let name = tool.name();
    match refused {
        [] => format!("{name} from {least} on"),
        refused => format!("{name} from {least} on ({})", refused.join(", ")),
    }
}

/// Whether the host's C compiler finds it.
fn has_header(name: &str) -> bool {
    let mut cc = child::command("cc");
    cc.args(["-E", "-x", "c", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(mut child) = cc.spawn() else { return false };
    if let Some(mut input) = child.stdin.take() {
        let _ = writeln!(input, "#include <{name}>");
    }
    child.wait().is_ok_and(|status| status.success())
}

fn has_module(name: &str) -> bool {
    child::succeeds(python().args(["-c", &format!("import {name}")])).unwrap_or(false)
}

/// A program, the distribution's own first: an ordinary user may have it outside of PATH.
pub fn program(name: &str) -> Command {
    child::command(programs::find(name).unwrap_or(name.into()))
}

/// The distribution's Python: its packages are for that one.
pub fn python() -> Command {
    program("python3")
}

/// What to do about a program that is not there.
pub fn remedy(program: &str) -> String {
    remedy_on(program, &System::this())
}

fn remedy_on(program: &str, system: &System) -> String {
    let deps = deps();
    let has_it = |need: &&Need| need.programs.iter().any(|known| known == program);
    let Some(need) = deps.need.iter().find(has_it) else { return "try make deps".to_owned() };
    let arch = need.arch.first().map(|name| format!(" ARCH={name}")).unwrap_or_default();
    let packages = need.packages(system).unwrap_or_default().join(" ");
    format!("it is in {packages} ({}), try make deps{arch}", need.purpose)
}

/// The packages that every verb needs.
pub fn packages(project: &Project) -> Result<()> {
    satisfy(project, None)
}

/// The packages that `verb` needs and not every verb does.
pub fn ensure_for(project: &Project, verb: &str) -> Result<()> {
    satisfy(project, Some(verb))
}

/// All that every verb needs; quick and silent when it is there.
pub fn ensure(project: &Project) -> Result<Tools> {
    packages(project)?;
    let source = tree::source(project)?;
    tools(project, &source)
}

/// The tools that are new enough for the kernel of `source`; some are made, if the system has
/// none.
pub fn tools(project: &Project, source: &tree::Source) -> Result<Tools> {
    let deps = deps();
    let get = |tool: Tool| {
        let least = least(project, &deps, source, tool)?;
        tool.find(&least, &Folders::of_host()).or_else(|refused| match tool {
            Tool::Llvm | Tool::Gcc => Err(no(&deps, tool, &wanted(tool, &least, &refused))),
            Tool::Rustc => match rust::newer(project, &System::this())? {
                Some(found) if found.version >= least => Ok(found),
                _ => Err(no(&deps, tool, &wanted(tool, &least, &refused))),
            },
            Tool::Bindgen => cargo_install(project, "bindgen", "bindgen-cli", &deps.bindgen),
            Tool::VirtmeNg => virtme_ng(project, &deps),
        })
    };
    Ok(Tools {
        c: C::Clang,
        llvm: get(Tool::Llvm)?,
        gcc: get(Tool::Gcc)?,
        cross: None,
        rustc: get(Tool::Rustc)?,
        bindgen: get(Tool::Bindgen)?,
        vng: get(Tool::VirtmeNg)?,
    })
}

/// What is there of a tool now; else what there is not.
pub fn look(project: &Project, tool: Tool) -> Result<Found, String> {
    let deps = deps();
    let least = match tree::source_if_there(project) {
        Some(source) => least(project, &deps, &source, tool),
        None => Ok(need_of(&deps, tool).least()),
    };
    let least = least.map_err(|error| format!("{error:#}"))?;
    tool.find(&least, &Folders::of_host()).or_else(|refused| {
        let made = match tool {
            Tool::Bindgen => Some(in_cache(project, "bindgen", "bindgen", &deps.bindgen)),
            Tool::VirtmeNg => Some(in_cache(project, "virtme-ng", "vng", &deps.virtme_ng)),
            Tool::Llvm | Tool::Gcc | Tool::Rustc => None,
        };
        made.filter(runs).ok_or_else(|| wanted(tool, &least, &refused))
    })
}

/// A program that the driver makes, there or not.
fn in_cache(project: &Project, folder: &str, program: &str, version: &str) -> Found {
    let path = project.cache.join(format!("{folder}-{version}")).join("bin").join(program);
    Found { path, version: Version::find(version).unwrap_or_default() }
}

fn no(deps: &Deps, tool: Tool, wanted: &str) -> anyhow::Error {
    let system = System::this();
    let packages = need_of(deps, tool).packages(&system).unwrap_or_default();
    anyhow!("there is no {wanted}: {}", advice(deps, &system, &packages))
}

/// The oldest version that will do for all chosen architectures.
fn least(project: &Project, deps: &Deps, source: &tree::Source, tool: Tool) -> Result<Version> {
    let mut least = need_of(deps, tool).least();
    for arch in &project.opts.arch.0 {
        if let Some(name) = tool.kernels_name() {
            least = least.max(source.least(name, &arch.kbuild)?);
        }
    }
    Ok(least)
}

/// What was made on another release of the system may not run on this one.
fn runs(found: &Found) -> bool {
    programs::version(&found.path).is_some_and(|version| version == found.version)
}

fn virtme_ng(project: &Project, deps: &Deps) -> Result<Found> {
    let found = in_cache(project, "virtme-ng", "vng", &deps.virtme_ng);
    let venv = found.path.ancestors().nth(2).context("no folder")?;
    // Written last: a venv without it was interrupted.
    let complete = venv.join("complete");
    if !complete.exists() || !runs(&found) {
        project.ui.step("install virtme-ng", |step| {
            step.run(python().args(["-m", "venv", "--clear"]).arg(venv))?;
            let mut pip = child::command(venv.join("bin/pip"));
            let version = format!("virtme-ng=={}", deps.virtme_ng);
            pip.args(["install", "--no-deps", &version]).args(&deps.virtme_ng_needs);
            step.run(&mut pip).context("pip cannot install it: check the network")?;
            std::fs::write(&complete, "").context("cannot write to the cache")
        })?;
    }
    Ok(found)
}

/// Makes sure of cargo-mutants, which only the verb `mutants` needs.
pub fn cargo_mutants(project: &Project) -> Result<PathBuf> {
    let name = "cargo-mutants";
    cargo_install(project, name, name, &deps().cargo_mutants).map(|found| found.path)
}

/// Makes sure of cargo-deny, which only the verb `check-series` needs.
pub fn cargo_deny(project: &Project) -> Result<PathBuf> {
    let name = "cargo-deny";
    cargo_install(project, name, name, &deps().cargo_deny).map(|found| found.path)
}

/// `program` of that version of a crate, in the cache.
fn cargo_install(project: &Project, program: &str, name: &str, version: &str) -> Result<Found> {
    let found = in_cache(project, program, program, version);
    if !found.path.exists() || (program == "bindgen" && !runs(&found)) {
        let root = found.path.ancestors().nth(2).context("no folder")?;
        project.ui.step(&format!("install {program}"), |step| {
            let mut cmd = child::command("cargo");
            cmd.args(["install", "--force", "--locked", name, "--version", version, "--root"]);
            let download = "cargo cannot install it: check the network";
            step.run(cmd.arg(root)).context(download).map(drop)
        })?;
    }
    Ok(found)
}

/// What is missing, and the packages that it is in.
#[derive(Debug, Default, PartialEq)]
struct Missing<'a> {
    things: Vec<String>,
    packages: Vec<&'a str>,
}

fn missing<'a>(needs: &[&'a Need], system: &System, folders: &Folders) -> Missing<'a> {
    let mut all = Missing::default();
    for need in needs {
        let Some(packages) = need.packages(system) else { continue };
        let is_made = packages.is_empty() && need.tool.is_some();
        let things = if is_made { vec![] } else { need.missing(folders) };
        if !things.is_empty() {
            all.things.extend(things);
            all.packages.extend(packages);
        }
    }
    all.packages.dedup();
    all
}

fn satisfy(project: &Project, verb: Option<&str>) -> Result<()> {
    let (deps, system) = (deps(), System::this());
    let needs: Vec<&Need> = deps.need.iter().filter(|need| need.is_of(verb, &project.opts.arch)).collect();
    let before = missing(&needs, &system, &Folders::of_host());
    if before.things.is_empty() {
        return Ok(());
    }
    if let Some(prefix) = root_prefix(&system, &before.packages)? {
        install(project, &system, &prefix, &before.packages)?;
    }
    match missing(&needs, &system, &Folders::of_host()) {
        after if after.things.is_empty() => Ok(()),
        after => {
            bail!("{}: {}", missing_are(&system, &after.things), advice(&deps, &system, &after.packages))
        }
    }
}

fn missing_are(system: &System, things: &[String]) -> String {
    let verb = if things.len() == 1 { "is" } else { "are" };
    format!("{} {verb} missing ({})", things.join(", "), system.title)
}

/// What a person has to do.
fn advice(deps: &Deps, system: &System, packages: &[&str]) -> String {
    let suite = packages.iter().find_map(|package| package.split_once('/')).map(|(_, suite)| suite);
    let from = suite.map(|suite| format!(" -t {suite}")).unwrap_or_default();
    let names: Vec<&str> = packages.iter().map(|package| package_name(package)).collect();
    match system.choose(&deps.install) {
        _ if names.is_empty() => "install it, and put it into PATH".to_owned(),
        Some(install) => format!("sudo {install}{from} {}", names.join(" ")),
        None => format!("install what your system has of {}", names.join(" ")),
    }
}

/// Without the suite.
fn package_name(package: &str) -> &str {
    package.split_once('/').map_or(package, |(name, _)| name)
}

/// The machine's own packages first: those of other suites build on them.
fn install(project: &Project, system: &System, prefix: &[&str], packages: &[&str]) -> Result<()> {
    let mut suites: BTreeMap<Option<&str>, Vec<&str>> = BTreeMap::new();
    for package in packages {
        let suite = package.split_once('/').map(|(_, suite)| suite);
        suites.entry(suite).or_default().push(package_name(package));
    }
    let mut each = suites.into_iter();
    each.try_for_each(|(suite, packages)| install_from(project, system, prefix, (suite, &packages)))
}

/// `suite`: `None` for what the machine's own sources have.
fn install_from(
    project: &Project,
    system: &System,
    prefix: &[&str],
    (suite, packages): (Option<&str>, &[&str]),
) -> Result<()> {
    let list = packages.join(" ");
    let name = format!("install packages of {}", suite.unwrap_or(&system.title));
    project.ui.step(&name, |step| {
        step.note(&list);
        let dir = tempfile::tempdir()?;
        let options = match suite {
            Some(suite) => {
                [Apt::new(dir.path(), &[system.codename(), suite])?.options(), words(&["-t", suite])].concat()
            }
            None => words(&["-o", "APT::Update::Error-Mode=any"]),
        };
        let install = [words(&["install", "-y", "--no-install-recommends"]), words(packages)].concat();
        step.run(&mut apt_get(prefix, &options, &words(&["update"])))
            .and_then(|_| step.run(&mut apt_get(prefix, &options, &install)))
            .with_context(|| format!("apt-get cannot install {list}"))
            .map(drop)
    })
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

/// What to put before apt-get; `None`: a person has to install the packages.
fn root_prefix(system: &System, packages: &[&str]) -> Result<Option<Vec<&'static str>>> {
    if packages.is_empty() || !system.is("debian") || programs::find("apt-get").is_none() {
        return Ok(None);
    }
    if geteuid().is_root() {
        return Ok(Some(vec![]));
    }
    let sudo = child::succeeds(child::command("sudo").args(["-n", "true"])).unwrap_or(false);
    Ok(sudo.then(|| vec!["sudo", "-n"]))
}

fn apt_get(prefix: &[&str], options: &[String], arguments: &[String]) -> Command {
    // `env` keeps apt from asking, with sudo too.
    let start = [prefix, &["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]].concat();
    let mut cmd = child::command(start[0]);
    cmd.args(&start[1..]).args(options).args(arguments);
    cmd
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::configs;
    use crate::system::os::for_test;

    const SYSTEMS: [&str; 7] = ["bookworm", "trixie", "ubuntu", "fedora", "arch", "suse", "unknown"];

    fn named<'a>(deps: &'a Deps, purpose: &str) -> &'a Need {
        deps.need.iter().find(|need| need.purpose == purpose).unwrap()
    }

    #[test]
    fn the_data_is_well_formed() {
        let deps = deps();
        let known: Vec<String> = Selection::parse("all").unwrap().0.into_iter().map(|a| a.name).collect();
        assert!(deps.need.iter().flat_map(|need| &need.arch).all(|name| known.contains(name)));
        let verbs = crate::verbs();
        let is_known = |name: &str| match name.strip_prefix("CONFIG=") {
            Some(row) => configs::find(row).is_some(),
            None => verbs.iter().any(|verb| verb == name),
        };
        assert!(deps.need.iter().flat_map(|need| &need.verbs).all(|name| is_known(name)));
        for need in &deps.need {
            assert!(!need.purpose.is_empty() && !need.packages.is_empty());
            assert_eq!(need.tool.is_some(), need.least.is_some(), "{}", need.purpose);
            let checks = need.programs.len() + need.headers.len() + need.modules.len();
            assert!(checks > 0 || need.tool.is_some(), "{}", need.purpose);
            for id in SYSTEMS {
                let made = need.packages(&for_test(id)).is_some_and(|packages| packages.is_empty());
                let can_be = matches!(need.tool, Some(Tool::Bindgen | Tool::VirtmeNg));
                assert!(!made || can_be, "{id}: {}", need.purpose);
            }
        }
    }

    #[test]
    fn what_is_missing_is_named_as_the_system_calls_it() {
        let (deps, dir) = (deps(), tempfile::tempdir().unwrap());
        let folders = programs::fake(dir.path(), &[("flex", "flex 2.6.4")]);
        let said = |id: &str, purpose: &str| {
            let system = for_test(id);
            let all = missing(&[named(&deps, purpose)], &system, &folders);
            format!("{}: {}", all.things.join(", "), advice(&deps, &system, &all.packages))
        };
        assert_eq!(said("fedora", "kconfig"), "bison: sudo dnf install bison flex");
        assert_eq!(said("suse", "kbuild"), "bc: sudo zypper install bc");
        assert_eq!(said("arch", "the base source, compressed modules"), "xz: sudo pacman -S --needed xz");
        assert_eq!(said("unknown", "kbuild"), "bc: install what your system has of bc");
        let rust = "the kernel's Rust compiler, the source of its library";
        let trixie = "rustc from 1.85.0 on: sudo apt-get install --no-install-recommends \
                      rustc rust-src rust-clippy";
        assert_eq!(said("trixie", rust), trixie);
    }

    #[test]
    fn the_container_has_every_package() {
        let (deps, system) = (deps(), for_test("trixie"));
        let container = include_str!("../../forge/Containerfile");
        let words: Vec<&str> = container.split_whitespace().collect();
        let host = Selection::parse("x86_64").unwrap();
        let needs = deps.need.iter().filter(|need| need.is_of(None, &host));
        for package in needs.filter_map(|need| need.packages(&system)).flatten() {
            assert!(words.contains(&package), "{package} is not in ci/forge/Containerfile");
        }
    }

    #[test]
    fn a_tool_without_a_package_is_made() {
        let (deps, dir) = (deps(), tempfile::tempdir().unwrap());
        let folders = programs::fake(dir.path(), &[("bindgen", "bindgen 0.60.1")]);
        let bindgen = named(&deps, "Rust's view of the kernel's headers");
        assert_eq!(missing(&[bindgen], &for_test("bookworm"), &folders), Missing::default());
        let all = missing(&[bindgen], &for_test("trixie"), &folders);
        assert!(
            all.things[0].starts_with("bindgen from 0.71.1 on (") && all.things[0].ends_with("is 0.60.1)")
        );
        assert_eq!(all.packages, ["bindgen"]);
    }

    #[test]
    fn packages_of_another_suite_are_asked_for_there() {
        let advised = advice(&deps(), &for_test("bookworm"), &["qemu-system-ppc/bookworm-backports"]);
        let install = "sudo apt-get install --no-install-recommends -t bookworm-backports qemu-system-ppc";
        assert_eq!(advised, install);
    }

    #[test]
    fn a_missing_program_names_its_package() {
        assert!(remedy_on("rsync", &for_test("fedora")).starts_with("it is in rsync ("));
        assert!(remedy_on("qemu-system-ppc64", &for_test("trixie")).ends_with("make deps ARCH=ppc64le"));
        assert_eq!(remedy_on("something", &for_test("trixie")), "try make deps");
    }

    #[test]
    fn headers_are_what_the_compiler_finds() {
        assert!(has_header("stdio.h"));
        assert!(!has_header("no/such/header.h"));
    }
}
