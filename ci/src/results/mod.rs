// SPDX-License-Identifier: GPL-2.0
//! Results: what the programs in guests say, and the tables, plots and texts made of it.

pub mod bench;
pub mod booted;
pub mod burst;
pub mod chart;
pub mod kselftest;
pub mod ktap;
pub mod kunit;
pub mod letter;
pub mod numbers;
pub mod readme;
pub mod scale;
pub mod storm;
