// SPDX-License-Identifier: GPL-2.0

//! Pending module loads: one load of a module name at a time.
//!
//! A *load* is one request to load a module. Its identity is the name of the module. The load that
//! finds its name free *owns* it: it is pending, on a list of its own, from the check of its image
//! until the module is live, or off the module list and freed. Any other request for that name
//! that comes in the meantime is a *duplicate*: it frees its image, sleeps until that one load is
//! not pending any more, and returns what follows from the outcome. A load of another name, that
//! needs a symbol of the module, waits for it as well, but comes to an end of its own.
//!
//! A load that a signal ends says nothing about the module. Its duplicates start over, and one of
//! them becomes the owner.
//!
//! An owner is pending before its module reaches the module list, and until the module is live or
//! off that list. So a search of the list of pending loads first and of the module list second,
//! under the lock of the former, cannot miss a load. A request that comes once the module is live
//! fails at once. A module cannot be removed before its load has returned, unless by force, so no
//! request that comes after a removal finds the load of the removed module.
//!
//! The loader peeks at the name in an image before it copies the image, see `image.rs`. The request
//! becomes a duplicate if a load of that name is pending. It fails at once if a module of that name
//! is live, and the image is large. The peek makes no other request fail, or wait for more than a
//! moment, see `copying.rs`.
//!
//! C header: [`kernel/module/claim.h`](srctree/kernel/module/claim.h)

mod copying;
mod image;

use core::mem;
use kernel::{
    bindings,
    do_once_lite,
    error::to_result,
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
    sizes::SZ_256K,
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
        GlobalLockedBy,
        SetOnce, //
    },
    task::Pid,
    time::{
        msecs_to_jiffies,
        Instant,
        Jiffies,
        Monotonic,
        Msecs, //
    },
    tracepoint::declare_trace,
    warn_on, //
};

use copying::Copying;
use image::{
    Image,
    OpenFile,
    UserMemory, //
};

/// The loader peeks at images up to this size, in bytes, only while some load is pending: the peek
/// can cost a few percent of their own load.
const SMALL: u64 = SZ_256K as u64;

