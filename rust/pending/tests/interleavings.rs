// SPDX-License-Identifier: GPL-2.0

//! Small casts under every interleaving: run with `--features loom`.
//!
//! Above each model is how many interleavings with up to 4 preemptions there are, and how long they
//! keep one core busy. With another backend, a model is a test of some interleavings. The
//! machine checks what is to hold in all of them: nothing is left in use, no task sleeps for ever
//! or with a lock held.

use std::{
    ffi::CStr,
    sync::{
        atomic::{AtomicUsize, Ordering::Relaxed},
        Arc,
    },
};

use kernel::{
    memory,
    modules::{Module, LIVE},
    task::{self, Spawned},
};
use pending::loader::{
    bring_up, claim,
    errno::{EBUSY, EEXIST, ENODEV, ENOEXEC, ENOMEM, ERESTARTSYS},
    explore, join, load, load_image, own, own_provisionally, shown, unload, wait_for, Claim, Owner,
};

const NAME: &CStr = c"module";
const OTHER: &CStr = c"other";

/// Counts runs of an init.
#[derive(Clone, Default)]
struct Runs(Arc<AtomicUsize>);

impl Runs {
    /// A task that loads the module, whose init counts and returns `ret`.
    fn loader(&self, name: &'static CStr, ret: i32) -> Spawned<i32> {
        let runs = self.clone();
        task::spawn(move || runs.load(name, ret))
    }

    fn load(&self, name: &CStr, ret: i32) -> i32 {
        load(name, || self.init(ret))
    }

    fn init(&self, ret: i32) -> i32 {
        self.0.fetch_add(1, Relaxed);
        ret
    }

    fn get(&self) -> usize {
        self.0.load(Relaxed)
    }
}

/// A task that waits for a load which it has joined.
fn waiter(name: &CStr) -> Spawned<i32> {
    let waiter = join(name);
    task::spawn(move || waiter.wait())
}

fn sorted<const N: usize>(mut results: [i32; N]) -> [i32; N] {
    results.sort_unstable();
    results
}

// 19156, 1 s
#[test]
fn one_of_three_loads_succeeds() {
    explore(|| {
        let runs = Runs::default();
        let others = [runs.loader(NAME, 0), runs.loader(NAME, 0)];
        let own = runs.load(NAME, 0);
        let [a, b] = others.map(Spawned::join);
        assert_eq!(sorted([own, a, b]), [EEXIST, EEXIST, 0]);
        assert_eq!(runs.get(), 1);
    });
}

/// Two requests beside an owner. Of a load that fails, a late one is no duplicate: it loads again.
fn two_requests_beside_an_owner(ret: i32, of_duplicate: i32, most_runs: usize) {
    explore(move || {
        let runs = Runs::default();
        let owner = own(NAME);
        let others = [runs.loader(NAME, ret), runs.loader(NAME, ret)];
        assert_eq!(bring_up(NAME, || runs.init(ret)).err().unwrap_or(0), ret);
        owner.finish(ret);
        let results = others.map(Spawned::join);
        assert!(results.iter().all(|result| [of_duplicate, ret].contains(result)), "{results:?}");
        let late = results.iter().filter(|result| **result == ret).count();
        assert_eq!(runs.get(), 1 + late);
        assert!(runs.get() <= most_runs);
    });
}

// 4640, 0.3 s
#[test]
fn two_requests_beside_an_owner_that_succeeds() {
    two_requests_beside_an_owner(0, EEXIST, 1);
}

// 5186, 0.4 s
#[test]
fn two_requests_beside_an_owner_that_fails() {
    two_requests_beside_an_owner(ENODEV, EBUSY, 3);
}

// 1602, 0.1 s
#[test]
fn a_waiter_is_killed_at_any_point() {
    explore(|| {
        let owner = own(NAME);
        let waiter = waiter(NAME);
        let finisher = task::spawn(move || owner.finish(ENODEV));
        waiter.signal();
        let result = waiter.join();
        assert!([EBUSY, ERESTARTSYS].contains(&result), "{result}");
        finisher.join();
    });
}

// 1516, 0.1 s
#[test]
fn a_killed_waiter_waits_for_nobody_and_leaves_the_other_asleep() {
    explore(|| {
        let owner = own(NAME);
        let [killed, other] = [waiter(NAME), waiter(NAME)];
        killed.signal();
        assert_eq!(killed.join(), ERESTARTSYS);
        assert_eq!(other.wake_ups(), 0, "woken by a signal to another");
        owner.finish(0);
        assert_eq!(other.join(), EEXIST);
    });
}

// 13028, 0.9 s
#[test]
fn one_of_two_waiters_is_killed_while_the_owner_finishes() {
    explore(|| {
        let owner = own(NAME);
        let waiters = [waiter(NAME), waiter(NAME)];
        waiters[0].signal();
        owner.finish(0);
        let [killed, other] = waiters.map(Spawned::join);
        assert!([EEXIST, ERESTARTSYS].contains(&killed), "{killed}");
        assert_eq!(other, EEXIST);
    });
}

