// SPDX-License-Identifier: GPL-2.0

//! Small casts under every interleaving: run with `--features loom`.
//!
//! Above each model is how many interleavings with up to 2 preemptions there are
//! (`LOOM_MAX_PREEMPTIONS=2`, and `--nocapture`). With another backend, a model is a test of some
//! interleavings. The machine checks what is to hold in all of them: nothing is left in use, every
//! claim was ended, no task sleeps for ever or with a lock held.

use std::{
    ffi::CStr,
    sync::{
        atomic::{AtomicUsize, Ordering::Relaxed},
        Arc, Mutex,
    },
};

use kernel::{
    memory,
    modules::{Module, LIVE},
    task::{self, Spawned},
};
use pending::loader::{
    claim, copy,
    errno::{
        EBUSY, EEXIST, EFAULT, EINPROGRESS, EINTR, ENODEV, ENOEXEC, ENOMEM, EPERM, ERESTARTSYS,
    },
    explore, join, own, unload, wait_for, Claim, Image, Request, AGAIN,
};

const NAME: &CStr = c"module";
const OTHER: &CStr = c"other";

/// Counts runs of an init.
#[derive(Clone, Default)]
struct Runs(Arc<AtomicUsize>);

impl Runs {
    /// A request whose init counts and returns `ret`.
    fn of(&self, request: Request, ret: i32) -> Request {
        let runs = self.clone();
        request.with_init(move || {
            runs.0.fetch_add(1, Relaxed);
            ret
        })
    }

    /// A task that loads a module from a compressed image.
    fn loader(&self, name: &'static CStr, ret: i32) -> Spawned<i32> {
        call(self.of(Request::compressed(name), ret))
    }

    fn get(&self) -> usize {
        self.0.load(Relaxed)
    }
}

/// A request whose init fails if its task was killed.
fn killable(runs: &Runs) -> Request {
    let runs = runs.clone();
    Request::compressed(NAME).with_init(move || {
        runs.0.fetch_add(1, Relaxed);
        if task::current().fatal_signal_pending() {
            EINTR
        } else {
            0
        }
    })
}

fn call(request: Request) -> Spawned<i32> {
    task::spawn(move || request.call())
}

/// A task that waits for a load in which it has a share.
fn waiter(name: &CStr) -> Spawned<i32> {
    let duplicate = join(name);
    task::spawn(move || duplicate.wait())
}

fn sorted<const N: usize>(mut results: [i32; N]) -> [i32; N] {
    results.sort_unstable();
    results
}

mod owners {
    use super::*;

    // 4815
    #[test]
    fn one_of_three_loads_succeeds() {
        explore(|| {
            let runs = Runs::default();
            let others = [runs.loader(NAME, 0), runs.loader(NAME, 0)];
            let own = runs.of(Request::compressed(NAME), 0).call();
            let [a, b] = others.map(Spawned::join);
            assert_eq!(sorted([own, a, b]), [EEXIST, EEXIST, 0]);
            assert_eq!(runs.get(), 1);
        });
    }

    /// Two requests beside an owner. Of a load that fails, a late one is no duplicate: it loads
    /// again.
    fn two_requests_beside_an_owner(ret: i32, of_duplicate: i32, most_runs: usize) {
        explore(move || {
            let runs = Runs::default();
            let others = [runs.loader(NAME, ret), runs.loader(NAME, ret)];
            let own = runs.of(Request::compressed(NAME), ret).call();
            let [a, b] = others.map(Spawned::join);
            let results = [own, a, b];
            assert!(
                results.iter().all(|result| [of_duplicate, ret].contains(result)),
                "{results:?}"
            );
            assert_eq!(runs.get(), results.iter().filter(|result| **result == ret).count());
            assert!((1..=most_runs).contains(&runs.get()));
        });
    }

    // 8400
    #[test]
    fn three_loads_fail_or_are_duplicates() {
        two_requests_beside_an_owner(ENODEV, EBUSY, 3);
    }

    // 1329
    #[test]
    fn claims_while_the_owner_ends() {
        explore(|| {
            let owner = own(NAME);
            let runs = Runs::default();
            let others = [runs.loader(NAME, 0), runs.loader(NAME, 0)];
            owner.fail(ENODEV);
            let results = sorted(others.map(Spawned::join));
            match runs.get() {
                0 => assert_eq!(results, [EBUSY, EBUSY]),
                _ => assert!([[EEXIST, 0], [EBUSY, 0]].contains(&results), "{results:?}"),
            }
            assert!(runs.get() <= 1);
        });
    }

