// SPDX-License-Identifier: GPL-2.0
//! The bugs of `rust/mutants/`: each is a patch that applies and compiles.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{bail, Context, Result};

use crate::system::{child, git::Git};

/// The bugs of `rust/mutants/`.
pub fn patches(root: &Path) -> Result<Vec<PathBuf>> {
    let dir = root.join("rust/mutants");
    let entries = fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))?;
    let mut paths = entries.map(|e| Ok(e?.path())).collect::<Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|e| e == "patch"));
    paths.sort();
    if paths.is_empty() {
        bail!("there is no patch in rust/mutants");
    }
    Ok(paths)
}

/// Where the crate is that is broken, below `rust/`.
const CRATE: &str = "pending";

/// The files that a patch can break, and that import nothing but each other and `elf`.
const BREAKABLE: [&str; 5] = ["pending.rs", "claim.rs", "copying.rs", "image.rs", "loader.rs"];

/// Lines between two bugs that are put into one copy of a file.
const DISTANCE: usize = 10;

/// Fails unless each patch applies and leaves code that compiles. All of them are compiled at once,
/// as modules of one crate: a folder with broken files for as many patches as fit side by side.
pub fn check_all(root: &Path, patches: &[PathBuf]) -> Result<()> {
    let dir = root.join("build/mutants");
    fs::create_dir_all(&dir).context("cannot make build/mutants")?;
    let tree = tempfile::Builder::new().prefix("check-").tempdir_in(&dir)?;
    copy_workspace(root, tree.path())?;
    for patch in patches {
        check(root, patch)?;
    }
    let groups = groups(patches)?;
    let sources = tree.path().join("rust").join(CRATE).join("src");
    let mut lib = "#![allow(warnings)]\npub mod elf;\n".to_owned();
    for (number, group) in groups.iter().enumerate() {
        for patch in group {
            child::capture(&mut apply(tree.path(), patch, &[]))?;
        }
        let folder = sources.join(format!("bugs{number}"));
        fs::create_dir(&folder)?;
        for file in BREAKABLE {
            fs::copy(sources.join(file), folder.join(file))?;
        }
        for patch in group.iter().rev() {
            child::capture(&mut apply(tree.path(), patch, &["--reverse"]))?;
        }
        lib += &format!(
            "mod bugs{number} {{ use crate::elf; #[path = \"pending.rs\"] pub mod pending; pub mod loader; }}\n"
        );
    }
    fs::write(sources.join("lib.rs"), lib)?;
    compile(&tree.path().join("rust/Cargo.toml"), &dir.join("target"), &groups)
}

/// Compiles the modules, far enough to see their errors.
fn compile(manifest: &Path, target: &Path, groups: &[Vec<&PathBuf>]) -> Result<()> {
    let mut cargo = child::command("cargo");
    cargo.args(["check", "--locked", "--lib", "--message-format=short", "--package", CRATE]);
    cargo.arg("--manifest-path").arg(manifest);
    cargo.env("CARGO_TARGET_DIR", target).env("CARGO_INCREMENTAL", "0");
    let output = cargo.output().context("cannot run cargo")?;
    child::fail_if_interrupted()?;
    if output.status.success() {
        return Ok(());
    }
    let output = String::from_utf8_lossy(&output.stderr);
    let error = output.lines().find(|line| line.contains("error")).unwrap_or("cargo says nothing");
    let number = (0..groups.len()).find(|number| error.contains(&format!("/bugs{number}/")));
    let names = number.map(|number| {
        let names = groups[number].iter().map(|patch| patch.file_stem().unwrap_or_default());
        names.map(|name| name.to_string_lossy()).collect::<Vec<_>>().join(", ")
    });
    match names {
        Some(names) => bail!("a bug does not compile any more, one of {names}: {error}"),
        None => bail!("{error}"),
    }
}

/// Puts patches together that change places which are apart.
fn groups(patches: &[PathBuf]) -> Result<Vec<Vec<&PathBuf>>> {
    let mut groups: Vec<(Vec<&PathBuf>, Vec<Place>)> = vec![];
    for patch in patches {
        let text = fs::read_to_string(patch)?;
        let own = places(&text);
        let fits = |taken: &[Place]| own.iter().all(|a| taken.iter().all(|b| are_apart(a, b)));
        match groups.iter_mut().find(|group| fits(&group.1)) {
            Some(group) => {
                group.0.push(patch);
                group.1.extend(own);
            }
            None => groups.push((vec![patch], own)),
        }
    }
    Ok(groups.into_iter().map(|group| group.0).collect())
}

