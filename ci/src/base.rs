// SPDX-License-Identifier: GPL-2.0
//! The base kernel: a bare git repository in the cache, made once from Debian's
//! source package. Its one commit has the same id on every machine.

use std::fs;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{bail, Context, Result};
use serde::Deserialize;
use tar::{Archive, EntryType};

use crate::child;
use crate::git::{Git, DATE, EMAIL, NAME};
use crate::project::{data, Project};
use crate::ui::Step;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Base {
    subject: String,
    package: String,
    version: String,
    suite: String,
    tarball: String,
    keyring: String,
}

/// The repository, with the tag `base`.
pub fn repository(project: &Project) -> Result<PathBuf> {
    let base: Base = data("base.toml", include_str!("../base.toml"));
    let done = project.cache.join(format!("{}_{}.git", base.package, base.version));
    if done.exists() {
        return Ok(done);
    }
    project.need_space(&project.cache, 5, "the base kernel")?;
    fs::create_dir_all(&project.cache).context("cannot make the cache folder")?;
    // Everything happens in here and goes away with it; only the result is moved out.
    let part = tempfile::Builder::new().prefix("base-").tempdir_in(&project.cache)?;
    project.ui.step("download the base kernel", |step| download(step, &base, part.path()))?;
    project.ui.step("commit the base kernel", |step| commit(step, &base, part.path()))?;
    fs::rename(part.path().join("git"), &done).context("cannot move the base kernel into place")?;
    Ok(done)
}

/// apt with a configuration of its own: the machine's sources stay as they are.
fn download(step: &mut Step, base: &Base, dir: &Path) -> Result<()> {
    let mirror = mirror(&indextargets()?)
        .context("apt knows no Debian mirror: add one to its sources, or give KDIR=<kernel git tree>")?;
    let source = format!("deb [signed-by={}] {mirror} {} main\n", base.keyring, base.suite);
    fs::write(dir.join("sources.list"), source)?;
    for folder in ["lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(dir.join(folder))?;
    }
    let apt = |words: &[&str]| {
        let mut cmd = child::command("apt-get");
        for option in [
            format!("Dir::Etc::sourcelist={}", dir.join("sources.list").display()),
            "Dir::Etc::sourceparts=-".to_owned(),
            format!("Dir::State::lists={}", dir.join("lists").display()),
            format!("Dir::Cache={}", dir.join("cache").display()),
            "APT::Update::Error-Mode=any".to_owned(),
            "APT::Sandbox::User=root".to_owned(),
            "Acquire::Languages=none".to_owned(),
        ] {
            cmd.arg("-o").arg(option);
        }
        cmd.args(words).current_dir(dir);
        cmd
    };
    let wanted = format!("{}={}", base.package, base.version);
    step.note(format!("{wanted} from {}", base.suite));
    step.run(&mut apt(&["update"])).and_then(|_| step.run(&mut apt(&["download", &wanted]))).with_context(
        || format!("no {wanted} from {mirror}: check the network, or give KDIR=<kernel git tree>"),
    )?;
    Ok(())
}

fn indextargets() -> Result<String> {
    let format = "$(LABEL) $(REPO_URI)";
    child::capture(child::command("apt-get").args(["indextargets", "--format", format]))
}

/// The mirror that this machine gets Debian itself from.
fn mirror(indextargets: &str) -> Option<String> {
    let uri = indextargets.lines().find_map(|l| l.strip_prefix("Debian "))?;
    Some(uri.trim_end_matches('/').to_owned())
}

fn commit(step: &mut Step, base: &Base, dir: &Path) -> Result<()> {
    let deb = fs::read_dir(dir)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|e| e == "deb"))
        .context("apt-get said nothing, and there is no package")?;
    step.run(child::command("dpkg-deb").arg("-x").arg(deb).arg(dir.join("deb")))?;
    let repository = dir.join("git");
    fs::create_dir(&repository)?;
    let git = Git::at(repository);
    step.run(&mut git.cmd(["init", "-q", "--bare", "-b", "linux", "."]))?;
    import(&git, &base.subject, &dir.join("deb").join(&base.tarball))?;
    step.run(&mut git.cmd(["tag", "base"]))?;
    step.note(git.capture(["log", "-1", "--format=%h %s"])?);
    Ok(())
}

/// One commit of all files, straight from the archive: unpacking 95,000 files, to
/// remove them again, takes several times as long.
fn import(git: &Git, subject: &str, tarball: &Path) -> Result<()> {
    let mut xz = child::command("xz").args(["-dc"]).arg(tarball).stdout(Stdio::piped()).spawn()?;
    let words = ["-c", "core.compression=1", "fast-import", "--quiet", "--depth=0"];
    let mut importer = git.cmd(words).stdin(Stdio::piped()).spawn()?;
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
fn without_debian(gitignore: &str) -> &str {
    gitignore.find("\n#\n# Debian packaging").map_or(gitignore, |end| &gitignore[..end])
}

#[cfg(test)]
mod tests {
    use super::{mirror, without_debian};

    #[test]
    fn debians_ignores_are_dropped() {
        let mainline = "*.o\n!timeconst.bc\n";
        let debian = format!("{mainline}\n#\n# Debian packaging: ignore everything\n#\n/*\n!/debian/\n");
        assert_eq!(without_debian(&debian), mainline);
        assert_eq!(without_debian(mainline), mainline);
    }

    #[test]
    fn the_mirror_is_the_machines_own() {
        let targets =
            "Debian-Security http://sec.example/debian-security/\nDebian http://ftp.example/debian/\n";
        assert_eq!(mirror(targets).as_deref(), Some("http://ftp.example/debian"));
        assert_eq!(mirror("Docker http://docker.example/\n"), None);
    }
}
