// SPDX-License-Identifier: GPL-2.0
//! The tools that a kernel is built and booted with. Of several on the host, the first one
//! that is new enough and complete is used.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::system::programs::{self, Folders, Found, Version};
use crate::system::{child, needs::Tool, project::Project, rust};

/// What LLVM=1 has kbuild start, and the driver itself.
const LLVM: [&str; 9] = [
    "clang",
    "ld.lld",
    "llvm-ar",
    "llvm-nm",
    "llvm-objcopy",
    "llvm-objdump",
    "llvm-readelf",
    "llvm-size",
    "llvm-strip",
];
/// Releases that a distribution may have beside each other: clang-19, gcc-14, rustc-1.85.
const LLVM_RELEASES: std::ops::Range<u32> = 17..40;
const GCC_RELEASES: std::ops::Range<u32> = 8..30;
const RUST_RELEASES: std::ops::Range<u32> = 85..130;

/// The kernel's C compiler.
#[derive(Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum C {
    Clang,
    Gcc,
}

/// A Rust, of several.
#[derive(Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Rust {
    Newest,
    Oldest,
}

/// What a kernel is compiled with; configs.toml says what the fields are.
#[derive(Deserialize, Clone, Copy, Debug)]
#[serde(deny_unknown_fields)]
pub struct Compiler {
    c: C,
    rust: Rust,
}

/// All of them.
#[derive(Clone)]
pub struct Tools {
    /// Which of the next two compiles the kernel. Programs of guests are clang's.
    pub c: C,
    pub llvm: Found,
    pub gcc: Found,
    /// What the names of GCC and its binary utilities begin with: `CROSS_COMPILE=` of kbuild.
    pub cross: Option<String>,
    pub rustc: Found,
    pub bindgen: Found,
    pub vng: Found,
}

impl Tool {
    /// The name of the program, and those of its releases.
    fn programs(self) -> Vec<String> {
        let with = |name: &str, releases: std::ops::Range<u32>, before: &str| {
            let releases = releases.rev().map(|release| format!("{name}-{before}{release}"));
            [name.to_owned()].into_iter().chain(releases).collect()
        };
        match self {
            Tool::Llvm => with("clang", LLVM_RELEASES, ""),
            Tool::Gcc => with("gcc", GCC_RELEASES, ""),
            Tool::Rustc => with("rustc", RUST_RELEASES, "1."),
            Tool::Bindgen => vec!["bindgen".to_owned()],
            Tool::VirtmeNg => vec!["vng".to_owned()],
        }
    }

    /// What it lacks to be used.
    fn flaw(self, program: &Path, folders: &Folders) -> Option<String> {
        match self {
            Tool::Llvm => {
                let suffix = suffix(program);
                let mut others = LLVM.iter().map(|name| format!("{name}{suffix}"));
                let missing = others.find(|name| folders.all(name).is_empty())?;
                Some(format!("has no {missing} beside it"))
            }
            Tool::Rustc if library_source(program).is_none_or(|source| !source.exists()) => {
                Some("has no source of its library (rust-src)".to_owned())
            }
            _ => None,
        }
    }

    /// The first in `folders` that is `least` or newer, and complete; else, why not each.
    pub fn find(self, least: &Version, folders: &Folders) -> std::result::Result<Found, Vec<String>> {
        let mut refused = vec![];
        for path in self.programs().iter().flat_map(|name| folders.all(name)) {
            let refusal = match programs::version(&path) {
                None => "does not run".to_owned(),
                Some(version) if version < *least => format!("is {version}"),
                Some(version) => match self.flaw(&path, folders) {
                    Some(flaw) => flaw,
                    None => return Ok(Found { path, version }),
                },
            };
            refused.push(format!("{} {refusal}", path.display()));
        }
        Err(refused)
    }
}

/// `-19` of `clang-19`.
fn suffix(program: &Path) -> String {
    let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    name.find('-').map_or(String::new(), |at| name[at..].to_owned())
}

