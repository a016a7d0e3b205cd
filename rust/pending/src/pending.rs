// SPDX-License-Identifier: GPL-2.0

//! Pending module loads: one load of a module name at a time.
//!
//! A *load* is one request to load a module, its identity is the name of the module. The load that
//! finds its name free *owns* it: it is pending, on a list of its own, from before anything is
//! allocated for the module until its outcome is visible to all, that is, until the module is live,
//! or off the module list and freed. Any other load of that name that comes in the meantime is a
//! duplicate: it *joins* the pending load, sleeps until its owner has finished, and returns what
//! follows from the outcome. A load of another name, that needs what the module exports, waits for
//! it as well, but comes to an end of its own.
//!
//! A claim can be *provisional*, by a name that was only looked up in an image that is not copied
//! or checked yet. Its duplicates wait as for any other. If the image turns out to be a bad one, or
//! to bear another name, the name is passed on to one of the duplicates, which has its turn.
//!
//! An owner is pending before its module reaches the module list, and until the module is live or
//! off that list. It finishes before a live module can be removed, unless by force. So a look into
//! the list of pending loads first and into the module list second, under the lock of the former,
//! cannot miss a load, and no request that comes after a removal finds the load of the removed
//! module. One that comes once the module is live, and its owner has not finished, fails at once.
//!
//! C header: [`kernel/module/internal.h`](srctree/kernel/module/internal.h)

use core::ptr;
use kernel::{
    bindings,
    do_once_lite,
    error::to_result,
    ffi::{
        c_char,
        c_int,
        c_long,
        c_ulong, //
    },
    list::{
        impl_list_arc_safe,
        impl_list_item,
        List,
        ListArc,
        ListLinks, //
    },
    prelude::*,
    seq_file::SeqFile,
    seq_print,
    str::CString,
    sync::{
        global_lock,
        rcu,
        Arc,
        Completion,
        GlobalGuard,
        GlobalLockedBy,
        SetOnce, //
    },
    task::Pid,
    time::{
        Instant,
        Jiffies,
        Monotonic, //
    },
    tracepoint::declare_trace,
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
    /// What changes while it is pending.
    record: GlobalLockedBy<Record, PENDING>,
    /// What the owner's load ended with, set before [`Self::finished`] is completed.
    outcome: SetOnce<Result>,
    /// Completed when the owner has finished; what its duplicates sleep on.
    #[pin]
    finished: Completion,
    /// Links of [`PENDING`].
    #[pin]
    links: ListLinks,
}

#[derive(Clone, Copy)]
struct Record {
    /// The task that loads the module, or none if one of the duplicates is about to.
    owner: Option<Pid>,
    /// Since when the name is taken.
    since: Instant<Monotonic>,
    /// Whether the image of the owner was seen to bear the name, all of it checked.
    confirmed: bool,
    /// How many duplicates wait.
    duplicates: u32,
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
    fn new(name: &CStr, confirmed: bool) -> Result<ListArc<Self>> {
        ListArc::pin_init(
            try_pin_init!(Self {
                name: CString::try_from(name)?,
                record: GlobalLockedBy::new(Record {
                    owner: Some(current!().pid()),
                    since: Instant::now(),
                    confirmed,
                    duplicates: 0,
                }),
                outcome: SetOnce::new(),
                finished <- Completion::new(),
                links <- ListLinks::new(),
            }),
            GFP_KERNEL,
        )
    }

