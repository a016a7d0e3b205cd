// SPDX-License-Identifier: GPL-2.0

//! The contract of the interface, row by row: what a request finds, and what it returns.
//!
//! That nothing is left behind, no claim, no memory and no warning, is checked at the end of each
//! test.

use std::{
    ffi::CStr,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    sync::{Arc, Mutex},
};

use kernel::{
    bindings::file,
    machine, memory,
    modules::{Module, COMING, GOING, LIVE, UNFORMED},
    task::{self, Spawned},
    tracepoint::take_events,
};
use pending::{
    elf,
    loader::{
        claim, copy,
        errno::{
            EBUSY, EEXIST, EFAULT, EINPROGRESS, EINTR, ENODEV, ENOENT, ENOEXEC, ENOMEM, EPERM,
            ERESTARTSYS,
        },
        explore, join, own, remove, shown, unload, wait_for, Claim, Image, Request, AGAIN, SMALL,
    },
};

const NAME: &CStr = c"module";
const OTHER: &CStr = c"other";

fn refusal(name: &CStr) -> i32 {
    claim(name).err().expect("the name is refused")
}

/// A task that does something in which it sleeps.
fn sleeping<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> Spawned<T> {
    let task = task::spawn(body);
    task.wait_until_asleep();
    task
}

/// A duplicate that has joined and sleeps.
fn sleeper(name: &CStr) -> Spawned<i32> {
    let claim = join(name);
    sleeping(move || claim.wait())
}

/// A request that peeks at its image, and waits.
fn waiting_copy(name: &'static CStr) -> Spawned<(i32, Claim)> {
    sleeping(move || {
        let mut claim = Claim::default();
        (claim.look(Image::large(name)), claim)
    })
}

/// What became of a request that waited. It goes on to fail.
fn first_sight(task: Spawned<(i32, Claim)>) -> i32 {
    let (ret, mut claim) = task.join();
    let end = if ret == EINPROGRESS { ret } else { ENOEXEC };
    claim.end(end);
    ret
}

/// The claim of a request that waited and goes on by itself.
fn goes_on(task: Spawned<(i32, Claim)>) -> Claim {
    let (ret, claim) = task.join();
    assert_eq!(ret, 0);
    claim
}

/// What a request gets that looks at its image, and then goes on to fail.
fn look(name: &CStr) -> i32 {
    let mut claim = Claim::default();
    let ret = claim.look(Image::large(name));
    assert_eq!(claim.end(ENOEXEC), ENOEXEC);
    ret
}

mod names {
    use super::*;

    #[test]
    fn a_free_name_is_owned_until_the_load_ends() {
        explore(|| {
            for end in [Claim::succeed, |owner: Claim| owner.fail(ENODEV)] {
                let owner = own(NAME);
                assert!(memory::in_use() > 0);
                let duplicate = join(NAME);
                assert_eq!(duplicate.id(), owner.id());
                end(owner);
                assert!([EEXIST, EBUSY].contains(&duplicate.wait()));
                assert_eq!(memory::in_use(), 0);
            }
            own(NAME).succeed();
        });
    }

    #[test]
    fn a_duplicate_of_a_load_that_succeeds_gets_eexist() {
        explore(|| {
            let owner = own(NAME);
            let duplicates = [sleeper(NAME), sleeper(NAME)];
            owner.succeed();
            assert_eq!(duplicates.map(Spawned::join), [EEXIST; 2]);
        });
    }

    #[test]
    fn a_duplicate_of_a_load_that_fails_for_any_reason_gets_ebusy() {
        for error in [EPERM, ENOMEM, ENODEV, EEXIST, EBUSY, EINTR] {
            explore(move || {
                let owner = own(NAME);
                let duplicates = [sleeper(NAME), sleeper(NAME)];
                owner.fail(error);
                assert_eq!(duplicates.map(Spawned::join), [EBUSY; 2], "{error}");
            });
        }
    }

