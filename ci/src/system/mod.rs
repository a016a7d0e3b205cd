// SPDX-License-Identifier: GPL-2.0
//! The system that the driver runs on: child processes, programs and packages, git, the terminal.

pub mod apt;
pub mod bindgen;
pub mod child;
pub mod data;
pub mod deps;
pub mod files;
pub mod git;
pub mod made;
pub mod needs;
pub mod options;
pub mod os;
pub mod programs;
pub mod project;
pub mod rootfs;
pub mod rust;
pub mod tools;
pub mod ui;