    /// Makes the caller the owner of `name`, or a duplicate of the load that is. The claim is
    /// provisional unless `confirmed`.
    ///
    /// # Errors
    ///
    /// * [`EEXIST`] if the module is live.
    /// * [`EBUSY`] if the module is being removed.
    /// * [`ENOMEM`] if there is no memory for an entry.
    fn claim(name: &CStr, confirmed: bool) -> Result<Claim> {
        // A duplicate costs no memory.
        let running = Self::join(&mut PENDING.lock(), name)?;
        if let Some(load) = running {
            return Ok(Claim::Joined(load));
        }

        // The lock is not held while memory is reclaimed. The name can be taken meanwhile.
        let load = Self::new(name, confirmed)?;
        let mut pending = PENDING.lock();
        let running = Self::join(&mut pending, name)?;
        if let Some(load) = running {
            return Ok(Claim::Joined(load));
        }

        let owned = load.clone_arc();
        pending.push_back(load);
        Ok(Claim::Owned(owned))
    }

    /// Finds the pending load of `name`, which gets a duplicate by this.
    ///
    /// # Errors
    ///
    /// Those of [`check_module_list`].
    fn join(pending: &mut GlobalGuard<PENDING>, name: &CStr) -> Result<Option<Arc<Self>>> {
        let running = Self::find(pending, name);
        check_module_list(name, running.is_some())?;
        if let Some(load) = &running {
            load.record.as_mut(pending).duplicates += 1;
        }
        Ok(running)
    }

    fn find(pending: &List<Self>, name: &CStr) -> Option<Arc<Self>> {
        let load = pending.iter().find(|load| *load.name == *name)?;
        Some(load.into())
    }

    fn find_confirmed(pending: &GlobalGuard<PENDING>, name: &CStr) -> Option<Arc<Self>> {
        Self::find(pending, name).filter(|load| load.record.as_ref(pending).confirmed)
    }

    /// Makes a provisional claim one of `name`, which the owner has found in its image. Returns
    /// false if that is another name than was claimed.
    fn confirm(&self, name: &CStr) -> bool {
        let same = *self.name == *name;
        if same {
            self.record.as_mut(&mut PENDING.lock()).confirmed = true;
        }
        same
    }

    /// Sleeps, interruptibly, until the owner has finished, then says what this means for a
    /// duplicate. Returns success to the one that the name is passed on to, its owner from then on.
    ///
    /// # Errors
    ///
    /// * [`ERESTARTSYS`] if a signal arrived first.
    /// * [`EEXIST`] if the owner has loaded the module.
    /// * [`EBUSY`] if it has failed to.
    fn wait(&self) -> Result {
        if let Err(interrupted) = self.finished.wait_for_completion_interruptible() {
            self.leave();
            return Err(interrupted);
        }

        match self.outcome.copy() {
            Some(Ok(())) => Err(EEXIST),
            Some(Err(_)) => Err(EBUSY),
            None => {
                self.inherit();
                Ok(())
            }
        }
    }

    /// Ends the wait of a duplicate that was interrupted.
    fn leave(&self) {
        let mut pending = PENDING.lock();
        let record = self.record.as_mut(&mut pending);
        record.duplicates -= 1;
        if record.owner.is_none() && record.duplicates == 0 {
            // The name was passed on to nobody else.
            drop(self.remove(&mut pending));
        }
    }

    /// Makes a duplicate the owner.
    fn inherit(&self) {
        let mut pending = PENDING.lock();
        let record = self.record.as_mut(&mut pending);
        record.owner = Some(current!().pid());
        record.duplicates -= 1;
    }

    /// Sleeps, interruptibly, until the load of `name` has ended, if one is pending. Returns how
    /// much of `timeout` is left.
    ///
    /// A load that is not confirmed has no module yet, there is nothing to wait for.
    ///
    /// # Errors
    ///
    /// * [`ERESTARTSYS`] if a signal arrived first.
    /// * [`ETIMEDOUT`] if the time was up first.
    fn wait_for(name: &CStr, timeout: Jiffies) -> Result<Jiffies> {
        let running = Self::find_confirmed(&PENDING.lock(), name);

        running.map_or(Ok(timeout), |load| {
            load.finished
                .wait_for_completion_interruptible_timeout(timeout)
        })
    }

