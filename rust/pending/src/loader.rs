// SPDX-License-Identifier: GPL-2.0

//! What the C side of the loader does with the interface, in the order in which it does it.

use std::{ffi::CStr, ptr};

use kernel::{
    bindings::mod_pending,
    machine,
    modules::{self, Module, COMING, GOING, LIVE, UNFORMED},
    prelude::EINPROGRESS,
    seq_file::SeqFile,
    str::CStrExt as _,
};

use crate::pending::{
    mod_pending_any, mod_pending_claim, mod_pending_confirm, mod_pending_finish, mod_pending_init,
    mod_pending_show, mod_pending_wait, mod_pending_wait_for,
};

use errno::{ENOEXEC, ENOMEM};

/// Errors as C has them.
pub mod errno {
    #![expect(missing_docs, reason = "the names say it")]

    pub const ENOEXEC: i32 = -8;
    pub const ENOMEM: i32 = -12;
    pub const EBUSY: i32 = -16;
    pub const EEXIST: i32 = -17;
    pub const ENODEV: i32 = -19;
    pub const ERESTARTSYS: i32 = -512;
}

/// What a claim came to.
#[derive(Debug)]
pub enum Claim {
    /// The name is the caller's.
    Owned(Owner),
    /// Another load of the name is pending.
    Joined(Waiter),
    /// Neither, but this error.
    Refused(i32),
}

/// The ownership of a name.
#[derive(Debug)]
pub struct Owner(*mut mod_pending);

/// A reference to the load of another.
#[derive(Debug)]
pub struct Waiter(*mut mod_pending);

// SAFETY: The entries are made to be shared between tasks.
unsafe impl Send for Owner {}
// SAFETY: The entries are made to be shared between tasks.
unsafe impl Send for Waiter {}

/// Runs `test` on a machine with an empty list of pending loads, as often as the backend wants.
pub fn explore(test: impl Fn() + Send + Sync + 'static) {
    machine::explore(move || {
        // SAFETY: It is the first call on this machine.
        assert_eq!(unsafe { mod_pending_init() }, 0);
        test();
    });
}

/// Says whether a load is pending.
pub fn is_any_pending() -> bool {
    // SAFETY: explore() has called mod_pending_init().
    unsafe { mod_pending_any() }
}

/// Claims the name of an image that is checked.
pub fn claim(name: &CStr) -> Claim {
    claim_with(name, true)
}

/// Claims the name that an image seems to have.
pub fn claim_provisionally(name: &CStr) -> Claim {
    claim_with(name, false)
}

fn claim_with(name: &CStr, confirmed: bool) -> Claim {
    let mut load = ptr::null_mut();
    // SAFETY: The name is a string, and `load` can be written.
    match unsafe { mod_pending_claim(name.as_char_ptr(), confirmed, &mut load) } {
        0 => Claim::Owned(Owner(load)),
        ret if ret == EINPROGRESS.to_errno() => Claim::Joined(Waiter(load)),
        ret => {
            assert!(load.is_null(), "an entry beside error {ret}");
            Claim::Refused(ret)
        }
    }
}

/// Sleeps until a load has ended that another one depends on.
pub fn wait_for(name: &CStr, timeout: usize) -> isize {
    // SAFETY: The name is a string.
    unsafe { mod_pending_wait_for(name.as_char_ptr(), timeout) }
}

/// What an administrator sees of the pending loads: a line each.
pub fn shown() -> Vec<String> {
    let mut file = SeqFile::default();
    // SAFETY: The file is valid, and nobody else has it.
    unsafe { mod_pending_show(&mut file) };
    file.into_text().lines().skip(1).map(str::to_owned).collect()
}

/// Claims a name that is free.
pub fn own(name: &CStr) -> Owner {
    match claim(name) {
        Claim::Owned(owner) => owner,
        other => panic!("{name:?} is not free: {other:?}"),
    }
}

/// Claims a name that is free, for an image that is not checked yet.
pub fn own_provisionally(name: &CStr) -> Owner {
    match claim_provisionally(name) {
        Claim::Owned(owner) => owner,
        other => panic!("{name:?} is not free: {other:?}"),
    }
}

/// Claims a name that is pending.
pub fn join(name: &CStr) -> Waiter {
    match claim(name) {
        Claim::Joined(waiter) => waiter,
        other => panic!("{name:?} is not pending: {other:?}"),
    }
}

