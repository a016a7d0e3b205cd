// SPDX-License-Identifier: GPL-2.0
//! Base kernels: each a bare git repository in the cache, made once from Debian's
//! source package. Its one commit has the same id on every machine.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{bail, Context, Result};
use regex_lite::Regex;
use serde::Deserialize;

use crate::series::import;
use crate::system::child::{self, Interrupted};
use crate::system::git::Git;
use crate::system::{apt::Apt, data::data, programs::Version, project::Project, ui::Step};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bases {
    base: Vec<Base>,
    other: Vec<Base>,
    newest: Newest,
}

#[derive(Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Base {
    pub name: String,
    package: String,
    version: String,
    suite: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Newest {
    packages: String,
    suites: Vec<String>,
}

fn bases() -> Bases {
    data!("base.toml")
}

impl Base {
    /// Whether it is the one that the series is for, or has come in its place.
    pub fn is_ours(&self) -> bool {
        let release = |base: &Base| Version::find(&base.name).map(|version| version.release());
        let pinned = pinned();
        self.package == pinned.package && !self.name.contains('-') && release(self) == release(&pinned)
    }
}

/// Those of base.toml; the first is the one that the series is for.
pub fn known() -> Vec<Base> {
    bases().base
}

/// The one that the series is for.
pub fn pinned() -> Base {
    known().swap_remove(0)
}

/// The one that the series is for; where Debian has dropped that version, the newest of the
/// same release that it has.
pub fn ours(project: &Project) -> Result<Base> {
    let pinned = pinned();
    if is_cached(project, &pinned) {
        return Ok(pinned);
    }
    let offered = project.ui.step(&format!("look for Linux {}", pinned.name), |step| {
        let offered = offers(step, &pinned)?;
        step.note(format!("{} versions", offered.len()));
        Ok(offered)
    });
    let (base, whence) = match offered {
        Ok(offered) => match choose(&pinned, offered) {
            Some(base) => (base, "Debian has"),
            None => bail!("Debian has no Linux {} any more, and none like it: {KDIR}", pinned.name),
        },
        // Without a network, the one of an earlier day will do.
        Err(error) => match choose(&pinned, cached(project, &pinned)) {
            Some(base) if !error.is::<Interrupted>() => (base, "the cache has"),
            _ => return Err(error),
        },
    };
    if base != pinned {
        let (name, version) = (&base.name, &base.version);
        let line = format!(
            "no Linux {} to be had: {whence} {name} ({version}), the series goes on that",
            pinned.name
        );
        project.ui.say(&line);
    }
    Ok(base)
}

/// What to do without a base.
const KDIR: &str = "give KDIR=<git tree or unpacked tarball of Linux 7.x>";

/// `pinned` if it is among them, else the newest of its release.
fn choose(pinned: &Base, offered: Vec<Base>) -> Option<Base> {
    let mut alike: Vec<Base> = offered.into_iter().filter(Base::is_ours).collect();
    if let Some(at) = alike.iter().position(|base| base.version == pinned.version) {
        return Some(alike.swap_remove(at));
    }
    alike.sort_by_key(|base| Version::find(&base.name));
    alike.pop()
}

/// All versions of its package that apt can get.
fn offers(step: &mut Step, pinned: &Base) -> Result<Vec<Base>> {
    let dir = tempfile::tempdir()?;
    let apt = Apt::new(dir.path(), &[&pinned.suite]).context(KDIR)?;
    step.run(&mut apt.get(&["update"]))
        .with_context(|| format!("{}: check the network, or {KDIR}", apt.mirror))?;
    let lines = step.run(&mut apt.cache(&["madison", &pinned.package]))?;
    Ok(lines.lines().filter_map(offer).collect())
}

/// Versions of its package that are in the cache.
fn cached(project: &Project, pinned: &Base) -> Vec<Base> {
    let entries = fs::read_dir(&project.cache).into_iter().flatten().flatten();
    let base = |name: String| {
        let version = name.strip_prefix(&pinned.package)?.strip_prefix('_')?.strip_suffix(".git")?;
        offer(&format!("{} | {version} | cache {}/main", pinned.package, pinned.suite))
    };
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter_map(base).collect()
}

fn cache_name(base: &Base) -> String {
    format!("{}_{}.git", base.package, base.version)
}

/// Whether it need not be downloaded.
pub fn is_cached(project: &Project, base: &Base) -> bool {
    project.cache.join(cache_name(base)).exists()
}

/// The subject of its one commit.
pub fn subject(base: &Base) -> String {
    format!("Linux {} ({})", base.name, base.package)
}

/// Any of base.toml.
pub fn named(name: &str) -> Option<Base> {
    let Bases { base, other, .. } = bases();
    base.into_iter().chain(other).find(|base| base.name == name)
}

