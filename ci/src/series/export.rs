// SPDX-License-Identifier: GPL-2.0
//! The commits of the series as files of this repository: `patches/`, and copies.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{bail, Context, Result};
use serde::Deserialize;

use crate::series::patches::{numbered, COVER};
use crate::system::git::{Git, BASE};
use crate::system::{child, data::data, project::Project};

/// What git puts into a cover letter that nobody wrote.
const UNWRITTEN: &str = "*** SUBJECT HERE ***";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Copies {
    from: String,
    extension: String,
    to: String,
    ours: Vec<String>,
    /// File of the tree to file of the repository.
    changed: BTreeMap<String, String>,
    set: Vec<Set>,
}

/// Some of the patches, up to the one with that subject.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Set {
    name: String,
    last: String,
}

fn copies() -> Copies {
    data!("series.toml")
}

/// What SET= may be.
pub fn sets() -> Vec<String> {
    copies().set.into_iter().map(|set| set.name).collect()
}

/// Patches to make mails of: those after `from`, up to `to`.
pub struct Range {
    from: String,
    to: String,
    has_letter: bool,
}

impl Range {
    /// All patches, and the cover letter.
    pub fn whole(branch: &str) -> Range {
        Range { from: BASE.to_owned(), to: branch.to_owned(), has_letter: true }
    }

    /// One of the sets of series.toml, without the letter, which is about all of them.
    pub fn set(git: &Git, name: &str) -> Result<Range> {
        let sets = copies().set;
        let at = sets.iter().position(|set| set.name == name).context("no such set")?;
        let before = at.checked_sub(1).map(|before| sets[before].last.as_str());
        Range::between(git, before, &sets[at].last)
    }

    /// The patches after that with the subject `before`, up to `last`.
    pub fn between(git: &Git, before: Option<&str>, last: &str) -> Result<Range> {
        let from = before.map_or_else(|| Ok(BASE.to_owned()), |subject| commit(git, subject))?;
        Ok(Range { from, to: commit(git, last)?, has_letter: false })
    }
}

/// The one commit of the series with that subject.
fn commit(git: &Git, subject: &str) -> Result<String> {
    let log = git.capture(["log", "--format=%H %s", &format!("{BASE}..{}", git.branch()?)])?;
    let mut ids = log.lines().filter_map(|line| line.split_once(' ')).filter(|(_, s)| *s == subject);
    match (ids.next(), ids.next()) {
        (Some((id, _)), None) => Ok(id.to_owned()),
        _ => bail!("the series has no patch \"{subject}\": say in ci/series.toml where its set ends"),
    }
}

/// File name (below the project's root) to content.
pub type Files = BTreeMap<PathBuf, Vec<u8>>;

/// Everything that the commits `base..HEAD` stand for in this repository. The same
/// commits give the same bytes, whatever the version, the clock and the user of git.
pub fn export(git: &Git) -> Result<Files> {
    let branch = git.branch().with_context(|| {
        format!("{} is not on a branch: git switch to the one with the series", git.dir.display())
    })?;
    if git.series_length()? == 0 {
        bail!("{} has no commits on top of the tag base", git.dir.display());
    }
    // The cover letter is the last author's, written with the last patch.
    let last = git.capture(["log", "-1", "--format=%an%n%ae%n%aI", &branch])?;
    let mut files = mails(git, &Range::whole(&branch), last.lines(), &[])?;
    let copies = copies();
    let pattern = format!("{}*.{}", copies.from, copies.extension);
    let added = git.capture(["diff", "--name-only", "--diff-filter=A", BASE, &branch, "--", &pattern])?;
    for path in added.lines() {
        let name = Path::new(path).file_name().unwrap_or_default();
        files.insert(Path::new(&copies.to).join(name), content(git, &branch, path)?);
    }
    for (path, to) in &copies.changed {
        if !git.capture(["diff", "--name-only", BASE, &branch, "--", path])?.is_empty() {
            files.insert(to.into(), content(git, &branch, path)?);
        }
    }
    Ok(files)
}

