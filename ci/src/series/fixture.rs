// SPDX-License-Identifier: GPL-2.0
//! A series for tests.

use std::fs;
use std::path::Path;

use crate::series::export::Files;
use crate::system::{child, git::Git};

pub const COVER_TEXT: &str =
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
        child::capture(cmd.env("GIT_AUTHOR_NAME", "Ada Bücher").env("GIT_AUTHOR_EMAIL", "ada@example.org"))
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
