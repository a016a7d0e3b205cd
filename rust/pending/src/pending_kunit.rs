// SPDX-License-Identifier: GPL-2.0

//! Tests of the list of pending loads.
//!
//! No kernel thread gets a signal: the waits that a signal ends are tested from user space, by
//! `tools/testing/selftests/module/`.

use super::{
    claim::Claim,
    *, //
};
use core::mem;
use kernel::{
    new_condvar,
    new_mutex,
    sync::{
        atomic::Atomic,
        CondVar,
        CondVarTimeoutResult,
        Mutex, //
    },
    time::msecs_to_jiffies,
    workqueue, //
};

// No module has these names, they are none of files.
const NAME: &CStr = c"kunit/name";
const OTHER: &CStr = c"kunit/name2";

/// How many tasks a concurrent test has beside its own.
const TASKS: usize = 32;
/// How often each of them, or all of them together, do what they do.
const ROUNDS: usize = 64;
/// After so many milliseconds, what a test waits for does not come any more.
const PATIENCE: u32 = 20_000;

/// What tasks return, for the task of the test to judge: assertions belong there.
#[pin_data]
struct Results<T> {
    #[pin]
    all: Mutex<KVec<T>>,
    #[pin]
    more: CondVar,
}

impl<T: Send + 'static> Results<T> {
    /// Has room for the results of all [`TASKS`].
    fn new() -> Result<Arc<Self>> {
        let room = KVec::with_capacity(TASKS, GFP_KERNEL)?;
        Arc::pin_init(
            pin_init!(Self {
                all <- new_mutex!(room),
                more <- new_condvar!(),
            }),
            GFP_KERNEL,
        )
    }

    /// Adds a result.
    ///
    /// One that does not fit is missed by [`Self::take`].
    fn push(&self, result: T) {
        let _ = self.all.lock().push_within_capacity(result);
        self.more.notify_all();
    }

    /// Sleeps until there are `count` results, then takes all.
    ///
    /// It does not sleep for ever, so that a bug fails the test.
    fn take(&self, count: usize) -> Result<KVec<T>> {
        let room = KVec::with_capacity(TASKS, GFP_KERNEL)?;
        let mut left = msecs_to_jiffies(PATIENCE);
        let mut all = self.all.lock();
        while all.len() < count {
            match self.more.wait_interruptible_timeout(&mut all, left) {
                CondVarTimeoutResult::Woken { jiffies } => left = jiffies,
                _ => return Err(ETIMEDOUT),
            }
        }
        Ok(mem::replace(&mut *all, room))
    }

    /// Runs `task` in a task of its own.
    fn spawn(self: &Arc<Self>, task: impl FnOnce() -> T + Send + 'static) -> Result {
        let results = self.clone();
        let run = move || results.push(task());
        Ok(workqueue::system_long().try_spawn(GFP_KERNEL, run)?)
    }
}

/// Claims a name that is free.
fn own(name: &CStr) -> Result<Owner> {
    match Claim::of(name, Ok(()))? {
        Claim::Owner(owner) => Ok(owner),
        _ => Err(EBUSY),
    }
}

/// Claims a name that is pending.
fn share(name: &CStr) -> Result<Duplicate> {
    match Claim::of(name, Ok(()))? {
        Claim::Duplicate(duplicate) => Ok(duplicate),
        _ => Err(ENOENT),
    }
}

/// Returns the outcome that a duplicate gets.
///
/// The load must have ended.
fn outcome(duplicate: Duplicate) -> Result<Outcome> {
    let results = Results::new()?;
    results.spawn(move || duplicate.wait())?;
    results.take(1)?.pop().ok_or(EINVAL)?
}