// 3314, 0.2 s
#[test]
fn waiters_of_a_failure_leave_while_the_next_load_succeeds() {
    explore(|| {
        let first = own(NAME);
        let waiters = [(); 2].map(|()| waiter(NAME));
        first.finish(ENODEV);
        own(NAME).finish(0);
        assert_eq!(waiters.map(Spawned::join), [EBUSY; 2]);
    });
}

// 231, 0.1 s
#[test]
fn a_late_request_gets_the_outcome_of_the_load_that_it_joins() {
    explore(|| {
        let first = own(NAME);
        let (failing, second) = (first.id(), Arc::new(AtomicUsize::new(0)));
        let succeeding = second.clone();
        let request = task::spawn(move || match claim(NAME) {
            Claim::Joined(waiter) if waiter.id() == failing => assert_eq!(waiter.wait(), EBUSY),
            Claim::Joined(waiter) => {
                let joined = waiter.id();
                assert_eq!(waiter.wait(), EEXIST);
                assert_eq!(joined, second.load(Relaxed));
            }
            Claim::Owned(owner) => owner.finish(ENODEV),
            Claim::Refused(error) => assert_eq!(error, EEXIST),
        });
        first.finish(ENODEV);
        match claim(NAME) {
            Claim::Owned(owner) => {
                succeeding.store(owner.id(), Relaxed);
                bring_up(NAME, || 0).expect("init succeeds");
                owner.finish(0);
            }
            Claim::Joined(waiter) => assert_eq!(waiter.wait(), EBUSY),
            Claim::Refused(error) => panic!("there is no module, but {error}"),
        }
        request.join();
    });
}

// 89, 0.1 s
#[test]
fn a_request_after_an_answer_joins_no_finished_load() {
    explore(|| {
        let owner = own(NAME);
        let finished = owner.id();
        let first = waiter(NAME);
        let again = task::spawn(move || {
            assert_eq!(first.join(), EBUSY);
            match claim(NAME) {
                Claim::Owned(owner) => owner.finish(ENODEV),
                Claim::Joined(waiter) => {
                    assert_ne!(waiter.id(), finished, "joined a load that had ended");
                    waiter.wait();
                }
                Claim::Refused(error) => panic!("there is no module, but {error}"),
            }
        });
        owner.finish(ENODEV);
        again.join();
    });
}

// 1564, 0.1 s
#[test]
fn two_names_side_by_side() {
    explore(|| {
        let [one, other] = [own(NAME), own(OTHER)];
        let [of_one, of_other] = [NAME, OTHER].map(waiter);
        other.finish(ENODEV);
        assert_eq!(of_other.join(), EBUSY);
        assert_eq!(of_one.wake_ups(), 0, "woken by another load");
        own(OTHER).finish(ENODEV);
        one.finish(0);
        assert_eq!(of_one.join(), EEXIST);
    });
}

// 5186, 0.4 s
#[test]
fn claims_while_the_owner_finishes() {
    explore(|| {
        let owner = own(NAME);
        let runs = Runs::default();
        let others = [runs.loader(NAME, 0), runs.loader(NAME, 0)];
        owner.finish(ENODEV);
        let results = sorted(others.map(Spawned::join));
        match runs.get() {
            0 => assert_eq!(results, [EBUSY, EBUSY]),
            _ => assert!([[EEXIST, 0], [EBUSY, 0]].contains(&results), "{results:?}"),
        }
        assert!(runs.get() <= 1);
    });
}

// 15518, 1 s
#[test]
fn a_removal_beside_two_requests() {
    explore(|| {
        let module = Module::add(NAME, LIVE);
        let runs = Runs::default();
        let request = runs.loader(NAME, ENODEV);
        let removal = task::spawn(move || unload(module));
        let results = [runs.load(NAME, ENODEV), request.join()];
        assert!(results.iter().all(|r| [EEXIST, EBUSY, ENODEV].contains(r)), "{results:?}");
        assert_eq!(runs.get(), results.iter().filter(|result| **result == ENODEV).count());
        removal.join();
    });
}

// 129, 0.1 s
#[test]
fn memory_runs_out_for_one_of_two() {
    explore(|| {
        let owner = own(NAME);
        memory::limit(memory::in_use());
        owner.finish(ENODEV);
        let runs = Runs::default();
        let other = runs.loader(NAME, 0);
        let results = sorted([runs.load(NAME, 0), other.join()]);
        let expected = [[EEXIST, 0], [ENOMEM, 0], [ENOMEM, ENOMEM]];
        assert!(expected.contains(&results), "{results:?}");
    });
}

/// A duplicate of a load that may pass its name on.
fn next(name: &CStr) -> Spawned<Result<Owner, i32>> {
    let waiter = join(name);
    task::spawn(move || waiter.wait_for_turn())
}

