// SPDX-License-Identifier: GPL-2.0
//! The tools that are new enough for a kernel.

use std::panic::resume_unwind;
use std::thread;

use anyhow::{anyhow, Result};

use crate::kernels::{configs, matrix};
use crate::series::source::{self, Source};
use crate::series::tree::{self, Tree};
use crate::system::deps::{self, wanted};
use crate::system::needs::{self, advice, need_of, Deps, Tool};
use crate::system::programs::{Folders, Found, Version};
use crate::system::tools::{Tools, C};
use crate::system::{made, os::System, project::Project, rust};

/// What takes minutes comes after the download and the look at the room for it. The tools and
/// the tree then are made side by side: neither keeps two CPUs busy.
pub fn set_up(project: &Project) -> Result<(Tools, Tree)> {
    deps::packages(project)?;
    let source = source::of(project)?;
    thread::scope(|scope| {
        let tools = scope.spawn(|| tools(project, &source));
        let tree = tree::ensure(project);
        let tools = tools.join().unwrap_or_else(|panic| resume_unwind(panic))?;
        Ok((tools, tree?))
    })
}

/// All that every verb needs; quick and silent when it is there.
pub fn ensure(project: &Project) -> Result<Tools> {
    deps::packages(project)?;
    let source = source::of(project)?;
    tools(project, &source)
}

/// The tools that are new enough for the kernel of `source`; some are made, if the system has
/// none.
fn tools(project: &Project, source: &Source) -> Result<Tools> {
    let deps = needs::deps();
    let get = |tool: Tool| {
        let least = least(project, &deps, source, tool)?;
        tool.find(&least, &Folders::of_host()).or_else(|refused| match tool {
            Tool::Llvm | Tool::Gcc => Err(no(&deps, tool, &wanted(tool, &least, &refused))),
            Tool::Rustc => match rust::newer(project, &System::this(), &least)? {
                Some(found) if found.version >= least => Ok(found),
                _ => Err(no(&deps, tool, &wanted(tool, &least, &refused))),
            },
            Tool::Bindgen => match deps.newer_bindgen.get(project, &System::this(), &least)? {
                Some(found) => Ok(found),
                None => made::bindgen(project, &deps),
            },
            Tool::VirtmeNg => made::virtme_ng(project, &deps),
        })
    };
    Ok(Tools {
        c: C::Clang,
        llvm: get(Tool::Llvm)?,
        gcc: get(Tool::Gcc)?,
        cross: None,
        rustc: get(Tool::Rustc)?,
        bindgen: get(Tool::Bindgen)?,
        vng: get(Tool::VirtmeNg)?,
    })
}

/// What is there of a tool now; else what there is not.
pub fn look(project: &Project, tool: Tool) -> Result<Found, String> {
    let deps = needs::deps();
    let least = match source::if_there(project) {
        Some(source) => least(project, &deps, &source, tool),
        None => Ok(deps::least(need_of(&deps, tool))),
    };
    let least = least.map_err(|error| format!("{error:#}"))?;
    tool.find(&least, &Folders::of_host()).or_else(|refused| {
        let made = match tool {
            Tool::Bindgen => {
                let unpacked = deps.newer_bindgen.look(project).filter(|found| found.version >= least);
                unpacked.or(Some(made::in_cache(project, "bindgen", "bindgen", &deps.bindgen)))
            }
            Tool::VirtmeNg => Some(made::in_cache(project, "virtme-ng", "vng", &deps.virtme_ng)),
            Tool::Llvm | Tool::Gcc | Tool::Rustc => None,
        };
        made.filter(made::runs).ok_or_else(|| wanted(tool, &least, &refused))
    })
}

fn no(deps: &Deps, tool: Tool, wanted: &str) -> anyhow::Error {
    let system = System::this();
    let packages = need_of(deps, tool).packages(&system).unwrap_or_default();
    anyhow!("there is no {wanted}: {}", advice(deps, &system, &packages))
}

/// The oldest version that will do for all chosen architectures.
fn least(project: &Project, deps: &Deps, source: &Source, tool: Tool) -> Result<Version> {
    let mut least = deps::least(need_of(deps, tool));
    for arch in matrix::chosen(&project.opts)?.0 {
        if let Some(name) = tool.kernels_name() {
            least = least.max(source.least(name, &arch.kbuild)?);
        }
    }
    if let (Tool::Rustc, Some(rows)) = (tool, &project.opts.config) {
        least = least.max(configs::least_rust(rows).unwrap_or_default());
    }
    Ok(least)
}
