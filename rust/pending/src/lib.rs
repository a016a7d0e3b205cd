// SPDX-License-Identifier: GPL-2.0

//! `kernel/module/pending.rs` of the series, unchanged, over the stand-in `kernel` crate.
//!
//! What is tested, and how to run it (in `rust/`, add `--release` for more speed):
//!
//! | Test | Command | What it explores |
//! |---|---|---|
//! | `contract` | `cargo test -p pending` | each row of the contract, one by one |
//! | `sequences` | the same | random sequences over several names against a model |
//! | `interleavings` | `cargo test -p pending --features loom` | small casts, all interleavings |
//! | `crowd` | `cargo test -p pending --features shuttle` | a large cast, random schedules |
//!
//! Environment: `LOOM_MAX_PREEMPTIONS` (4), `SHUTTLE_SCHEDULES` (1000), `SHUTTLE_REPLAY` (a schedule
//! that a failure printed), `PROPTEST_CASES` (256).
//!
//! In each test: a name has one owner at a time; a waiter gets the outcome of the load that it
//! joined; nobody sleeps after that load has ended; nobody is woken by another load; nobody sleeps
//! or allocates with the lock held; no entry, reference or warning is left at the end.
//!
//! Not covered: the order of memory accesses beyond what the locks give, the C code that calls the
//! interface ([`loader`] is written after it), and interleavings with more preemptions than the
//! bound.

pub mod loader;
#[rustfmt::skip]
pub mod pending;
