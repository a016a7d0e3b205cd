// SPDX-License-Identifier: GPL-2.0
//! What bench compiles beside the kernels: its modules, the loader alone, and the size of
//! a type.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::kernels::build::{stage, Job, Kernel};
use crate::kernels::matrix::Arch;
use crate::series::tree::Tree;
use crate::system::{files, programs, project::Project, tools::Tools};

/// The loader, in a tree.
pub const FOLDER: &str = "kernel/module/";
/// A type of its Rust: an object of this is one pending load.
const TYPE: &str = "PendingLoad";

/// Compiles the loader of a kernel that is not booted; the folder that it was built in.
pub fn loader(project: &Project, tools: &Tools, tree: &Tree, arch: &Arch, variant: &str) -> Result<PathBuf> {
    let job = Job::new(project, tools, tree, arch, variant)?;
    let name = relative(project, &job);
    project.ui.step(&format!("compile {FOLDER} in {name}"), |step| {
        fs::create_dir_all(&job.obj)?;
        // Not checked: much of what is asked for needs Rust, KUnit, or the series.
        job.write_config(step)?;
        step.run(job.make(&job.obj, &arch.kbuild).arg(FOLDER)).map(drop)
    })?;
    Ok(job.obj)
}

/// The size of a pending load, as the compiler lays it out in that kernel.
pub fn entry_size(project: &Project, tools: &Tools, tree: &Tree, kernel: &Kernel) -> Result<u64> {
    let job = Job::new(project, tools, tree, &kernel.arch, &kernel.name)?;
    // To LLVM's language, so that the object stays as it is.
    let target = format!("{FOLDER}pending.ll");
    files::remove(&job.obj.join(&target))?;
    let output = project.ui.step(&format!("size of {TYPE}"), |step| {
        let mut make = job.make(&job.obj, &kernel.arch.kbuild);
        step.run(make.args(["RUSTFLAGS_pending.o=-Zprint-type-sizes", &target]))
    })?;
    size_of(&output, TYPE).with_context(|| format!("rustc does not say how large {TYPE} is"))
}

/// Of a line "print-type-size type: `path::Name`: 96 bytes, ...".
fn size_of(output: &str, name: &str) -> Option<u64> {
    let types = output.lines().filter_map(|line| line.trim().strip_prefix("print-type-size type: `"));
    let mut sizes = types.filter_map(|line| line.split_once("`: "));
    let (_, size) = sizes.find(|(path, _)| path.rsplit("::").next() == Some(name))?;
    size.split(' ').next()?.parse().ok()
}

/// The modules of bench and their modules.dep, in a folder `bench` of the stage folder.
pub fn modules((project, tools): (&Project, &Tools), tree: &Tree, kernel: &Kernel) -> Result<()> {
    let job = Job::new(project, tools, tree, &kernel.arch, &kernel.name)?;
    let name = relative(project, &job);
    project.ui.step(&format!("modules of bench in {name}"), |step| {
        let extra = job.external(step, "bench")?;
        // As depmod wants it.
        let stage = job.stage.join("bench/lib/modules/0.0.0");
        fs::create_dir_all(&stage)?;
        for object in fs::read_to_string(extra.join("modules.order"))?.lines() {
            stage::copy_to(&stage, &stage::module(&extra, object))?;
        }
        step.run(programs::command("depmod").arg("-b").arg(job.stage.join("bench")).arg("0.0.0")).map(drop)
    })
}

/// The folder that it is built in, for people.
fn relative(project: &Project, job: &Job) -> String {
    job.obj.strip_prefix(&project.root).unwrap_or(&job.obj).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::size_of;

    #[test]
    fn a_type_is_found_by_its_name() {
        let output =
            "  RUSTC pending.ll\nprint-type-size type: `core::PendingLoads`: 8 bytes, alignment: 8 bytes\n\
                      print-type-size type: `pending::PendingLoad`: 96 bytes, alignment: 8 bytes\n";
        assert_eq!(size_of(output, "PendingLoad"), Some(96));
        assert_eq!(size_of(output, "Load"), None);
    }
}
