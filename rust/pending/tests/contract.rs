// SPDX-License-Identifier: GPL-2.0

//! The contract of the interface, row by row: what a request finds, and what it returns.
//!
//! That nothing is left behind, no memory and no warning, is checked at the end of each test.

use std::ffi::CStr;

use kernel::{
    machine, memory,
    modules::{Module, COMING, GOING, LIVE, UNFORMED},
    task::{self, Spawned},
};
use pending::loader::{
    claim,
    errno::{EBUSY, EEXIST, ENODEV, ENOEXEC, ENOMEM, ERESTARTSYS},
    explore, is_any_pending, join, load, load_image, own, own_provisionally, shown, unload,
    wait_for, Claim,
};

const NAME: &CStr = c"module";

fn refusal(name: &CStr) -> i32 {
    match claim(name) {
        Claim::Refused(error) => error,
        other => panic!("{name:?} is not refused: {other:?}"),
    }
}

/// A duplicate that has joined and sleeps.
fn sleeper(name: &CStr) -> Spawned<i32> {
    let waiter = join(name);
    let task = task::spawn(move || waiter.wait());
    task.wait_until_asleep();
    task
}

#[test]
fn a_free_name_is_owned_until_the_owner_finishes() {
    explore(|| {
        let owner = own(NAME);
        assert!(memory::in_use() > 0);
        owner.finish(0);
        assert_eq!(memory::in_use(), 0);
        own(NAME).finish(0);
    });
}

#[test]
fn a_load_is_pending_until_the_last_owner_finishes() {
    explore(|| {
        assert!(!is_any_pending());
        let first = own(NAME);
        assert!(is_any_pending());
        let second = own(c"another");
        first.finish(0);
        assert!(is_any_pending());
        second.finish(ENODEV);
        assert!(!is_any_pending());
    });
}

#[test]
fn a_duplicate_of_a_load_that_succeeds_gets_eexist() {
    explore(|| {
        let owner = own(NAME);
        let duplicates = [sleeper(NAME), sleeper(NAME)];
        owner.finish(0);
        assert_eq!(duplicates.map(Spawned::join), [EEXIST; 2]);
    });
}

#[test]
fn a_duplicate_of_a_load_that_fails_for_any_reason_gets_ebusy() {
    for error in [-1, ENOMEM, ENODEV, EEXIST, EBUSY, ERESTARTSYS] {
        explore(move || {
            let owner = own(NAME);
            let duplicates = [sleeper(NAME), sleeper(NAME)];
            owner.finish(error);
            assert_eq!(duplicates.map(Spawned::join), [EBUSY; 2], "{error}");
        });
    }
}

#[test]
fn a_duplicate_that_comes_late_to_its_sleep_gets_the_outcome() {
    explore(|| {
        for (outcome, result) in [(0, EEXIST), (ENODEV, EBUSY)] {
            let owner = own(NAME);
            let waiter = join(NAME);
            owner.finish(outcome);
            assert_eq!(waiter.wait(), result);
        }
    });
}

#[test]
fn a_signal_ends_the_wait_and_disturbs_nobody() {
    explore(|| {
        let owner = own(NAME);
        let [killed, other] = [sleeper(NAME), sleeper(NAME)];
        killed.signal();
        assert_eq!(killed.join(), ERESTARTSYS);
        let late = join(NAME);
        assert_eq!(late.id(), owner.id(), "the owner is not pending any more");
        owner.finish(0);
        assert_eq!(late.wait(), EEXIST);
        assert_eq!(other.join(), EEXIST);
    });
}

#[test]
fn the_last_duplicate_frees_the_entry() {
    explore(|| {
        let owner = own(NAME);
        let waiter = join(NAME);
        owner.finish(0);
        assert!(memory::in_use() > 0, "freed under the duplicate");
        waiter.wait();
        assert_eq!(memory::in_use(), 0);
    });
}

#[test]
fn the_module_list_decides_when_no_load_is_pending() {
    for (state, result, warnings) in
        [(LIVE, EEXIST, 0), (GOING, EBUSY, 0), (UNFORMED, EBUSY, 0), (COMING, EBUSY, 1)]
    {
        explore(move || {
            let module = Module::add(NAME, state);
            assert_eq!(refusal(NAME), result, "state {state}");
            assert_eq!(machine::take_warnings(), warnings, "state {state}");
            module.free();
        });
    }
}

#[test]
fn a_pending_load_goes_before_the_state_of_its_module() {
    for state in [GOING, UNFORMED, COMING] {
        explore(move || {
            let owner = own(NAME);
            let module = Module::add(NAME, state);
            let waiter = join(NAME);
            module.free();
            owner.finish(ENODEV);
            assert_eq!(waiter.wait(), EBUSY);
        });
    }
}

/// What it has scheduled can be what asks for it.
#[test]
fn a_module_is_live_before_its_load_has_ended() {
    explore(|| {
        let owner = own(NAME);
        let module = Module::add(NAME, LIVE);
        assert_eq!(refusal(NAME), EEXIST);
        assert_eq!(shown(), ["module 1 0 0"]);
        owner.finish(0);
        unload(module);
    });
}

#[test]
fn after_a_failure_or_a_removal_the_name_is_free() {
    explore(|| {
        assert_eq!(load(NAME, || ENODEV), ENODEV);
        own(NAME).finish(ENODEV);
        let module = Module::add(NAME, LIVE);
        assert_eq!(load(NAME, || unreachable!()), EEXIST);
        unload(module);
        own(NAME).finish(ENODEV);
    });
}