    #[test]
    fn a_duplicate_that_comes_late_to_its_sleep_gets_the_outcome() {
        explore(|| {
            let [owner, duplicate] = [own(NAME), join(NAME)];
            owner.succeed();
            assert_eq!(duplicate.wait(), EEXIST);

            let [owner, duplicate] = [own(NAME), join(NAME)];
            owner.fail(ENODEV);
            own(NAME).succeed();
            let _module = Module::add(NAME, LIVE);
            assert_eq!(duplicate.wait(), EBUSY);
        });
    }

    #[test]
    fn a_duplicate_goes_on_when_the_module_is_live() {
        explore(|| {
            let mut owner = own(NAME);
            let duplicates = [sleeper(NAME), sleeper(NAME)];
            let module = Module::add(NAME, COMING);
            module.set_state(LIVE);
            owner.live();
            assert_eq!(duplicates.map(Spawned::join), [EEXIST; 2]);
            assert_eq!(memory::in_use(), 0);
            assert_eq!(refusal(NAME), EEXIST);
            assert_eq!(owner.end(0), 0);
        });
    }

    /// What it has scheduled can be what asks for it.
    #[test]
    fn a_module_is_live_before_its_load_is_not_pending_any_more() {
        explore(|| {
            let owner = own(NAME);
            let _module = Module::add(NAME, LIVE);
            assert_eq!(refusal(NAME), EEXIST);
            assert_eq!(look(NAME), EEXIST);
            owner.succeed();
        });
    }

    #[test]
    fn the_last_duplicate_frees_the_entry() {
        explore(|| {
            let [owner, duplicate] = [own(NAME), join(NAME)];
            owner.succeed();
            assert!(memory::in_use() > 0, "freed under the duplicate");
            duplicate.wait();
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
                own(NAME).succeed();
            });
        }
    }

    #[test]
    fn a_pending_load_goes_before_the_state_of_its_module() {
        for state in [GOING, UNFORMED, COMING] {
            explore(move || {
                let owner = own(NAME);
                let module = Module::add(NAME, state);
                let duplicate = join(NAME);
                module.free();
                owner.fail(ENODEV);
                assert_eq!(duplicate.wait(), EBUSY);
            });
        }
    }

    #[test]
    fn names_are_compared_as_a_whole() {
        explore(|| {
            let owners = [c"module", c"modul", c"module2", c"", c"x"].map(own);
            let _live = Module::add(c"live", LIVE);
            own(c"live2").succeed();
            own(c"liv").succeed();
            let duplicate = join(c"modul");
            assert_eq!(duplicate.id(), owners[1].id());
            owners.into_iter().for_each(|owner| owner.fail(ENODEV));
            assert_eq!(duplicate.wait(), EBUSY);
        });
    }

    #[test]
    fn only_those_that_wait_for_a_load_are_woken_and_each_once() {
        explore(|| {
            let [one, other] = [NAME, OTHER].map(own);
            let [of_one, of_other] = [NAME, OTHER].map(sleeper);
            let dependent = sleeping(|| wait_for(NAME, 9));
            other.fail(ENODEV);
            assert_eq!((of_one.wake_ups(), of_other.wake_ups()), (0, 1));
            assert_eq!(dependent.wake_ups(), 0);
            one.succeed();
            assert_eq!((of_one.wake_ups(), of_other.wake_ups()), (1, 1));
            assert_eq!(dependent.wake_ups(), 1);
            assert_eq!((of_one.join(), of_other.join()), (EEXIST, EBUSY));
            dependent.join();
        });
    }

    #[test]
    fn interrupts_are_not_disabled_while_all_duplicates_are_woken() {
        explore(|| {
            let owner = own(NAME);
            let duplicates = [(); 3].map(|()| sleeper(NAME));
            owner.succeed();
            assert_eq!(machine::most_woken(), 0);
            assert_eq!(duplicates.map(Spawned::join), [EEXIST; 3]);
        });
    }

    #[test]
    fn a_refused_request_owns_nothing() {
        explore(|| {
            memory::limit(0);
            let mut claim = Claim::default();
            assert_eq!(claim.name(NAME, EFAULT), EFAULT);
            assert_eq!(claim.end(EFAULT), EFAULT);
            memory::limit(usize::MAX);

            let owner = own(NAME);
            assert_eq!(claim.name(NAME, EFAULT), EINPROGRESS);
            owner.succeed();
            assert_eq!(claim.end(EINPROGRESS), EEXIST);

            for (state, result) in [(LIVE, EEXIST), (GOING, EBUSY)] {
                let module = Module::add(NAME, state);
                assert_eq!(claim.name(NAME, EFAULT), result);
                assert_eq!(claim.end(result), result);
                module.free();
            }
        });
    }
}

