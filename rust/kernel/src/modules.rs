// SPDX-License-Identifier: GPL-2.0

//! The module list, as the C side of the loader changes it.

use std::{
    ffi::CStr,
    ptr,
    sync::atomic::Ordering::{Acquire, Relaxed, Release},
};

use crate::{
    backend::{AtomicU32, Mutex},
    bindings::{module, module_state, MODULE_NAME_LEN},
    machine::{at_shutdown, machine},
    str::CStrExt as _,
    sync::rcu,
    task,
};

pub use crate::bindings::{
    module_state_MODULE_STATE_COMING as COMING, module_state_MODULE_STATE_GOING as GOING,
    module_state_MODULE_STATE_LIVE as LIVE, module_state_MODULE_STATE_UNFORMED as UNFORMED,
};

/// What a freed module is filled with.
pub(crate) const POISON: module_state = 0x6b6b_6b6b;

#[derive(Default)]
pub(crate) struct Modules(Mutex<Vec<Module>>);

/// A module on the list.
#[derive(Clone, Copy, Debug)]
pub struct Module(*mut module);

// SAFETY: The state is an atomic, and the name does not change.
unsafe impl Send for Module {}

impl Module {
    /// Puts a module on the list.
    pub fn add(name: &CStr, state: module_state) -> Self {
        let bytes = name.to_bytes_with_nul();
        let mut room = [0; MODULE_NAME_LEN];
        room[..bytes.len()].copy_from_slice(bytes);
        let module = module {
            state: AtomicU32::new(state),
            name: room,
            refcnt: AtomicU32::new(u32::from(state != LIVE)),
        };
        let new = Self(Box::into_raw(Box::new(module)));
        machine().modules.0.lock().unwrap().push(new);
        new
    }

    /// Changes the state of the module, as `WRITE_ONCE()` does.
    pub fn set_state(self, state: module_state) {
        // SAFETY: The module is not freed yet.
        unsafe { &*self.0 }.state.store(state, Relaxed);
    }

    /// Drops the initial reference.
    pub fn put(self) {
        // SAFETY: The module is not freed yet.
        unsafe { &*self.0 }.refcnt.store(0, Release);
    }

    /// Takes the module off the list and frees it, as `free_module()` does.
    pub fn free(self) {
        self.set_state(UNFORMED);
        machine().modules.0.lock().unwrap().retain(|module| module.0 != self.0);
        rcu::synchronize_rcu();
        if cfg!(feature = "free-at-once") {
            self.give_back();
        } else {
            self.set_state(POISON);
            at_shutdown(move || self.give_back());
        }
    }

    fn give_back(self) {
        // SAFETY: It was made by `Box::into_raw()`, and nobody can find it any more.
        drop(unsafe { Box::from_raw(self.0) });
    }

    fn name<'a>(self) -> &'a CStr {
        // SAFETY: The module is on the list, and its name ends with a nul.
        unsafe { CStr::from_char_ptr((*self.0).name.as_ptr()) }
    }
}

/// Frees what is on the list. Nothing runs any more.
pub(crate) fn shut_down() {
    for module in machine().modules.0.lock().unwrap().drain(..) {
        module.give_back();
    }
}

/// How many modules of that name are on the list.
pub fn count(name: &CStr) -> usize {
    let list = machine().modules.0.lock().unwrap();
    list.iter().filter(|module| module.name() == name).count()
}

/// The state of the module of that name, for who holds `module_mutex`.
pub fn state(name: &CStr) -> Option<module_state> {
    let list = machine().modules.0.lock().unwrap();
    let module = list.iter().find(|module| module.name() == name)?;
    // SAFETY: The module is on the list.
    Some(unsafe { &*module.0 }.state.load(Relaxed))
}

/// Finds a module that is live and that nobody uses, to remove it: nobody else finds it so then.
pub fn take_unused(name: &CStr) -> Option<Module> {
    let list = machine().modules.0.lock().unwrap();
    let found = *list.iter().find(|module| module.name() == name)?;
    // SAFETY: The module is on the list.
    let module = unsafe { &*found.0 };
    let is_live = module.state.load(Relaxed) == LIVE;
    let unused = || module.refcnt.compare_exchange(0, u32::MAX, Acquire, Relaxed).is_ok();
    (is_live && unused()).then_some(found)
}

pub(crate) fn find(name: &[u8], even_unformed: bool) -> *mut module {
    assert!(task::current().reads_rcu(), "the module list is read without protection");
    let list = machine().modules.0.lock().unwrap();
    let found = list.iter().find(|module| {
        // SAFETY: The module is on the list.
        let is_formed = || unsafe { &*module.0 }.state.load(Relaxed) != UNFORMED;
        module.name().to_bytes() == name && (even_unformed || is_formed())
    });
    found.map_or(ptr::null_mut(), |module| module.0)
}
