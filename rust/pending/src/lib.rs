// SPDX-License-Identifier: GPL-2.0

//! `kernel/module/pending.rs` and `kernel/module/image.rs` of the series, unchanged, over the
//! stand-in `kernel` crate.
//!
//! # What is shown
//!
//! Of `pending.rs`, in every run of every test:
//!
//! * a name has one owner at a time, and init runs once for each owner;
//! * a duplicate gets the outcome of the load that it joined, never that of a later one;
//! * nobody sleeps after the load that they joined has ended, and nobody is woken by another load;
//! * a signal ends the sleep of its task, and changes nothing for the owner or another duplicate;
//! * an owner whose claim is provisional, with an image that is a bad one or bears another name,
//!   passes the name on to one duplicate, the one that has slept longest, and to the next after
//!   that; the first with a good image loads it, and its outcome is that of the others;
//! * a name that is passed on to nobody else, because the last duplicate was killed, is free;
//! * a load that depends on another one sleeps until that has ended, its time is up or a signal
//!   arrives; it does not wait for a provisional owner, and takes nobody's turn;
//! * the pending loads are shown with the number of those that wait, which those that were killed
//!   are not part of;
//! * nobody sleeps or allocates with the lock held or inside of an RCU read side, and no module is
//!   looked at after it may have been freed;
//! * no entry is used after it was freed, and no entry, reference or warning is left at the end.
//!
//! Of `image.rs`: `struct module` is found where it is, the last one if there are more, in an ELF
//! file of up to 512 sections; an image without one is refused. No more than 46 KiB are read,
//! whatever the image says.
//!
//! # How, and within which bounds
//!
//! In `rust/`:
//!
//! | Test | Command | Explores | Bounds |
//! |---|---|---|---|
//! | `contract` | `cargo test -p pending` | the contract, row by row | one order of steps each |
//! | `images` | the same | random images, good and damaged, against a reader that has all of it at hand | `PROPTEST_CASES` (256) of up to 80 sections, 3 bytes damaged; 64 bits |
//! | `sequences` | the same | random sequences over several names, against a model | `PROPTEST_CASES` (256) of up to 59 steps, 3 names |
//! | `interleavings` | `cargo test -p pending --features loom` | small casts, all interleavings | up to 3 tasks, `LOOM_MAX_PREEMPTIONS` (4) |
//! | `crowd` | `cargo test --release -p pending --features shuttle` | a large cast, random schedules | 12 tasks, 3 names, 3 steps each, `SHUTTLE_SCHEDULES` (1000) |
//!
//! All interleavings means: all orders in which the tasks can take locks and access the atomics of
//! the stand-in, with at most so many switches away from a task that could go on. How many there
//! are and how long they take is written above each model. A random schedule that fails is printed,
//! and happens again with it in `SHUTTLE_REPLAY`.
//!
//! `contract` runs under loom and shuttle, too, and `interleavings` and `crowd` on std and under
//! shuttle. `sequences` and `images` have one order of steps, and run on std only.
//!
//! All of them run once more with std under the address sanitizer, in `make test`:
//!
//! ```text
//! RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address cargo test -p pending --tests --target host-tuple
//! ```
//!
//! The stand-in notices an entry that is used after it was freed, but only where it is asked. The
//! sanitizer looks at each access to memory, those through raw pointers at the C boundary
//! included: none is out of bounds, or after the end of what it refers to, in the orders of steps
//! that the threads of the machine happened to take; and nothing is leaked.
//!
//! # How far the tests can be trusted
//!
//! `make mutants`, at the top of the project, breaks the files on purpose and demands that a test
//! notices. `mutants/` has bugs as concurrency invites them, one patch each; the verb's table says
//! which backend noticed which. cargo-mutants makes the others. It changes no order of steps, so
//! the tests on std must do for these.
//!
//! # What is not shown
//!
//! * The order of memory accesses. `pending.rs` has no atomics of its own: its order comes from the
//!   lock, the completion, the outcome's `SetOnce` and the reference counts. Loom looks at those of
//!   the stand-in, not at the kernel's.
//! * What the kernel's `Arc`, `List`, `Completion`, `SetOnce`, `Mutex` and RCU do. The stand-in has
//!   their contracts, and checks that the files keep their part; the real ones run in the tests that
//!   boot a kernel.
//! * The C code that calls the interface. [`loader`] is written after it, step by step, by hand.
//!   Some of the bugs in `mutants/` are of this side.
//! * Time, which stands still here: how old a load is, how much is left of a wait, the tracepoints.
//!   A wait ends late when the test says so.
//! * An image that changes while it is read, and images of 32 bits.
//! * Undefined behaviour in the sense of the compiler, other than by what it leads to here.
//! * Larger casts in all interleavings, and bugs that need more preemptions than the bound.

pub mod elf;
pub mod loader;
// With a path, its own modules are looked for beside it.
#[path = "pending.rs"]
#[rustfmt::skip]
pub mod pending;