mod memory_runs_out {
    use super::*;

    #[test]
    fn without_memory_nothing_is_left_behind() {
        explore(|| {
            let owner = own(NAME);
            let allocations = memory::in_use();
            assert!(allocations > 0);
            owner.succeed();
            for enough_for in 0..allocations {
                memory::limit(enough_for);
                assert_eq!(refusal(NAME), ENOMEM);
                assert_eq!(memory::in_use(), 0);
            }
            memory::limit(allocations);
            own(NAME).succeed();
        });
    }

    #[test]
    fn a_duplicate_needs_no_memory() {
        explore(|| {
            let owner = own(NAME);
            memory::limit(0);
            let duplicate = join(NAME);
            let mut early = Claim::default();
            assert_eq!(early.look(Image::large(NAME)), EINPROGRESS);
            owner.succeed();
            assert_eq!([duplicate, early].map(Claim::wait), [EEXIST; 2]);
        });
    }

    #[test]
    fn a_refusal_by_the_module_list_needs_no_memory() {
        explore(|| {
            memory::limit(0);
            let _module = Module::add(NAME, LIVE);
            assert_eq!(refusal(NAME), EEXIST);
            assert_eq!(look(NAME), EEXIST);
        });
    }

    #[test]
    fn a_copy_without_memory_is_neither_noted_down_nor_waits() {
        explore(|| {
            let first = copy(NAME);
            let allocations = memory::in_use();
            for enough_for in 0..allocations {
                memory::limit(enough_for);
                assert_eq!(look(NAME), 0);
                assert_eq!(look(OTHER), 0);
                assert_eq!(memory::in_use(), allocations);
            }
            first.fail(ENOEXEC);
        });
    }
}

mod signals {
    use super::*;

    #[test]
    fn a_signal_ends_the_wait_and_disturbs_nobody() {
        explore(|| {
            let owner = own(NAME);
            let [killed, other] = [sleeper(NAME), sleeper(NAME)];
            killed.signal();
            assert_eq!(killed.join(), ERESTARTSYS);
            let late = join(NAME);
            assert_eq!(late.id(), owner.id(), "the owner is not pending any more");
            owner.succeed();
            assert_eq!(late.wait(), EEXIST);
            assert_eq!(other.join(), EEXIST);
        });
    }

    /// A load as main.c ends it: with a signal for its task, or without.
    fn interrupted(
        signal: impl Fn(&Spawned<()>) + Send + Sync + 'static,
        error: i32,
        of_duplicate: i32,
    ) {
        explore(move || {
            let owner = own(NAME);
            let duplicates = [sleeper(NAME), sleeper(NAME)];
            let other = own(OTHER);
            let load = sleeping(move || {
                wait_for(OTHER, 9);
                owner.fail(error);
            });
            signal(&load);
            load.join();
            assert_eq!(duplicates.map(Spawned::join), [of_duplicate; 2], "{error}");
            own(NAME).succeed();
            other.succeed();
        });
    }

    #[test]
    fn duplicates_of_an_interrupted_load_start_over() {
        interrupted(Spawned::signal, ERESTARTSYS, AGAIN);
        interrupted(Spawned::signal, EINTR, AGAIN);
        interrupted(Spawned::kill, EINTR, AGAIN);
        interrupted(Spawned::kill, ENOMEM, AGAIN);
        interrupted(Spawned::expire, ERESTARTSYS, EBUSY);
        interrupted(Spawned::expire, EINTR, EBUSY);
        interrupted(Spawned::signal, ENODEV, EBUSY);
    }

