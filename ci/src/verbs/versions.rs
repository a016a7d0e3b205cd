// SPDX-License-Identifier: GPL-2.0
//! `versions`: what a report of a bug needs to say about the machine.

use std::fmt::Display;
use std::path::PathBuf;

use anyhow::Result;

use crate::guests::vng;
use crate::kernels::{matrix, toolchain};
use crate::series::base;
use crate::system::git::{Git, BASE};
use crate::system::{child, needs::Tool, os::System, programs, project::Project, ui};

/// Programs that any version of will do, or that says itself if it does not.
const OTHERS: [&str; 9] = ["cargo", "make", "git", "ld.bfd", "bison", "flex", "perl", "python3", "ccache"];

/// The verb. It installs nothing, and downloads nothing.
pub fn run(project: &Project) -> Result<()> {
    let mut table = ui::table(["", "version", "where"]);
    table.add_rows(machine(project));
    for tool in [Tool::Llvm, Tool::Gcc, Tool::Rustc, Tool::Bindgen, Tool::VirtmeNg] {
        let (version, place) = match toolchain::look(project, tool) {
            Ok(found) => (found.version.to_string(), found.path.display().to_string()),
            Err(wanted) => ("–".to_owned(), format!("none yet: {wanted}")),
        };
        table.add_row([tool.name(), &version, &place]);
    }
    let starts = matrix::chosen(&project.opts)?.0;
    let starts = starts.iter().filter_map(|arch| arch.start.first().cloned());
    for name in OTHERS.map(str::to_owned).into_iter().chain(starts) {
        let path = programs::find(&name);
        let version = path.as_deref().and_then(programs::version);
        table.add_row([name, or_none(version), or_none(path.as_ref().map(|path| path.display()))]);
    }
    println!("{table}");
    Ok(())
}

fn machine(project: &Project) -> [[String; 3]; 3] {
    let git = Git::at(&project.root);
    let series = git.capture(["describe", "--always", "--dirty"]).ok();
    let kernel = child::capture(child::command("uname").arg("-srm")).ok();
    let kernel = or_none(kernel.as_deref().map(str::trim));
    let cpus = std::thread::available_parallelism().map_or(0, |n| n.get());
    let guests = if vng::kvm_works() { "KVM" } else { "no KVM: guests are emulated" };
    let tree = or_none(kernel_tree(project).map(|dir| dir.display().to_string()));
    [
        ["project".to_owned(), or_none(series), project.root.display().to_string()],
        ["system".to_owned(), System::this().title, format!("{kernel}, {cpus} CPUs, {guests}")],
        ["base".to_owned(), base(project), tree],
    ]
}

fn kernel_tree(project: &Project) -> Option<PathBuf> {
    let name = if project.opts.kdir.is_some() { "linux-kdir" } else { "linux" };
    Some(project.root.join(name)).filter(|dir| dir.exists())
}

/// What the series is on, or would be.
fn base(project: &Project) -> String {
    let of_tree = |dir: PathBuf| Git::at(dir).capture(["log", "-1", "--format=%s", BASE]).ok();
    match kernel_tree(project).and_then(of_tree) {
        Some(subject) => subject,
        None => format!("{}, not there yet", base::subject(&base::pinned())),
    }
}

fn or_none(value: Option<impl Display>) -> String {
    value.map_or("–".to_owned(), |value| value.to_string())
}
