// SPDX-License-Identifier: GPL-2.0
//! `build`: the kernels of kernels.toml, and beside each a stage folder with what
//! its guests need.

pub mod stage;
mod warnings;

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use self::warnings::no_warning;
use crate::kernels::matrix::{self, Arch, SCALE, SUITES, VNG};
use crate::kernels::{configs, initramfs, kbuild, kconfig::Fragments, twin};
use crate::series::{patches, tree::Tree};
use crate::system::{deps, files, git::Git, project::Project, tools::Tools, ui::Step};

/// Says in a build folder for which series and configuration no compiler has warned. Of a
/// build that has come to its end.
const JUDGED: &str = "no-warnings";

/// A built kernel.
pub struct Kernel {
    pub arch: Arch,
    /// The variant.
    pub name: String,
    /// Where it was built.
    pub obj: PathBuf,
    pub image: PathBuf,
    /// Modules and programs for the guest.
    pub stage: PathBuf,
    pub compilers: String,
    /// Whether all of it was built just now.
    pub is_new: bool,
    pub took: Duration,
}

impl Kernel {
    /// Among all kernels.
    pub fn full_name(&self) -> String {
        format!("{}-{}", self.arch.name, self.name)
    }

    /// One that is nowhere.
    #[cfg(test)]
    pub fn for_test(arch: &str) -> Kernel {
        Kernel {
            arch: matrix::arch(arch).unwrap(),
            name: "on".to_owned(),
            obj: "/b/on".into(),
            image: "/b/on/image".into(),
            stage: "/b/on-guest".into(),
            compilers: String::new(),
            is_new: false,
            took: Duration::ZERO,
        }
    }
}

/// Builds what is not built of an architecture; its kernels by variant.
pub fn ensure(
    project: &Project,
    tools: &Tools,
    tree: &Tree,
    arch: &Arch,
) -> Result<BTreeMap<String, Kernel>> {
    let mut kernels = BTreeMap::new();
    for variant in &arch.kernels {
        let start = Instant::now();
        let job = Job::new(project, tools, tree, arch, variant)?;
        let is_new = !job.obj.exists() && job.twin().is_none();
        job.build()?;
        let image = job.obj.join(&arch.image.1);
        let Job { obj, stage, tools, .. } = job;
        let (arch, name, compilers) = (arch.clone(), variant.clone(), tools.compilers());
        let took = start.elapsed();
        kernels.insert(name.clone(), Kernel { arch, name, obj, image, stage, compilers, is_new, took });
    }
    Ok(kernels)
}

/// Builds the kernel of a row of configs.toml.
pub fn row(project: &Project, tools: &Tools, tree: &Tree, name: &str) -> Result<Kernel> {
    let arch = matrix::of_row(name)?;
    deps::ensure_for(project, &format!("CONFIG={name}"))?;
    let mut kernels = ensure(project, tools, tree, &arch)?;
    kernels.remove(name).with_context(|| format!("no kernel {name} was built"))
}

/// A kernel to be built.
pub struct Job<'a> {
    project: &'a Project,
    /// With the compilers of this kernel.
    tools: Tools,
    tree: &'a Tree,
    arch: &'a Arch,
    variant: &'a str,
    /// Of the kernel, among all.
    name: String,
    pub obj: PathBuf,
    pub stage: PathBuf,
    /// What it is configured with: allnoconfig, or this configuration; then fragments.
    base: Option<String>,
    fragments: Fragments,
    /// The folder of the kernel that it is almost like.
    like: Option<PathBuf>,
    has_vng: bool,
}

