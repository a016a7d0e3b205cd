// SPDX-License-Identifier: GPL-2.0

//! What the C side of the loader does with the interface, in the order in which it does it.

use std::{ffi::CStr, ptr};

use kernel::{
    bindings::mod_pending,
    machine,
    modules::{self, Module, COMING, GOING, LIVE, UNFORMED},
    prelude::EINPROGRESS,
    str::CStrExt as _,
};

use crate::pending::{mod_pending_claim, mod_pending_finish, mod_pending_init, mod_pending_wait};

/// Errors as C has them.
pub mod errno {
    #![expect(missing_docs, reason = "the names say it")]

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

/// Claims a name.
pub fn claim(name: &CStr) -> Claim {
    let mut load = ptr::null_mut();
    // SAFETY: The name is a string, and `load` can be written.
    match unsafe { mod_pending_claim(name.as_char_ptr(), &mut load) } {
        0 => Claim::Owned(Owner(load)),
        ret if ret == EINPROGRESS.to_errno() => Claim::Joined(Waiter(load)),
        ret => {
            assert!(load.is_null(), "an entry beside error {ret}");
            Claim::Refused(ret)
        }
    }
}

/// Claims a name that is free.
pub fn own(name: &CStr) -> Owner {
    match claim(name) {
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

    /// Ends the ownership.
    pub fn finish(self, ret: i32) {
        // SAFETY: The entry comes from a claim that returned 0, and is not used again.
        unsafe { mod_pending_finish(self.0, ret) }
    }
}

impl Waiter {
    /// Waits for the outcome.
    pub fn wait(self) -> i32 {
        // SAFETY: The entry comes from a claim that returned -EINPROGRESS, and is not used again.
        unsafe { mod_pending_wait(self.0) }
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