    // 460
    #[test]
    fn waiters_of_a_failure_leave_while_the_next_load_succeeds() {
        explore(|| {
            let first = own(NAME);
            let waiters = [(); 2].map(|()| waiter(NAME));
            first.fail(ENODEV);
            own(NAME).succeed();
            assert_eq!(waiters.map(Spawned::join), [EBUSY; 2]);
        });
    }

    // 137
    #[test]
    fn a_late_request_gets_the_outcome_of_the_load_that_it_joins() {
        explore(|| {
            let first = own(NAME);
            let (failing, second) = (first.id(), Arc::new(AtomicUsize::new(0)));
            let succeeding = second.clone();
            let request = task::spawn(move || match claim(NAME) {
                Ok((owner, true)) => owner.fail(ENODEV),
                Ok((duplicate, false)) if duplicate.id() == failing => {
                    assert_eq!(duplicate.wait(), EBUSY)
                }
                Ok((duplicate, false)) => {
                    let joined = duplicate.id();
                    assert_eq!(duplicate.wait(), EEXIST);
                    assert_eq!(joined, second.load(Relaxed));
                }
                Err(error) => panic!("there is no module, but {error}"),
            });
            first.fail(ENODEV);
            match claim(NAME) {
                Ok((owner, true)) => {
                    succeeding.store(owner.id(), Relaxed);
                    owner.succeed();
                }
                Ok((duplicate, false)) => assert_eq!(duplicate.wait(), EBUSY),
                Err(error) => panic!("there is no module, but {error}"),
            }
            request.join();
        });
    }

    // 74
    #[test]
    fn a_request_after_an_answer_joins_no_load_that_has_ended() {
        explore(|| {
            let owner = own(NAME);
            let ended = owner.id();
            let first = waiter(NAME);
            let again = task::spawn(move || {
                assert_eq!(first.join(), EBUSY);
                match claim(NAME) {
                    Ok((owner, true)) => owner.fail(ENODEV),
                    Ok((duplicate, false)) => {
                        assert_ne!(duplicate.id(), ended, "joined a load that had ended");
                        duplicate.wait();
                    }
                    Err(error) => panic!("there is no module, but {error}"),
                }
            });
            owner.fail(ENODEV);
            again.join();
        });
    }

    // 301
    #[test]
    fn two_names_side_by_side() {
        explore(|| {
            let [one, other] = [own(NAME), own(OTHER)];
            let [of_one, of_other] = [NAME, OTHER].map(waiter);
            other.fail(ENODEV);
            assert_eq!(of_other.join(), EBUSY);
            assert_eq!(of_one.wake_ups(), 0, "woken by another load");
            own(OTHER).fail(ENODEV);
            one.succeed();
            assert_eq!(of_one.join(), EEXIST);
        });
    }

    // 420
    #[test]
    fn a_removal_beside_two_requests() {
        explore(|| {
            let module = Module::add(NAME, LIVE);
            let runs = Runs::default();
            let request = runs.loader(NAME, ENODEV);
            let removal = task::spawn(move || unload(module));
            let own = runs.of(Request::compressed(NAME), ENODEV).call();
            let results = [own, request.join()];
            assert!(results.iter().all(|r| [EEXIST, EBUSY, ENODEV].contains(r)), "{results:?}");
            assert_eq!(runs.get(), results.iter().filter(|result| **result == ENODEV).count());
            removal.join();
        });
    }

    // 749
    #[test]
    fn a_request_with_bad_arguments_makes_no_other_fail() {
        explore(|| {
            let bad = call(Request::compressed(NAME).with_bad_arguments(EFAULT));
            let good = call(Request::compressed(NAME));
            let own = Request::compressed(NAME).with_bad_arguments(EFAULT).call();
            assert!([EFAULT, EEXIST].contains(&own), "{own}");
            assert_eq!(good.join(), 0);
            assert!([EFAULT, EEXIST].contains(&bad.join()));
        });
    }

    // 319
    #[test]
    fn memory_runs_out_for_one_of_two() {
        explore(|| {
            let owner = own(NAME);
            memory::limit(memory::in_use());
            owner.fail(ENODEV);
            let runs = Runs::default();
            let other = runs.loader(NAME, 0);
            let results = sorted([runs.of(Request::compressed(NAME), 0).call(), other.join()]);
            let expected = [[EEXIST, 0], [ENOMEM, 0], [ENOMEM, ENOMEM]];
            assert!(expected.contains(&results), "{results:?}");
        });
    }
}

