// SPDX-License-Identifier: GPL-2.0
//! The series in its two forms: commits in a kernel tree, files in `patches/`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{bail, Context, Result};
use serde::Deserialize;

use crate::system::child;
use crate::system::git::{Git, BASE};
use crate::system::project::{data, Project};
use crate::system::ui::Step;

const COVER: &str = "0000-cover-letter.patch";
/// The branch of a work tree that is thrown away.
pub const SCRATCH: &str = "patches";
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
    data("series.toml", include_str!("../../series.toml"))
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

/// The patches in order, without the cover letter.
pub fn patch_files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = numbered(dir)?;
    files.retain(|path| !is_cover(path));
    if files.is_empty() {
        bail!("{} has no patches: restore them with git", dir.display());
    }
    Ok(files)
}

pub fn is_cover(path: &Path) -> bool {
    path.ends_with(COVER)
}

/// The files of the tree that the series changes or adds.
pub fn changed_files(git: &Git) -> Result<Vec<String>> {
    let files = git.capture(["diff", "--name-only", BASE, "HEAD"])?;
    Ok(files.lines().map(str::to_owned).collect())
}

/// Changes whenever a file of the tree does.
pub fn state(git: &Git) -> Result<String> {
    let uncommitted = git.capture(["stash", "create"])?;
    Ok(format!("{} {uncommitted}", git.capture(["rev-parse", "HEAD^{tree}"])?).trim_end().to_owned())
}

/// Changes whenever a file of `patches/` does.
pub fn digest(git: &Git, dir: &Path) -> Result<String> {
    let names: Vec<_> = numbered(dir)?.iter().map(|p| p.to_string_lossy().into_owned()).collect();
    git.capture(["hash-object", "--no-filters"].into_iter().chain(names.iter().map(String::as_str)))
}

fn numbered(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = vec![];
    for entry in fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".patch") && name.starts_with(|c: char| c.is_ascii_digit()) {
            files.push(dir.join(name));
        }
    }
    files.sort();
    Ok(files)
}

/// Commits `patches/` on the current branch, cover letter in its description.
/// The caller throws the tree away, or resets it, when this fails.
pub fn apply(step: &mut Step, git: &Git, dir: &Path) -> Result<()> {
    let files = patch_files(dir)?;
    let names: Vec<_> = files.iter().map(|f| f.to_string_lossy().into_owned()).collect();
    let options = ["am", "--quiet", "--committer-date-is-author-date", "--no-gpg-sign"];
    let words = options.into_iter().chain(names.iter().map(String::as_str));
    if let Err(error) = step.run(&mut git.cmd(words)) {
        child::fail_if_interrupted()?;
        let patch = files.get(git.series_length()?).and_then(|f| f.file_name()).unwrap_or_default();
        bail!("patches/{} does not apply: {error}", patch.to_string_lossy());
    }
    describe(git, dir, &files)
}

/// Applies it to the base in a work tree without files, where only the commits are wanted.
pub fn apply_without_files(step: &mut Step, git: &Git, base: &str, dir: &Path) -> Result<Vec<String>> {
    let scratch = tempfile::tempdir()?;
    let path = scratch.path().to_string_lossy().into_owned();
    // Of one that was interrupted.
    git.capture(["worktree", "prune"])?;
    git.capture(["worktree", "add", "--force", "--no-checkout", "-B", SCRATCH, &path, base])?;
    let am = Git::at(scratch.path());
    am.capture(["read-tree", "HEAD"])?;
    apply(step, &am, dir)?;
    let commits = am.capture(["rev-list", "--reverse", &format!("{base}..HEAD")])?;
    Ok(commits.lines().map(str::to_owned).collect())
}

/// The cover letter becomes the description of the branch.
pub fn describe(git: &Git, dir: &Path, patches: &[PathBuf]) -> Result<()> {
    if let Some(text) = description(&dir.join(COVER), patches)? {
        set_letter(git, &text)?;
    }
    Ok(())
}

/// Where git keeps the cover letter.
fn letter_key(git: &Git) -> Result<String> {
    let branch = git.branch()?;
    Ok(format!("branch.{branch}.description"))
}

/// The cover letter, from the description of the branch; empty if there is none.
pub fn letter(git: &Git) -> Result<String> {
    git.capture(["config", "--default", "", "--get", &letter_key(git)?])
}

pub fn set_letter(git: &Git, text: &str) -> Result<()> {
    git.capture(["config", &letter_key(git)?, text]).map(drop)
}

/// Subject and body of the cover letter, up to the shortlog that git generates.
fn description(cover: &Path, patches: &[PathBuf]) -> Result<Option<String>> {
    if !cover.exists() {
        return Ok(None);
    }
    let (subject, _, body) = mailinfo(cover)?;
    let mut authors = vec![];
    for patch in patches {
        authors.push(mailinfo(patch)?.1);
    }
    let own = body.lines().take_while(|line| !opens_shortlog(line, &authors));
    let own: Vec<&str> = own.collect();
    Ok(Some(format!("{subject}\n\n{}\n", own.join("\n").trim())))
}