/// A file of a branch.
fn content(git: &Git, branch: &str, path: &str) -> Result<Vec<u8>> {
    child::capture_bytes(&mut git.cmd(["cat-file", "blob", &format!("{branch}:{path}")]))
}

/// The same mails, whatever the version of git and its user's settings.
const FORMAT_PATCH: [&str; 13] = [
    "format-patch",
    "--quiet",
    "--cover-letter",
    "--cover-from-description=subject",
    "--subject-prefix=PATCH",
    "--numbered",
    "--zero-commit",
    "--no-signature",
    "--no-base",
    "--no-thread",
    "--no-ext-diff",
    "--find-renames",
    "--abbrev=12",
];

/// The series as mails. `writer`: name, address and date of who writes the cover letter;
/// `more`: options for git format-patch.
pub fn mails<'a>(
    git: &Git,
    range: &Range,
    writer: impl Iterator<Item = &'a str>,
    more: &[&str],
) -> Result<Files> {
    let out = tempfile::tempdir()?;
    let mut cmd = git.cmd(FORMAT_PATCH);
    cmd.arg("--output-directory").arg(out.path()).args(more);
    if !range.has_letter {
        cmd.arg("--no-cover-letter");
    }
    cmd.arg(format!("{}..{}", range.from, range.to));
    for (name, value) in ["NAME", "EMAIL", "DATE"].iter().zip(writer) {
        cmd.env(format!("GIT_COMMITTER_{name}"), value);
    }
    child::capture(&mut cmd)?;
    let mut files = Files::new();
    for path in numbered(out.path())? {
        let name = Path::new("patches").join(path.file_name().unwrap_or_default());
        let mail = fs::read(&path)?;
        if !is_one_mail(&mail) {
            bail!(
                "{}: a line of the message begins with \"From \", as a mail does: wrap it elsewhere",
                name.display()
            );
        }
        files.insert(name, mail);
    }
    if !range.has_letter {
        return Ok(files);
    }
    let cover = files.get(&Path::new("patches").join(COVER)).context("git wrote no cover letter")?;
    if String::from_utf8_lossy(cover).contains(UNWRITTEN) {
        bail!("the series has no cover letter: write it with git -C linux branch --edit-description");
    }
    Ok(files)
}

/// In a mailbox, a line that begins so is the first one of the next mail.
fn is_one_mail(mail: &[u8]) -> bool {
    String::from_utf8_lossy(mail).lines().skip(1).all(|line| !line.starts_with("From "))
}

/// What in this repository is not as `files` has it.
pub fn differences(project: &Project, files: &Files) -> Result<Vec<PathBuf>> {
    if let Some(copy) = stale_copy(project, files)? {
        bail!("{} is in no patch: remove it, or say in ci/series.toml that it is ours", copy.display());
    }
    let mut different: Vec<_> = stale(project, files)?;
    for (name, content) in files {
        if fs::read(project.root.join(name)).ok().as_ref() != Some(content) {
            different.push(name.clone());
        }
    }
    Ok(different)
}

/// Patches that the series does not have (any more).
fn stale(project: &Project, files: &Files) -> Result<Vec<PathBuf>> {
    let dir = project.patches();
    if !dir.exists() {
        return Ok(vec![]);
    }
    let names = numbered(&dir)?.into_iter();
    let names = names.filter_map(|p| Some(Path::new("patches").join(p.file_name()?)));
    Ok(names.filter(|name| !files.contains_key(name)).collect())
}