mod live {
    use super::*;

    // 632
    #[test]
    fn duplicates_and_dependents_go_on_while_the_load_finishes() {
        explore(|| {
            let tasks = Arc::new(Mutex::new(Vec::new()));
            let (before, after) = (tasks.clone(), tasks.clone());
            let init = move || {
                let duplicate = call(Request::compressed(NAME));
                let dependent = task::spawn(|| wait_for(NAME, 9) as i32);
                before.lock().unwrap().extend([duplicate, dependent]);
                0
            };
            let asynchronous = move || {
                let tasks = std::mem::take(&mut *after.lock().unwrap());
                let results: Vec<i32> = tasks.into_iter().map(Spawned::join).collect();
                assert_eq!(results[0], EEXIST);
                assert!(results[1] > 0);
                0
            };
            let request = Request::compressed(NAME).with_init(init).and_later(asynchronous);
            assert_eq!(request.call(), 0);
        });
    }

    // 177
    #[test]
    fn a_load_finds_the_module_that_it_needs() {
        explore(|| {
            let base = call(Request::compressed(NAME));
            let user = Request::compressed(OTHER).which_needs(NAME).call();
            assert_eq!(base.join(), 0);
            // Without a base yet, its symbol is unknown.
            assert!([0, pending::loader::errno::ENOENT].contains(&user), "{user}");
        });
    }

    // 193
    #[test]
    fn a_dependent_load_is_woken_or_leaves() {
        explore(|| {
            let owner = own(NAME);
            let [woken, killed] = [(); 2].map(|()| task::spawn(|| wait_for(NAME, 9)));
            killed.signal();
            owner.fail(ENODEV);
            assert!([8, 9].contains(&woken.join()));
            assert!([8, 9, ERESTARTSYS as isize].contains(&killed.join()));
        });
    }

    // 152
    #[test]
    fn a_dependent_load_that_is_killed_or_late_waits_for_nobody() {
        explore(|| {
            let owner = own(NAME);
            let [killed, late] = [(); 2].map(|()| task::spawn(|| wait_for(NAME, 9)));
            killed.signal();
            late.expire();
            assert_eq!(killed.join(), ERESTARTSYS as isize);
            assert_eq!(late.join(), 0);
            owner.succeed();
        });
    }

    // 30
    #[test]
    fn the_time_is_up_while_the_owner_ends() {
        explore(|| {
            let owner = own(NAME);
            let late = task::spawn(|| wait_for(NAME, 9));
            late.expire();
            owner.succeed();
            let left = late.join();
            assert!([0, 1, 9].contains(&left), "{left}");
        });
    }
}

mod signals {
    use super::*;

    // 177
    #[test]
    fn a_waiter_is_killed_at_any_point() {
        explore(|| {
            let owner = own(NAME);
            let waiter = waiter(NAME);
            let load = task::spawn(move || owner.fail(ENODEV));
            waiter.signal();
            let result = waiter.join();
            assert!([EBUSY, ERESTARTSYS].contains(&result), "{result}");
            load.join();
        });
    }

    // 268
    #[test]
    fn a_killed_waiter_waits_for_nobody_and_leaves_the_other_asleep() {
        explore(|| {
            let owner = own(NAME);
            let [killed, other] = [waiter(NAME), waiter(NAME)];
            killed.signal();
            assert_eq!(killed.join(), ERESTARTSYS);
            assert_eq!(other.wake_ups(), 0, "woken by a signal to another");
            owner.succeed();
            assert_eq!(other.join(), EEXIST);
        });
    }

    // 604
    #[test]
    fn one_of_two_waiters_is_killed_while_the_owner_ends() {
        explore(|| {
            let owner = own(NAME);
            let waiters = [waiter(NAME), waiter(NAME)];
            waiters[0].signal();
            owner.succeed();
            let [killed, other] = waiters.map(Spawned::join);
            assert!([EEXIST, ERESTARTSYS].contains(&killed), "{killed}");
            assert_eq!(other, EEXIST);
        });
    }