global_lock! {
    // SAFETY: `mod_claim_init()` initializes it. That is an early initcall: the first load, KUnit
    // test and file in debugfs come later.
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

/// Ends the ownership of a request that returns `ret`.
fn end_load(owner: Owner, outcome: Outcome, ret: c_int) {
    let load = owner.0.clone();

    let age = load.since.elapsed().as_nanos();
    owner.end(outcome);
    // SAFETY: The name is nul-terminated, and `load` keeps it alive.
    unsafe { module_finish(load.name.as_char_ptr(), ret, age) };
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
    // As above.
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

/// What a request has of its name: a [`bindings::mod_claim`].
#[repr(C, usize)]
enum Claim {
    /// Nothing. C makes it, of zeroes.
    Nothing = 0,
    /// The name.
    Owner(Owner),
    /// A share in another load of the name.
    Duplicate(Duplicate),
    /// A copy of an image that seems to have the name.
    Copying(Copying),
}

static_assert!(size_of::<Claim>() == size_of::<bindings::mod_claim>());
static_assert!(align_of::<Claim>() == align_of::<bindings::mod_claim>());

impl Claim {
    /// Makes a request the owner of `name`, unless it was `refused`, or a duplicate of the load
    /// that is.
    ///
    /// # Errors
    ///
    /// * Those of [`look_up`].
    /// * That of `refused` if the name is free.
    /// * [`ENOMEM`] if there is no memory for an entry.
    fn of(name: &CStr, refused: Result) -> Result<Self> {
        // A duplicate costs no memory.
        if let Some(duplicate) = Duplicate::of(name)? {
            return Ok(Self::Duplicate(duplicate));
        }
        refused?;

        // The lock is not held while memory is reclaimed. The name can be taken meanwhile.
        let load = PendingLoad::new(name)?;
        let mut pending = PENDING.lock();
        let running = look_up(&pending, name)?;
        if let Some(load) = running {
            return Ok(Self::Duplicate(Duplicate::new(load)));
        }

        let owned = load.clone_arc();
        pending.push_back(load);
        Ok(Self::Owner(Owner(owned)))
    }

    /// What the name that an image seems to have says about a request, before the image is copied.
    ///
    /// Returns [`None`] if it says nothing.
    fn at_first_sight(name: &CStr) -> Option<Result<Self>> {
        match Duplicate::of(name) {
            Ok(Some(duplicate)) => Some(Ok(Self::Duplicate(duplicate))),
            Err(EEXIST) => Some(Err(EEXIST)),
            _ => None,
        }
    }

    /// Peeks at the name in an image before the image is copied.
    ///
    /// The claim of an image without a name is nothing. Other loads decide whether there is a peek
    /// at a small image. So the peek can make its request a duplicate, and has no other effect.
    ///
    /// # Errors
    ///
    /// [`EEXIST`] if the module is live, and the image is large.
    fn of_image(image: &dyn Image) -> Result<Self> {
        let is_small = image.len() <= SMALL;
        // Whoever has the lock most likely has a load pending.
        if is_small && PENDING.try_lock().is_some_and(|pending| pending.is_empty()) {
            return Ok(Self::Nothing);
        }
        let mut room = [0; image::NAME_LEN];
        let Ok(name) = image::name(image, &mut room) else {
            return Ok(Self::Nothing);
        };

        match Self::at_first_sight(name) {
            Some(Ok(share)) => return Ok(share),
            _ if is_small => return Ok(Self::Nothing),
            Some(Err(error)) => return Err(error),
            None => {}
        }
        // An earlier copy, if there was one, may have become a pending load meanwhile.
        let copying = Copying::of(name);
        match Self::at_first_sight(name) {
            Some(known) => known,
            None => Ok(copying.map_or(Self::Nothing, Self::Copying)),
        }
    }

    /// Puts in what the request has now, and returns how its system call goes on.
    fn start(&mut self, claimed: Self) -> c_int {
        let is_duplicate = matches!(claimed, Self::Duplicate(_));
        *self = claimed;

        if is_duplicate {
            EINPROGRESS.to_errno()
        } else {
            0
        }
    }

    /// Takes what the request has, and leaves nothing.
    fn take(&mut self) -> Self {
        mem::replace(self, Self::Nothing)
    }

    /// The claim behind a pointer of the C side.
    ///
    /// # Safety
    ///
    /// `claim` must point at a `struct mod_claim` that was set to zero before its first use and
    /// that only this file has changed since. Nothing else may access it for `'a`.
    unsafe fn from_raw<'a>(claim: *mut bindings::mod_claim) -> &'a mut Self {
        // SAFETY: By the safety requirements, the pointer is valid and exclusive for `'a`. It is a
        // `Claim` that this file has written, or zeroes, which are `Claim::Nothing`: `Claim` has
        // the layout of a structure that begins with the discriminant. Size and alignment are
        // those of a `struct mod_claim`.
        unsafe { &mut *claim.cast() }
    }
}

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

        // SAFETY: A module that was found under the RCU read lock is not freed before that is
        // released, which `_guard` outlives. All stores to its state are by WRITE_ONCE().
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

/// Initializes the list of pending loads.
///
/// Returns 0.
///
/// # Safety
///
/// Must be called once, before any other function of this file.
#[export]
pub unsafe extern "C" fn mod_claim_init() -> c_int {
    // SAFETY: By the safety requirements, this is the only call, and the first use of the list.
    unsafe { PENDING.init() };
    // SAFETY: By the safety requirements, this is the only call, and the first use of its list.
    unsafe { copying::init() };
    0
}

/// Peeks at the name in an image, and returns how the system call goes on.
fn peek(claim: &mut Claim, image: &dyn Image) -> c_int {
    match Claim::of_image(image) {
        Ok(claimed) => claim.start(claimed),
        Err(error) => error.to_errno(),
    }
}

/// Peeks at the name in an image in user memory before it is copied, see `claim.h`.
///
/// # Safety
///
/// `claim` must fulfil the requirements of `Claim::from_raw()` during the call.
#[export]
pub unsafe extern "C" fn mod_claim_memory(
    claim: *mut bindings::mod_claim,
    start: *const c_void,
    len: c_ulong,
) -> c_int {
    // SAFETY: `claim` fulfils the requirements of `Claim::from_raw()`, by the safety requirements.
    let claim = unsafe { Claim::from_raw(claim) };

    let start = start.addr();
    peek(claim, &UserMemory { start, len })
}

/// Peeks at the name in an image in a file before it is read, see `claim.h`.
///
/// # Safety
///
/// * `claim` must fulfil the requirements of `Claim::from_raw()` during the call.
/// * `file` must be open for reading during the call.
#[export]
pub unsafe extern "C" fn mod_claim_file(
    claim: *mut bindings::mod_claim,
    file: *mut bindings::file,
    len: bindings::loff_t,
) -> c_int {
    // SAFETY: `claim` fulfils the requirements of `Claim::from_raw()`, by the safety requirements.
    let claim = unsafe { Claim::from_raw(claim) };
    // SAFETY: The file is open for reading during the call, by the safety requirements.
    let image = unsafe { OpenFile::new(file, len as u64) };

    peek(claim, &image)
}

/// Claims the name of a module whose image is checked, see `claim.h`.
///
/// Does not wait for another load. If one of this name is pending, the request shares in it, and
/// this returns `-EINPROGRESS`.
///
/// # Safety
///
/// * `claim` must fulfil the requirements of `Claim::from_raw()` during the call.
/// * `name` must point at a nul-terminated string, valid for reads during the call.
#[export]
pub unsafe extern "C" fn mod_claim_name(
    claim: *mut bindings::mod_claim,
    name: *const c_char,
    refused: c_int,
) -> c_int {
    // SAFETY: `claim` fulfils the requirements of `Claim::from_raw()`, by the safety requirements.
    let claim = unsafe { Claim::from_raw(claim) };
    // SAFETY: `name` is a nul-terminated string during the call, by the safety requirements.
    let name = unsafe { CStr::from_char_ptr(name) };

    match Claim::of(name, to_result(refused)) {
        Ok(claimed) => claim.start(claimed),
        Err(error) => count(name, error).to_errno(),
    }
}

/// Tells that the module of a claim is live, see `claim.h`.
///
/// # Safety
///
/// `claim` must fulfil the requirements of `Claim::from_raw()` during the call.
#[export]
pub unsafe extern "C" fn mod_claim_live(claim: *mut bindings::mod_claim) {
    // SAFETY: `claim` fulfils the requirements of `Claim::from_raw()`, by the safety requirements.
    let claim = unsafe { Claim::from_raw(claim) };

    if let Claim::Owner(owner) = claim.take() {
        end_load(owner, Outcome::Live, 0);
    }
}

/// Ends a claim, see `claim.h`.
///
/// Waits for the load that the request shares in.
///
/// # Safety
///
/// `claim` must fulfil the requirements of `Claim::from_raw()` during the call.
#[export]
pub unsafe extern "C" fn mod_claim_end(claim: *mut bindings::mod_claim, ret: c_int) -> c_int {
    // SAFETY: `claim` fulfils the requirements of `Claim::from_raw()`, by the safety requirements.
    let claim = unsafe { Claim::from_raw(claim) };

    match claim.take() {
        Claim::Nothing => ret,
        Claim::Copying(copying) => {
            drop(copying);
            ret
        }
        Claim::Owner(owner) => {
            // SAFETY: It only looks at the current task.
            let outcome = match unsafe { bindings::mod_load_interrupted(ret) } {
                true => Outcome::Interrupted,
                false => Outcome::Failed,
            };
            end_load(owner, outcome, ret);
            ret
        }
        Claim::Duplicate(duplicate) => {
            let load = duplicate.0.clone();
            let begin = Instant::<Monotonic>::now();
            let ret = match duplicate.result() {
                Ok(StartOver) => bindings::MOD_LOAD_AGAIN as c_int,
                Err(error) => error.to_errno(),
            };
            let waited = begin.elapsed().as_nanos();
            // SAFETY: The name is nul-terminated, and `load` keeps it alive.
            unsafe { module_wait(load.name.as_char_ptr(), ret, waited) };
            ret
        }
    }
}

/// Waits until no load of a module is pending, see `claim.h`.
///
/// # Safety
///
/// `name` must point at a nul-terminated string, valid for reads during the call.
#[export]
pub unsafe extern "C" fn mod_wait_loaded(name: *const c_char, timeout: c_long) -> c_long {
    // SAFETY: `name` is a nul-terminated string during the call, by the safety requirements.
    let name = unsafe { CStr::from_char_ptr(name) };

    match wait_loaded(name, timeout as Jiffies) {
        Ok(left) => left as c_long,
        Err(ETIMEDOUT) => 0,
        Err(error) => error.to_errno() as c_long,
    }
}

/// Shows the pending loads in a file.
///
/// # Safety
///
/// `file` must point at a valid `struct seq_file` that nothing else accesses during the call.
#[export]
pub unsafe extern "C" fn mod_pending_show(file: *mut bindings::seq_file) {
    // SAFETY: The file is valid and exclusive during the call, by the safety requirements.
    show(unsafe { SeqFile::from_raw(file) });
}

declare_trace! {
    /// # Safety
    ///
    /// `name` must point at a nul-terminated string, valid for reads during the call.
    unsafe fn module_wait(name: *const c_char, ret: c_int, waited: i64);

    /// # Safety
    ///
    /// `name` must point at a nul-terminated string, valid for reads during the call.
    unsafe fn module_finish(name: *const c_char, ret: c_int, age: i64);
}

#[cfg(CONFIG_MODULE_MERGE_LOADS_KUNIT_TEST)]
mod pending_kunit;