/// `Author Name (3):`
fn opens_shortlog(line: &str, authors: &[String]) -> bool {
    let count = |rest: &str| {
        let digits = rest.strip_prefix(" (").and_then(|r| r.strip_suffix("):"));
        digits.is_some_and(|d| d.parse::<u32>().is_ok())
    };
    authors.iter().any(|a| line.strip_prefix(a.as_str()).is_some_and(count))
}

/// Subject, author and message of a mail.
fn mailinfo(mail: &Path) -> Result<(String, String, String)> {
    let scratch = tempfile::tempdir()?;
    let message = scratch.path().join("message");
    let mut cmd = Git::at(scratch.path()).cmd(["mailinfo", "message", "patch"]);
    let output = cmd.stdin(File::open(mail)?).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let field = |name: &str| {
        let value = text.lines().find_map(|l| l.strip_prefix(name));
        value.map(str::to_owned).with_context(|| format!("{} is not a patch mail", mail.display()))
    };
    Ok((field("Subject: ")?, field("Author: ")?, fs::read_to_string(message)?))
}

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
pub mod tests {
    use super::*;
    use crate::system::ui::Ui;

    const COVER_TEXT: &str =
        "module: a subject that is long enough to be folded in the header of a mail, for sure\n\n\
                              Body.\n * not a shortlog (2):\n\nEnd.\n";

    /// A tree with two commits on its base, in a project's folder.
    pub fn tree(root: &Path) -> Git {
        let git = Git::at(root.join("linux"));
        fs::create_dir_all(git.dir.join("kernel/module")).unwrap();
        let commit = |file: &str, text: &str, message: &str| {
            fs::write(git.dir.join(file), text).unwrap();
            git.capture(["add", "-A"]).unwrap();
            let mut cmd = git.cmd(["commit", "-q", "-m", message]);
            child::capture(
                cmd.env("GIT_AUTHOR_NAME", "Ada Bücher").env("GIT_AUTHOR_EMAIL", "ada@example.org"),
            )
            .unwrap();
        };
        git.capture(["init", "-q", "-b", "series"]).unwrap();
        commit("kernel/module/main.c", "int a;\n", "base");
        git.capture(["tag", "base"]).unwrap();
        // A branch of the same name must not be taken for it.
        git.capture(["branch", "base"]).unwrap();
        commit("kernel/module/pending.rs", "// one\n", "module: one");
        commit("kernel/module/main.c", "int a;\nint b;\n", "module: two");
        git.capture(["config", "branch.series.description", COVER_TEXT]).unwrap();
        git
    }

    fn project(root: &Path) -> Project {
        crate::system::project::for_test(root)
    }

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

    pub fn save(root: &Path, files: &Files) {
        for (name, content) in files {
            fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
            fs::write(root.join(name), content).unwrap();
        }
    }

    /// The base alone, in a clone.
    pub fn fresh(root: &Path) -> Git {
        let git = Git::at(root.join("fresh"));
        let _ = fs::remove_dir_all(&git.dir);
        Git::at(root).capture(["clone", "-q", "linux", "fresh"]).unwrap();
        git.capture(["checkout", "-q", "-B", "series", "refs/tags/base"]).unwrap();
        git
    }

    fn apply_to_base(root: &Path) -> (Git, Result<()>) {
        let git = fresh(root);
        let ui = Ui::new(false, root.join("log"));
        let result = ui.step("apply", |step| apply(step, &git, &root.join("patches")));
        (git, result)
    }

    #[test]
    fn commits_to_patches_to_commits_is_the_same() {
        let root = tempfile::tempdir().unwrap();
        let git = tree(root.path());
        let files = export(&git).unwrap();
        assert_eq!(files, export(&git).unwrap(), "two runs differ");
        assert_eq!(files[Path::new("rust/pending/src/pending.rs")], b"// one\n");
        assert_eq!(files.len(), 4);
        let patch = &files[Path::new("patches/0001-module-one.patch")];
        assert!(patch.starts_with(b"From 0000000000"), "the id of a commit is in its patch");
        save(root.path(), &files);
        let (fresh, result) = apply_to_base(root.path());
        result.unwrap();
        assert_eq!(export(&fresh).unwrap(), files);
        let text = fresh.capture(["config", "branch.series.description"]).unwrap();
        assert_eq!(text, COVER_TEXT.trim_end());
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
    fn a_patch_that_does_not_apply_is_named() {
        let root = tempfile::tempdir().unwrap();
        let files = export(&tree(root.path())).unwrap();
        save(root.path(), &files);
        let broken = root.path().join("patches/0002-module-two.patch");
        let text = fs::read_to_string(&broken).unwrap().replace(" int a;", " int c;");
        fs::write(broken, text).unwrap();
        let error = apply_to_base(root.path()).1.unwrap_err().to_string();
        assert!(error.contains("patches/0002-module-two.patch does not apply"), "{error}");
        assert!(error.contains("kernel/module/main.c"), "{error}");
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