    /// What a duplicate gets that has a signal already when the load has ended.
    fn signalled(end: fn(Claim)) -> i32 {
        let (owner, duplicate) = (own(NAME), join(NAME));
        end(owner);
        let late = task::spawn(move || {
            task::current().kill();
            duplicate.wait()
        });
        late.join()
    }

    #[test]
    fn a_duplicate_with_a_signal_does_not_start_over() {
        explore(|| {
            assert_eq!(signalled(Claim::succeed), EEXIST);
            assert_eq!(signalled(|owner| owner.fail(ENODEV)), EBUSY);
            assert_eq!(signalled(Claim::interrupt), ERESTARTSYS);
        });
    }
}

mod dependents {
    use super::*;

    fn dependent(name: &'static CStr) -> Spawned<isize> {
        sleeping(move || wait_for(name, 9))
    }

    #[test]
    fn a_dependent_load_sleeps_until_the_other_is_live_or_has_failed() {
        explore(|| {
            let mut owner = own(NAME);
            let others = [dependent(NAME), dependent(NAME)];
            owner.live();
            assert_eq!(others.map(Spawned::join), [8; 2]);
            assert_eq!(owner.end(0), 0);

            let owner = own(NAME);
            let others = [dependent(NAME), dependent(NAME)];
            owner.fail(ENODEV);
            assert_eq!(others.map(Spawned::join), [8; 2]);
        });
    }

    #[test]
    fn a_dependent_load_has_nothing_to_wait_for() {
        explore(|| {
            assert_eq!(wait_for(NAME, 9), 9);
            let unchecked = copy(NAME);
            assert_eq!(wait_for(NAME, 9), 9);
            unchecked.fail(ENOEXEC);
            let other = own(OTHER);
            assert_eq!(wait_for(NAME, 9), 9);
            other.succeed();
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
            assert_eq!(wait_for(NAME, 0), 0);
            owner.succeed();
        });
    }

    #[test]
    fn a_load_waits_for_the_module_that_it_needs() {
        explore(|| {
            let mut owner = own(NAME);
            let module = Module::add(NAME, COMING);
            let needs = Request::small(OTHER).which_needs(NAME);
            let load = sleeping(move || needs.call());
            module.set_state(LIVE);
            owner.live();
            assert_eq!(load.join(), 0);
            assert_eq!(owner.end(0), 0);
            assert_eq!(Request::small(c"third").which_needs(c"none").call(), ENOENT);
        });
    }

    #[test]
    fn a_load_that_is_interrupted_while_it_waits_is_started_over_by_its_duplicate() {
        explore(|| {
            let owner = own(NAME);
            let module = Module::add(NAME, COMING);
            let load = sleeping(|| Request::small(OTHER).which_needs(NAME).call());
            let duplicate = sleeping(|| Request::small(OTHER).call());
            load.kill();
            assert_eq!(load.join(), ERESTARTSYS);
            assert_eq!(duplicate.join(), 0);
            module.free();
            owner.fail(ENODEV);
        });
    }
}

mod images {
    use super::*;

    /// What the look at a small image says, and how many bytes it reads.
    fn look_at_small(name: &CStr) -> (i32, usize) {
        let mut file = file { bytes: elf::image_of(name), ..Default::default() };
        let mut claim = Claim::default();
        let ret = claim.look_at_file(&mut file, SMALL as i64);
        let end = if ret == EINPROGRESS { ret } else { ENOEXEC };
        claim.end(end);
        (ret, file.read.load(Relaxed))
    }

    #[test]
    fn a_small_image_is_looked_at_while_some_load_is_pending() {
        explore(|| {
            assert_eq!(look_at_small(NAME), (0, 0));
            let owner = own(OTHER);
            let (ret, read) = look_at_small(NAME);
            assert_eq!(ret, 0);
            assert!(read > 0);
            owner.succeed();
            assert_eq!(look_at_small(NAME), (0, 0));
        });
    }

