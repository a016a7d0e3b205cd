// SPDX-License-Identifier: GPL-2.0
//! `build`: the kernels of kernels.toml, and beside each a stage folder with what
//! its guest needs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::child;
use crate::deps::Tools;
use crate::kconfig::Fragments;
use crate::kselftest;
use crate::project::{data, Project};
use crate::tree::Tree;
use crate::ui::Step;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Matrix {
    arch: BTreeMap<String, Arch>,
    kernel: BTreeMap<String, Variant>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arch {
    image: String,
    fragments: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Variant {
    fragments: Vec<String>,
}

fn matrix() -> Matrix {
    data("kernels.toml", include_str!("../kernels.toml"))
}

/// What ARCH= may be.
pub fn architectures() -> Vec<String> {
    matrix().arch.into_keys().collect()
}

/// What KERNEL= may be.
pub fn kernels() -> Vec<String> {
    matrix().kernel.into_keys().collect()
}

/// A built kernel.
pub struct Kernel {
    pub name: String,
    pub image: PathBuf,
    /// Modules and programs for the guest.
    pub stage: PathBuf,
}

/// Builds what is not built; the kernels by name.
pub fn ensure(project: &Project, tools: &Tools, tree: &Tree) -> Result<BTreeMap<String, Kernel>> {
    let matrix = matrix();
    let arch = &matrix.arch[&project.opts.arch];
    let burst = burst(project)?;
    let mut kernels = BTreeMap::new();
    for (name, variant) in &matrix.kernel {
        let names = [arch.fragments.as_slice(), &variant.fragments].concat();
        let job = Job {
            project,
            tools,
            tree,
            name,
            obj: tree.build.join(name),
            stage: tree.build.join(format!("{name}-guest")),
            fragments: Fragments::read(&project.root.join("kernel-config"), &names)?,
        };
        job.build()?;
        fs::copy(&burst, job.stage.join("burst")).context("cannot stage burst")?;
        let image = job.obj.join(&arch.image);
        kernels.insert(name.clone(), Kernel { name: name.clone(), image, stage: job.stage });
    }
    Ok(kernels)
}

/// The burst generator, from the workspace of the series' tools.
fn burst(project: &Project) -> Result<PathBuf> {
    let target = project.root.join("rust/target");
    project.ui.step("build burst", |step| {
        let mut cargo = child::command("cargo");
        cargo.args(["build", "--release", "--locked", "-p", "burst", "--manifest-path"]);
        cargo.arg(project.root.join("rust/Cargo.toml")).arg("--target-dir").arg(&target);
        step.run(&mut cargo)
    })?;
    Ok(target.join("release/burst"))
}

struct Job<'a> {
    project: &'a Project,
    tools: &'a Tools,
    tree: &'a Tree,
    name: &'a str,
    obj: PathBuf,
    stage: PathBuf,
    fragments: Fragments,
}

impl Job<'_> {
    fn build(&self) -> Result<()> {
        if !self.obj.exists() {
            self.project.need_space(&self.project.root, 3, "a kernel build")?;
            self.start_from_another()?;
        }
        self.project.ui.step(&format!("configure {}", self.name), |step| self.configure(step))?;
        self.project.ui.step(&format!("build {}", self.name), |step| {
            step.run(self.make().args(["bzImage", "modules", "headers"]))?;
            self.modules(step)?;
            self.kselftest(step)
        })
    }

    /// The kernels differ in a few options: the objects of one save most of the work
    /// for the next.
    fn start_from_another(&self) -> Result<()> {
        fs::create_dir_all(&self.tree.build).context("cannot make build/")?;
        let other = fs::read_dir(&self.tree.build)?.filter_map(|e| Some(e.ok()?.path()));
        let Some(other) = other.into_iter().find(|dir| dir.join("vmlinux").exists()) else {
            return Ok(fs::create_dir(&self.obj)?);
        };
        let part = tempfile::Builder::new().prefix(".part-").tempdir_in(&self.tree.build)?;
        self.project.ui.step(&format!("copy objects for {}", self.name), |step| {
            let mut cp = child::command("cp");
            step.run(cp.args(["-a", "--reflink=auto"]).arg(other).arg(part.path().join("obj")))
        })?;
        fs::rename(part.path().join("obj"), &self.obj).context("cannot move the objects")
    }

    fn configure(&self, step: &mut Step) -> Result<()> {
        let wanted = self.obj.join("wanted.config");
        fs::write(&wanted, self.fragments.text())?;
        step.run(self.make().env("KCONFIG_ALLCONFIG", &wanted).arg("allnoconfig"))?;
        self.fragments.check(&fs::read_to_string(self.obj.join(".config"))?)
    }

    /// kbuild, with every input that could change the result named.
    fn make(&self) -> Command {
        let jobs = std::thread::available_parallelism().map_or(1, |n| n.get());
        let mut cmd = child::command("make");
        cmd.arg("-C").arg(&self.tree.dir).arg(format!("O={}", self.obj.display()));
        cmd.arg(format!("-j{jobs}")).arg(format!("ARCH={}", self.project.opts.arch));
        // Not for HOSTCC: rustc takes that as the name of its linker.
        cmd.args(["LLVM=-19", "CC=ccache clang-19"]);
        // Debian's toolchain, not the one that rustup may have put before it.
        cmd.args(["RUSTC=/usr/bin/rustc", "RUSTDOC=/usr/bin/rustdoc"]);
        cmd.args(["RUSTFMT=/usr/bin/rustfmt", "CLIPPY_DRIVER=/usr/bin/clippy-driver"]);
        cmd.arg(format!("BINDGEN={}", self.tools.bindgen_dir.join("bindgen").display()));
        cmd.env("LIBCLANG_PATH", "/usr/lib/llvm-19/lib");
        cmd.env("CCACHE_DIR", self.project.cache.join("ccache"));
        // Another clone of the project compiles the same files under another path.
        cmd.env("CCACHE_BASEDIR", &self.project.root).env("CCACHE_NOHASHDIR", "1");
        cmd.env("KBUILD_BUILD_TIMESTAMP", "@0");
        cmd.env("KBUILD_BUILD_USER", "ci").env("KBUILD_BUILD_HOST", "ci");
        cmd
    }

    /// The series' own modules and those of ci/modules, all in the stage folder.
    fn modules(&self, step: &mut Step) -> Result<()> {
        let source = self.project.root.join("ci/modules");
        let extra = self.obj.join("ci-modules");
        fs::create_dir_all(&extra)?;
        let mut make = self.make();
        make.arg(format!("M={}", source.display())).arg(format!("MO={}", extra.display()));
        step.run(make.arg("modules"))?;
        fs::create_dir_all(&self.stage)?;
        for dir in [&self.obj, &extra] {
            let order = fs::read_to_string(dir.join("modules.order"))?;
            for object in order.lines() {
                let staged = copy_to(&self.stage, &module(dir, object))?;
                // Compressed, too, with the options of scripts/Makefile.modinst.
                let options = ["--check=crc32", "--lzma2=dict=1MiB", "--keep", "--force"];
                step.run(child::command("xz").args(options).arg(staged))?;
            }
        }
        Ok(())
    }

    fn kselftest(&self, step: &mut Step) -> Result<()> {
        let headers = self.obj.join("usr/include");
        let mut make = child::command("make");
        make.arg("-C").arg(self.tree.dir.join(kselftest::contract().directory));
        make.arg(format!("OUTPUT={}", self.stage.display())).arg("LLVM=-19");
        make.arg(format!("KHDR_INCLUDES=-isystem {}", headers.display()));
        step.run(&mut make).map(drop)
    }
}

/// modules.order lists objects, relative to the build folder or absolute.
fn module(dir: &Path, object: &str) -> PathBuf {
    dir.join(object).with_extension("ko")
}

fn copy_to(dir: &Path, file: &Path) -> Result<PathBuf> {
    let copy = dir.join(file.file_name().context("a file without a name")?);
    fs::copy(file, &copy).with_context(|| format!("cannot stage {}", file.display()))?;
    Ok(copy)
}
