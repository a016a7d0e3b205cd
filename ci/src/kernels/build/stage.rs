// SPDX-License-Identifier: GPL-2.0
//! The stage folder of a kernel: the modules and programs for its guests.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::Job;
use crate::kernels::{contract::contract, initramfs::POLICY, kconfig};
use crate::system::{child, programs, ui::Step};

impl Job<'_> {
    /// The series' own modules, and for guests of virtme-ng those of ci/modules, all in the stage
    /// folder.
    pub(super) fn modules(&self, step: &mut Step) -> Result<()> {
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
                self.strip(step, &staged)?;
                self.sign(step, &config, &staged)?;
                compress(step, &config, &staged)?;
            }
        }
        Ok(())
    }

    /// Without debugging information, as distributions install modules: with it, no image is small.
    fn strip(&self, step: &mut Step, staged: &Path) -> Result<()> {
        let mut strip = child::command(self.tools.llvm("llvm-strip"));
        step.run(strip.arg("--strip-debug").arg(staged)).map(drop)
    }

    /// A signed copy beside a module, if the kernel has a key; in its place, if the kernel
    /// takes no other.
    pub(super) fn sign(&self, step: &mut Step, config: &str, staged: &Path) -> Result<()> {
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
    pub(super) fn install(&self, step: &mut Step) -> Result<()> {
        let mut make = self.make(&self.obj, &self.arch.kbuild);
        make.arg(format!("INSTALL_MOD_PATH={}", self.stage.display())).arg("INSTALL_MOD_STRIP=1");
        step.run(make.arg("modules_install")).map(drop)
    }

    /// A policy of SELinux, in the stage folder: the one of the kernel's own scripts/selinux/mdp,
    /// which allows all, with each load of a module logged.
    pub(super) fn policy(&self, step: &mut Step) -> Result<()> {
        let at = |name| self.stage.join(name);
        let mdp = self.obj.join("scripts/selinux/mdp/mdp");
        step.run(child::command(mdp).args([at("policy.conf"), at("file_contexts")]))?;
        let text = fs::read_to_string(at("policy.conf"))?;
        fs::write(at("policy.conf"), log_loads(&text)?)?;
        step.run(programs::command("checkpolicy").arg("-o").args([at(POLICY), at("policy.conf")])).map(drop)
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
    pub(super) fn headers(&self, step: &mut Step) -> Result<PathBuf> {
        let obj = self.obj.join("user");
        step.run(self.make(&obj, &self.arch.headers).arg("headers"))?;
        Ok(obj.join("usr/include"))
    }

    /// As its own Makefile builds it, for virtme-ng's guests.
    pub(super) fn kselftest(&self, step: &mut Step, headers: &Path) -> Result<()> {
        let mut make = child::command("make");
        make.arg("-C").arg(self.tree.dir.join(contract().directory));
        make.arg(format!("OUTPUT={}", self.stage.display()));
        self.tools.give_to(&mut make);
        make.arg(format!("KHDR_INCLUDES=-isystem {}", headers.display()));
        step.run(&mut make).map(drop)
    }

    /// What runs in guests of virtme-ng, from the workspace of the series' tools.
    pub(super) fn programs(&self, step: &mut Step) -> Result<()> {
        let target = self.project.root.join("rust/target");
        let mut cargo = self.project.cargo("rust", &["build", "--release", "--locked"]);
        cargo.arg("--target-dir").arg(&target);
        let programs = ["burst", "cost", "trial"];
        step.run(cargo.args(programs.map(|name| format!("-p={name}"))))?;
        let stage = |name| copy_to(&self.stage, &target.join("release").join(name)).map(drop);
        programs.into_iter().try_for_each(stage)
    }
}

/// The policy with one more rule, and without capabilities: checkpolicy may be older than the
/// kernel, and not know all of them.
fn log_loads(policy: &str) -> Result<String> {
    let lines = policy.lines().filter(|line| !line.starts_with("policycap "));
    let policy: String = lines.flat_map(|line| [line, "\n"]).collect();
    let (rules, rest) = policy.split_once("user user_u").context("mdp made a policy without a user")?;
    Ok(format!("{rules}auditallow base_t base_t:system module_load;\nuser user_u{rest}"))
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
    use super::*;
    use crate::system::ui::Ui;

    #[test]
    fn a_policy_logs_each_load() {
        let policy =
            log_loads("policycap new;\nallow base_t base_t:key { view };\nuser user_u roles { base_r };\n")
                .unwrap();
        let rules: Vec<_> = policy.lines().collect();
        assert_eq!(rules[1], "auditallow base_t base_t:system module_load;");
        assert_eq!(rules[2], "user user_u roles { base_r };");
        assert!(log_loads("allow all\n").is_err());
    }

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
}