    /// A request for this image shares in the load of its name that is pending.
    fn expect_share(image: Image) {
        let owner = own(NAME);
        let mut early = Claim::default();
        assert_eq!(early.look(image), EINPROGRESS);
        assert_eq!(early.id(), owner.id());
        owner.fail(ENODEV);
        assert_eq!(early.wait(), EBUSY);
    }

    #[test]
    fn a_small_image_shares_in_a_pending_load() {
        explore(|| expect_share(Image::small(NAME)));
    }

    #[test]
    fn no_error_follows_from_a_look_at_a_small_image() {
        for state in [LIVE, GOING, UNFORMED] {
            explore(move || {
                let _module = Module::add(NAME, state);
                let owner = own(OTHER);
                assert_eq!(look_at_small(NAME).0, 0);
                owner.succeed();
            });
        }
    }

    #[test]
    fn a_small_image_neither_waits_nor_is_waited_for() {
        explore(|| {
            let owner = own(OTHER);
            let small = || {
                let mut claim = Claim::default();
                assert_eq!(claim.look(Image::small(NAME)), 0);
                claim
            };
            let first = small();
            let large = copy(NAME);
            [first, small(), large].into_iter().for_each(|claim| claim.fail(ENOEXEC));
            owner.succeed();
        });
    }

    #[test]
    fn images_are_large_above_a_size() {
        explore(|| {
            let _module = Module::add(NAME, LIVE);
            let image = Image::large(NAME);
            for (len, result) in [(0, 0), (SMALL, 0), (SMALL + 1, EEXIST)] {
                let mut claim = Claim::default();
                assert_eq!(claim.look(Image { len, ..image }), result, "{len}");
                assert_eq!(claim.end(ENOEXEC), ENOEXEC);
            }
        });
    }

    #[test]
    fn only_a_live_module_and_a_pending_load_answer_for_an_image() {
        for (state, result) in [(LIVE, EEXIST), (GOING, 0), (UNFORMED, 0)] {
            explore(move || {
                let _module = Module::add(NAME, state);
                assert_eq!(look(NAME), result);
                assert_eq!(look(OTHER), 0);
            });
        }
        explore(|| expect_share(Image::large(NAME)));
    }

    #[test]
    fn an_image_that_cannot_be_read_is_left_to_its_checks() {
        explore(|| {
            let mut claim = Claim::default();
            for start in [0, usize::MAX, usize::MAX - 7] {
                assert_eq!(claim.look(Image { start, len: SMALL + 1 }), 0);
                assert_eq!(memory::in_use(), 0);
                assert_eq!(claim.end(EFAULT), EFAULT);
            }
        });
    }

    #[test]
    fn a_file_is_looked_at_as_memory_is() {
        explore(|| {
            let _module = Module::add(NAME, LIVE);
            let mut bytes = elf::image_of(NAME);
            bytes.resize(SMALL + 1, 0);
            let look = |bytes: &[u8], error, len| {
                let mut file = file { bytes: bytes.into(), error, ..Default::default() };
                let mut claim = Claim::default();
                let ret = claim.look_at_file(&mut file, len);
                assert_eq!(memory::in_use(), 0);
                assert_eq!(claim.end(ENOEXEC), ENOEXEC);
                ret
            };
            let len = bytes.len() as i64;
            assert_eq!(look(&bytes, 0, len), EEXIST);
            assert_eq!(look(&bytes, 0, len - 1), 0, "it is small");
            assert_eq!(look(&bytes, EINTR as isize, len), 0, "it cannot be read");
            assert_eq!(look(&bytes[..100], 0, len), 0, "it has shrunk");
            assert_eq!(look(&bytes[..0], 0, len), 0, "it is empty");
        });
    }