/// The newest that Debian has anywhere.
pub fn newest(step: &mut Step) -> Result<Base> {
    let Newest { packages, suites } = bases().newest;
    let dir = tempfile::tempdir()?;
    let apt = Apt::new(dir.path(), &suites)?;
    step.run(&mut apt.get(&["update"])).with_context(|| format!("{}: check the network", apt.mirror))?;
    let names = step.run(&mut apt.cache(&["pkgnames", "linux-source-"]))?;
    let pattern = Regex::new(&packages).context("ci/base.toml: packages")?;
    let names: Vec<&str> = names.lines().filter(|name| pattern.is_match(name)).collect();
    let offers = step.run(apt.cache(&["madison"]).args(&names))?;
    let mut newest: Option<Base> = None;
    for base in offers.lines().filter_map(offer) {
        let is_newer = |old: &Base| {
            let words = ["--compare-versions", &base.version, "gt", &old.version];
            child::succeeds(child::command("dpkg").args(words))
        };
        if newest.as_ref().map_or(Ok(true), is_newer)? {
            newest = Some(base);
        }
    }
    newest.with_context(|| format!("{} has no {packages}", apt.mirror))
}

/// A line of apt-cache madison: `package | version | mirror suite/main amd64 Packages`.
fn offer(line: &str) -> Option<Base> {
    let mut fields = line.split('|').map(str::trim);
    let (package, version, place) = (fields.next()?, fields.next()?, fields.next()?);
    let suite = place.split_whitespace().nth(1)?.split('/').next()?;
    let name = version.split('-').next()?.replace('~', "-");
    Some(Base { name, package: package.into(), version: version.into(), suite: suite.into() })
}

/// The repository, with the tag `base`.
pub fn repository(project: &Project, base: &Base) -> Result<PathBuf> {
    let name = &base.name;
    project.cached(&cache_name(base), |part| {
        project.need_space(&project.cache, 5, "a base kernel")?;
        let git = part.join("git");
        let unpacked =
            project.ui.step(&format!("download Linux {name}"), |step| download(step, base, part))?;
        project
            .ui
            .step(&format!("commit Linux {name}"), |step| commit(step, base, &unpacked, git.clone()))?;
        Ok(git)
    })
}

fn download(step: &mut Step, base: &Base, dir: &Path) -> Result<PathBuf> {
    let apt = Apt::new(dir, &[&base.suite]).context(KDIR)?;
    let wanted = format!("{}={}", base.package, base.version);
    step.note(format!("{wanted} from {}", base.suite));
    apt.unpack(step, &[&wanted])
        .with_context(|| format!("no {wanted} from {}: check the network, or {KDIR}", apt.mirror))
}

fn commit(step: &mut Step, base: &Base, unpacked: &Path, repository: PathBuf) -> Result<()> {
    fs::create_dir(&repository)?;
    let git = Git::at(repository);
    step.run(&mut git.cmd(["init", "-q", "--bare", "-b", "linux", "."]))?;
    import::commit(&git, &subject(base), &unpacked.join(format!("usr/src/{}.tar.xz", base.package)))?;
    step.run(&mut git.cmd(["tag", "base"]))?;
    step.note(git.capture(["log", "-1", "--format=%h %s"])?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::project::for_test;

    fn versions(list: &[&str]) -> Vec<Base> {
        let line = |version: &&str| offer(&format!("linux-source-7.3 | {version} | x trixie-backports/main"));
        list.iter().filter_map(line).collect()
    }

    #[test]
    fn a_base_that_is_gone_is_replaced() {
        let chosen = |list: &[&str]| choose(&pinned(), versions(list)).map(|base| base.version);
        let (old, gone) = ("7.3.10-1~bpo13+1", "7.3.9-2~bpo13+1");
        assert_eq!(chosen(&[gone, &pinned().version, old]), Some(pinned().version));
        assert_eq!(chosen(&[gone, old, "7.4.1-1"]).as_deref(), Some(old));
        assert_eq!(chosen(&["7.4.1-1"]), None);
    }

    #[test]
    fn the_cache_offers_what_it_has() {
        let dir = tempfile::tempdir().unwrap();
        let project = for_test(dir.path());
        assert_eq!(cached(&project, &pinned()), []);
        for name in
            ["linux-source-7.3_7.3.9-2~bpo13+1.git", "linux-source-7.3_7.3~rc7-1~exp1.git", "bindgen-0.72.1"]
        {
            std::fs::create_dir_all(project.cache.join(name)).unwrap();
        }
        let found = choose(&pinned(), cached(&project, &pinned()));
        assert_eq!(found, versions(&["7.3.9-2~bpo13+1"]).pop());
    }

    #[test]
    fn an_offer_is_a_base() {
        let line =
            " linux-source-7.3 | 7.3~rc7-1~exp1 | http://ftp.example/debian experimental/main amd64 Packages";
        assert_eq!(offer(line).as_ref(), known().last());
        assert_eq!(offer("W: something"), None);
    }
}