    // 4693
    #[test]
    fn an_owner_is_killed_at_any_point_and_another_request_loads() {
        explore(|| {
            let runs = Runs::default();
            let killed = call(killable(&runs));
            let other = call(killable(&runs));
            killed.kill();
            let own = killable(&runs).call();
            let (killed, other) = (killed.join(), other.join());
            assert!([0, EINTR, EEXIST, ERESTARTSYS].contains(&killed), "{killed}");
            let results = sorted([killed, own, other]);
            assert_eq!(results.iter().filter(|ret| **ret == 0).count(), 1, "{results:?}");
            assert!([own, other].iter().all(|ret| [0, EEXIST].contains(ret)), "{own} {other}");
            assert_eq!(runs.get(), 1 + usize::from(killed == EINTR));
        });
    }

    // 605
    #[test]
    fn an_owner_is_killed_while_it_copies() {
        explore(|| {
            let interrupted = || if task::current().fatal_signal_pending() { EINTR } else { 0 };
            let runs = Runs::default();
            let large = || runs.of(Request::large(NAME), 0);
            let killed = call(large().copied_by(interrupted));
            killed.kill();
            let own = large().call();
            let killed = killed.join();
            assert!([0, EEXIST, EINTR, ERESTARTSYS].contains(&killed), "{killed}");
            assert_eq!(own, if killed == 0 { EEXIST } else { 0 });
            assert_eq!(runs.get(), 1);
        });
    }

    // 927
    #[test]
    fn an_owner_is_killed_while_it_waits_for_another_load() {
        explore(|| {
            let base = own(NAME);
            let module = Module::add(NAME, kernel::modules::COMING);
            let runs = Runs::default();
            let killed = call(runs.of(Request::compressed(OTHER).which_needs(NAME), 0));
            let other = call(runs.of(Request::compressed(OTHER), 0));
            killed.kill();
            let (killed, other) = (killed.join(), other.join());
            assert!([(ERESTARTSYS, 0), (EEXIST, 0)].contains(&(killed, other)), "{killed} {other}");
            assert_eq!(runs.get(), 1);
            module.free();
            base.fail(ENODEV);
        });
    }

    // 604
    #[test]
    fn a_killed_duplicate_never_starts_over() {
        explore(|| {
            let owner = own(NAME);
            let [killed, other] = [waiter(NAME), waiter(NAME)];
            killed.kill();
            owner.interrupt();
            assert_eq!(killed.join(), ERESTARTSYS);
            assert_eq!(other.join(), AGAIN);
        });
    }

    // 2680
    #[test]
    fn one_of_those_that_start_over_loads() {
        explore(|| {
            let runs = Runs::default();
            let owner = own(NAME);
            let others = [runs.loader(NAME, 0), runs.loader(NAME, 0)];
            owner.interrupt();
            assert_eq!(sorted(others.map(Spawned::join)), [EEXIST, 0]);
            assert_eq!(runs.get(), 1);
        });
    }

    // 1619
    #[test]
    fn one_that_starts_over_is_not_permitted_any_more() {
        explore(|| {
            let runs = Runs::default();
            let owner = own(NAME);
            let asked = AtomicUsize::new(0);
            let once = move || if asked.fetch_add(1, Relaxed) == 0 { 0 } else { EPERM };
            let denied = call(runs.of(Request::compressed(NAME).if_permitted(once), 0));
            let other = runs.loader(NAME, 0);
            owner.interrupt();
            match (denied.join(), other.join()) {
                (EPERM, 0) | (0, EEXIST) | (EEXIST, 0) => {}
                results => panic!("{results:?}"),
            }
            assert_eq!(runs.get(), 1);
        });
    }
}

mod copies {
    use super::*;

    // 581
    #[test]
    fn one_of_two_large_images_is_loaded() {
        explore(|| {
            let runs = Runs::default();
            let other = call(runs.of(Request::large(NAME), 0));
            let own = runs.of(Request::large(NAME), 0).call();
            assert_eq!(sorted([own, other.join()]), [EEXIST, 0]);
            assert_eq!(runs.get(), 1);
        });
    }

    // 72
    #[test]
    fn one_that_waits_for_a_copy_shares_in_the_load() {
        explore(|| {
            let mut first = copy(NAME);
            let waiting = task::spawn(|| {
                let mut claim = Claim::default();
                let ret = claim.look(Image::large(NAME));
                assert!([EINPROGRESS, EEXIST].contains(&ret), "{ret}");
                assert_eq!(claim.end(ret), EEXIST);
            });
            assert_eq!(first.name(NAME, 0), 0);
            let _module = Module::add(NAME, LIVE);
            first.succeed();
            waiting.join();
        });
    }

