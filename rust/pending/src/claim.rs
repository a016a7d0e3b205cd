// SPDX-License-Identifier: GPL-2.0

//! The claim of a request to the name of its module, and the functions that C calls.
//!
//! C header: [`kernel/module/claim.h`](srctree/kernel/module/claim.h)

use super::{
    copying::Copying,
    image::{
        Image,
        OpenFile,
        UserMemory, //
    },
    *, //
};
use core::mem;
use kernel::{
    error::to_result,
    sizes::{
        SZ_16K,
        SZ_256K, //
    },
    tracepoint::declare_trace, //
};

/// At images up to this size, in bytes, the loader peeks only while some load is pending. The peek
/// can cost a few percent of the load of such an image. The check of a signature costs far more.
const SMALL: u64 = if cfg!(CONFIG_MODULE_SIG) {
    SZ_16K
} else {
    SZ_256K
} as u64;

/// Ends the ownership of a request that returns `ret`.
fn end_load(owner: Owner, outcome: Outcome, ret: c_int) {
    let load = owner.0.clone();

    let age = load.since.elapsed().as_nanos();
    owner.end(outcome);
    // SAFETY: The name is nul-terminated, and `load` keeps it alive.
    unsafe { module_finish(load.name.as_char_ptr(), ret, age) };
}

/// The claim of a request to its name: a [`bindings::mod_claim`].
#[repr(C, usize)]
pub(super) enum Claim {
    /// No claim. C makes it: all bytes are zero.
    Nothing = 0,
    /// The request owns the name.
    Owner(Owner),
    /// The request is a duplicate of another load of the name.
    Duplicate(Duplicate),
    /// The request copies an image that seems to have the name.
    Copying(Copying),
}

static_assert!(size_of::<Claim>() == size_of::<bindings::mod_claim>());
static_assert!(align_of::<Claim>() == align_of::<bindings::mod_claim>());

impl Claim {
    /// Claims `name`: the request becomes a duplicate of the pending load of `name`. If there is
    /// none, it becomes the owner, unless it was `refused`.
    ///
    /// # Errors
    ///
    /// * Those of [`look_up`].
    /// * That of `refused` if the name is free.
    /// * [`ENOMEM`] if there is no memory for an entry.
    pub(super) fn of(name: &CStr, refused: Result) -> Result<Self> {
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

    /// Decides about a request by the name that its image seems to have, before the image is
    /// copied.
    ///
    /// Returns [`None`] if the name decides nothing.
    fn at_first_sight(name: &CStr) -> Option<Result<Self>> {
        match Duplicate::of(name) {
            Ok(Some(duplicate)) => Some(Ok(Self::Duplicate(duplicate))),
            Err(EEXIST) => Some(Err(EEXIST)),
            _ => None,
        }
    }

    /// Peeks at the name in an image before the image is copied.
    ///
    /// Returns [`Self::Nothing`] if the image has no name. It depends on other loads whether the
    /// loader peeks at a small image. So this peek can make the request a duplicate, and has no
    /// other effect.
    ///
    /// # Errors
    ///
    /// [`EEXIST`] if the module is live, and the image is large.
    fn of_image(image: &dyn Image) -> Result<Self> {
        let is_small = image.len() <= SMALL;
        // If the lock is taken, a load is most likely pending.
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

    /// Sets the claim. Returns 0 if the system call goes on, and `-EINPROGRESS` if it is to wait.
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

/// Initializes the lists of pending loads and of bursts.
///
/// Returns 0.
///
/// # Safety
///
/// Must be called once, before any other function of this file, `pending.rs` and `copying.rs`.
#[export]
pub unsafe extern "C" fn mod_claim_init() -> c_int {
    // SAFETY: By the safety requirements, this is the only call, and the first use of the list.
    unsafe { PENDING.init() };
    // SAFETY: By the safety requirements, this is the only call, and the first use of its list.
    unsafe { copying::init() };
    0
}

/// Peeks at the name in an image. Returns what [`mod_claim_memory`] returns.
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
