// SPDX-License-Identifier: GPL-2.0

//! Pending module loads: one load of a module name at a time.
//!
//! A *load* is one call of `load_module()`, its identity is the name of the module. The load that
//! finds its name free *owns* it: it is pending, on a list of its own, from before anything is
//! allocated for the module until its outcome is visible to all, that is, until the module is live,
//! or off the module list and freed. Any other load of that name that comes in the meantime is a
//! duplicate: it *joins* the pending load, sleeps until its owner has finished, and returns what
//! follows from the outcome.
//!
//! An owner is pending before its module reaches the module list and until after the last change of
//! its module's state. So a look into the list of pending loads first and into the module list
//! second, under the lock of the former, cannot miss a load.
//!
//! C header: [`kernel/module/internal.h`](srctree/kernel/module/internal.h)

use core::ptr;
use kernel::{
    bindings,
    do_once_lite,
    error::to_result,
    ffi::{
        c_char,
        c_int, //
    },
    list::{
        impl_list_arc_safe,
        impl_list_item,
        List,
        ListArc,
        ListLinks, //
    },
    prelude::*,
    str::CString,
    sync::{
        global_lock,
        rcu,
        Arc,
        Completion,
        SetOnce, //
    },
    types::ForeignOwnable,
    warn_on, //
};

global_lock! {
    // SAFETY: `mod_pending_init()` initializes it before there is a user space that could ask for
    // a load.
    unsafe(uninit) static PENDING: Mutex<List<PendingLoad>> = List::new();
}

/// A load from its claim until the last of its duplicates has gone.
#[pin_data]
struct PendingLoad {
    /// The name of the module.
    name: CString,
    /// What the owner's load ended with, set before [`Self::finished`] is completed.
    outcome: SetOnce<Result>,
    /// Completed when the owner has finished; what its duplicates sleep on.
    #[pin]
    finished: Completion,
    /// Links of [`PENDING`].
    #[pin]
    links: ListLinks,
}

impl_list_arc_safe! {
    impl ListArcSafe<0> for PendingLoad { untracked; }
}

impl_list_item! {
    impl ListItem<0> for PendingLoad { using ListLinks { self.links }; }
}

/// What the claim of a name came to.
enum Claim {
    /// The name was free, it belongs to the caller until [`PendingLoad::finish`].
    Owned(Arc<PendingLoad>),
    /// Another load of that name is pending.
    Joined(Arc<PendingLoad>),
}

impl PendingLoad {
    fn new(name: &CStr) -> Result<ListArc<Self>> {
        ListArc::pin_init(
            try_pin_init!(Self {
                name: CString::try_from(name)?,
                outcome: SetOnce::new(),
                finished <- Completion::new(),
                links <- ListLinks::new(),
            }),
            GFP_KERNEL,
        )
    }

    /// Makes the caller the owner of `name`, or a duplicate of the load that is.
    ///
    /// # Errors
    ///
    /// * [`EEXIST`] if the module is live.
    /// * [`EBUSY`] if the module is being removed.
    /// * [`ENOMEM`] if there is no memory for an entry.
    fn claim(name: &CStr) -> Result<Claim> {
        // A duplicate costs no memory.
        let running = Self::look_up(&PENDING.lock(), name)?;
        if let Some(load) = running {
            return Ok(Claim::Joined(load));
        }

        // The lock is not held while memory is reclaimed. The name can be taken meanwhile.
        let load = Self::new(name)?;
        let mut pending = PENDING.lock();
        let running = Self::look_up(&pending, name)?;
        if let Some(load) = running {
            return Ok(Claim::Joined(load));
        }

        let owned = load.clone_arc();
        pending.push_back(load);
        Ok(Claim::Owned(owned))
    }

    /// Finds the pending load of `name`.
    ///
    /// Without one, fails like [`check_module_list`]. The order counts: an owner's module is on the
    /// module list in states that say nothing about how its load ends.
    fn look_up(pending: &List<Self>, name: &CStr) -> Result<Option<Arc<Self>>> {
        if let Some(load) = pending.iter().find(|load| *load.name == *name) {
            return Ok(Some(load.into()));
        }

        check_module_list(name)?;
        Ok(None)
    }

