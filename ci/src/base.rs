// SPDX-License-Identifier: GPL-2.0
//! The base kernel: a bare git repository in the cache, made once from Debian's
//! source package. Its one commit has the same id on every machine.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::child;
use crate::git::Git;
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
    mirror: String,
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
    let mirror = mirror(&indextargets()?).unwrap_or(base.mirror.clone());
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
    let tree = dir.join("tree");
    fs::create_dir(&tree)?;
    let mut tar = child::command("tar");
    tar.arg("xf").arg(dir.join("deb").join(&base.tarball)).args(["--strip-components=1", "-C"]);
    step.run(tar.arg(&tree))?;

    fs::create_dir(dir.join("git"))?;
    let git = Git::at(dir.join("git"));
    step.run(&mut git.cmd(["init", "-q", "--bare", "-b", "base", "."]))?;
    let work_tree = format!("--work-tree={}", tree.display());
    // With the threshold every file goes straight into one pack, not into 90,000 objects.
    let add = ["-c", "core.bigFileThreshold=1", "-c", "core.compression=1", "add", "-A", "-f"];
    step.run(&mut git.cmd(["--git-dir=.", &work_tree].into_iter().chain(add)))?;
    step.run(&mut git.cmd(["--git-dir=.", &work_tree, "commit", "-q", "-m", &base.subject]))?;
    step.run(&mut git.cmd(["tag", "base"]))?;
    step.note(git.capture(["log", "-1", "--format=%h %s"])?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::mirror;

    #[test]
    fn the_mirror_is_the_machines_own() {
        let targets =
            "Debian-Security http://sec.example/debian-security/\nDebian http://ftp.example/debian/\n";
        assert_eq!(mirror(targets).as_deref(), Some("http://ftp.example/debian"));
        assert_eq!(mirror("Docker http://docker.example/\n"), None);
    }
}
