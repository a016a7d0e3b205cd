// SPDX-License-Identifier: GPL-2.0

//! Pending module loads: one load of a module name at a time.
//!
//! A *load* is one request to load a module. Its identity is the name of the module. The load that
//! finds its name free *owns* it: it is pending, on a list of its own, from the check of its image
//! until the module is live, or off the module list and freed. Any other request for that name
//! that comes in the meantime is a *duplicate*: it frees its image, sleeps until that one load is
//! not pending any more, and returns what follows from the outcome. A load of another name that
//! needs a symbol of the module waits for it as well, but has an outcome of its own.
//!
//! A load that a signal ends says nothing about the module. Its duplicates start over, and one of
//! them becomes the owner.
//!
//! An owner is pending before its module reaches the module list, and until the module is live or
//! off that list. So a search of the list of pending loads first and of the module list second,
//! under the lock of the former, cannot miss a load. A request that comes once the module is live
//! fails at once. A live module cannot be removed while its load is pending, unless by force: the
//! load holds the initial reference. So no request that comes after a removal finds the load of the
//! removed module.
//!
//! The loader peeks at the name in an image before it copies the image, see `image.rs`. The request
//! becomes a duplicate if a load of that name is pending. It fails at once if a module of that name
//! is live, and the image is large. The peek makes no other request fail, or wait for more than a
//! moment, see `copying.rs`.
//!
//! C calls the functions in `claim.rs`, which also decides what a peek means.

// Public, as its exported functions are.
pub mod claim;
mod copying;
mod image;

use kernel::{
    bindings,
    do_once_lite,
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
        atomic::{
            atomic_load,
            Atomic,
            Relaxed, //
        },
        global_lock,
        rcu,
        Arc,
        Completion,
        SetOnce, //
    },
    task::Pid,
    time::{
        Instant,
        Jiffies,
        Monotonic, //
    },
    warn_on, //
};

global_lock! {
    // SAFETY: `mod_claim_init()` initializes it. That is an early initcall: all uses come later.
    unsafe(uninit) static PENDING: Mutex<List<PendingLoad>> = List::new();
}

/// How a load ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// The module is live.
    Live,
    /// There is no module.
    Failed,
    /// There is no module, and this says nothing about the next load.
    Interrupted,
}

/// A load and its duplicates.
#[pin_data]
struct PendingLoad {
    /// The name of the module.
    name: CString,
    /// The task that loads the module.
    owner: Pid,
    /// When it took the name.
    since: Instant<Monotonic>,
    /// How many duplicates there are.
    duplicates: Atomic<u32>,
    /// Set before [`Self::ended`] is completed.
    outcome: SetOnce<Outcome>,
    /// Completed when the load is not pending any more.
    #[pin]
    ended: Completion,
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

impl PendingLoad {
    /// Allocates an entry for the list of pending loads.
    fn new(name: &CStr) -> Result<ListArc<Self>> {
        ListArc::pin_init(
            try_pin_init!(Self {
                name: CString::try_from(name)?,
                owner: current!().pid(),
                since: Instant::now(),
                duplicates: Atomic::new(0),
                outcome: SetOnce::new(),
                ended <- Completion::new(),
                links <- ListLinks::new(),
            }),
            GFP_KERNEL,
        )
    }

    /// Finds the pending load of `name`.
    // There are several calls, and this is no hot path.
    #[inline(never)]
    fn find(pending: &List<Self>, name: &CStr) -> Option<Arc<Self>> {
        let load = pending.iter().find(|load| *load.name == *name)?;
        Some(load.into())
    }
}

/// Ends the wait of all tasks that wait now, of which there are about so many, or later.
///
/// [`Completion::complete_all`] disables interrupts until it has woken all that wait. So it wakes
/// only those that have not been counted, after the others were woken one by one.
fn wake_all(wait: &Completion, tasks: u32) {
    for _ in 0..tasks {
        wait.complete();
    }
    wait.complete_all();
}

/// Sleeps, interruptibly, until no load of `name` is pending, or for `timeout`.
///
/// Returns how much of that is left.
///
/// # Errors
///
/// * [`ERESTARTSYS`] if a signal arrived first.
/// * [`ETIMEDOUT`] if the time was up first.
fn wait_loaded(name: &CStr, timeout: Jiffies) -> Result<Jiffies> {
    let load = PendingLoad::find(&PENDING.lock(), name);

    load.map_or(Ok(timeout), |load| {
        load.ended
            .wait_for_completion_interruptible_timeout(timeout)
    })
}

/// The ownership of a name.
///
/// It must be ended: if it is dropped, the name stays pending.
#[must_use]
struct Owner(Arc<PendingLoad>);

impl Owner {
    /// Ends the ownership, and wakes those that wait for this load, and nobody else.
    ///
    /// A request that comes after the removal from the list is not a duplicate. So the removal
    /// comes before the wake-up, which a duplicate may answer by a new request.
    fn end(self, outcome: Outcome) {
        let Self(load) = self;

        let mut pending = PENDING.lock();
        // SAFETY: There is no other list of pending loads that `load` could be in.
        let removed = unsafe { pending.remove(&load) };
        drop(pending);
        drop(removed);

        load.outcome.populate(outcome);
        // ORDERING: Nobody joins a load that is not on the list. A count that is a little too high
        // or too low does no harm.
        wake_all(&load.ended, load.duplicates.load(Relaxed));
    }
}

/// A request that waits for the load of its name.
struct Duplicate(Arc<PendingLoad>);

impl Drop for Duplicate {
    fn drop(&mut self) {
        self.0.duplicates.fetch_sub(1, Relaxed);
    }
}

impl Duplicate {
    /// Makes a request a duplicate of `load`.
    fn new(load: Arc<PendingLoad>) -> Self {
        load.duplicates.fetch_add(1, Relaxed);
        Self(load)
    }