    /// Ends the ownership. Returns what there was to know of it.
    ///
    /// A load that was never confirmed says nothing about its duplicates: their images may be good
    /// ones of that name. It passes the name on to one of them, if there are any.
    ///
    /// Any other wakes all that wait for it, and nobody else. A claim that comes after its removal
    /// from the list is not a duplicate: hence removal comes before the wake-up, which a duplicate
    /// may answer by a new request.
    fn finish(&self, outcome: Result) -> Record {
        let mut pending = PENDING.lock();
        let record = self.record.as_mut(&mut pending);
        if !record.confirmed && record.duplicates > 0 {
            record.owner = None;
            self.finished.complete();
            return *record;
        }

        let record = *record;
        self.outcome.populate(outcome);
        drop(self.remove(&mut pending));
        drop(pending);

        self.finished.complete_all();
        record
    }

    /// Takes the load off the list of pending ones.
    fn remove(&self, pending: &mut List<Self>) -> Option<ListArc<Self>> {
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

/// Shows the pending loads, a line each.
fn show(file: &SeqFile) {
    seq_print!(file, "name owner duplicates age_ms\n");

    let pending = PENDING.lock();
    for load in pending.iter() {
        let record = load.record.as_ref(&pending);
        seq_print!(
            file,
            "{} {} {} {}\n",
            &*load.name,
            record.owner.unwrap_or(0),
            record.duplicates,
            record.since.elapsed().as_millis(),
        );
    }
}

/// Says what the module list has to say against a load of `name`.
///
/// If one `is_pending`, its module is on the list in states that say nothing about how that load
/// ends, until it is live. The load ends later than that: only when what it has scheduled has run,
/// which may be waiting for this very request.
///
/// # Errors
///
/// * [`EEXIST`] if the module is live.
/// * [`EBUSY`] if the module is being removed.
fn check_module_list(name: &CStr, is_pending: bool) -> Result {
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
        _ if is_pending => Ok(()),
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

/// Says whether a load is pending, of whatever name.
///
/// Context: process context. Takes and releases the lock of the list of pending loads.
///
/// # Safety
///
/// None, but that of [`mod_pending_init`]; `unsafe` is what bindgen declares it as.
#[export]
pub unsafe extern "C" fn mod_pending_any() -> bool {
    !PENDING.lock().is_empty()
}

/// Claims a module's name.
///
/// The claim is provisional unless `confirmed`, which says that the image was checked, and bears
/// this name.
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
    confirmed: bool,
    load: *mut *mut bindings::mod_pending,
) -> c_int {
    // SAFETY: By the requirements of this function.
    let name = unsafe { CStr::from_char_ptr(name) };

    let (claimed, ret) = match PendingLoad::claim(name, confirmed) {
        Ok(Claim::Owned(owned)) => (Some(owned), 0),
        Ok(Claim::Joined(joined)) => (Some(joined), EINPROGRESS.to_errno()),
        Err(err) => (None, err.to_errno()),
    };

    if let Some(claimed) = claimed {
        // SAFETY: By the requirements of this function.
        unsafe { load.write(claimed.into_foreign().cast()) };
    }
    // SAFETY: `name` is a string.
    unsafe { module_claim(name.as_char_ptr(), ret) };
    ret
}

/// Says under which name the load goes on that owns one, now that its image is checked.
///
/// Returns true if it is the name that was claimed: the claim is not provisional any more.
///
/// Context: process context. Takes and releases the lock of the list of pending loads.
///
/// # Safety
///
/// * `load` must be owned by the caller.
/// * `name` must point at a nul-terminated string, valid for reads during the call.
#[export]
pub unsafe extern "C" fn mod_pending_confirm(
    load: *mut bindings::mod_pending,
    name: *const c_char,
) -> bool {
    // SAFETY: By the requirements of this function. The reference is that of the caller.
    let load = unsafe { Arc::<PendingLoad>::borrow(load.cast()) };
    // SAFETY: By the requirements of this function.
    let name = unsafe { CStr::from_char_ptr(name) };

    load.confirm(name)
}

/// Sleeps until the load that was joined has finished.
///
/// Returns `-EEXIST` if that load succeeded, `-EBUSY` if it failed, `-ERESTARTSYS` if a signal
/// arrived first; or 0 if the caller owns the name now, provisionally.
///
/// Context: process context, no locks held. Sleeps.
///
/// # Safety
///
/// `load` must come from a call of [`mod_pending_claim`] that returned `-EINPROGRESS`, and must not
/// be used any more after this, unless it returns 0.
#[export]
pub unsafe extern "C" fn mod_pending_wait(load: *mut bindings::mod_pending) -> c_int {
    // SAFETY: By the requirements of this function, `load` was made by `into_foreign()` and its
    // reference is given back here.
    let load = unsafe { Arc::<PendingLoad>::from_foreign(load.cast()) };

    let start = Instant::<Monotonic>::now();
    let waited = load.wait();
    let ret = waited.map_or_else(Error::to_errno, |()| 0);
    // SAFETY: The name is a string.
    unsafe { module_wait(load.name.as_char_ptr(), ret, start.elapsed().as_nanos()) };

    if waited.is_ok() {
        // The caller keeps its reference, as an owner has one.
        let _ = load.into_foreign();
    }
    ret
}

/// Sleeps until the load of a module has ended, if one is pending, for at most `timeout` jiffies.
///
/// Returns how much of `timeout` is left, which is at least 1; 0 if the time was up first;
/// `-ERESTARTSYS` if a signal arrived first.
///
/// Context: process context, no locks held. Sleeps.
///
/// # Safety
///
/// `name` must point at a nul-terminated string, valid for reads during the call.
#[export]
pub unsafe extern "C" fn mod_pending_wait_for(name: *const c_char, timeout: c_ulong) -> c_long {
    // SAFETY: By the requirements of this function.
    let name = unsafe { CStr::from_char_ptr(name) };

    match PendingLoad::wait_for(name, timeout) {
        // It is not more than the C side gave, in a `long`.
        Ok(left) => left as c_long,
        Err(ETIMEDOUT) => 0,
        Err(err) => err.to_errno() as c_long,
    }
}

/// Ends the ownership of a name, and wakes those that wait for this load; or one of them, to be the
/// next owner, if the claim is still provisional.
///
/// `ret` is what the load returns: 0 if the module is live, else a negative error number, with the
/// module off the module list and freed.
///
/// Context: process context. Takes and releases the lock of the list of pending loads.
///
/// # Safety
///
/// `load` must be owned by the caller, from a call of [`mod_pending_claim`] or [`mod_pending_wait`]
/// that returned 0, and must not be used any more after this.
#[export]
pub unsafe extern "C" fn mod_pending_finish(load: *mut bindings::mod_pending, ret: c_int) {
    // SAFETY: By the requirements of this function, `load` was made by `into_foreign()` and its
    // reference is given back here.
    let load = unsafe { Arc::<PendingLoad>::from_foreign(load.cast()) };

    let record = load.finish(to_result(ret));
    let age = record.since.elapsed().as_nanos();
    // SAFETY: The name is a string.
    unsafe { module_finish(load.name.as_char_ptr(), ret, record.duplicates, age) };
}

/// Shows the pending loads in a file, a line each.
///
/// Context: process context. Takes and releases the lock of the list of pending loads.
///
/// # Safety
///
/// `file` must point at a valid `struct seq_file` that nothing else accesses during the call.
#[export]
pub unsafe extern "C" fn mod_pending_show(file: *mut bindings::seq_file) {
    // SAFETY: By the requirements of this function.
    show(unsafe { SeqFile::from_raw(file) });
}

declare_trace! {
    /// # Safety
    ///
    /// `name` must point at a nul-terminated string.
    unsafe fn module_claim(name: *const c_char, ret: c_int);

    /// # Safety
    ///
    /// `name` must point at a nul-terminated string.
    unsafe fn module_wait(name: *const c_char, ret: c_int, waited: i64);

    /// # Safety
    ///
    /// `name` must point at a nul-terminated string.
    unsafe fn module_finish(name: *const c_char, ret: c_int, duplicates: u32, age: i64);
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

        /// Sleeps until there are `count` results, then takes all, and their room. It does not
        /// sleep for ever, so that a bug fails the test.
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
            Ok(workqueue::system_long().try_spawn(GFP_KERNEL, run)?)
        }
    }