    #[test]
    fn an_image_is_loaded_under_the_name_that_it_has() {
        explore(|| {
            let load = |seems, is| Request::large(seems).which_is(is).call();
            assert_eq!(load(NAME, Err(ENOEXEC)), ENOEXEC);
            assert_eq!(load(NAME, Ok(OTHER)), 0);
            assert_eq!(load(NAME, Ok(OTHER)), EEXIST);
            assert_eq!(load(NAME, Ok(NAME)), 0);
            assert_eq!(load(NAME, Err(ENOEXEC)), EEXIST);
            assert_eq!(Request::small(NAME).which_is(Err(ENOEXEC)).call(), ENOEXEC);
        });
    }
}

mod copies {
    use super::*;

    #[test]
    fn a_copy_waits_until_the_first_one_has_claimed_the_name() {
        explore(|| {
            let mut first = copy(NAME);
            let others = [waiting_copy(NAME), waiting_copy(NAME)];
            assert_eq!(first.name(NAME, 0), 0);
            let others = others.map(|other| {
                let (ret, claim) = other.join();
                assert_eq!(ret, EINPROGRESS);
                claim
            });
            first.succeed();
            assert_eq!(others.map(Claim::wait), [EEXIST; 2]);
        });
    }

    #[test]
    fn a_copy_goes_on_when_the_first_one_is_of_no_use() {
        explore(|| {
            let first = copy(NAME);
            let other = waiting_copy(NAME);
            first.fail(ENOEXEC);
            assert_eq!(first_sight(other), 0);

            let mut first = copy(NAME);
            let other = waiting_copy(NAME);
            assert_eq!(first.name(OTHER, 0), 0);
            assert_eq!(first_sight(other), 0);
            first.fail(ENODEV);

            let mut first = copy(NAME);
            let other = waiting_copy(NAME);
            let module = Module::add(NAME, LIVE);
            assert_eq!(first.name(NAME, 0), EEXIST);
            assert_eq!(first.end(EEXIST), EEXIST);
            assert_eq!(first_sight(other), EEXIST);
            module.free();
        });
    }

    #[test]
    fn a_copy_waits_for_a_moment() {
        explore(|| {
            let first = copy(NAME);
            let late = waiting_copy(NAME);
            late.expire();
            let late = goes_on(late);
            // Nothing is decided by that.
            let other = waiting_copy(NAME);
            first.fail(ENOEXEC);
            assert_eq!(first_sight(other), 0);
            late.fail(ENOEXEC);
            assert_eq!(memory::in_use(), 0);
        });
    }

    #[test]
    fn a_signal_ends_the_moment_alone() {
        explore(|| {
            let first = copy(NAME);
            let [interrupted, killed] = [waiting_copy(NAME), waiting_copy(NAME)];
            interrupted.signal();
            let mut interrupted = goes_on(interrupted);
            killed.kill();
            goes_on(killed).fail(ENOEXEC);
            assert_eq!(interrupted.name(NAME, 0), 0);
            interrupted.succeed();
            first.fail(ENOEXEC);
        });
    }

    #[test]
    fn any_copy_decides_for_those_that_wait() {
        explore(|| {
            let first = copy(NAME);
            let [late, other] = [waiting_copy(NAME), waiting_copy(NAME)];
            late.expire();
            let mut late = goes_on(late);
            assert_eq!(late.name(NAME, 0), 0);
            let (ret, other) = other.join();
            assert_eq!(ret, EINPROGRESS);
            late.succeed();
            assert_eq!(other.wait(), EEXIST);
            first.fail(ENOEXEC);
        });
    }

    #[test]
    fn nobody_waits_for_a_copy_after_the_first_one_was_refused() {
        explore(|| {
            let first = copy(NAME);
            let second = waiting_copy(NAME);
            first.fail(ENOEXEC);
            let second = goes_on(second);
            let third = copy(NAME);
            second.fail(ENOEXEC);
            let fourth = copy(NAME);
            third.fail(ENOEXEC);
            assert!(memory::in_use() > 0);
            fourth.fail(ENOEXEC);
            assert_eq!(memory::in_use(), 0);

            // The last one took the burst along.
            let first = copy(NAME);
            let second = waiting_copy(NAME);
            first.fail(ENOEXEC);
            assert_eq!(first_sight(second), 0);
        });
    }

