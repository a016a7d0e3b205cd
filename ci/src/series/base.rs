// SPDX-License-Identifier: GPL-2.0
//! Base kernels: each a bare git repository in the cache, made once from Debian's
//! source package. Its one commit has the same id on every machine.

use std::fs;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{bail, Context, Result};
use regex_lite::Regex;
use serde::Deserialize;
use tar::{Archive, EntryType};

use crate::system::child::{self, Interrupted};
use crate::system::git::{Git, DATE, EMAIL, NAME};
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
    let suites: Vec<&str> = suites.iter().map(String::as_str).collect();
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
    import(&git, &subject(base), &unpacked.join(format!("usr/src/{}.tar.xz", base.package)))?;
    step.run(&mut git.cmd(["tag", "base"]))?;
    step.note(git.capture(["log", "-1", "--format=%h %s"])?);
    Ok(())
}

/// One commit of all files, straight from the archive: unpacking 95,000 files, to
/// remove them again, takes several times as long.
fn import(git: &Git, subject: &str, tarball: &Path) -> Result<()> {
    let mut xz = child::spawn(child::command("xz").args(["-dc"]).arg(tarball).stdout(Stdio::piped()))?;
    let words = ["-c", "core.compression=1", "fast-import", "--quiet", "--depth=0"];
    let mut importer = child::spawn(git.cmd(words).stdin(Stdio::piped())).inspect_err(|_| drop(xz.kill()))?;
    let (Some(archive), Some(stream)) = (xz.stdout.take(), importer.stdin.take()) else {
        bail!("no pipes to xz and git");
    };
    let written = write_commit(subject, archive, BufWriter::new(stream));
    let (xz, importer) = (xz.wait()?, importer.wait()?);
    child::fail_if_interrupted()?;
    // Of a broken pipe it is the program at the other end that knows the reason.
    if !xz.success() || !importer.success() {
        bail!("{} cannot be read", tarball.display());
    }
    written
}

/// The language of git-fast-import(1).
fn write_commit(subject: &str, archive: impl Read, mut stream: impl Write) -> Result<()> {
    let subject = format!("{subject}\n");
    write!(stream, "commit refs/heads/linux\ncommitter {NAME} <{EMAIL}> {DATE} +0000\n")?;
    write!(stream, "data {}\n{subject}", subject.len())?;
    for entry in Archive::new(archive).entries()? {
        child::fail_if_interrupted()?;
        let mut entry = entry?;
        let path: PathBuf = entry.path()?.components().skip(1).collect();
        let mut content = vec![];
        let mode = match entry.header().entry_type() {
            EntryType::Symlink => {
                content.extend(entry.link_name_bytes().context("a link to nowhere")?.as_ref());
                "120000"
            }
            EntryType::Regular => {
                entry.read_to_end(&mut content)?;
                if entry.header().mode()? & 0o100 == 0 {
                    "100644"
                } else {
                    "100755"
                }
            }
            EntryType::Directory => continue,
            other => bail!("{} is of an unexpected type: {other:?}", path.display()),
        };
        if path == Path::new(".gitignore") {
            content.truncate(without_debian(&String::from_utf8_lossy(&content)).len());
        }
        write!(stream, "M {mode} inline {}\ndata {}\n", path.display(), content.len())?;
        stream.write_all(&content)?;
        stream.write_all(b"\n")?;
    }
    Ok(stream.flush()?)
}

/// Debian ignores every file at the top, and so every file that is new; in mainline
/// git sees new files.
pub fn without_debian(gitignore: &str) -> &str {
    gitignore.find("\n#\n# Debian packaging").map_or(gitignore, |end| &gitignore[..end])
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use tar::{Builder, Header};

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

    #[test]
    fn debians_ignores_are_dropped() {
        let mainline = "*.o\n!timeconst.bc\n";
        let debian = format!("{mainline}\n#\n# Debian packaging: ignore everything\n#\n/*\n!/debian/\n");
        assert_eq!(without_debian(&debian), mainline);
        assert_eq!(without_debian(mainline), mainline);
    }

    /// An archive of a kernel, as Debian packs it.
    fn archive(extra: Option<EntryType>) -> Vec<u8> {
        let mut tar = Builder::new(vec![]);
        let mut add = |name: &str, kind: EntryType, mode: u32, content: &str| {
            let mut header = Header::new_gnu();
            header.set_entry_type(kind);
            header.set_mode(mode);
            if kind == EntryType::Symlink {
                header.set_size(0);
                tar.append_link(&mut header, name, content).unwrap();
            } else {
                header.set_size(content.len() as u64);
                tar.append_data(&mut header, name, content.as_bytes()).unwrap();
            }
        };
        add("linux/", EntryType::Directory, 0o755, "");
        add("linux/.gitignore", EntryType::Regular, 0o644, "*.o\n\n#\n# Debian packaging\n#\n/*\n");
        add("linux/Makefile", EntryType::Regular, 0o664, "VERSION = 7\n");
        add("linux/a folder/run.sh", EntryType::Regular, 0o775, "#!/bin/sh\n");
        add("linux/empty", EntryType::Regular, 0o600, "");
        add("linux/link", EntryType::Symlink, 0o777, "a folder/run.sh");
        let long = format!("linux/{}/file", ["long"; 40].join("/"));
        add(&long, EntryType::Regular, 0o644, "no newline at the end");
        if let Some(kind) = extra {
            add("linux/extra", kind, 0o644, "");
        }
        tar.into_inner().unwrap()
    }

    /// What git has made of the stream.
    fn imported(stream: Vec<u8>) -> (tempfile::TempDir, Git) {
        let dir = tempfile::tempdir().unwrap();
        let git = Git::at(dir.path());
        git.capture(["init", "-q", "--bare", "-b", "linux", "."]).unwrap();
        let file = dir.path().join("stream");
        fs::write(&file, stream).unwrap();
        let mut import = git.cmd(["fast-import", "--quiet"]);
        assert!(import.stdin(fs::File::open(file).unwrap()).status().unwrap().success());
        (dir, git)
    }

    #[test]
    fn an_archive_becomes_one_commit() {
        let mut stream = vec![];
        write_commit("Linux 7 – é", Cursor::new(archive(None)), &mut stream).unwrap();
        let (_dir, git) = imported(stream);
        git.capture(["fsck", "--strict"]).unwrap();
        let tree = git.capture(["ls-tree", "-r", "--format=%(objectmode) %(path)", "linux"]).unwrap();
        let long = format!("100644 {}/file", ["long"; 40].join("/"));
        let files = [
            "100644 .gitignore",
            "100644 Makefile",
            "100755 a folder/run.sh",
            "100644 empty",
            "120000 link",
            &long,
        ];
        assert_eq!(tree.lines().collect::<Vec<_>>(), files);
        let show = |what: &str| git.capture(["show", &format!("linux:{what}")]).unwrap();
        assert_eq!(show(".gitignore"), "*.o");
        assert_eq!(show("link"), "a folder/run.sh");
        assert_eq!(show("empty"), "");
        assert_eq!(show(&long["100644 ".len()..]), "no newline at the end");
        assert_eq!(
            git.capture(["log", "--format=%s|%an|%ct", "linux"]).unwrap(),
            format!("Linux 7 – é|{NAME}|{DATE}")
        );
    }

    #[test]
    fn a_file_of_another_type_is_refused() {
        let error = write_commit("x", Cursor::new(archive(Some(EntryType::Fifo))), vec![]).unwrap_err();
        assert_eq!(error.to_string(), "extra is of an unexpected type: Fifo");
    }
}
