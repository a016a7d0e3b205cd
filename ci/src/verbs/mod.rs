// SPDX-License-Identifier: GPL-2.0
//! The verbs of make: each is the file or the folder of its name. None uses another one.

pub mod bases;
pub mod bench;
pub mod check_series;
pub mod clean;
pub mod help;
pub mod latency;
pub mod litmus;
pub mod mutants;
pub mod patches;
pub mod rebase;
pub mod scale;
pub mod shell;
pub mod storm;
pub mod submit;
pub mod suites;
pub mod test;
pub mod trial;
pub mod versions;