    /// Makes a request a duplicate of the pending load of `name`, if there is one.
    ///
    /// # Errors
    ///
    /// Those of [`look_up`].
    // Not inlined, as `PendingLoad::find()`.
    #[inline(never)]
    fn of(name: &CStr) -> Result<Option<Self>> {
        let load = look_up(&PENDING.lock(), name)?;
        Ok(load.map(Self::new))
    }

    /// Sleeps, interruptibly, until the load is not pending any more, and says how it ended.
    ///
    /// # Errors
    ///
    /// [`ERESTARTSYS`] if a signal arrived first.
    fn wait(&self) -> Result<Outcome> {
        self.0.ended.wait_for_completion_interruptible()?;
        // The owner sets the outcome before it completes the wait.
        Ok(self.0.outcome.copy().unwrap_or(Outcome::Failed))
    }

    /// Waits, and says what the request is to return.
    ///
    /// # Errors
    ///
    /// * [`EEXIST`] if the module is live.
    /// * [`EBUSY`] if the load failed.
    /// * [`ERESTARTSYS`] if a signal arrived. A request with a signal pending does not start over.
    fn result(self) -> Result<StartOver> {
        match self.wait()? {
            Outcome::Live => Err(count(&self.0.name, EEXIST)),
            Outcome::Failed => Err(count(&self.0.name, EBUSY)),
            Outcome::Interrupted if current!().signal_pending() => Err(ERESTARTSYS),
            Outcome::Interrupted => Ok(StartOver),
        }
    }
}

/// What a request does that waited for an interrupted load.
struct StartOver;

/// Finds the pending load of `name`.
///
/// If there is none, a load of `name` is permitted.
///
/// # Errors
///
/// * [`EEXIST`] if the module is live. Its load may still be finishing.
/// * [`EBUSY`] if the module is being removed.
fn look_up(pending: &List<PendingLoad>, name: &CStr) -> Result<Option<Arc<PendingLoad>>> {
    let load = PendingLoad::find(pending, name);

    match State::of(name, &rcu::read_lock()) {
        Some(State::Live) => Err(EEXIST),
        // Its other states say nothing about how the load ends.
        _ if load.is_some() => Ok(load),
        None => Ok(None),
        // `free_module()` makes a module unformed before it takes it off the list.
        Some(State::Going | State::Unformed) => Err(EBUSY),
        Some(State::Coming) => {
            // A module that is coming has a pending load.
            do_once_lite! { warn_on!(true); }
            Err(EBUSY)
        }
    }
}

/// Shows the pending loads, a line each.
///
/// The name comes last: there can be spaces in it.
fn show(file: &SeqFile) {
    seq_print!(file, "owner duplicates age_ms name\n");

    for load in PENDING.lock().iter() {
        seq_print!(
            file,
            "{} {} {} {}\n",
            load.owner,
            load.duplicates.load(Relaxed),
            load.since.elapsed().as_millis(),
            &*load.name,
        );
    }
}

/// The state of a module.
enum State {
    Live,
    Coming,
    Going,
    Unformed,
}

impl State {
    /// Looks up the module of a name in the module list.
    fn of(name: &CStr, _guard: &rcu::Guard) -> Option<Self> {
        // SAFETY: `name` is valid for reads of its length. The RCU read lock is held, as `_guard`
        // shows.
        let module =
            unsafe { bindings::find_module_all(name.as_char_ptr(), name.count_bytes(), true) };
        if module.is_null() {
            return None;
        }

        // SAFETY: A module that was found under the RCU read lock is not freed while that lock is
        // held, and `_guard` holds it during this call. All stores to its state are by
        // WRITE_ONCE().
        let state = unsafe { atomic_load(&raw mut (*module).state, Relaxed) };
        Some(match state {
            bindings::module_state_MODULE_STATE_LIVE => Self::Live,
            bindings::module_state_MODULE_STATE_COMING => Self::Coming,
            bindings::module_state_MODULE_STATE_GOING => Self::Going,
            _ => Self::Unformed,
        })
    }
}

/// Notes down a duplicate that got `error`.
///
/// Its image, or that of the load that it waited for, was checked and has that name.
fn count(_name: &CStr, error: Error) -> Error {
    #[cfg(CONFIG_MODULE_STATS)]
    if error == EEXIST || error == EBUSY {
        // SAFETY: `_name` is nul-terminated and alive for the call. No lock is held.
        unsafe { bindings::mod_stat_bump_duplicate(_name.as_char_ptr()) };
    }
    error
}

#[cfg(CONFIG_MODULE_MERGE_LOADS_KUNIT_TEST)]
mod pending_kunit;
