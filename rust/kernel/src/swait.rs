// SPDX-License-Identifier: GPL-2.0

//! `struct completion`, as kernel/sched/completion.c has it.

#![expect(non_camel_case_types, reason = "the names of C")]

use std::{collections::VecDeque, ptr, sync::Arc};

use crate::{
    backend::Mutex,
    error::code::ERESTARTSYS,
    ffi::{c_int, c_long, c_ulong},
    machine::machine,
    task::{self, Task, MAX_SCHEDULE_TIMEOUT},
};

/// Something that is to be done, and who waits for it.
#[derive(Default)]
pub struct completion {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How many tasks may go on without sleeping; [`u32::MAX`] is all of them.
    done: u32,
    sleepers: VecDeque<Arc<Task>>,
}

/// Makes a completion that is not done.
///
/// # Safety
///
/// `x` must be valid for writes.
pub unsafe fn init_completion(x: *mut completion) {
    // SAFETY: It is valid for writes, by the safety requirements.
    unsafe { ptr::write(x, completion::default()) };
}

/// Lets one task go on, and wakes the one that has slept longest.
///
/// # Safety
///
/// `x` must be valid.
pub unsafe fn complete(x: *mut completion) {
    // SAFETY: It is valid, by the safety requirements.
    let mut state = unsafe { &*x }.state.lock().unwrap();
    state.done = state.done.saturating_add(1);
    if let Some(sleeper) = state.sleepers.pop_front() {
        sleeper.wake();
    }
}

/// Is done, for ever, and wakes all that sleep for it.
///
/// # Safety
///
/// `x` must be valid.
pub unsafe fn complete_all(x: *mut completion) {
    // SAFETY: It is valid, by the safety requirements.
    let mut state = unsafe { &*x }.state.lock().unwrap();
    state.done = u32::MAX;
    machine().count_woken(state.sleepers.len());
    for sleeper in state.sleepers.drain(..) {
        sleeper.wake();
    }
}

/// Sleeps until it is done.
///
/// # Safety
///
/// `x` must be valid.
pub unsafe fn wait_for_completion(x: *mut completion) {
    // SAFETY: It is valid, by the safety requirements.
    unsafe { &*x }.wait(MAX_SCHEDULE_TIMEOUT, false);
}

/// Sleeps until it is done or a signal arrives.
///
/// # Safety
///
/// `x` must be valid.
pub unsafe fn wait_for_completion_interruptible(x: *mut completion) -> c_int {
    // SAFETY: It is valid, by the safety requirements.
    let left = unsafe { &*x }.wait(MAX_SCHEDULE_TIMEOUT, true);
    left.min(0) as c_int
}

/// The same with a time limit, which is over when the test says so, see
/// [`task::Spawned::expire`]; or at once, if it is 0.
///
/// # Safety
///
/// `x` must be valid.
pub unsafe fn wait_for_completion_interruptible_timeout(
    x: *mut completion,
    timeout: c_ulong,
) -> c_long {
    // SAFETY: It is valid, by the safety requirements.
    unsafe { &*x }.wait(timeout as c_long, true)
}

impl completion {
    /// How much of the time is left, at least 1; or 0; or an error. What is done already wins over
    /// a signal, and a time that is up over a signal that came while the task slept.
    fn wait(&self, mut timeout: c_long, interruptible: bool) -> c_long {
        let task = task::current();
        task.might_sleep();
        let mut state = self.state.lock().unwrap();
        while state.done == 0 {
            if interruptible && task.signal_pending() {
                return ERESTARTSYS.to_errno() as c_long;
            }
            state.sleepers.push_back(task.clone());
            drop(state);
            timeout = task.sleep(timeout);
            state = self.state.lock().unwrap();
            state.sleepers.retain(|sleeper| !Arc::ptr_eq(sleeper, &task));
            if timeout == 0 && state.done == 0 {
                return 0;
            }
        }
        if state.done != u32::MAX {
            state.done -= 1;
        }
        timeout.max(1)
    }
}

impl Drop for completion {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let sleepers = &self.state.get_mut().unwrap().sleepers;
            assert!(sleepers.is_empty(), "freed while a task sleeps for it");
        }
    }
}
