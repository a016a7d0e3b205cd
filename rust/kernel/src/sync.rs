// SPDX-License-Identifier: GPL-2.0

//! Locks, references and waiting.

mod arc;
pub mod atomic;
#[rustfmt::skip]
mod completion;
pub mod global;
pub mod rcu;
mod set_once;

pub use crate::global_lock;
pub use arc::{Arc, ArcBorrow};
pub use completion::Completion;
pub use global::{GlobalGuard, GlobalLockedBy};
pub use set_once::SetOnce;
