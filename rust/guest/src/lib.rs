// SPDX-License-Identifier: GPL-2.0

//! What burst, cost and trial share; and [`report`], the JSON that they print for the driver.

pub mod clock;
pub mod errno;
pub mod files;
pub mod gate;
pub mod module;
pub mod process;
pub mod report;
pub mod vmalloc;