    // 411
    #[test]
    fn small_images_beside_each_other() {
        explore(|| {
            let runs = Runs::default();
            let others = [0; 2].map(|ret| call(runs.of(Request::small(NAME), ret)));
            let results = sorted(others.map(Spawned::join));
            assert_eq!((results, runs.get()), ([EEXIST, 0], 1));
        });
    }

    // 26
    #[test]
    fn a_bad_small_image_beside_a_good_one() {
        explore(|| {
            let runs = Runs::default();
            let good = call(runs.of(Request::small(NAME), 0));
            let bad = Request::small(NAME).which_is(Err(ENOEXEC)).call();
            assert!([EEXIST, ENOEXEC].contains(&bad), "{bad}");
            assert_eq!((good.join(), runs.get()), (0, 1));
        });
    }

    // 740
    #[test]
    fn a_large_image_beside_a_compressed_one() {
        explore(|| {
            let runs = Runs::default();
            let large = call(runs.of(Request::large(NAME), ENODEV));
            let compressed = runs.loader(NAME, ENODEV);
            let results = [large, compressed].map(Spawned::join);
            assert!(results.iter().all(|r| [EBUSY, ENODEV].contains(r)), "{results:?}");
            assert_eq!(runs.get(), results.iter().filter(|result| **result == ENODEV).count());
        });
    }

    // 454
    #[test]
    fn a_compressed_image_does_not_wait_for_a_copy() {
        explore(|| {
            let mut first = copy(NAME);
            let waiting = call(Request::large(NAME));
            let compressed = call(Request::compressed(NAME));
            // The first copy does not end before the compressed one has loaded.
            let compressed = compressed.join();
            let ret = first.name(NAME, 0);
            assert_eq!((compressed, ret), (0, EEXIST));
            assert_eq!(first.end(ret), EEXIST);
            assert_eq!(waiting.join(), EEXIST);
        });
    }

    // 144
    #[test]
    fn a_bad_image_makes_no_good_one_fail() {
        explore(|| {
            let runs = Runs::default();
            let bad = call(Request::large(NAME).which_is(Err(ENOEXEC)));
            let good = call(runs.of(Request::large(NAME), 0));
            assert_eq!(good.join(), 0);
            assert!([ENOEXEC, EEXIST].contains(&bad.join()));
            assert_eq!(runs.get(), 1);
        });
    }

    // 913
    #[test]
    fn bad_images_get_their_own_errors() {
        explore(|| {
            let bad = Request::large(NAME).which_is(Err(ENOEXEC));
            let others = [call(bad.clone()), call(bad.clone())];
            assert_eq!(bad.call(), ENOEXEC);
            assert_eq!(others.map(Spawned::join), [ENOEXEC; 2]);
            own(NAME).succeed();
        });
    }

    // 515
    #[test]
    fn two_images_have_each_others_names() {
        explore(|| {
            let runs = Runs::default();
            let other = call(runs.of(Request::large(OTHER).which_is(Ok(NAME)), 0));
            let own = runs.of(Request::large(NAME).which_is(Ok(OTHER)), 0).call();
            // Each may find the load of the other, by the name that it seems to have.
            match (sorted([own, other.join()]), runs.get()) {
                ([0, 0], 2) | ([EEXIST, 0], 1) => {}
                results => panic!("{results:?}"),
            }
        });
    }

    // 2371
    #[test]
    fn duplicates_wait_on_both_of_two_names_that_are_crossed() {
        explore(|| {
            let mut crossed = [copy(NAME), copy(OTHER)];
            let duplicates = [NAME, OTHER].map(|name| {
                task::spawn(move || {
                    let mut claim = Claim::default();
                    match claim.look(Image::large(name)) {
                        0 => claim.end(ENOEXEC),
                        ret => claim.end(ret),
                    }
                })
            });
            assert_eq!(crossed[0].name(OTHER, 0), 0);
            assert_eq!(crossed[1].name(NAME, 0), 0);
            crossed.into_iter().for_each(Claim::succeed);
            for result in duplicates.map(Spawned::join) {
                assert!([EEXIST, ENOEXEC].contains(&result), "{result}");
            }
        });
    }

    // 21
    #[test]
    fn the_moment_is_up_while_the_first_copy_ends() {
        explore(|| {
            let first = copy(NAME);
            let late = call(Request::large(NAME));
            late.expire();
            first.fail(ENOEXEC);
            assert_eq!(late.join(), 0);
        });
    }