    /// Sleeps, interruptibly, until the owner has finished, then says what this means for a
    /// duplicate.
    ///
    /// # Errors
    ///
    /// * [`ERESTARTSYS`] if a signal arrived first.
    /// * [`EEXIST`] if the owner has loaded the module.
    /// * [`EBUSY`] if it has failed to.
    fn wait(&self) -> Error {
        if let Err(interrupted) = self.finished.wait_for_completion_interruptible() {
            return interrupted;
        }

        match self.outcome.copy() {
            Some(Ok(())) => EEXIST,
            _ => EBUSY,
        }
    }

    /// Ends the registration of the owner and wakes its duplicates, and nobody else.
    ///
    /// A claim that comes after this one's removal from the list is not a duplicate: hence removal
    /// comes before the wake-up, which a duplicate may answer by a new request.
    fn finish(&self, outcome: Result) {
        self.outcome.populate(outcome);
        drop(self.remove());
        self.finished.complete_all();
    }

    /// Takes the load off the list of pending ones.
    fn remove(&self) -> Option<ListArc<Self>> {
        let mut pending = PENDING.lock();
        let mut cursor = pending.cursor_front();

        while let Some(load) = cursor.peek_next() {
            if ptr::eq(&*load, self) {
                return Some(load.remove());
            }
            cursor.move_next();
        }
        None
    }
}

/// Says what the module list has to say against a load of `name`, given that none is pending.
///
/// # Errors
///
/// * [`EEXIST`] if the module is live.
/// * [`EBUSY`] if the module is being removed.
fn check_module_list(name: &CStr) -> Result {
    let _guard = rcu::read_lock();

    // SAFETY: `name` is valid for reads of its length, and the RCU read lock is held.
    let module = unsafe { bindings::find_module_all(name.as_char_ptr(), name.count_bytes(), true) };
    if module.is_null() {
        return Ok(());
    }

    // SAFETY: A module that was found under the RCU read lock is not freed before it is dropped.
    // The state may change at any moment: only a volatile read yields one of its values.
    let state = unsafe { (&raw const (*module).state).read_volatile() };
    match state {
        bindings::module_state_MODULE_STATE_LIVE => Err(EEXIST),
        // `free_module()` makes a module unformed before it takes it off the list.
        bindings::module_state_MODULE_STATE_GOING
        | bindings::module_state_MODULE_STATE_UNFORMED => Err(EBUSY),
        _ => {
            // A module that is coming has an owner, which is pending.
            do_once_lite! { warn_on!(true); }
            Err(EBUSY)
        }
    }
}

/// Initializes the list of pending loads.
///
/// Returns 0. Context: process context.
///
/// # Safety
///
/// Must be called once, before any other function of this file.
#[export]
pub unsafe extern "C" fn mod_pending_init() -> c_int {
    // SAFETY: By the requirements of this function, this is the only call, and the first use.
    unsafe { PENDING.init() };
    0
}

/// Claims a module's name.
///
/// Returns, and stores in `load`:
///
/// * 0 if the caller owns the name: an entry to pass to [`mod_pending_finish`].
/// * `-EINPROGRESS` if another load of this name is pending: an entry to pass to
///   [`mod_pending_wait`].
/// * `-EEXIST` if the module is live, `-EBUSY` if it is being removed, `-ENOMEM` if there is no
///   memory for an entry: nothing.
///
/// Context: process context. May sleep to allocate, not for another load. Takes and releases the
/// lock of the list of pending loads, and the RCU read lock.
///
/// # Safety
///
/// * `name` must point at a nul-terminated string, valid for reads during the call.
/// * `load` must be valid for a write.
#[export]
pub unsafe extern "C" fn mod_pending_claim(
    name: *const c_char,
    load: *mut *mut bindings::mod_pending,
) -> c_int {
    // SAFETY: By the requirements of this function.
    let name = unsafe { CStr::from_char_ptr(name) };

    let (claimed, ret) = match PendingLoad::claim(name) {
        Ok(Claim::Owned(owned)) => (owned, 0),
        Ok(Claim::Joined(joined)) => (joined, EINPROGRESS.to_errno()),
        Err(err) => return err.to_errno(),
    };

    // SAFETY: By the requirements of this function.
    unsafe { load.write(claimed.into_foreign().cast()) };
    ret
}

/// Sleeps until the load that was joined has finished, and drops the reference to it.
///
/// Returns `-EEXIST` if that load succeeded, `-EBUSY` if it failed, `-ERESTARTSYS` if a signal
/// arrived first.
///
/// Context: process context, no locks held. Sleeps.
///
/// # Safety
///
/// `load` must come from a call of [`mod_pending_claim`] that returned `-EINPROGRESS`, and must not
/// be used any more after this.
#[export]
pub unsafe extern "C" fn mod_pending_wait(load: *mut bindings::mod_pending) -> c_int {
    // SAFETY: By the requirements of this function, `load` was made by `into_foreign()` and its
    // reference is given back here.
    let load = unsafe { Arc::<PendingLoad>::from_foreign(load.cast()) };

    load.wait().to_errno()
}

