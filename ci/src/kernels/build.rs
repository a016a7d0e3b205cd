// SPDX-License-Identifier: GPL-2.0
//! `build`: the kernels of kernels.toml, and beside each a stage folder with what
//! its guests need.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{bail, Context, Result};

use crate::kernels::configs;
use crate::kernels::initramfs;
use crate::kernels::kbuild;
use crate::kernels::kconfig::{self, Fragments};
use crate::kernels::matrix::{self, Arch, SCALE, SUITES, VNG};
use crate::kernels::twin;
use crate::results::kselftest;
use crate::series::patches;
use crate::series::tree::Tree;
use crate::system::child;
use crate::system::deps::Tools;
use crate::system::git::Git;
use crate::system::project::Project;
use crate::system::ui::Step;

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
        let is_new = !job.obj.exists();
        job.build()?;
        let image = job.obj.join(&arch.image.1);
        let Job { obj, stage, .. } = job;
        let (arch, name, compilers) = (arch.clone(), variant.clone(), tools.compilers());
        let took = start.elapsed();
        kernels.insert(name.clone(), Kernel { arch, name, obj, image, stage, compilers, is_new, took });
    }
    Ok(kernels)
}

/// A kernel to be built.
pub struct Job<'a> {
    project: &'a Project,
    tools: &'a Tools,
    tree: &'a Tree,
    arch: &'a Arch,
    /// Of the kernel, among all.
    name: String,
    pub obj: PathBuf,
    pub stage: PathBuf,
    /// What it is configured with: allnoconfig, or this configuration; then fragments.
    base: Option<String>,
    fragments: Fragments,
    /// The folder of the kernel that it is almost like.
    like: Option<PathBuf>,
    has_initramfs: bool,
    has_modprobe: bool,
    has_vng: bool,
}