    fn own(name: &CStr) -> Result<Arc<PendingLoad>> {
        match PendingLoad::claim(name, true)? {
            Claim::Owned(load) => Ok(load),
            Claim::Joined(_) => Err(EBUSY),
        }
    }

    fn join(name: &CStr) -> Result<Arc<PendingLoad>> {
        match PendingLoad::claim(name, true)? {
            Claim::Joined(load) => Ok(load),
            Claim::Owned(_) => Err(ENOENT),
        }
    }

    /// What a duplicate gets. The load must have finished.
    fn outcome(load: Arc<PendingLoad>) -> Result<Result> {
        let results = Results::new()?;
        results.spawn(move || load.wait())?;
        results.take(1)?.pop().ok_or(EINVAL)
    }

    /// Makes `count` tasks join the load of `name` and wait for it.
    fn duplicates(name: &'static CStr, count: usize) -> Result<Arc<Results<Result>>> {
        let joined = Results::new()?;
        let outcomes = Results::new()?;
        for _ in 0..count {
            let joined = joined.clone();
            outcomes.spawn(move || match join(name) {
                Ok(load) => {
                    joined.push(());
                    load.wait()
                }
                Err(not_pending) => Err(not_pending),
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
        assert_eq!(outcome(duplicate)?, Err(EEXIST));
        assert!(is_last(owner));
        Ok(())
    }

    #[test]
    fn duplicate_of_any_failure_gets_ebusy() -> Result {
        for error in [ENODEV, ENOMEM, EEXIST, EBUSY, ERESTARTSYS] {
            let owner = own(NAME)?;
            let duplicate = join(NAME)?;
            owner.finish(Err(error));
            assert_eq!(outcome(duplicate)?, Err(EBUSY));
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

        assert_eq!(outcome(late)?, Err(EBUSY));
        assert_eq!(outcome(next)?, Err(EEXIST));
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
        assert_eq!(outcome(duplicate)?, Err(EEXIST));
        assert!(is_last(owner));
        Ok(())
    }

    #[test]
    fn all_that_sleep_get_the_outcome() -> Result {
        for (result, expected) in [(Ok(()), Err(EEXIST)), (Err(ENODEV), Err(EBUSY))] {
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
        assert!(of_other
            .take(TASKS / 2)?
            .iter()
            .all(|got| *got == Err(EBUSY)));
        assert!(outcomes.all.lock().is_empty());

        owner.finish(Ok(()));
        assert!(outcomes
            .take(TASKS / 2)?
            .iter()
            .all(|got| *got == Err(EEXIST)));
        Ok(())
    }

    /// What a task gets that waits for the load of `name` by itself, as one that depends on it.
    fn wait_for(name: &'static CStr, timeout: Jiffies) -> Result<Result<Jiffies>> {
        let results = Results::new()?;
        results.spawn(move || PendingLoad::wait_for(name, timeout))?;
        results.take(1)?.pop().ok_or(EINVAL)
    }

    #[test]
    fn nobody_waits_for_name_that_is_free() -> Result {
        assert_eq!(wait_for(NAME, 0)?, Ok(0));
        assert_eq!(wait_for(NAME, 10)?, Ok(10));

        let owner = own(OTHER)?;
        assert_eq!(wait_for(NAME, 0)?, Ok(0));
        owner.finish(Ok(()));
        Ok(())
    }

    #[test]
    fn dependent_load_waits_as_long_as_it_wants() -> Result {
        let owner = own(NAME)?;
        assert_eq!(wait_for(NAME, 1)?, Err(ETIMEDOUT));
        owner.finish(Err(ENODEV));
        assert!(is_last(owner));
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
                PendingLoad::wait_for(NAME, timeout)
            })?;
        }
        started.take(TASKS)?;
        owner.finish(Ok(()));
        for result in left.take(TASKS)? {
            assert!((1..=timeout).contains(&result?));
        }
        Ok(())
    }

    /// Owns `name` before there is a checked image of it.
    fn own_provisionally(name: &CStr) -> Result<Arc<PendingLoad>> {
        match PendingLoad::claim(name, false)? {
            Claim::Owned(load) => Ok(load),
            Claim::Joined(_) => Err(EBUSY),
        }
    }

    #[test]
    fn provisional_owner_is_confirmed_by_same_name_only() -> Result {
        let owner = own_provisionally(NAME)?;
        assert!(!owner.confirm(OTHER));
        assert!(owner.confirm(NAME));
        let duplicate = join(NAME)?;
        owner.finish(Err(ENODEV));
        assert_eq!(outcome(duplicate)?, Err(EBUSY));
        assert!(is_last(owner));
        Ok(())
    }

    #[test]
    fn provisional_owner_without_duplicates_leaves_nothing() -> Result {
        let owner = own_provisionally(NAME)?;
        owner.finish(Err(ENOEXEC));
        assert!(is_last(owner));
        let next = own(NAME)?;
        next.finish(Err(ENODEV));
        Ok(())
    }

    #[test]
    fn name_is_passed_on_to_one_duplicate_after_the_other() -> Result {
        let first = own_provisionally(NAME)?;
        let [second, third] = [join(NAME)?, join(NAME)?];

        first.finish(Err(ENOEXEC));
        assert!(Arc::ptr_eq(&join(NAME)?, &first));
        assert_eq!(outcome(second.clone())?, Ok(()));
        second.finish(Err(ENOEXEC));
        assert_eq!(outcome(third.clone())?, Ok(()));
        assert!(third.confirm(NAME));

        let duplicate = join(NAME)?;
        third.finish(Ok(()));
        assert_eq!(outcome(duplicate)?, Err(EEXIST));
        Ok(())
    }

    #[test]
    fn nobody_depends_on_provisional_owner() -> Result {
        let owner = own_provisionally(NAME)?;
        assert_eq!(wait_for(NAME, 1)?, Ok(1));
        assert!(owner.confirm(NAME));
        assert_eq!(wait_for(NAME, 1)?, Err(ETIMEDOUT));
        owner.finish(Ok(()));
        Ok(())
    }

    /// A load whose image is a bad one, until its turn comes as the last.
    fn pass_on() -> Result {
        match PendingLoad::claim(NAME, false)? {
            Claim::Owned(load) => load.finish(Err(ENOEXEC)),
            Claim::Joined(load) => {
                load.wait()?;
                load.finish(Err(ENOEXEC))
            }
        };
        Ok(())
    }

    #[test]
    fn all_have_their_turn() -> Result {
        for _ in 0..ROUNDS {
            let turns = Results::new()?;
            for _ in 0..TASKS {
                turns.spawn(pass_on)?;
            }
            for turn in turns.take(TASKS)? {
                turn?;
            }
            let last = own(NAME)?;
            last.finish(Err(ENODEV));
            assert!(is_last(last));
        }
        Ok(())
    }

    #[test]
    fn claims_at_once_make_one_owner() -> Result {
        for _ in 0..ROUNDS {
            let claims = Results::new()?;
            for _ in 0..TASKS {
                claims.spawn(|| PendingLoad::claim(NAME, true))?;
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
            match PendingLoad::claim(NAME, true)? {
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
                    if load.wait() != Err(EBUSY) {
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