/// A file, and the lines of it that a patch changes.
type Place = (String, Range<usize>);

fn places(patch: &str) -> Vec<Place> {
    let mut file = "";
    let mut places = vec![];
    for line in patch.lines() {
        if let Some(name) = line.strip_prefix("--- a/") {
            file = name;
        } else if let Some(hunk) = line.strip_prefix("@@ -") {
            let mut numbers = hunk.split([',', ' ']).map_while(|number| number.parse::<usize>().ok());
            let start = numbers.next().unwrap_or(0);
            places.push((file.to_owned(), start..start + numbers.next().unwrap_or(1)));
        }
    }
    places
}

fn are_apart((file, a): &Place, (other, b): &Place) -> bool {
    file != other || a.end + DISTANCE <= b.start || b.end + DISTANCE <= a.start
}

/// Copies `rust/` without what was built there.
fn copy_workspace(root: &Path, to: &Path) -> Result<()> {
    let to = to.join("rust");
    fs::create_dir(&to)?;
    for entry in fs::read_dir(root.join("rust"))? {
        let entry = entry?;
        if entry.file_name() != "target" {
            child::capture(child::command("cp").arg("--recursive").arg(entry.path()).arg(&to))?;
        }
    }
    Ok(())
}

/// Fails if a patch does not fit the file that it is to break.
fn check(root: &Path, patch: &Path) -> Result<()> {
    if !child::succeeds(&mut apply(root, patch, &["--check"]))? {
        let name = patch.strip_prefix(root).unwrap_or(patch).display();
        bail!("{name} does not apply any more: make the same bug in the file as it is now");
    }
    Ok(())
}

pub fn apply(root: &Path, patch: &Path, options: &[&str]) -> Command {
    let mut cmd = Git::at(root).cmd(["apply"]);
    // Below the top of a repository, git would skip all files without a word.
    cmd.env("GIT_CEILING_DIRECTORIES", root.parent().unwrap_or(root));
    cmd.args(options).arg(patch);
    cmd
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
    }

    #[test]
    fn every_patch_applies_and_compiles() {
        let root = root();
        check_all(&root, &patches(&root).unwrap()).unwrap();
    }

    #[test]
    fn a_patch_that_does_not_compile_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let bad = dir.path().join("a-bug.patch");
        let line = "this is no Rust";
        let loader = fs::read_to_string(root().join("rust/pending/src/loader.rs")).unwrap();
        let lines: Vec<&str> = loader.lines().take(4).collect();
        let (first, context) = (lines[0], lines[1..].join("\n "));
        let diff = format!(
            "--- a/rust/pending/src/loader.rs\n+++ b/rust/pending/src/loader.rs\n\
             @@ -1,4 +1,4 @@\n-{first}\n+{line}\n {context}\n"
        );
        fs::write(&bad, diff).unwrap();
        let error = check_all(&root(), &[bad]).unwrap_err().to_string();
        assert!(error.contains("does not compile any more, one of a-bug: "), "{error}");
    }

    #[test]
    fn patches_of_one_place_are_not_compiled_together() {
        let dir = tempfile::tempdir().unwrap();
        let patch = |name: &str, file: &str, line: usize| {
            let path = dir.path().join(name);
            let text = format!("about\n--- a/{file}\n+++ b/{file}\n@@ -{line},7 +{line},8 @@ fn f()\n");
            fs::write(&path, text).unwrap();
            path
        };
        let patches = [patch("1", "a", 1), patch("2", "a", 17), patch("3", "b", 1), patch("4", "a", 18)];
        let groups = groups(&patches).unwrap();
        assert_eq!(groups, [vec![&patches[0], &patches[2], &patches[3]], vec![&patches[1]]]);
    }

    #[test]
    fn every_patch_says_what_it_breaks() {
        let root = root();
        for patch in patches(&root).unwrap() {
            let text = fs::read_to_string(&patch).unwrap();
            let mut lines = text.lines();
            assert_eq!(lines.next(), Some("# SPDX-License-Identifier: GPL-2.0"), "{patch:?}");
            assert!(lines.next().is_some_and(|line| line.ends_with('.')), "{patch:?} does not say it");
        }
    }

    #[test]
    fn a_patch_that_does_not_fit_is_noticed_in_any_folder() {
        let root = tempfile::Builder::new().prefix(".part-").tempdir_in(root()).unwrap();
        let patch = patches(&self::root()).unwrap().swap_remove(0);
        let error = check(root.path(), &patch).unwrap_err().to_string();
        assert!(error.contains("does not apply any more"), "{error}");
    }
}