    #[test]
    fn a_copy_holds_up_no_other_name_and_no_checked_image() {
        explore(|| {
            let first = copy(NAME);
            let other = copy(OTHER);
            other.fail(ENOEXEC);
            own(NAME).succeed();
            assert_eq!(Request::small(NAME).call(), 0);
            assert_eq!(look(NAME), EEXIST);
            first.fail(ENOEXEC);
        });
    }

    #[test]
    fn a_copy_without_memory_for_its_name_lets_the_others_go_on() {
        explore(|| {
            let mut first = copy(NAME);
            let other = waiting_copy(NAME);
            memory::limit(0);
            assert_eq!(first.name(OTHER, 0), ENOMEM);
            memory::limit(usize::MAX);
            first.fail(ENOMEM);
            assert_eq!(first_sight(other), 0);
        });
    }

    #[test]
    fn interrupts_are_not_disabled_while_all_copies_are_woken() {
        explore(|| {
            let first = copy(NAME);
            let others = [(); 3].map(|()| waiting_copy(NAME));
            first.fail(ENOEXEC);
            assert_eq!(machine::most_woken(), 0);
            assert_eq!(others.map(first_sight), [0; 3]);
        });
    }

    #[test]
    fn a_copy_wakes_each_once() {
        explore(|| {
            let first = copy(NAME);
            let of_other = copy(OTHER);
            let [one, other] = [NAME, OTHER].map(waiting_copy);
            first.fail(ENOEXEC);
            assert_eq!((one.wake_ups(), other.wake_ups()), (1, 0));
            of_other.fail(ENOEXEC);
            assert_eq!([one, other].map(first_sight), [0; 2]);
        });
    }
}

mod loads {
    use super::*;

    #[test]
    fn after_a_failure_or_a_removal_the_name_is_free() {
        explore(|| {
            assert_eq!(Request::small(NAME).with_init(|| ENODEV).call(), ENODEV);
            assert_eq!(Request::small(NAME).with_init(|| EEXIST).call(), EBUSY);
            assert_eq!(Request::large(NAME).copied_by(|| EFAULT).call(), EFAULT);
            assert_eq!(Request::large(NAME).call(), 0);
            assert_eq!(Request::small(NAME).with_init(|| unreachable!()).call(), EEXIST);
            assert!(remove(NAME));
            assert!(!remove(NAME));
            assert_eq!(Request::small(NAME).with_bad_arguments(EFAULT).call(), EFAULT);
            assert_eq!(Request::small(NAME).call(), 0);
        });
    }

    #[test]
    fn a_module_waits_for_work_that_waits_for_its_duplicate() {
        explore(|| {
            let duplicates = Arc::new(Mutex::new(Vec::new()));
            let (joined, waited) = (duplicates.clone(), duplicates.clone());
            let init = move || {
                joined.lock().unwrap().push(sleeper(NAME));
                joined.lock().unwrap().push(sleeping(|| wait_for(NAME, 9) as i32));
                0
            };
            let work = move || {
                let waited = std::mem::take(&mut *waited.lock().unwrap());
                let results: Vec<i32> = waited.into_iter().map(Spawned::join).collect();
                assert_eq!(results, [EEXIST, 8]);
                assert!(!remove(NAME), "removed before its load has returned");
                0
            };
            assert_eq!(Request::small(NAME).with_init(init).and_later(work).call(), 0);
            assert!(remove(NAME));
        });
    }