#[test]
fn names_are_compared_as_a_whole() {
    explore(|| {
        let owners = [c"module", c"modul", c"module2", c"", c"x"].map(own);
        let _live = Module::add(c"live", LIVE);
        own(c"live2").finish(0);
        own(c"liv").finish(0);
        let waiter = join(c"modul");
        assert_eq!(waiter.id(), owners[1].id());
        for owner in owners {
            owner.finish(ENODEV);
        }
        assert_eq!(waiter.wait(), EBUSY);
    });
}

#[test]
fn without_memory_nothing_is_left_behind() {
    explore(|| {
        let owner = own(NAME);
        let allocations = memory::in_use();
        assert!(allocations > 0);
        owner.finish(0);
        for enough_for in 0..allocations {
            memory::limit(enough_for);
            assert_eq!(refusal(NAME), ENOMEM);
            assert_eq!(memory::in_use(), 0);
        }
        memory::limit(allocations);
        own(NAME).finish(0);
    });
}

#[test]
fn a_duplicate_needs_no_memory() {
    explore(|| {
        let owner = own(NAME);
        memory::limit(0);
        let waiter = join(NAME);
        owner.finish(0);
        assert_eq!(waiter.wait(), EEXIST);
    });
}

#[test]
fn a_refusal_by_the_module_list_needs_no_memory() {
    explore(|| {
        memory::limit(0);
        let module = Module::add(NAME, LIVE);
        assert_eq!(refusal(NAME), EEXIST);
        module.free();
    });
}

#[test]
fn only_the_waiters_of_a_load_are_woken_and_each_once() {
    explore(|| {
        let [one, other] = [own(c"one"), own(c"other")];
        let [of_one, of_other] = [sleeper(c"one"), sleeper(c"other")];
        other.finish(ENODEV);
        assert_eq!((of_one.wake_ups(), of_other.wake_ups()), (0, 1));
        one.finish(0);
        assert_eq!((of_one.wake_ups(), of_other.wake_ups()), (1, 1));
        assert_eq!((of_one.join(), of_other.join()), (EEXIST, EBUSY));
    });
}

#[test]
fn a_bad_image_passes_its_name_on_to_each_duplicate_in_turn() {
    explore(|| {
        let bad = own_provisionally(NAME);
        let duplicates = [(); 3].map(|()| {
            let waiter = join(NAME);
            let task = task::spawn(move || waiter.wait_for_turn());
            task.wait_until_asleep();
            task
        });
        bad.finish(ENOEXEC);
        let [second, third, fourth] = duplicates;
        second.join().expect("it has waited longest").finish(ENOEXEC);
        let third = third.join().expect("it is next");
        assert!(third.confirm(NAME));
        third.finish(ENODEV);
        assert_eq!(fourth.join().unwrap_err(), EBUSY);
        own(NAME).finish(0);
    });
}

#[test]
fn a_bad_image_alone_leaves_its_name_free() {
    explore(|| {
        own_provisionally(NAME).finish(ENOEXEC);
        assert_eq!(memory::in_use(), 0);
        own(NAME).finish(0);
    });
}

#[test]
fn an_image_is_loaded_under_the_name_that_it_has() {
    explore(|| {
        let other = c"other";
        assert_eq!(load_image(NAME, Ok(other), || ENODEV), ENODEV);
        assert_eq!(load_image(NAME, Err(ENOEXEC), || 0), ENOEXEC);
        assert_eq!(load_image(NAME, Ok(NAME), || 0), 0);
        assert_eq!(load_image(NAME, Err(ENOEXEC), || 0), EEXIST);
        assert_eq!(load_image(other, Ok(NAME), || 0), EEXIST);
    });
}

#[test]
fn without_memory_for_a_provisional_claim_the_checked_image_decides() {
    explore(|| {
        memory::limit(0);
        assert_eq!(load_image(NAME, Err(ENOEXEC), || 0), ENOEXEC);
        assert_eq!(load_image(NAME, Ok(NAME), || 0), ENOMEM);
    });
}

/// A load that depends on another one and sleeps.
fn dependent(name: &'static CStr) -> Spawned<isize> {
    let task = task::spawn(move || wait_for(name, 9));
    task.wait_until_asleep();
    task
}

#[test]
fn a_dependent_load_sleeps_until_the_other_has_ended() {
    explore(|| {
        for outcome in [0, ENODEV] {
            let owner = own(NAME);
            let others = [dependent(NAME), dependent(NAME)];
            owner.finish(outcome);
            assert_eq!(others.map(Spawned::join), [9; 2]);
        }
    });
}

#[test]
fn a_dependent_load_has_nothing_to_wait_for() {
    explore(|| {
        assert_eq!(wait_for(NAME, 9), 9);
        let unchecked = own_provisionally(NAME);
        assert_eq!(wait_for(NAME, 9), 9);
        unchecked.finish(ENOEXEC);
    });
}

#[test]
fn a_dependent_load_is_late_or_interrupted() {
    explore(|| {
        let owner = own(NAME);
        let late = dependent(NAME);
        late.expire();
        assert_eq!(late.join(), 0);
        let interrupted = dependent(NAME);
        interrupted.signal();
        assert_eq!(interrupted.join(), ERESTARTSYS as isize);
        owner.finish(0);
    });
}

#[test]
fn pending_loads_are_shown() {
    explore(|| {
        assert!(shown().is_empty());
        let [one, other] = [own(NAME), own_provisionally(c"other\n")];
        let [killed, sleeps] = [sleeper(NAME), sleeper(NAME)];
        assert_eq!(shown(), ["module 1 2 0", "other\\n 1 0 0"]);
        killed.signal();
        killed.join();
        assert_eq!(shown(), ["module 1 1 0", "other\\n 1 0 0"]);
        one.finish(0);
        other.finish(ENOEXEC);
        assert_eq!(sleeps.join(), EEXIST);
        assert!(shown().is_empty());
    });
}
