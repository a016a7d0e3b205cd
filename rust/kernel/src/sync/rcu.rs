// SPDX-License-Identifier: GPL-2.0

//! Read-copy-update.

use crate::{backend::RwLockReadGuard, machine::machine, task};

/// A read side: what is found inside of it is not freed before its end.
pub struct Guard {
    readers: Option<RwLockReadGuard<'static, ()>>,
}

/// Enters a read side.
pub fn read_lock() -> Guard {
    let readers = machine().rcu.read().unwrap();
    task::current().rcu_entered();
    Guard { readers: Some(readers) }
}

impl Drop for Guard {
    fn drop(&mut self) {
        task::current().rcu_left();
        self.readers = None;
    }
}

/// Waits for the end of all read sides.
pub fn synchronize_rcu() {
    task::current().might_sleep();
    drop(machine().rcu.write().unwrap());
}
