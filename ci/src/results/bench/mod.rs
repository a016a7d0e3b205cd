// SPDX-License-Identifier: GPL-2.0
//! What the verb bench measures, and the numbers, charts and texts made of it.

pub mod plan;
pub mod plot;
pub mod readme;
pub mod results;
pub mod saved;
pub mod target;
