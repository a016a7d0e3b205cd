// SPDX-License-Identifier: GPL-2.0

//! The module list, as the C side of the loader changes it.

use std::{
    ffi::{CStr, CString},
    ptr,
};

use crate::{
    backend::Mutex,
    bindings::{module, module_state},
    machine::{at_shutdown, machine},
    sync::rcu,
    task,
};

pub use crate::bindings::{
    module_state_MODULE_STATE_COMING as COMING, module_state_MODULE_STATE_GOING as GOING,
    module_state_MODULE_STATE_LIVE as LIVE, module_state_MODULE_STATE_UNFORMED as UNFORMED,
};

/// What a freed module is filled with.
const POISON: module_state = 0x6b6b_6b6b;

#[derive(Default)]
pub(crate) struct Modules(Mutex<Vec<Module>>);

impl Modules {
    /// Lets the model checkers change the list here, before what was found on it is looked at.
    pub(crate) fn step(&self) {
        drop(self.0.lock().unwrap());
    }
}

/// A module on the list.
#[derive(Clone, Copy, Debug)]
pub struct Module(*mut module);

// SAFETY: All access is through raw pointers that stay valid until the machine is shut down.
unsafe impl Send for Module {}

impl Module {
    /// Puts a module on the list.
    pub fn add(name: &CStr, state: module_state) -> Self {
        let new = Self(Box::into_raw(Box::new(module { state, name: CString::from(name) })));
        machine().modules.0.lock().unwrap().push(new);
        at_shutdown(move || {
            let new = new;
            // SAFETY: It was made by `Box::into_raw()`, and nothing runs any more.
            drop(unsafe { Box::from_raw(new.0) })
        });
        new
    }

    /// Changes the state of the module.
    pub fn set_state(self, state: module_state) {
        // The lock makes the change a step of its own for the model checkers.
        let _list = machine().modules.0.lock().unwrap();
        // SAFETY: The memory stays valid until the machine is shut down.
        unsafe { (&raw mut (*self.0).state).write_volatile(state) };
    }

    /// Takes the module off the list and frees it, as `free_module()` does.
    pub fn free(self) {
        self.set_state(UNFORMED);
        machine().modules.0.lock().unwrap().retain(|module| module.0 != self.0);
        rcu::synchronize_rcu();
        self.set_state(POISON);
    }
}

/// How many modules of that name are on the list.
pub fn count(name: &CStr) -> usize {
    let list = machine().modules.0.lock().unwrap();
    // SAFETY: The memory stays valid until the machine is shut down, and names do not change.
    list.iter().filter(|module| unsafe { (*module.0).name.as_c_str() } == name).count()
}

pub(crate) fn find(name: &[u8], even_unformed: bool) -> *mut module {
    assert!(task::current().reads_rcu(), "the module list is read without protection");
    let list = machine().modules.0.lock().unwrap();
    let found = list.iter().find(|module| {
        // SAFETY: The memory stays valid until the machine is shut down.
        let module = unsafe { &*module.0 };
        module.name.as_bytes() == name && (even_unformed || module.state != UNFORMED)
    });
    found.map_or(ptr::null_mut(), |module| module.0)
}