impl Owner {
    /// Tells this load from all others.
    pub fn id(&self) -> usize {
        self.0.addr()
    }

    /// Says which name the image has, now that it is checked.
    pub fn confirm(&self, name: &CStr) -> bool {
        // SAFETY: The entry is owned, and the name is a string.
        unsafe { mod_pending_confirm(self.0, name.as_char_ptr()) }
    }

    /// Ends the ownership.
    pub fn finish(self, ret: i32) {
        // SAFETY: The entry comes from a claim that returned 0, and is not used again.
        unsafe { mod_pending_finish(self.0, ret) }
    }
}

impl Waiter {
    /// Waits for the outcome, or for the name.
    ///
    /// # Errors
    ///
    /// What the request returns that did not get the name.
    pub fn wait_for_turn(self) -> Result<Owner, i32> {
        // SAFETY: The entry comes from a claim that returned -EINPROGRESS. It is used again as an
        // owner's, and only if this returns 0.
        match unsafe { mod_pending_wait(self.0) } {
            0 => Ok(Owner(self.0)),
            error => Err(error),
        }
    }

    /// Waits for the outcome of a load whose image is checked.
    pub fn wait(self) -> i32 {
        self.wait_for_turn().expect_err("a load that fails keeps its name")
    }

    /// Tells the load that was joined from all others.
    pub fn id(&self) -> usize {
        self.0.addr()
    }
}

/// Loads a module, as `load_module()` does: all states of the module lie within the ownership.
pub fn load(name: &CStr, init: impl FnOnce() -> i32) -> i32 {
    match claim(name) {
        Claim::Owned(owner) => {
            let ret = bring_up(name, init).map_or_else(|error| error, |_live| 0);
            owner.finish(ret);
            ret
        }
        Claim::Joined(waiter) => waiter.wait(),
        Claim::Refused(error) => error,
    }
}

/// Makes a load of an image that seems to bear one name, and has another or is a bad one, as the
/// system calls do: from the start again when the name is passed on to it.
pub fn load_image(seems: &CStr, is: Result<&CStr, i32>, init: impl Fn() -> i32) -> i32 {
    let mut claimed = None;
    loop {
        let result = load_image_once(&mut claimed, seems, is, &init);
        if let Some(owner) = claimed.take() {
            owner.finish(result.as_ref().map_or(EINPROGRESS.to_errno(), |ret| *ret));
        }
        match result.map_err(Waiter::wait_for_turn) {
            Ok(ret) | Err(Err(ret)) => return ret,
            Err(Ok(owner)) => claimed = Some(owner),
        }
    }
}

fn load_image_once(
    claimed: &mut Option<Owner>,
    seems: &CStr,
    is: Result<&CStr, i32>,
    init: impl Fn() -> i32,
) -> Result<i32, Waiter> {
    if claimed.is_none() {
        match claim_provisionally(seems) {
            Claim::Owned(owner) => *claimed = Some(owner),
            Claim::Joined(waiter) => return Err(waiter),
            Claim::Refused(ENOMEM) => {}
            Claim::Refused(error) => return Ok(error),
        }
    }
    let name = match is {
        Ok(name) => name,
        Err(error) => return Ok(error),
    };
    if !claimed.as_ref().is_some_and(|owner| owner.confirm(name)) {
        if let Some(owner) = claimed.take() {
            owner.finish(ENOEXEC);
        }
        match claim(name) {
            Claim::Owned(owner) => *claimed = Some(owner),
            Claim::Joined(waiter) => return Err(waiter),
            Claim::Refused(error) => return Ok(error),
        }
    }
    Ok(bring_up(name, init).map_or_else(|error| error, |_live| 0))
}

/// Takes the module of an owner through its states, until it is live or gone.
pub fn bring_up(name: &CStr, init: impl FnOnce() -> i32) -> Result<Module, i32> {
    assert_eq!(modules::count(name), 0, "an owner finds a module of its name");
    let module = Module::add(name, UNFORMED);
    module.set_state(COMING);
    match init() {
        0 => {
            module.set_state(LIVE);
            Ok(module)
        }
        error => {
            unload(module);
            Err(error)
        }
    }
}

/// Removes a module, as `delete_module()` does, and `do_init_module()` on failure.
pub fn unload(module: Module) {
    module.set_state(GOING);
    module.free();
}
