// SPDX-License-Identifier: GPL-2.0
//! What the verb scale boots, and the tables, charts and texts made of its numbers.

pub mod plan;
pub mod readme;