/// Ends the ownership of a name, and wakes those that wait for this load.
///
/// `ret` is what the load returns: 0 if the module is live, else a negative error number, with the
/// module off the module list and freed.
///
/// Context: process context. Takes and releases the lock of the list of pending loads.
///
/// # Safety
///
/// `load` must come from a call of [`mod_pending_claim`] that returned 0, and must not be used any
/// more after this.
#[export]
pub unsafe extern "C" fn mod_pending_finish(load: *mut bindings::mod_pending, ret: c_int) {
    // SAFETY: By the requirements of this function, `load` was made by `into_foreign()` and its
    // reference is given back here.
    let load = unsafe { Arc::<PendingLoad>::from_foreign(load.cast()) };

    load.finish(to_result(ret));
}

#[cfg(CONFIG_MODULE_MERGE_LOADS_KUNIT_TEST)]
#[kunit_tests(module_pending)]
mod tests {
    use super::*;
    use core::mem;
    use kernel::{
        new_condvar,
        new_mutex,
        sync::{
            atomic::{
                Atomic,
                Relaxed, //
            },
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

        fn push(&self, result: T) {
            // What does not fit is missed by `take()`.
            let _ = self.all.lock().push_within_capacity(result);
            self.more.notify_all();
        }

        /// Sleeps until there are `count` results, then takes all, and their room. It does not sleep
        /// for ever, so that a bug fails the test.
        fn take(&self, count: usize) -> Result<KVec<T>> {
            let mut left = msecs_to_jiffies(PATIENCE);
            let mut all = self.all.lock();
            while all.len() < count {
                match self.more.wait_interruptible_timeout(&mut all, left) {
                    CondVarTimeoutResult::Woken { jiffies } => left = jiffies,
                    _ => return Err(ETIMEDOUT),
                }
            }
            Ok(mem::take(&mut *all))
        }

        /// Runs `task` in a task of its own.
        fn spawn(self: &Arc<Self>, task: impl FnOnce() -> T + Send + 'static) -> Result {
            let results = self.clone();
            let run = move || results.push(task());
            Ok(workqueue::system_unbound().try_spawn(GFP_KERNEL, run)?)
        }
    }

    fn own(name: &CStr) -> Result<Arc<PendingLoad>> {
        match PendingLoad::claim(name)? {
            Claim::Owned(load) => Ok(load),
            Claim::Joined(_) => Err(EBUSY),
        }
    }

    fn join(name: &CStr) -> Result<Arc<PendingLoad>> {
        match PendingLoad::claim(name)? {
            Claim::Joined(load) => Ok(load),
            Claim::Owned(_) => Err(ENOENT),
        }
    }

    /// What a duplicate gets. The load must have finished.
    fn outcome(load: Arc<PendingLoad>) -> Result<Error> {
        let results = Results::new()?;
        results.spawn(move || load.wait())?;
        results.take(1)?.pop().ok_or(EINVAL)
    }

    /// Makes `count` tasks join the load of `name` and wait for it.
    fn duplicates(name: &'static CStr, count: usize) -> Result<Arc<Results<Error>>> {
        let joined = Results::new()?;
        let outcomes = Results::new()?;
        for _ in 0..count {
            let joined = joined.clone();
            outcomes.spawn(move || match join(name) {
                Ok(load) => {
                    joined.push(());
                    load.wait()
                }
                Err(not_pending) => not_pending,
            })?;
        }
        joined.take(count)?;
        Ok(outcomes)
    }

    /// Whether this was the last reference, and the list has none.
    fn is_last(load: Arc<PendingLoad>) -> bool {
        Arc::into_unique_or_drop(load).is_some()
    }

    #[test]
    fn name_is_owned_until_its_owner_finishes() -> Result {
        for result in [Ok(()), Err(ENODEV), Ok(())] {
            let owner = own(NAME)?;
            assert!(Arc::ptr_eq(&join(NAME)?, &owner));
            assert!(Arc::ptr_eq(&join(NAME)?, &owner));
            owner.finish(result);
            assert!(is_last(owner));
        }
        Ok(())
    }

    #[test]
    fn duplicate_of_success_gets_eexist() -> Result {
        let owner = own(NAME)?;
        let duplicate = join(NAME)?;
        owner.finish(Ok(()));
        assert_eq!(outcome(duplicate)?, EEXIST);
        assert!(is_last(owner));
        Ok(())
    }

    #[test]
    fn duplicate_of_any_failure_gets_ebusy() -> Result {
        for error in [ENODEV, ENOMEM, EEXIST, EBUSY, ERESTARTSYS] {
            let owner = own(NAME)?;
            let duplicate = join(NAME)?;
            owner.finish(Err(error));
            assert_eq!(outcome(duplicate)?, EBUSY);
            assert!(is_last(owner));
        }
        Ok(())
    }

    #[test]
    fn late_duplicate_gets_outcome_of_load_that_it_joined() -> Result {
        let failed = own(NAME)?;
        let late = join(NAME)?;
        failed.finish(Err(ENODEV));

        let succeeded = own(NAME)?;
        let next = join(NAME)?;
        assert!(!Arc::ptr_eq(&late, &next));
        succeeded.finish(Ok(()));

        assert_eq!(outcome(late)?, EBUSY);
        assert_eq!(outcome(next)?, EEXIST);
        assert!(is_last(failed));
        assert!(is_last(succeeded));
        Ok(())
    }

    #[test]
    fn names_do_not_disturb_each_other() -> Result {
        let owner = own(NAME)?;
        let other = own(OTHER)?;
        assert!(Arc::ptr_eq(&join(NAME)?, &owner));
        assert!(Arc::ptr_eq(&join(OTHER)?, &other));

        other.finish(Err(ENODEV));
        assert!(is_last(other));
        let duplicate = join(NAME)?;
        assert!(Arc::ptr_eq(&duplicate, &owner));

        owner.finish(Ok(()));
        assert_eq!(outcome(duplicate)?, EEXIST);
        assert!(is_last(owner));
        Ok(())
    }

    #[test]
    fn all_that_sleep_get_the_outcome() -> Result {
        for (result, expected) in [(Ok(()), EEXIST), (Err(ENODEV), EBUSY)] {
            let owner = own(NAME)?;
            let outcomes = duplicates(NAME, TASKS)?;
            owner.finish(result);
            assert!(outcomes.take(TASKS)?.iter().all(|got| *got == expected));
            assert!(is_last(owner));
        }
        Ok(())
    }

    #[test]
    fn owner_wakes_its_own_duplicates_only() -> Result {
        let owner = own(NAME)?;
        let other = own(OTHER)?;
        let outcomes = duplicates(NAME, TASKS / 2)?;
        let of_other = duplicates(OTHER, TASKS / 2)?;

        other.finish(Err(ENODEV));
        assert!(of_other.take(TASKS / 2)?.iter().all(|got| *got == EBUSY));
        assert!(outcomes.all.lock().is_empty());

        owner.finish(Ok(()));
        assert!(outcomes.take(TASKS / 2)?.iter().all(|got| *got == EEXIST));
        Ok(())
    }

    #[test]
    fn claims_at_once_make_one_owner() -> Result {
        for _ in 0..ROUNDS {
            let claims = Results::new()?;
            for _ in 0..TASKS {
                claims.spawn(|| PendingLoad::claim(NAME))?;
            }

            let mut owners = 0;
            for claim in claims.take(TASKS)? {
                if let Claim::Owned(owner) = claim? {
                    owner.finish(Err(ENODEV));
                    owners += 1;
                }
            }
            assert_eq!(owners, 1);
        }
        Ok(())
    }

    /// Loads that fail, one after the other. Returns how many there were.
    fn fail_to_load(owners: &Atomic<i32>) -> Result<usize> {
        let mut loads = 0;
        for _ in 0..ROUNDS {
            match PendingLoad::claim(NAME)? {
                Claim::Owned(load) => {
                    let others = owners.fetch_add(1, Relaxed);
                    owners.fetch_sub(1, Relaxed);
                    load.finish(Err(ENODEV));
                    if others != 0 {
                        return Err(EEXIST);
                    }
                    loads += 1;
                }
                Claim::Joined(load) => {
                    if load.wait() != EBUSY {
                        return Err(EINVAL);
                    }
                }
            }
        }
        Ok(loads)
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
        let last = own(NAME)?;
        last.finish(Err(ENODEV));
        assert!(is_last(last));
        Ok(())
    }
}