impl<'a> Job<'a> {
    pub fn new(
        project: &'a Project,
        tools: &Tools,
        tree: &'a Tree,
        arch: &'a Arch,
        variant: &'a str,
    ) -> Result<Job<'a>> {
        let name = format!("{}-{variant}", arch.name);
        Ok(Job {
            project,
            tools: tools.with(project, &arch.compiler(variant)?, arch.cross())?,
            tree,
            arch,
            variant,
            obj: tree.build.join(&name),
            stage: tree.build.join(format!("{name}-guest")),
            has_vng: arch.has_vng() && arch.fragments(variant).iter().any(|name| name == VNG),
            base: configs::base(project, variant)?,
            fragments: Fragments::read(&project.root.join("kernel-config"), &arch.fragments(variant))?,
            like: matrix::like(variant).map(|like| tree.build.join(format!("{}-{like}", arch.name))),
            name,
        })
    }

    fn build(&self) -> Result<()> {
        if !self.obj.exists() {
            self.begin()?;
        }
        self.project.ui.step(&format!("configure {}", self.name), |step| self.configure(step))?;
        // The configuration names the compilers, too.
        let mut config = DefaultHasher::new();
        fs::read(self.obj.join(".config"))?.hash(&mut config);
        let state = format!("{} {:x}", patches::state(&Git::at(&self.tree.dir))?, config.finish());
        let quiet = self.obj.join(JUDGED);
        let is_judged = fs::read_to_string(&quiet).ok() == Some(state.clone());
        if !is_judged {
            self.forget_changed()?;
            files::empty(&self.stage)?;
        }
        self.project.ui.step(&format!("build {}", self.name), |step| {
            let output =
                step.run(self.make(&self.obj, &self.arch.kbuild).args([&self.arch.image.0, "modules"]))?;
            if !is_judged {
                no_warning(&output, &self.changed()?)?;
                fs::write(quiet, state)?;
            }
            self.modules(step)?;
            let headers = self.headers(step)?;
            let with_modprobe = [SUITES, SCALE].concat();
            if with_modprobe.contains(&self.variant) || configs::systemd(self.variant).is_some() {
                self.install(step)?;
            }
            if configs::has_policy(self.variant) {
                self.policy(step)?;
            }
            if self.has_vng {
                self.kselftest(step, &headers)?;
                self.programs(step)?;
            }
            match matrix::has_initramfs(self.variant) {
                true => initramfs::make(
                    step,
                    (&self.tools, &self.tree.dir),
                    self.arch,
                    (&self.obj, &self.stage, &headers),
                ),
                false => Ok(()),
            }
        })
    }

    /// The folder that this one begins as a copy of.
    fn twin(&self) -> Option<&PathBuf> {
        self.like.as_ref().filter(|obj| obj.join(JUDGED).exists())
    }

    /// Makes the folder. It may be a copy: kernels.toml says of which.
    fn begin(&self) -> Result<()> {
        self.project.need_space(&self.project.root, 1, "a kernel build")?;
        match self.twin() {
            Some(obj) => {
                self.project.ui.step(&format!("copy {}", self.name), |step| twin::begin(step, obj, &self.obj))
            }
            None => fs::create_dir_all(&self.obj).context("cannot make the build folder"),
        }
    }

    /// Writes the .config, and does not check that it has all that was asked for.
    pub fn write_config(&self, step: &mut Step) -> Result<()> {
        let make = self.make(&self.obj, &self.arch.kbuild);
        match &self.base {
            Some(base) => kbuild::configure_from(step, make, &self.obj, (base, &self.fragments)),
            None => kbuild::configure(step, make, &self.obj, &self.fragments),
        }
        .map(drop)
    }

    fn configure(&self, step: &mut Step) -> Result<()> {
        self.write_config(step)?;
        let checked = self.fragments.check(&fs::read_to_string(self.obj.join(".config"))?);
        if checked.is_err() {
            // Without Rust, kconfig says only what it has left out.
            kbuild::rust_available(step, self.make(&self.obj, &self.arch.kbuild))?;
        }
        checked
    }

    /// What is up to date is not compiled, and gives no warning: this removes the objects of the
    /// files that the series changes.
    fn forget_changed(&self) -> Result<()> {
        let changed = self.changed()?;
        let objects = changed.iter().map(|file| self.obj.join(file).with_extension("o"));
        objects.chain([self.obj.join("rust/kernel.o")]).try_for_each(|object| files::remove(&object))
    }

    fn changed(&self) -> Result<Vec<String>> {
        patches::changed_files(&Git::at(&self.tree.dir))
    }

    /// kbuild in a folder, for an architecture.
    pub fn make(&self, obj: &Path, arch: &str) -> Command {
        kbuild::make(self.project, &self.tools, &self.tree.dir, obj, arch)
    }
}