    // 4
    #[test]
    fn the_moment_is_up_while_the_first_copy_lasts() {
        explore(|| {
            let first = copy(NAME);
            let late = call(Request::large(NAME));
            late.expire();
            assert_eq!(late.join(), 0);
            first.fail(ENOEXEC);
        });
    }

    // 1957
    #[test]
    fn one_that_waits_for_a_copy_is_killed() {
        explore(|| {
            let first = copy(NAME);
            let [killed, other] = [(); 2].map(|()| call(Request::large(NAME)));
            killed.kill();
            first.fail(ENOEXEC);
            let killed = killed.join();
            // It goes on, and may find the load of the other one.
            assert!([0, EEXIST, ERESTARTSYS].contains(&killed), "{killed}");
            assert_eq!(other.join(), if killed == 0 { EEXIST } else { 0 });
        });
    }

    // 18
    #[test]
    fn a_signal_ends_the_moment_alone() {
        explore(|| {
            let first = copy(NAME);
            let killed = call(Request::large(NAME));
            killed.kill();
            first.fail(ENOEXEC);
            assert_eq!(killed.join(), 0);
        });
    }

    // 243
    #[test]
    fn nobody_waits_for_a_copy_after_the_first_one_was_refused() {
        explore(|| {
            let look = || {
                let mut claim = Claim::default();
                assert_eq!(claim.look(Image::large(NAME)), 0);
                claim
            };
            let first = copy(NAME);
            let second = task::spawn(look);
            second.wait_until_asleep();
            let third = task::spawn(look);
            first.fail(ENOEXEC);
            // None of them ends before the next one goes on.
            let claims = [second.join(), third.join(), copy(NAME)];
            claims.into_iter().for_each(|claim| claim.fail(ENOEXEC));
            assert_eq!(memory::in_use(), 0);
        });
    }

    // 755
    #[test]
    fn the_last_of_a_burst_ends_while_another_one_comes() {
        explore(|| {
            let runs = Runs::default();
            let first = copy(NAME);
            let bad = call(Request::large(NAME).which_is(Err(ENOEXEC)));
            first.fail(ENOEXEC);
            let good = runs.of(Request::large(NAME), ENODEV).call();
            assert_eq!(good, ENODEV);
            assert!([ENOEXEC, EBUSY].contains(&bad.join()));
            assert_eq!((memory::in_use(), runs.get()), (0, 1));
        });
    }

    // 1398
    #[test]
    fn any_copy_decides_for_those_that_wait() {
        explore(|| {
            let first = copy(NAME);
            let [late, other] = [(); 2].map(|()| call(Request::large(NAME)));
            late.expire();
            assert_eq!(sorted([late.join(), other.join()]), [EEXIST, 0]);
            first.fail(ENOEXEC);
        });
    }

    // 17
    #[test]
    fn a_removal_beside_a_first_copy() {
        explore(|| {
            let module = Module::add(NAME, LIVE);
            let removal = task::spawn(move || unload(module));
            let mut claim = Claim::default();
            let early = claim.look(Image::large(NAME));
            assert!([0, EEXIST].contains(&early), "{early}");
            let late = if early == 0 { claim.name(NAME, 0) } else { early };
            assert!([0, EEXIST, EBUSY].contains(&late), "{late}");
            let ret = if late == 0 { ENODEV } else { late };
            assert_eq!(claim.end(ret), ret);
            removal.join();
        });
    }

    // 15
    #[test]
    fn memory_runs_out_for_one_of_two_copies() {
        explore(|| {
            let first = copy(NAME);
            memory::limit(memory::in_use());
            first.fail(ENOEXEC);
            let other = call(Request::large(NAME).which_is(Err(ENOEXEC)));
            assert_eq!(Request::large(NAME).which_is(Err(ENOEXEC)).call(), ENOEXEC);
            assert_eq!(other.join(), ENOEXEC);
        });
    }

    // 47
    #[test]
    fn an_early_duplicate_beside_the_owner() {
        explore(|| {
            let owner = own(NAME);
            let early = task::spawn(|| {
                let mut claim = Claim::default();
                match claim.look(Image::large(NAME)) {
                    0 => claim.end(ENOEXEC),
                    ret => {
                        assert_eq!(ret, EINPROGRESS);
                        claim.end(ret)
                    }
                }
            });
            owner.fail(ENODEV);
            assert!([ENOEXEC, EBUSY].contains(&early.join()));
        });
    }
}
