// SPDX-License-Identifier: GPL-2.0
//! The series in its two forms: commits in a kernel tree, files in `patches/`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{bail, Context, Result};

use crate::system::git::{Git, BASE};
use crate::system::{child, ui::Step};

pub const COVER: &str = "0000-cover-letter.patch";
/// The branch of a work tree that is thrown away.
pub const SCRATCH: &str = "patches";

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

/// Changes whenever a patch or the cover letter does.
pub fn digest(git: &Git, dir: &Path) -> Result<String> {
    hash(git, &numbered(dir)?)
}

/// Changes whenever a patch does.
pub fn digest_without_letter(git: &Git, dir: &Path) -> Result<String> {
    hash(git, &patch_files(dir)?)
}

fn hash(git: &Git, files: &[PathBuf]) -> Result<String> {
    let digest = child::capture(git.cmd(["hash-object", "--no-filters"]).args(files))?;
    Ok(digest.trim_end().to_owned())
}

/// The patches in order, after the cover letter.
pub fn numbered(dir: &Path) -> Result<Vec<PathBuf>> {
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
    let options = ["am", "--quiet", "--committer-date-is-author-date", "--no-gpg-sign"];
    if let Err(error) = step.run(git.cmd(options).args(&files)) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::export::export;
    use crate::series::fixture::{fresh, save, tree, COVER_TEXT};
    use crate::system::ui::Ui;

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
}
