// SPDX-License-Identifier: GPL-2.0
//! What the series has passed, before it may be sent.

use std::fs;

use anyhow::{bail, Context, Result};

use crate::series::{export, patches};
use crate::system::{git::Git, project::Project};

/// The commit that all tests have passed on. Its id stands for the messages, too.
pub const TESTED: &str = "build/series.tested";
/// What the patches were when each of them has passed its checks. None is of the letter.
pub const CHECKED: &str = "build/series.checked";

/// Notes what has passed.
pub fn mark(project: &Project, stamp: &str, passed: &str) -> Result<()> {
    fs::write(project.root.join(stamp), passed).with_context(|| format!("cannot write {stamp}"))
}

pub fn fail_unless_checked(project: &Project, git: &Git) -> Result<()> {
    if !export::differences(project, &export::export(git)?)?.is_empty() {
        bail!("patches/ differs from linux/: run make patches first");
    }
    let passed = fs::read_to_string(project.root.join(CHECKED)).unwrap_or_default();
    if passed != patches::digest_without_letter(git, &project.patches())? {
        bail!("the patches have not passed their checks: run make check-series first");
    }
    Ok(())
}

pub fn fail_unless_tested(project: &Project, git: &Git) -> Result<()> {
    let passed = fs::read_to_string(project.root.join(TESTED)).unwrap_or_default();
    if passed.trim() != git.head()? {
        bail!("the tests have not passed on what is in linux/: run make test first");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::fixture::{save, tree};
    use crate::system::project::for_test;

    #[test]
    fn what_has_not_been_tested_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let project = for_test(root.path());
        let git = tree(root.path());
        let refused = || fail_unless_tested(&project, &git).unwrap_err().to_string();
        assert!(refused().contains("run make test first"));
        fs::create_dir(root.path().join("build")).unwrap();
        mark(&project, TESTED, &git.head().unwrap()).unwrap();
        fail_unless_tested(&project, &git).unwrap();
        git.capture(["commit", "-q", "--amend", "-m", "another message"]).unwrap();
        assert!(refused().contains("run make test first"));
    }

    #[test]
    fn what_has_not_been_checked_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let project = for_test(root.path());
        let git = tree(root.path());
        save(root.path(), &export::export(&git).unwrap());
        let refused = || fail_unless_checked(&project, &git).unwrap_err().to_string();
        assert!(refused().contains("run make check-series first"));
        fs::create_dir(root.path().join("build")).unwrap();
        let digest = patches::digest_without_letter(&git, &project.patches()).unwrap();
        mark(&project, CHECKED, &digest).unwrap();
        fail_unless_checked(&project, &git).unwrap();
        // No check reads the letter.
        patches::set_letter(&git, "another letter").unwrap();
        save(root.path(), &export::export(&git).unwrap());
        fail_unless_checked(&project, &git).unwrap();
        fs::write(root.path().join("patches/0002-module-two.patch"), "another").unwrap();
        assert!(refused().contains("run make patches first"));
        git.capture(["commit", "-q", "--amend", "-m", "module: two\n\nAnother message."]).unwrap();
        save(root.path(), &export::export(&git).unwrap());
        assert!(refused().contains("run make check-series first"));
    }
}
