// SPDX-License-Identifier: GPL-2.0

//! Waiting for something to be done.

use std::{collections::VecDeque, sync::Arc};

use pinned_init::PinInit;

use crate::{
    backend::Mutex,
    error::{
        code::{ERESTARTSYS, ETIMEDOUT},
        Result,
    },
    task::{self, Task},
    time::Jiffies,
};

/// Something that is to be done, and who waits for it.
pub struct Completion {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How many more need not wait, [`FOR_EVER`] if nobody has to any more.
    done: u32,
    sleepers: VecDeque<Arc<Task>>,
}

const FOR_EVER: u32 = u32::MAX;

impl Completion {
    /// Not done.
    pub fn new() -> impl PinInit<Self> {
        Self { state: Mutex::default() }
    }

    /// Lets one task pass: wakes the one that has slept longest, or spares the next one its sleep.
    pub fn complete(&self) {
        let mut state = self.state.lock().unwrap();
        state.done = state.done.saturating_add(1);
        if let Some(sleeper) = state.sleepers.pop_front() {
            sleeper.wake();
        }
    }

    /// Is done, for ever, and wakes all that sleep for it.
    pub fn complete_all(&self) {
        let mut state = self.state.lock().unwrap();
        state.done = FOR_EVER;
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

    /// The same with a time limit, which is over when the test says so, see
    /// [`task::Spawned::expire`]; or at once, if it is 0.
    pub fn wait_for_completion_interruptible_timeout(&self, timeout: Jiffies) -> Result<Jiffies> {
        self.wait(|task| match task {
            task if task.has_signal() => Err(ERESTARTSYS),
            task if timeout == 0 || task.is_late() => Err(ETIMEDOUT),
            _ => Ok(()),
        })?;
        Ok(timeout.max(1))
    }

    fn wait(&self, may_sleep: impl Fn(&Task) -> Result) -> Result {
        let task = task::current();
        task.might_sleep();
        loop {
            let mut state = self.state.lock().unwrap();
            state.sleepers.retain(|sleeper| !Arc::ptr_eq(sleeper, &task));
            if state.done > 0 {
                state.done -= u32::from(state.done != FOR_EVER);
                return Ok(());
            }
            may_sleep(&task)?;
            state.sleepers.push_back(task.clone());
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
