// SPDX-License-Identifier: GPL-2.0

//! The machine that a test runs on: everything that is global in a kernel.

use std::{
    ffi::{CStr, CString},
    ptr,
    sync::{
        atomic::{AtomicI32, AtomicPtr, AtomicUsize, Ordering::Relaxed},
        Mutex, PoisonError,
    },
};

use crate::{
    backend, memory,
    modules::{self, Modules},
    task::{self, Pid},
    tracepoint::Event,
};

/// The state of one machine.
#[derive(Default)]
pub(crate) struct Machine {
    pub(crate) modules: Modules,
    pub(crate) memory: memory::Account,
    pub(crate) rcu: backend::RwLock<()>,
    pub(crate) events: Mutex<Vec<Event>>,
    tasks: AtomicI32,
    duplicates: Mutex<Vec<CString>>,
    warnings: AtomicUsize,
    most_woken: AtomicUsize,
    at_shutdown: Mutex<Vec<Box<dyn FnOnce() + Send>>>,
}

impl Machine {
    pub(crate) fn next_pid(&self) -> Pid {
        self.tasks.fetch_add(1, Relaxed) + 1
    }

    /// Notes down how many tasks were woken with interrupts disabled.
    pub(crate) fn count_woken(&self, tasks: usize) {
        self.most_woken.fetch_max(tasks, Relaxed);
    }

    pub(crate) fn count_duplicate(&self, name: &CStr) {
        self.duplicates.lock().unwrap().push(name.into());
    }
}

static RUNNING: AtomicPtr<Machine> = AtomicPtr::new(ptr::null_mut());

/// Runs `test` on a fresh machine, again for each interleaving that the backend explores.
///
/// At its end, the machine must not have warned and no memory may be in use.
pub fn explore(test: impl Fn() + Send + Sync + 'static) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);

    backend::explore(move || {
        // What a failed test left is not freed: its tasks may still run.
        RUNNING.store(Box::into_raw(Box::default()), Relaxed);
        task::start();
        test();
        shut_down();
    });
}

/// The names of the duplicates that were counted, taken from the machine.
pub fn take_duplicates() -> Vec<CString> {
    std::mem::take(&mut *machine().duplicates.lock().unwrap())
}

/// How often the kernel has warned, counted from now on.
pub fn take_warnings() -> usize {
    machine().warnings.swap(0, Relaxed)
}

/// How many tasks were woken at most with interrupts disabled.
pub fn most_woken() -> usize {
    machine().most_woken.load(Relaxed)
}

pub(crate) fn machine() -> &'static Machine {
    // SAFETY: It is null, or was made by `Box::into_raw()` and is freed when all tasks have ended.
    unsafe { RUNNING.load(Relaxed).as_ref() }.expect("a test runs inside of machine::explore()")
}

#[doc(hidden)]
pub fn warn() {
    machine().warnings.fetch_add(1, Relaxed);
}

/// Leaves something to be freed when nothing runs any more.
pub(crate) fn at_shutdown(free: impl FnOnce() + Send + 'static) {
    machine().at_shutdown.lock().unwrap().push(Box::new(free));
}

fn shut_down() {
    assert_eq!(take_warnings(), 0, "the kernel warned");
    assert_eq!(machine().memory.in_use(), 0, "objects that were not freed");
    modules::shut_down();
    for free in machine().at_shutdown.lock().unwrap().drain(..) {
        free();
    }
    // SAFETY: `explore()` made it by `Box::into_raw()`, and nothing runs any more.
    drop(unsafe { Box::from_raw(RUNNING.swap(ptr::null_mut(), Relaxed)) });
}