// 37321, 3 s
#[test]
fn a_bad_image_makes_no_good_one_fail() {
    explore(|| {
        let runs = Runs::default();
        let good = runs.clone();
        let bad = task::spawn(|| load_image(NAME, Err(ENOEXEC), || 0));
        let good = task::spawn(move || load_image(NAME, Ok(NAME), || good.init(0)));
        let own = load_image(NAME, Ok(NAME), || runs.init(0));
        assert_eq!(sorted([own, good.join(), 0]), [EEXIST, 0, 0]);
        assert!([ENOEXEC, EEXIST].contains(&bad.join()));
        assert_eq!(runs.get(), 1);
    });
}

// 25551, 2 s
#[test]
fn bad_images_have_their_turns() {
    explore(|| {
        let bad = [(); 2].map(|()| task::spawn(|| load_image(NAME, Err(ENOEXEC), || 0)));
        assert_eq!(load_image(NAME, Err(ENOEXEC), || 0), ENOEXEC);
        assert_eq!(bad.map(Spawned::join), [ENOEXEC; 2]);
        own(NAME).finish(0);
    });
}

// 9998, 0.6 s
#[test]
fn an_image_has_another_name_than_it_seemed_to_have() {
    explore(|| {
        let other = task::spawn(|| load_image(OTHER, Ok(NAME), || ENODEV));
        let own = load_image(NAME, Ok(OTHER), || ENODEV);
        let results = [own, other.join()];
        assert!(results.iter().all(|result| [ENODEV, EBUSY].contains(result)), "{results:?}");
        assert!(results.contains(&ENODEV));
    });
}

// 71, 0.1 s
#[test]
fn the_last_duplicate_is_killed_while_a_name_is_passed_on() {
    explore(|| {
        let bad = own_provisionally(NAME);
        let killed = next(NAME);
        killed.signal();
        bad.finish(ENOEXEC);
        match killed.join() {
            Ok(owner) => owner.finish(ENOEXEC),
            Err(error) => assert_eq!(error, ERESTARTSYS),
        }
        own(NAME).finish(0);
    });
}

// 9111, 0.8 s
#[test]
fn one_of_two_duplicates_is_killed_while_a_name_is_passed_on() {
    explore(|| {
        let bad = own_provisionally(NAME);
        let [killed, other] = [next(NAME), next(NAME)];
        killed.signal();
        bad.finish(ENOEXEC);
        match killed.join() {
            Ok(owner) => owner.finish(ENOEXEC),
            Err(error) => assert_eq!(error, ERESTARTSYS),
        }
        let owner = other.join().expect("nobody else is left");
        assert_eq!(shown(), ["module 1 0 0"]);
        owner.finish(ENOEXEC);
        own(NAME).finish(0);
    });
}

// 11936, 0.7 s
#[test]
fn a_request_comes_while_a_name_is_passed_on() {
    explore(|| {
        let runs = Runs::default();
        let good = runs.clone();
        let bad = own_provisionally(NAME);
        let turn = next(NAME);
        let late = task::spawn(move || load_image(NAME, Ok(NAME), || good.init(ENODEV)));
        bad.finish(ENOEXEC);
        match turn.join() {
            Ok(owner) => owner.finish(ENOEXEC),
            Err(error) => assert_eq!(error, EBUSY, "the late one had a good image"),
        }
        assert_eq!(late.join(), ENODEV);
        assert_eq!(runs.get(), 1);
    });
}

// 1435, 0.1 s
#[test]
fn a_dependent_load_takes_nobodys_turn() {
    explore(|| {
        let bad = own_provisionally(NAME);
        let turn = next(NAME);
        let dependent = task::spawn(|| wait_for(NAME, 9));
        bad.finish(ENOEXEC);
        let owner = turn.join().expect("the one before it had a bad image");
        assert!(owner.confirm(NAME));
        owner.finish(0);
        assert_eq!(dependent.join(), 9);
    });
}

// 11607, 0.7 s
#[test]
fn a_dependent_load_is_woken_or_leaves() {
    explore(|| {
        let owner = own(NAME);
        let [woken, killed] = [(); 2].map(|()| task::spawn(|| wait_for(NAME, 9)));
        killed.signal();
        owner.finish(ENODEV);
        assert_eq!(woken.join(), 9);
        assert!([9, ERESTARTSYS as isize].contains(&killed.join()));
    });
}

// 5785, 0.4 s
#[test]
fn a_dependent_load_that_is_killed_or_late_waits_for_nobody() {
    explore(|| {
        let owner = own(NAME);
        let [killed, late] = [(); 2].map(|()| task::spawn(|| wait_for(NAME, 9)));
        killed.signal();
        late.expire();
        assert_eq!(killed.join(), ERESTARTSYS as isize);
        assert_eq!(late.join(), 0);
        owner.finish(0);
    });
}