/// Makes `count` tasks share in the load of `name` and wait for it.
fn duplicates(name: &'static CStr, count: usize) -> Result<Arc<Results<Result<Outcome>>>> {
    let shared = Results::new()?;
    let outcomes = Results::new()?;
    for _ in 0..count {
        let shared = shared.clone();
        outcomes.spawn(move || {
            let duplicate = share(name)?;
            shared.push(());
            duplicate.wait()
        })?;
    }
    shared.take(count)?;
    Ok(outcomes)
}

/// Whether `count` results are `expected`, and there are no more.
fn all_are(outcomes: KVec<Result<Outcome>>, count: usize, expected: Outcome) -> bool {
    outcomes.len() == count && outcomes.iter().all(|got| *got == Ok(expected))
}

/// Whether this was the last reference, and the list has none.
fn is_last(load: Arc<PendingLoad>) -> bool {
    Arc::into_unique_or_drop(load).is_some()
}

/// What a load gets that needs the module of `name`, and waits in a task of its own.
fn wait(name: &'static CStr, timeout: Jiffies) -> Result<Result<Jiffies>> {
    let results = Results::new()?;
    results.spawn(move || wait_loaded(name, timeout))?;
    results.take(1)?.pop().ok_or(EINVAL)
}

const OUTCOMES: [Outcome; 3] = [Outcome::Live, Outcome::Failed, Outcome::Interrupted];

/// Makes loads that fail, one after the other.
///
/// Returns how many there were.
fn fail_to_load(owners: &Atomic<i32>) -> Result<usize> {
    let mut loads = 0;
    for _ in 0..ROUNDS {
        match Claim::of(NAME, Ok(()))? {
            Claim::Owner(owner) => {
                let others = owners.fetch_add(1, Relaxed);
                owners.fetch_sub(1, Relaxed);
                owner.end(Outcome::Failed);
                if others != 0 {
                    return Err(EEXIST);
                }
                loads += 1;
            }
            Claim::Duplicate(duplicate) => {
                if duplicate.wait()? != Outcome::Failed {
                    return Err(EINVAL);
                }
            }
            _ => return Err(ENOENT),
        }
    }
    Ok(loads)
}

#[kunit_tests(module_pending)]
mod tests {
    use super::*;

    #[test]
    fn name_is_owned_until_its_load_ends() -> Result {
        for outcome in OUTCOMES {
            let owner = own(NAME)?;
            let load = owner.0.clone();
            assert!(Arc::ptr_eq(&share(NAME)?.0, &load));
            assert!(Arc::ptr_eq(&share(NAME)?.0, &load));
            owner.end(outcome);
            assert!(is_last(load));
        }
        Ok(())
    }

    #[test]
    fn duplicate_learns_how_the_load_ended() -> Result {
        for expected in OUTCOMES {
            let owner = own(NAME)?;
            let duplicate = share(NAME)?;
            owner.end(expected);
            assert_eq!(outcome(duplicate)?, expected);
        }
        Ok(())
    }

    #[test]
    fn result_of_duplicate_follows_from_outcome() -> Result {
        for (outcome, result) in [
            (Outcome::Live, Some(EEXIST)),
            (Outcome::Failed, Some(EBUSY)),
            (Outcome::Interrupted, None),
        ] {
            let owner = own(NAME)?;
            let duplicate = share(NAME)?;
            owner.end(outcome);
            assert_eq!(duplicate.result().err(), result);
        }
        Ok(())
    }

    #[test]
    fn late_duplicate_learns_of_load_that_it_shares_in() -> Result {
        let failed = own(NAME)?;
        let late = share(NAME)?;
        failed.end(Outcome::Failed);

        let succeeded = own(NAME)?;
        let next = share(NAME)?;
        assert!(!Arc::ptr_eq(&late.0, &next.0));
        succeeded.end(Outcome::Live);

        assert_eq!(outcome(late)?, Outcome::Failed);
        assert_eq!(outcome(next)?, Outcome::Live);
        Ok(())
    }

