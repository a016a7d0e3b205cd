// SPDX-License-Identifier: GPL-2.0
//! The kernels that bench compares, all from one repository.

use std::fs;

use anyhow::{bail, Context, Result};

use super::compile;
use crate::kernels::build::{self, Kernel};
use crate::kernels::matrix::{self, Arch, COMPARED};
use crate::results::bench::plan::Plan;
use crate::series::tree::Tree;
use crate::system::git::{Git, BASE};
use crate::system::{project::Project, tools::Tools};

pub struct Kernels {
    pub arch: Arch,
    /// Only a tree: nothing of it is booted.
    pub base: Tree,
    /// By label, in order.
    pub booted: Vec<(&'static str, Kernel)>,
}

impl Kernels {
    pub fn build(project: &Project, tools: &Tools, tree: &Tree, plan: &Plan) -> Result<Kernels> {
        let Some(arch) = matrix::chosen(&project.opts)?.0.into_iter().find(|arch| arch.is_compared()) else {
            bail!("bench compares kernels without and with the option: leave ARCH out");
        };
        let [off, on] = COMPARED;
        let arch = arch.with_kernels(&COMPARED);
        let mut booted = vec![];
        for (label, variant, tree) in [
            (off, off, Some(tree.clone())),
            ("part", on, part_of(project, tree, &plan.part)?),
            (on, on, Some(tree.clone())),
        ] {
            let Some(tree) = tree else { continue };
            let mut built = build::ensure(project, tools, &tree, &arch.with_kernels(&[variant]))?;
            let kernel = built.remove(variant).context("no kernel was built")?;
            compile::modules((project, tools), &tree, &kernel)?;
            booted.push((label, kernel));
        }
        let base = worktree(project, tree, "base", &commit_of(tree, &plan.base)?)?;
        Ok(Kernels { arch, base, booted })
    }

    pub fn on(&self) -> &Kernel {
        &self.booted[self.booted.len() - 1].1
    }
}

/// The series up to a patch; nothing if that is its last one.
fn part_of(project: &Project, tree: &Tree, last: &str) -> Result<Option<Tree>> {
    let commit = commit_of(tree, last)?;
    match Git::at(&tree.dir).head()? == commit {
        true => Ok(None),
        false => worktree(project, tree, "part", &commit).map(Some),
    }
}

/// The patch of that subject.
fn commit_of(tree: &Tree, subject: &str) -> Result<String> {
    let log = Git::at(&tree.dir).capture(["log", "--format=%H %s", &format!("{BASE}..HEAD")])?;
    let mut commits = log.lines().filter_map(|line| line.split_once(' '));
    let found = commits.find(|(_, known)| *known == subject);
    let (commit, _) = found.with_context(|| format!("ci/bench.toml: the series has no patch {subject:?}"))?;
    Ok(commit.to_owned())
}

/// A second work tree of the repository, at `commit`.
fn worktree(project: &Project, tree: &Tree, name: &str, commit: &str) -> Result<Tree> {
    let dir = tree.build.join(format!("bench-{name}"));
    let git = Git::at(&dir);
    if !dir.exists() {
        project.need_space(&project.root, 3, "a kernel tree")?;
        fs::create_dir_all(&tree.build)?;
        project.ui.step(&format!("check out bench-{name}"), |step| {
            let path = dir.to_str().context("a path is not UTF-8")?;
            let main = Git::at(&tree.dir);
            step.run(&mut main.cmd(["worktree", "prune"]))?;
            step.run(&mut main.cmd(["worktree", "add", "--quiet", "--detach", path, commit])).map(drop)
        })?;
    }
    if git.head()? != commit {
        git.capture(["checkout", "--quiet", "--detach", commit])?;
    }
    Ok(Tree { dir, build: tree.build.join(format!("bench-{name}-build")) })
}