    #[test]
    fn a_duplicate_starts_over_if_that_is_permitted() {
        for (permitted, result, inits) in [(0, ENODEV, 1), (EPERM, EPERM, 0)] {
            explore(move || {
                let (calls, runs) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
                let (asked, counted) = (calls.clone(), runs.clone());
                let request = Request::small(NAME)
                    .if_permitted(
                        move || if asked.fetch_add(1, Relaxed) == 0 { 0 } else { permitted },
                    )
                    .with_init(move || {
                        counted.fetch_add(1, Relaxed);
                        ENODEV
                    });
                let owner = own(NAME);
                let duplicate = sleeping(move || request.call());
                owner.interrupt();
                assert_eq!(duplicate.join(), result);
                assert_eq!((calls.load(Relaxed), runs.load(Relaxed)), (2, inits));
                own(NAME).succeed();
            });
        }
    }
}

mod shows {
    use super::*;

    #[test]
    fn pending_loads_are_shown() {
        explore(|| {
            assert!(shown().is_empty());
            let own_pid = task::current().pid();
            let one = own(NAME);
            let other = task::spawn(|| (task::current().pid(), own(c"a \\'\n\xff")));
            let (pid, other) = other.join();
            assert_ne!(pid, own_pid);
            let unchecked = copy(OTHER);
            let [killed, sleeps] = [sleeper(NAME), sleeper(NAME)];
            let of_other = format!("{pid} 0 0 a \\'\\x0a\\xff");
            assert_eq!(shown(), [format!("{own_pid} 2 0 module"), of_other.clone()]);
            killed.signal();
            killed.join();
            assert_eq!(shown(), [format!("{own_pid} 1 0 module"), of_other]);
            one.succeed();
            other.fail(ENODEV);
            unchecked.fail(ENOEXEC);
            assert_eq!(sleeps.join(), EEXIST);
            assert!(shown().is_empty());
        });
    }

    /// The events since the last time: tracepoint, name and numbers.
    fn events() -> Vec<String> {
        let events = take_events().into_iter();
        let text = |event: kernel::tracepoint::Event| {
            let name = event.string.to_string_lossy().into_owned();
            format!("{} {name} {:?}", event.tracepoint, event.numbers)
        };
        events.map(text).collect()
    }

    #[test]
    fn waits_and_ends_are_traced() {
        explore(|| {
            let owner = own(NAME);
            let duplicates = [join(NAME), join(NAME)];
            assert!(events().is_empty());
            owner.fail(ENODEV);
            assert_eq!(events(), ["module_finish module [-19, 0]"]);
            assert_eq!(duplicates.map(Claim::wait), [EBUSY; 2]);
            assert_eq!(events(), ["module_wait module [-16, 0]"; 2]);

            let mut owner = own(NAME);
            owner.live();
            assert_eq!(events(), ["module_finish module [0, 0]"]);
            assert_eq!(owner.end(0), 0);
            let unchecked = copy(NAME);
            unchecked.fail(ENOEXEC);
            let _module = Module::add(NAME, LIVE);
            refusal(NAME);
            assert!(events().is_empty());
        });
    }

    #[test]
    fn duplicates_of_checked_images_are_counted_once() {
        explore(|| {
            let counted = |expected: &[&CStr]| {
                let names = machine::take_duplicates();
                assert!(
                    names.iter().map(|name| name.as_c_str()).eq(expected.iter().copied()),
                    "{names:?}"
                );
            };
            for (end, names) in [
                (Claim::succeed as fn(Claim), &[NAME][..]),
                (|owner: Claim| owner.fail(ENODEV), &[NAME][..]),
                (Claim::interrupt, &[][..]),
            ] {
                let [owner, duplicate] = [own(NAME), join(NAME)];
                end(owner);
                counted(&[]);
                duplicate.wait();
                counted(names);
            }
            let owner = own(NAME);
            let leaves = sleeper(NAME);
            leaves.signal();
            leaves.join();
            owner.succeed();
            memory::limit(0);
            refusal(NAME);
            let mut refused = Claim::default();
            assert_eq!(refused.name(NAME, EFAULT), EFAULT);
            counted(&[]);

            for state in [LIVE, GOING] {
                let module = Module::add(NAME, state);
                refusal(NAME);
                counted(&[NAME]);
                look(NAME);
                counted(&[]);
                if state == LIVE {
                    unload(module);
                } else {
                    module.free();
                }
            }
        });
    }
}