    #[test]
    fn names_do_not_disturb_each_other() -> Result {
        let owner = own(NAME)?;
        let other = own(OTHER)?;
        other.end(Outcome::Failed);
        let duplicate = share(NAME)?;
        assert!(Arc::ptr_eq(&duplicate.0, &owner.0));

        owner.end(Outcome::Live);
        assert_eq!(outcome(duplicate)?, Outcome::Live);
        Ok(())
    }

    #[test]
    fn refused_request_owns_nothing() -> Result {
        assert_eq!(Claim::of(NAME, Err(EFAULT)).err(), Some(EFAULT));

        let owner = own(NAME)?;
        assert!(matches!(Claim::of(NAME, Err(EFAULT))?, Claim::Duplicate(_)));
        owner.end(Outcome::Failed);
        Ok(())
    }

    #[test]
    fn all_that_sleep_learn_the_outcome() -> Result {
        for outcome in OUTCOMES {
            let owner = own(NAME)?;
            let outcomes = duplicates(NAME, TASKS)?;
            owner.end(outcome);
            assert!(all_are(outcomes.take(TASKS)?, TASKS, outcome));
        }
        Ok(())
    }

    #[test]
    fn owner_wakes_its_own_duplicates() -> Result {
        let owner = own(NAME)?;
        let other = own(OTHER)?;
        let outcomes = duplicates(NAME, TASKS / 2)?;
        let of_other = duplicates(OTHER, TASKS / 2)?;

        other.end(Outcome::Failed);
        assert!(all_are(
            of_other.take(TASKS / 2)?,
            TASKS / 2,
            Outcome::Failed
        ));
        owner.end(Outcome::Live);
        assert!(all_are(outcomes.take(TASKS / 2)?, TASKS / 2, Outcome::Live));
        Ok(())
    }

    #[test]
    fn nobody_waits_for_name_that_is_free() -> Result {
        assert_eq!(wait(NAME, 10)?, Ok(10));

        let owner = own(OTHER)?;
        assert_eq!(wait(NAME, 10)?, Ok(10));
        owner.end(Outcome::Live);
        Ok(())
    }

    #[test]
    fn dependent_load_waits_as_long_as_it_wants() -> Result {
        let owner = own(NAME)?;
        assert_eq!(wait(NAME, 1)?, Err(ETIMEDOUT));
        owner.end(Outcome::Failed);
        Ok(())
    }

    #[test]
    fn dependent_load_is_woken_by_owner() -> Result {
        let owner = own(NAME)?;
        let started = Results::new()?;
        let left = Results::new()?;
        let timeout = msecs_to_jiffies(PATIENCE);
        for _ in 0..TASKS {
            let started = started.clone();
            left.spawn(move || {
                started.push(());
                wait_loaded(NAME, timeout)
            })?;
        }
        started.take(TASKS)?;
        owner.end(Outcome::Live);
        for result in left.take(TASKS)? {
            assert!((1..=timeout).contains(&result?));
        }
        Ok(())
    }

    #[test]
    fn claims_at_once_make_one_owner() -> Result {
        for _ in 0..ROUNDS {
            let claims = Results::new()?;
            for _ in 0..TASKS {
                claims.spawn(|| Claim::of(NAME, Ok(())))?;
            }

            let mut owners = 0;
            for claim in claims.take(TASKS)? {
                if let Claim::Owner(owner) = claim? {
                    owner.end(Outcome::Failed);
                    owners += 1;
                }
            }
            assert_eq!(owners, 1);
        }
        Ok(())
    }

    #[test]
    fn owners_follow_each_other() -> Result {
        static OWNERS: Atomic<i32> = Atomic::new(0);

        let results = Results::new()?;
        for _ in 0..TASKS {
            results.spawn(|| fail_to_load(&OWNERS))?;
        }

        let mut loads = 0;
        for result in results.take(TASKS)? {
            loads += result?;
        }
        assert!(loads > 0);
        own(NAME)?.end(Outcome::Failed);
        Ok(())
    }
}