/// Where rustc has the source of core.
fn library_source(rustc: &Path) -> Option<PathBuf> {
    let sysroot = child::capture(child::command(rustc).args(["--print", "sysroot"])).ok()?;
    Some(Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/core/src/lib.rs"))
}

impl Tools {
    /// The same with other compilers of the kernel; GCC is one for each architecture.
    /// `prefix`: `None` for an architecture of the host.
    pub fn with(&self, project: &Project, compiler: &Compiler, prefix: Option<&str>) -> Result<Tools> {
        let mut tools = Tools { c: compiler.c, ..self.clone() };
        if let Some(prefix) = prefix.filter(|_| compiler.c == C::Gcc) {
            tools.gcc = cross(prefix, &Folders::of_host())
                .with_context(|| format!("no {prefix}gcc: install it, and put it into PATH"))?;
            tools.cross = Some(prefix.to_owned());
        }
        if compiler.rust == Rust::Oldest {
            tools.rustc = project.ui.step("the oldest Rust", |step| rust::oldest(project, step))?;
        }
        Ok(tools)
    }

    /// The kernel's compilers, for people.
    pub fn compilers(&self) -> String {
        let (name, c) = match self.c {
            C::Clang => (Tool::Llvm.name(), &self.llvm),
            C::Gcc => (Tool::Gcc.name(), &self.gcc),
        };
        format!("{name} {}, rustc {}", c.version, self.rustc.version)
    }

    /// The program of LLVM that goes with the compiler.
    pub fn llvm(&self, name: &str) -> PathBuf {
        let name = format!("{name}{}", suffix(&self.llvm.path));
        match self.llvm.path.with_file_name(&name) {
            beside if beside.exists() => beside,
            _ => PathBuf::from(name),
        }
    }

    /// The kernel's C compiler, as kbuild finds it by `look_first`.
    pub fn cc(&self) -> String {
        match self.c {
            C::Clang => format!("clang{}", suffix(&self.llvm.path)),
            C::Gcc => self.gcc.path.display().to_string(),
        }
    }

    /// `LLVM=` of kbuild.
    pub fn llvm_word(&self) -> String {
        match suffix(&self.llvm.path) {
            suffix if suffix.is_empty() => "LLVM=1".to_owned(),
            suffix => format!("LLVM={suffix}"),
        }
    }

    /// The program of Rust that goes with the compiler.
    pub fn rust(&self, name: &str) -> PathBuf {
        let suffix = suffix(&self.rustc.path);
        match self.rustc.path.with_file_name(format!("{name}{suffix}")) {
            beside if beside.exists() => beside,
            _ => PathBuf::from(name),
        }
    }

    /// Has kbuild use them.
    pub fn give_to(&self, make: &mut Command) {
        if let Some(folder) = self.llvm.path.parent() {
            child::look_first(make, folder);
        }
        match (self.c, &self.cross) {
            (C::Clang, _) => make.arg(self.llvm_word()),
            (C::Gcc, Some(prefix)) => make.arg(format!("CROSS_COMPILE={prefix}")),
            (C::Gcc, None) => make,
        };
        make.arg(format!("RUSTC={}", self.rustc.path.display()));
        for (variable, name) in
            [("RUSTDOC", "rustdoc"), ("RUSTFMT", "rustfmt"), ("CLIPPY_DRIVER", "clippy-driver")]
        {
            make.arg(format!("{variable}={}", self.rust(name).display()));
        }
        make.arg(format!("BINDGEN={}", self.bindgen.path.display()));
        if let Some(folder) = libclang(&self.llvm.path) {
            make.env("LIBCLANG_PATH", folder);
        }
    }
}

/// The GCC whose name begins with `prefix`.
fn cross(prefix: &str, folders: &Folders) -> Option<Found> {
    let path = folders.all(&format!("{prefix}gcc")).into_iter().next()?;
    programs::version(&path).map(|version| Found { path, version })
}

/// The folder of the library of this very clang, where bindgen would else take the newest.
fn libclang(clang: &Path) -> Option<PathBuf> {
    let resources = child::capture(child::command(clang).arg("-print-resource-dir")).ok()?;
    let folder = Path::new(resources.trim()).ancestors().nth(2)?;
    let mut entries = fs::read_dir(folder).ok()?.flatten();
    let is_it = |name: String| name.starts_with("libclang.so") || name.starts_with("libclang-");
    entries.any(|entry| is_it(entry.file_name().to_string_lossy().into_owned())).then(|| folder.to_owned())
}

/// Tools that are not there, for tests.
#[cfg(test)]
pub fn for_test() -> Tools {
    let found =
        |path: &str| Found { path: path.into(), version: Version::find("19.1.7").unwrap_or_default() };
    Tools {
        c: C::Clang,
        llvm: found("/x/clang-19"),
        gcc: found("/x/gcc"),
        cross: None,
        rustc: found("/x/rustc"),
        bindgen: found("/x/bindgen"),
        vng: found("/x/vng"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::programs::fake;

    fn version(text: &str) -> Version {
        Version::find(text).unwrap()
    }

    #[test]
    fn an_old_tool_is_passed_over() {
        let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let folders = fake(old.path(), &[("bindgen", "bindgen 0.60.1")]);
        let refused = Tool::Bindgen.find(&version("0.71.1"), &folders).unwrap_err();
        assert_eq!(refused, [format!("{} is 0.60.1", old.path().join("bindgen").display())]);
        let folders = folders.then(fake(new.path(), &[("bindgen", "bindgen 0.71.1")]));
        let found = Tool::Bindgen.find(&version("0.71.1"), &folders).unwrap();
        assert_eq!((found.path, found.version), (new.path().join("bindgen"), version("0.71.1")));
    }

    #[test]
    fn half_an_installation_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let whole = LLVM.map(|name| (format!("{name}-19"), "clang version 19.1.7"));
        let folders = fake(dir.path(), &whole[..whole.len() - 1]);
        let refused = Tool::Llvm.find(&version("15.0.0"), &folders).unwrap_err();
        assert!(refused.len() == 1 && refused[0].ends_with("has no llvm-strip-19 beside it"), "{refused:?}");
        let found = Tool::Llvm.find(&version("15.0.0"), &fake(dir.path(), &whole)).unwrap();
        assert_eq!((suffix(&found.path).as_str(), found.version), ("-19", version("19.1.7")));
    }

    #[test]
    fn rustc_needs_the_source_of_its_library() {
        let dir = tempfile::tempdir().unwrap();
        // The script says the same whatever it is asked: here, where its sysroot is.
        let sysroot = dir.path().join("1.85.1");
        let folders = fake(dir.path(), &[("rustc", &sysroot.to_string_lossy())]);
        let refused = Tool::Rustc.find(&version("1.85.0"), &folders).unwrap_err();
        assert!(refused[0].ends_with("has no source of its library (rust-src)"), "{refused:?}");
        let core = sysroot.join("lib/rustlib/src/rust/library/core/src");
        fs::create_dir_all(&core).unwrap();
        fs::write(core.join("lib.rs"), "").unwrap();
        assert!(Tool::Rustc.find(&version("1.85.0"), &folders).is_ok());
    }

    #[test]
    fn a_tool_that_does_not_run_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let folders = fake(dir.path(), &[("vng", "virtme-ng 1.35")]);
        fs::write(dir.path().join("vng"), "#!/nowhere\n").unwrap();
        let refused = Tool::VirtmeNg.find(&version("1.35"), &folders).unwrap_err();
        assert!(refused[0].ends_with("does not run"), "{refused:?}");
    }

    #[test]
    fn the_gcc_of_another_architecture_has_a_prefix() {
        let dir = tempfile::tempdir().unwrap();
        let folders = fake(dir.path(), &[("vax-gcc", "vax-gcc (Debian 12.2.0-14) 12.2.0")]);
        let found = cross("vax-", &folders).unwrap();
        assert_eq!((found.path, found.version), (dir.path().join("vax-gcc"), version("12.2.0")));
        assert!(cross("pdp-", &folders).is_none());
    }

    #[test]
    fn the_kernels_compiler_is_the_one_that_was_chosen() {
        let clang = for_test();
        let given = |tools: &Tools| {
            let mut make = Command::new("make");
            tools.give_to(&mut make);
            make.get_args().map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
        };
        assert!(given(&clang).starts_with("LLVM=-19 RUSTC=/x/rustc "), "{}", given(&clang));
        assert_eq!((clang.cc(), clang.compilers()), ("clang-19".into(), "clang 19.1.7, rustc 19.1.7".into()));
        let gcc = Tools { c: C::Gcc, ..clang };
        assert!(given(&gcc).starts_with("RUSTC=/x/rustc "), "{}", given(&gcc));
        assert_eq!((gcc.cc(), gcc.compilers()), ("/x/gcc".into(), "gcc 19.1.7, rustc 19.1.7".into()));
        let cross = Tools { cross: Some("vax-".to_owned()), ..gcc };
        assert!(given(&cross).starts_with("CROSS_COMPILE=vax- RUSTC=/x/rustc "), "{}", given(&cross));
    }
}
