// SPDX-License-Identifier: GPL-2.0

//! `claim.rs`, `pending.rs`, `copying.rs` and `image.rs` of `kernel/module/`, as the series has
//! them, over the stand-in `kernel` crate.
//!
//! # What is shown
//!
//! Of `claim.rs` and `pending.rs`, in every run of every test:
//!
//! * A name has one owner at a time, and init runs once for each owner.
//! * A duplicate gets the outcome of the load that it joined, never that of a later one.
//! * Duplicates and dependents go on when the module is live, also if what its load still waits for
//!   waits for them. Nobody sleeps after that, and no other load wakes anybody.
//! * A signal ends the sleep of its task, and changes nothing for the owner or another duplicate.
//! * The duplicates of a load that a signal ended start over, and one of them loads the module. A
//!   duplicate that has a signal itself does not start over, and one that is not permitted to load
//!   any more gets that error.
//! * A request whose arguments cannot be copied owns nothing.
//! * A load that depends on another one sleeps until that is live or has failed, its time is up or a
//!   signal arrives.
//! * A name that an image only seems to have makes a request join a pending load, or answers for a
//!   live module. Nothing else follows from it, and nothing is counted or traced for it.
//! * The pending loads are shown with the task that owns them and the number of those that wait.
//!   The tracepoints get strings that are alive, and the numbers that they document.
//! * Nobody sleeps or allocates with a lock held or inside of an RCU read side, and no module is
//!   looked at after it may have been freed.
//! * No entry is used after it was freed. No entry, reference, claim or warning is left at the end,
//!   at whatever allocation memory ran out.
//!
//! Of `copying.rs`: a copy waits for earlier ones of the same name alone, and once. It goes on when
//! one of them has claimed a name or ended, the time is up or a signal arrives, and none of these
//! makes it fail. After the first of them has ended, nobody waits until the last one has. Nothing is
//! left of them then. Without memory to note it down, a copy does not wait, and nobody waits for it.
//! A request with a checked image never waits for a copy.
//!
//! Of `image.rs`: the name is found where it is, in the last `struct module` if there are more, in
//! an ELF file of up to 512 sections; an image without one is left to its checks. No more than 46
//! KiB are read, whatever the image says, and also if a file has shrunk or memory is not mapped.
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
//! | `interleavings` | `cargo test -p pending --features loom` | small casts, all interleavings | up to 3 tasks, `LOOM_MAX_PREEMPTIONS` (3) |
//! | `crowd` | `cargo test --release -p pending --features shuttle` | a large cast, random schedules | 12 tasks, 3 names, 3 steps each, `SHUTTLE_SCHEDULES` (1000) |
//!
//! All interleavings means: all orders in which the tasks can take locks and access the atomics of
//! the stand-in, with at most so many switches away from a task that could go on. How many there
//! are and how long they take is written above each model. A random schedule that fails is printed,
//! and happens again with it in `SHUTTLE_REPLAY`.
//!
//! A wait with a time limit ends by it when the test says so. In a model, that is at any point: the
//! order in which the time is up and something else happens is explored as all others are.
//!
//! Loom also looks at the accesses to what an outcome is stored in, to how many requests a burst has
//! and to the links of the lists: one that no lock or atomic orders ends the test. The state of a
//! module is an atomic there, as `WRITE_ONCE()` and `atomic_load` make it one; loom lets a relaxed
//! read see an older value.
//!
//! `contract` runs under loom and shuttle, too, and `interleavings` and `crowd` on std and under
//! shuttle. `sequences` and `images` have one order of steps, and run on std only.
//!
//! All of them run once more with std under the address sanitizer, in `make test`:
//!
//! ```text
//! RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address cargo test -p pending --tests --features free-at-once --target $(rustc --print host-tuple)
//! ```
//!
//! With `free-at-once`, memory is freed where the kernel frees it, and the sanitizer looks at each
//! access to it, those through raw pointers at the C boundary included: none is out of bounds, or
//! after the end of what it refers to, in the orders of steps that the threads of the machine
//! happened to take; and nothing is leaked. Without it, the memory of entries and modules stays, and
//! a use ends the test where it is asked: at each reference, and at the state of a module.
//!
//! # How far the tests can be trusted
//!
//! `make mutants`, at the top of the project, breaks the files on purpose and demands that a test
//! notices. `mutants/` has bugs as concurrency invites them, one patch each; the verb's table says
//! which backend noticed which. cargo-mutants makes the others. It changes no order of steps, so
//! the tests on std must do for these. `mutants/c/` has bugs of main.c, for the tests that boot a
//! kernel.
//!
//! # What is not shown
//!
//! * What the kernel's `Arc`, `List`, `SetOnce`, `Mutex`, `GlobalLockedBy` and RCU do, and its
//!   `struct completion`. The stand-in has their contracts, and checks that the files keep their
//!   part; the real ones run in the tests that boot a kernel. `completion.rs`, the Rust side of
//!   `struct completion`, is the kernel's own.
//! * The order of memory accesses in the kernel's own memory model. Loom has that of C11.
//! * The C code that calls the interface: main.c with its loop that starts over, the check whether a
//!   signal ended a load, the merge of requests for one file. [`loader`] makes the same calls in the
//!   same order, and no more than that. Some of the bugs in `mutants/` are of this side.
//! * How long anything takes. Each sleep takes a jiffy here, and the age of a load is 0.
//! * An image that changes while it is read. That its name is another one when it is checked is
//!   shown.
//! * Images of 32 bits.
//! * Undefined behaviour in the sense of the compiler, other than by what it leads to here.
//! * Larger casts in all interleavings, and bugs that need more preemptions than the bound.

pub mod elf;
pub mod loader;
// With a path, its own modules are looked for beside it.
#[path = "pending.rs"]
#[rustfmt::skip]
pub mod pending;
