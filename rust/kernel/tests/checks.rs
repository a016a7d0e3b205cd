// SPDX-License-Identifier: GPL-2.0

//! What kernel code must not do ends the test.

use kernel::{
    bindings::find_module_all,
    global_lock,
    machine::explore,
    memory,
    modules::{Module, LIVE},
    prelude::*,
    str::CString,
    sync::{rcu, Arc, Completion},
    task,
    types::ForeignOwnable,
};

global_lock! {
    // SAFETY: Each test that uses it initializes it first.
    unsafe(uninit) static LOCK: Mutex<()> = ();
}

#[pin_data]
struct Object {
    #[pin]
    done: Completion,
}

fn object() -> Arc<Object> {
    Arc::pin_init(try_pin_init!(Object { done <- Completion::new() }), GFP_KERNEL).unwrap()
}

#[test]
#[should_panic = "objects that were not freed"]
fn a_leak() {
    explore(|| std::mem::forget(object()));
}

#[test]
#[should_panic = "use after free"]
fn a_reference_dropped_twice() {
    explore(|| {
        let pointer = object().into_foreign();
        for _ in 0..2 {
            // SAFETY: The second time it is wrong.
            drop(unsafe { Arc::<Object>::from_foreign(pointer) });
        }
    });
}

#[test]
#[should_panic = "the kernel warned"]
fn a_warning() {
    explore(|| {
        kernel::warn_on!(true);
    });
}

#[test]
#[should_panic = "sleeps with a lock held"]
fn sleep_under_a_lock() {
    explore(|| {
        // SAFETY: It is the first use on this machine.
        unsafe { LOCK.init() };
        let object = object();
        let _held = LOCK.lock();
        object.done.wait_for_completion();
    });
}

#[test]
#[should_panic = "allocates memory with a lock held"]
fn allocation_under_a_lock() {
    explore(|| {
        // SAFETY: It is the first use on this machine.
        unsafe { LOCK.init() };
        let _held = LOCK.lock();
        let _ = CString::try_from(c"name");
    });
}

#[test]
#[should_panic = "may sleep inside of an RCU read side"]
fn allocation_under_rcu() {
    explore(|| {
        let _guard = rcu::read_lock();
        let _ = CString::try_from(c"name");
    });
}

#[test]
#[should_panic = "the module list is read without protection"]
fn a_look_up_without_rcu() {
    explore(|| {
        // SAFETY: The string is valid for reads of its length.
        unsafe { find_module_all(c"name".as_char_ptr(), 4, true) };
    });
}

#[test]
fn what_is_right_is_no_error() {
    explore(|| {
        // SAFETY: It is the first use on this machine.
        unsafe { LOCK.init() };
        let waiting = object();
        let own = waiting.clone();
        let task = task::spawn(move || own.done.wait_for_completion_interruptible());
        waiting.done.complete_all();
        assert_eq!(task.join(), Ok(()));

        let module = Module::add(c"name", LIVE);
        let held = LOCK.lock();
        let guard = rcu::read_lock();
        // SAFETY: The string is valid for reads of its length.
        let found = unsafe { find_module_all(c"name".as_char_ptr(), 4, true) };
        assert!(!found.is_null());
        drop(guard);
        drop(held);
        module.free();

        memory::limit(0);
        assert!(CString::try_from(c"name").is_err());
    });
}
