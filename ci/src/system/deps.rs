// SPDX-License-Identifier: GPL-2.0
//! What the verbs need of the system. Where it has apt, what is missing is installed; elsewhere its
//! packages are named.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{bail, Context, Result};
use nix::unistd::geteuid;

use crate::system::needs::{advice, deps, package_name, Need, Tool};
use crate::system::programs::{self, python, Folders, Version};
use crate::system::{apt::Apt, child, os::System, project::Project};

/// The packages that every verb needs.
pub fn packages(project: &Project) -> Result<()> {
    satisfy(project, None)
}

/// The packages that `verb` needs and not every verb does.
pub fn ensure_for(project: &Project, verb: &str) -> Result<()> {
    satisfy(project, Some(verb))
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
            let verb = if after.things.len() == 1 { "is" } else { "are" };
            let (things, advice) = (after.things.join(", "), advice(&deps, &system, &after.packages));
            bail!("{things} {verb} missing ({}): {advice}", system.title)
        }
    }
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
        let things = if is_made { vec![] } else { missing_of(need, folders) };
        if !things.is_empty() {
            all.things.extend(things);
            all.packages.extend(packages);
        }
    }
    all.packages.dedup();
    all
}

/// The oldest version of its tool that will do.
pub fn least(need: &Need) -> Version {
    need.least.as_deref().and_then(Version::find).unwrap_or_default()
}

/// What is missing of it.
fn missing_of(need: &Need, folders: &Folders) -> Vec<String> {
    let no_program = |name: &&String| folders.all(name).is_empty();
    let mut missing: Vec<String> = need.programs.iter().filter(no_program).cloned().collect();
    missing.extend(need.headers.iter().filter(|name| !has_header(name)).cloned());
    missing
        .extend(need.modules.iter().filter(|name| !has_module(name)).map(|name| format!("Python's {name}")));
    if let Some(tool) = need.tool {
        if let Err(refused) = tool.find(&least(need), folders) {
            missing.push(wanted(tool, &least(need), &refused));
        }
    }
    missing
}

/// `rustc from 1.85.0 on (/usr/bin/rustc is 1.63.0)`
pub fn wanted(tool: Tool, least: &Version, refused: &[String]) -> String {
    let name = tool.name();
    match refused {
        [] => format!("{name} from {least} on"),
        refused => format!("{name} from {least} on ({})", refused.join(", ")),
    }
}

/// Whether the host's C compiler finds it.
fn has_header(name: &str) -> bool {
    let words = ["-E", "-x", "c", "-include", name, "/dev/null"];
    // It looks into its own folder first: none of ours counts.
    child::succeeds(child::command("cc").args(words).current_dir("/")).unwrap_or(false)
}

fn has_module(name: &str) -> bool {
    child::succeeds(python().args(["-c", &format!("import {name}")])).unwrap_or(false)
}

/// The machine's own packages first: those of other suites build on them.
fn install(project: &Project, system: &System, prefix: &[&str], packages: &[&str]) -> Result<()> {
    // Without a suite, what the machine's own sources have.
    let mut suites: BTreeMap<Option<&str>, Vec<&str>> = BTreeMap::new();
    for package in packages {
        let suite = package.split_once('/').map(|(_, suite)| suite);
        suites.entry(suite).or_default().push(package_name(package));
    }
    for (suite, packages) in suites {
        let list = packages.join(" ");
        let name = format!("install packages of {}", suite.unwrap_or(&system.title));
        project.ui.step(&name, |step| {
            step.note(&list);
            let dir = tempfile::tempdir()?;
            let (mut options, more) = match suite {
                Some(suite) => (Apt::new(dir.path(), &[system.codename(), suite])?.options(), ["-t", suite]),
                None => (vec![], ["-o", "APT::Update::Error-Mode=any"]),
            };
            options.extend(more.map(str::to_owned));
            let install = ["install", "-y", "--no-install-recommends"];
            step.run(apt_get(prefix, &options).arg("update"))
                .and_then(|_| step.run(apt_get(prefix, &options).args(install).args(&packages)))
                .with_context(|| format!("apt-get cannot install {list}"))
        })?;
    }
    Ok(())
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

fn apt_get(prefix: &[&str], options: &[String]) -> Command {
    // `env` keeps apt from asking, with sudo too.
    let start = [prefix, &["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]].concat();
    let mut cmd = child::command(start[0]);
    cmd.args(&start[1..]).args(options);
    cmd
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::{needs::Deps, os::for_test};

    const SYSTEMS: [&str; 7] = ["bookworm", "trixie", "ubuntu", "fedora", "arch", "suse", "unknown"];

    fn named<'a>(deps: &'a Deps, purpose: &str) -> &'a Need {
        deps.need.iter().find(|need| need.purpose == purpose).unwrap()
    }

    #[test]
    fn the_data_is_well_formed() {
        let deps = deps();
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
        assert_eq!(said("nixos", "kbuild"), "bc: nix-shell -p bc");
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
        let container = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/forge/Containerfile"));
        let words: Vec<&str> = container.split_whitespace().collect();
        let needs = deps.need.iter().filter(|need| need.is_of(None, &["x86_64".to_owned()]));
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
    fn headers_are_what_the_compiler_finds() {
        assert!(has_header("stdio.h"));
        assert!(!has_header("no/such/header.h"));
    }
}