impl<'a> Job<'a> {
    pub fn new(
        project: &'a Project,
        tools: &'a Tools,
        tree: &'a Tree,
        arch: &'a Arch,
        variant: &str,
    ) -> Result<Job<'a>> {
        let name = format!("{}-{variant}", arch.name);
        Ok(Job {
            project,
            tools,
            tree,
            arch,
            obj: tree.build.join(&name),
            stage: tree.build.join(format!("{name}-guest")),
            has_initramfs: matrix::has_initramfs(variant),
            has_modprobe: SUITES.contains(&variant) || SCALE.contains(&variant),
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
            self.project.ui.step(&format!("W=1 {}", self.name), |step| self.warnings(step))?;
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
            if self.has_modprobe {
                self.install(step)?;
            }
            if self.has_vng {
                self.kselftest(step, &headers)?;
                self.programs(step)?;
            }
            match self.has_initramfs {
                true => initramfs::make(
                    step,
                    (self.tools, &self.tree.dir),
                    self.arch,
                    (&self.obj, &self.stage, &headers),
                ),
                false => Ok(()),
            }
        })
    }

    /// Makes the folder. It may be a copy: kernels.toml says of which.
    fn begin(&self) -> Result<()> {
        self.project.need_space(&self.project.root, 1, "a kernel build")?;
        match self.like.as_ref().filter(|obj| obj.join(JUDGED).exists()) {
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

    /// Fails on a warning in a C file that the series changes. Without Rust, to which W=1
    /// makes no difference: its bindings would be made twice, with W=1 and without.
    fn warnings(&self, step: &mut Step) -> Result<()> {
        let objects = self.objects()?;
        // What is up to date is not compiled, and gives no warning.
        for object in objects.iter().map(String::as_str).chain(["rust/kernel.o"]) {
            let _ = fs::remove_file(self.obj.join(object));
        }
        let (rust, c): (Vec<_>, Vec<_>) = objects.into_iter().partition(|object| self.is_rust(object));
        step.note(format!("{} files in C, {} in Rust later", c.len(), rust.len()));
        let output =
            step.run(self.make(&self.obj, &self.arch.kbuild).args(["W=1", "CONFIG_RUST="]).args(c))?;
        no_warning(&output, &self.changed()?)
    }

    fn changed(&self) -> Result<Vec<String>> {
        patches::changed_files(&Git::at(&self.tree.dir))
    }

    /// What this configuration compiles of the loader's and its tests' files that the series
    /// changes.
    fn objects(&self) -> Result<Vec<String>> {
        let mut objects = vec![];
        for file in
            self.changed()?.iter().filter(|file| !file.starts_with("tools/") && !file.starts_with("rust/"))
        {
            let Some(object) = file.strip_suffix(".c").or(file.strip_suffix(".rs")) else { continue };
            let object = format!("{object}.o");
            let (folder, name) = object.rsplit_once('/').context("a source file at the top")?;
            let makefile = self.tree.dir.join(folder).join("Makefile");
            if compiled(&makefile, &self.obj.join(".config"))?.split_whitespace().any(|word| word == name) {
                objects.push(object);
            }
        }
        Ok(objects)
    }

    fn is_rust(&self, object: &str) -> bool {
        self.tree.dir.join(object).with_extension("rs").exists()
    }

    /// kbuild in a folder, for an architecture.
    pub fn make(&self, obj: &Path, arch: &str) -> Command {
        kbuild::make(self.project, self.tools, &self.tree.dir, obj, arch)
    }

    /// The series' own modules, and for guests of virtme-ng those of ci/modules, all in the stage
    /// folder.
    fn modules(&self, step: &mut Step) -> Result<()> {
        let config = fs::read_to_string(self.obj.join(".config"))?;
        fs::create_dir_all(&self.stage)?;
        let mut dirs = vec![self.obj.clone()];
        if self.has_vng {
            dirs.push(self.external(step, "")?);
        }
        for dir in &dirs {
            let order = fs::read_to_string(dir.join("modules.order"))?;
            for object in order.lines() {
                let staged = copy_to(&self.stage, &module(dir, object))?;
                self.sign(step, &config, &staged)?;
                compress(step, &config, &staged)?;
            }
        }
        Ok(())
    }

    /// A signed copy beside a module, if the kernel has a key; in its place, if the kernel
    /// takes no other.
    fn sign(&self, step: &mut Step, config: &str, staged: &Path) -> Result<()> {
        let at = |name| self.obj.join(name);
        if !at("certs/signing_key.pem").exists() {
            return Ok(());
        }
        let (key, certificate) = (at("certs/signing_key.pem"), at("certs/signing_key.x509"));
        let signed = staged.with_extension("ko.signed");
        let mut sign = child::command(at("scripts/sign-file"));
        step.run(sign.arg("sha256").args([key, certificate]).arg(staged).arg(&signed))?;
        match kconfig::is_on(config, "MODULE_SIG_FORCE") {
            true => fs::rename(signed, staged).context("cannot put the signed module in place"),
            false => Ok(()),
        }
    }

    /// The modules once more, as modprobe wants them.
    fn install(&self, step: &mut Step) -> Result<()> {
        let mut make = self.make(&self.obj, &self.arch.kbuild);
        make.arg(format!("INSTALL_MOD_PATH={}", self.stage.display())).arg("INSTALL_MOD_STRIP=1");
        step.run(make.arg("modules_install")).map(drop)
    }

    /// Builds the modules of a folder of ci/modules; where.
    pub fn external(&self, step: &mut Step, folder: &str) -> Result<PathBuf> {
        let source = self.project.root.join("ci/modules").join(folder);
        let extra = self.obj.join("ci-modules").join(folder);
        fs::create_dir_all(&extra)?;
        let mut make = self.make(&self.obj, &self.arch.kbuild);
        make.arg(format!("M={}", source.display())).arg(format!("MO={}", extra.display()));
        step.run(make.arg("modules"))?;
        Ok(extra)
    }

    /// The kernel's headers for programs of the guest: of another folder, because
    /// user-mode Linux has none of its own.
    fn headers(&self, step: &mut Step) -> Result<PathBuf> {
        let obj = self.obj.join("user");
        step.run(self.make(&obj, &self.arch.headers).arg("headers"))?;
        Ok(obj.join("usr/include"))
    }

    /// As its own Makefile builds it, for virtme-ng's guests.
    fn kselftest(&self, step: &mut Step, headers: &Path) -> Result<()> {
        let mut make = child::command("make");
        make.arg("-C").arg(self.tree.dir.join(kselftest::contract().directory));
        make.arg(format!("OUTPUT={}", self.stage.display()));
        self.tools.give_to(&mut make);
        make.arg(format!("KHDR_INCLUDES=-isystem {}", headers.display()));
        step.run(&mut make).map(drop)
    }

    /// What runs in guests of virtme-ng, from the workspace of the series' tools.
    fn programs(&self, step: &mut Step) -> Result<()> {
        let target = self.project.root.join("rust/target");
        let mut cargo = child::command("cargo");
        cargo.args(["build", "--release", "--locked", "--manifest-path"]);
        cargo.arg(self.project.root.join("rust/Cargo.toml")).arg("--target-dir").arg(&target);
        let programs = ["burst", "cost", "trial"];
        step.run(cargo.args(programs.map(|name| format!("-p={name}"))))?;
        let stage = |name| copy_to(&self.stage, &target.join("release").join(name)).map(drop);
        programs.into_iter().try_for_each(stage)
    }
}

/// Compresses a module, beside it, as the kernel can decompress it.
fn compress(step: &mut Step, config: &str, module: &Path) -> Result<()> {
    const FORMATS: [(&str, &str, &[&str]); 3] = [
        // The options of scripts/Makefile.modinst.
        ("MODULE_COMPRESS_XZ", "xz", &["--check=crc32", "--lzma2=dict=1MiB"]),
        ("MODULE_COMPRESS_ZSTD", "zstd", &["--quiet"]),
        ("MODULE_COMPRESS_GZIP", "gzip", &["-n"]),
    ];
    for (_, program, options) in FORMATS.iter().filter(|(option, ..)| kconfig::is_on(config, option)) {
        step.run(child::command(program).args(*options).args(["--keep", "--force"]).arg(module))?;
    }
    Ok(())
}

/// The objects that a configuration compiles in a folder, and what those are made of: its
/// Makefile says it, to make.
fn compiled(makefile: &Path, config: &Path) -> Result<String> {
    let rules = tempfile::NamedTempFile::new()?;
    let text = format!(
        "include {}\ninclude {}\n.PHONY: objects\n.DEFAULT_GOAL := objects\nobjects:\n\t@echo \
         $(foreach o,$(obj-y) $(obj-m) $(lib-y),$(o) $($(o:.o=-y)) $($(o:.o=-objs)))\n",
        config.display(),
        makefile.display()
    );
    fs::write(rules.path(), text)?;
    child::capture(child::command("make").args(["--silent", "--file"]).arg(rules.path()))
}

/// Fails on the first warning that a compiler gave for one of `files`. Rust's says in its
/// second line which file it is for.
fn no_warning(output: &str, files: &[String]) -> Result<()> {
    let lines: Vec<&str> = output.lines().collect();
    let is_of = |line: &&str| files.iter().any(|file| line.contains(file));
    let warned = |pair: &&[&str]| pair[0].contains("warning:") && pair.iter().any(is_of);
    match lines.windows(2).find(warned) {
        Some(pair) => bail!("{}", pair.join(" ")),
        None => Ok(()),
    }
}

/// modules.order lists objects, relative to the build folder or absolute.
pub fn module(dir: &Path, object: &str) -> PathBuf {
    dir.join(object).with_extension("ko")
}

pub fn copy_to(dir: &Path, file: &Path) -> Result<PathBuf> {
    let copy = dir.join(file.file_name().context("a file without a name")?);
    fs::copy(file, &copy).with_context(|| format!("cannot stage {}", file.display()))?;
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{compiled, compress, no_warning};
    use crate::system::ui::Ui;

    #[test]
    fn a_module_is_compressed_as_the_kernel_can_decompress_it() {
        let dir = tempfile::tempdir().unwrap();
        let module = dir.path().join("a.ko");
        fs::write(&module, "module").unwrap();
        let ui = Ui::new(false, dir.path().join("log"));
        let has = |end: &str| dir.path().join(format!("a.ko.{end}")).exists();
        for (option, end, others) in [("GZIP", "gz", ["xz", "zst"]), ("ZSTD", "zst", ["xz", "none"])] {
            let config = format!("CONFIG_MODULE_COMPRESS_{option}=y\n");
            ui.step(option, |step| compress(step, &config, &module)).unwrap();
            assert!(has(end) && !others.into_iter().any(has), "{option}");
        }
    }

    #[test]
    fn what_is_compiled_is_up_to_the_configuration() {
        let dir = tempfile::tempdir().unwrap();
        let [makefile, config] = ["Makefile", "config"].map(|name| dir.path().join(name));
        let text = "obj-y = fork.o exec.o\nobj-$(CONFIG_A) += a.o b.o\nb-y := part.o\n\
                    ifdef CONFIG_A\nobj-y += with.o\nelse\nobj-y += without.o\nendif\n\
                    $(obj)/gen_%.c: FORCE\n\t$(call if_changed,gen)\n";
        fs::write(&makefile, text).unwrap();
        let objects = |options: &str| {
            fs::write(&config, options).unwrap();
            compiled(&makefile, &config).unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(objects("# CONFIG_A is not set\n"), "fork.o exec.o without.o");
        assert_eq!(objects("CONFIG_A=y\n"), "fork.o exec.o a.o b.o part.o with.o");
        assert_eq!(objects("CONFIG_A=m\n"), "fork.o exec.o with.o a.o b.o part.o");
    }

    #[test]
    fn only_warnings_of_the_series_count() {
        let files = ["kernel/module/main.c".to_owned(), "kernel/module/pending.rs".to_owned()];
        let judged = |output: &str| no_warning(output, &files).map_err(|error| error.to_string());
        let c = "../kernel/module/main.c:3:4: warning: b";
        let rust = "warning: unused variable: `a`\n  --> ../kernel/module/pending.rs:1:2";
        assert!(judged("  CC main.o\n../kernel/module/kmod.c:1:2: warning: a\n  CC kmod.o\n").is_ok());
        assert!(judged(&format!("  CC main.o\n{c}\n  code\n")).unwrap_err().starts_with(c));
        assert!(judged(&format!("  RUSTC pending.o\n{rust}\n")).is_err());
    }
}
