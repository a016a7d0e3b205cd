// SPDX-License-Identifier: GPL-2.0

//! Waiting for something to be done.

use std::sync::Arc;

use pinned_init::PinInit;

use crate::{
    backend::Mutex,
    error::{code::ERESTARTSYS, Result},
    task::{self, Task},
};

/// Something that is to be done, and who waits for it.
pub struct Completion {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    done: bool,
    sleepers: Vec<Arc<Task>>,
}

impl Completion {
    /// Not done.
    pub fn new() -> impl PinInit<Self> {
        Self { state: Mutex::default() }
    }

    /// Is done, for ever, and wakes all that sleep for it.
    pub fn complete_all(&self) {
        let mut state = self.state.lock().unwrap();
        state.done = true;
        for sleeper in state.sleepers.drain(..) {
            sleeper.wake();
        }
    }

    /// Sleeps until it is done.
    pub fn wait_for_completion(&self) {
        self.wait(|_| Ok(())).expect("nothing else ends the wait");
    }

    /// Sleeps until it is done or a signal arrives. What is done already wins.
    #[must_use = "the wait may have been interrupted"]
    pub fn wait_for_completion_interruptible(&self) -> Result {
        self.wait(|task| if task.has_signal() { Err(ERESTARTSYS) } else { Ok(()) })
    }

    fn wait(&self, may_sleep: impl Fn(&Task) -> Result) -> Result {
        let task = task::current();
        task.might_sleep();
        loop {
            let mut state = self.state.lock().unwrap();
            state.sleepers.retain(|sleeper| !Arc::ptr_eq(sleeper, &task));
            if state.done {
                return Ok(());
            }
            may_sleep(&task)?;
            state.sleepers.push(task.clone());
            drop(state);
            task.sleep();
        }
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let sleepers = &self.state.get_mut().unwrap().sleepers;
            assert!(sleepers.is_empty(), "freed while a task sleeps for it");
        }
    }
}