/// A file among the copies that the series does not have (any more). It may be one of ours
/// that is not listed yet: nothing to remove without asking.
fn stale_copy(project: &Project, files: &Files) -> Result<Option<PathBuf>> {
    let copies = copies();
    let to = Path::new(&copies.to);
    if !project.root.join(to).exists() {
        return Ok(None);
    }
    let ours: Vec<_> = copies.ours.iter().map(|file| to.join(file)).collect();
    for entry in fs::read_dir(project.root.join(to)).with_context(|| format!("cannot read {}", copies.to))? {
        let name = to.join(entry?.file_name());
        let known = ours.contains(&name) || files.contains_key(&name);
        if !known && name.extension().is_some_and(|e| *e == *copies.extension) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::fixture::{save, tree};
    use crate::series::patches::patch_files;
    use crate::system::project::for_test as project;

    #[test]
    fn a_part_of_the_series_has_its_own_numbers_and_no_letter() {
        let root = tempfile::tempdir().unwrap();
        let git = tree(root.path());
        let names = |before, last| {
            let range = Range::between(&git, before, last)?;
            let files = mails(&git, &range, ["Eva", "eva@example.org", "2026-01-01"].into_iter(), &[])?;
            anyhow::Ok(files.into_keys().map(|path| path.display().to_string()).collect::<Vec<_>>())
        };
        assert_eq!(names(None, "module: one").unwrap(), ["patches/0001-module-one.patch"]);
        assert_eq!(names(Some("module: one"), "module: two").unwrap(), ["patches/0001-module-two.patch"]);
        assert!(names(None, "module: three").unwrap_err().to_string().contains("\"module: three\""));
    }

    #[test]
    fn every_set_ends_with_a_patch() {
        let patches = Path::new(env!("CARGO_MANIFEST_DIR")).join("../patches");
        let mails: Vec<String> =
            patch_files(&patches).unwrap().iter().map(|path| fs::read_to_string(path).unwrap()).collect();
        let place = |subject: &str| {
            // A long subject is folded.
            let at = |mail: &String| mail.replace("\n ", " ").contains(&format!("] {subject}\n"));
            mails.iter().position(at).unwrap_or_else(|| panic!("no patch \"{subject}\""))
        };
        let ends: Vec<usize> = copies().set.iter().map(|set| place(&set.last)).collect();
        assert!(ends.is_sorted() && ends.last() == Some(&(mails.len() - 1)), "{ends:?}");
    }

    #[test]
    fn every_difference_is_seen() {
        let root = tempfile::tempdir().unwrap();
        let files = export(&tree(root.path())).unwrap();
        let project = project(root.path());
        assert_eq!(differences(&project, &files).unwrap().len(), 4);
        save(root.path(), &files);
        assert!(differences(&project, &files).unwrap().is_empty());
        fs::write(root.path().join("rust/pending/src/pending.rs"), "// two\n").unwrap();
        fs::write(root.path().join("patches/0003-gone.patch"), "").unwrap();
        let names = differences(&project, &files).unwrap();
        assert_eq!(names, [Path::new("patches/0003-gone.patch"), Path::new("rust/pending/src/pending.rs")]);
        fs::write(root.path().join("rust/pending/src/loader.rs"), "").unwrap();
        assert_eq!(differences(&project, &files).unwrap().len(), 2, "a file of ours is no copy");
        fs::write(root.path().join("rust/pending/src/gone.rs"), "").unwrap();
        let error = differences(&project, &files).unwrap_err().to_string();
        assert!(error.contains("rust/pending/src/gone.rs is in no patch"), "{error}");
    }

    #[test]
    fn a_series_without_a_cover_letter_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let git = tree(root.path());
        git.capture(["config", "--unset", "branch.series.description"]).unwrap();
        assert!(export(&git).unwrap_err().to_string().contains("no cover letter"));
    }

    #[test]
    fn a_message_that_a_mailbox_would_cut_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let git = tree(root.path());
        git.capture(["commit", "-q", "--amend", "-m", "module: two", "-m", "One.\nFrom there on, two."])
            .unwrap();
        let error = export(&git).unwrap_err().to_string();
        assert!(error.starts_with("patches/0002-module-two.patch: ") && error.contains("From "), "{error}");
    }
}
