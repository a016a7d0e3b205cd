// SPDX-License-Identifier: GPL-2.0

//! What kernel code must not do ends the test.

use kernel::{
    bindings::find_module_all,
    global_lock,
    list::{impl_list_arc_safe, impl_list_item, List, ListArc, ListLinks},
    machine::explore,
    memory,
    modules::{Module, LIVE},
    prelude::*,
    str::CString,
    sync::{
        atomic::{atomic_load, Relaxed},
        rcu, Arc, Completion,
    },
    task,
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
        let object = std::mem::ManuallyDrop::new(object());
        for _ in 0..2 {
            // SAFETY: The second time it is wrong.
            drop(unsafe { std::ptr::read(&*object) });
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

/// An entry of a list.
#[pin_data]
struct Entry {
    #[pin]
    links: ListLinks,
}

impl_list_arc_safe! {
    impl ListArcSafe<0> for Entry { untracked; }
}

impl_list_item! {
    impl ListItem<0> for Entry { using ListLinks { self.links }; }
}

#[test]
#[should_panic = "removed from a list that it is not in"]
fn a_removal_from_the_wrong_list() {
    explore(|| {
        let entry = || {
            let entry = try_pin_init!(Entry { links <- ListLinks::new() });
            ListArc::pin_init(entry, GFP_KERNEL).unwrap()
        };
        let [mut one, mut other] = [List::new(), List::new()];
        let object: ListArc<Entry> = entry();
        let wrong = object.clone_arc();
        one.push_back(object);
        other.push_back(entry());
        // SAFETY: It is wrong.
        unsafe { other.remove(&wrong) };
    });
}

#[test]
#[should_panic = "freed while a task sleeps for it"]
#[cfg(not(any(feature = "loom", feature = "shuttle")))] // They do not get over the panic.
fn a_completion_that_is_freed_too_early() {
    explore(|| {
        let object = object();
        let address = &raw const object.done as usize;
        let sleeper = task::spawn(move || {
            let done = std::ptr::with_exposed_provenance::<Completion>(address);
            // SAFETY: It is wrong: nothing keeps it alive.
            unsafe { &*done }.wait_for_completion();
        });
        sleeper.wait_until_asleep();
        drop(object);
    });
}

#[test]
fn a_wait_with_a_limit_ends_as_in_c() {
    explore(|| {
        let timed = |timeout| {
            let own = object();
            let waiting = own.clone();
            let wait = move || waiting.done.wait_for_completion_interruptible_timeout(timeout);
            let task = task::spawn(wait);
            task.wait_until_asleep();
            (task, own)
        };
        let (late, _own) = timed(9);
        late.expire();
        assert_eq!(late.join(), Err(ETIMEDOUT));
        let (woken, own) = timed(9);
        own.done.complete_all();
        assert_eq!(woken.join(), Ok(8));
        let (killed, _own) = timed(usize::MAX);
        killed.kill();
        assert_eq!(killed.join(), Err(ERESTARTSYS));

        let done = object();
        assert_eq!(done.done.wait_for_completion_interruptible_timeout(0), Err(ETIMEDOUT));
        done.done.complete_all();
        assert_eq!(done.done.wait_for_completion_interruptible_timeout(0), Ok(1));
        assert_eq!(done.done.wait_for_completion_interruptible_timeout(9), Ok(9));
        done.done.wait_for_completion();
        task::current().kill();
        assert_eq!(done.done.wait_for_completion_interruptible(), Ok(()));
        assert_eq!(object().done.wait_for_completion_interruptible(), Err(ERESTARTSYS));
        let timed_out = object().done.wait_for_completion_interruptible_timeout(9);
        assert_eq!(timed_out, Err(ERESTARTSYS));
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
        // SAFETY: It was found under RCU.
        assert_eq!(unsafe { atomic_load(&raw mut (*found).state, Relaxed) }, LIVE);
        drop(guard);
        drop(held);
        module.free();

        memory::limit(0);
        assert!(CString::try_from(c"name").is_err());
    });
}
