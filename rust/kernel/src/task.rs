// SPDX-License-Identifier: GPL-2.0

//! Tasks: threads that sleep, are woken and get signals as the kernel's tasks do.

use std::{
    cell::RefCell,
    sync::{
        atomic::{AtomicUsize, Ordering::Relaxed},
        Arc,
    },
};

use crate::backend::{self, thread_local, Condvar, Mutex};

/// A thread of the machine.
#[derive(Default)]
pub struct Task {
    state: Mutex<State>,
    wake: Condvar,
    locks: AtomicUsize,
    rcu_readers: AtomicUsize,
}

#[derive(Default)]
struct State {
    asleep: bool,
    woken: bool,
    signal: bool,
    late: bool,
    wake_ups: usize,
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<Task>>> = RefCell::default();
}

/// The number of a task.
pub type Pid = i32;

/// The task that runs, as kernel code names it.
#[macro_export]
macro_rules! current {
    () => {
        $crate::task::current()
    };
}

/// The task that runs.
pub fn current() -> Arc<Task> {
    CURRENT.with(|current| current.borrow_mut().get_or_insert_with(Arc::default).clone())
}

/// A task that was spawned.
pub struct Spawned<T> {
    task: Arc<Task>,
    thread: backend::JoinHandle<T>,
}

/// Runs `body` as a task of its own.
pub fn spawn<T: 'static + Send>(body: impl FnOnce() -> T + Send + 'static) -> Spawned<T> {
    let task = Arc::<Task>::default();
    let own = task.clone();
    let thread = backend::spawn(move || {
        CURRENT.with(|current| *current.borrow_mut() = Some(own));
        body()
    });
    Spawned { task, thread }
}

impl<T> Spawned<T> {
    /// Sends a signal to the task, which stays pending and ends interruptible sleep.
    pub fn signal(&self) {
        let mut state = self.task.state.lock().unwrap();
        state.signal = true;
        state.woken = true;
        self.task.wake.notify_one();
    }

    /// Lets the time be up that the task is ready to wait.
    pub fn expire(&self) {
        let mut state = self.task.state.lock().unwrap();
        state.late = true;
        state.woken = true;
        self.task.wake.notify_one();
    }

    /// Waits until the task sleeps. Its thread must not be able to end without.
    pub fn wait_until_asleep(&self) {
        while !self.task.state.lock().unwrap().asleep {
            backend::yield_now();
        }
    }

    /// How often the task was woken by other than a signal.
    pub fn wake_ups(&self) -> usize {
        self.task.state.lock().unwrap().wake_ups
    }

    /// Waits for the end of the task and yields what it returned.
    pub fn join(self) -> T {
        self.thread.join().expect("the task panicked")
    }
}

impl Task {
    /// The number of the task; all have the same, for nothing may depend on it.
    pub fn pid(&self) -> Pid {
        1
    }

    /// Sleeps until it is woken or gets a signal.
    pub(crate) fn sleep(&self) {
        assert_eq!(self.locks.load(Relaxed), 0, "sleeps with a lock held");
        self.might_sleep();
        let mut state = self.state.lock().unwrap();
        state.asleep = true;
        while !state.woken {
            state = backend::wait(&self.wake, state);
        }
        state.asleep = false;
        state.woken = false;
    }

    pub(crate) fn wake(&self) {
        let mut state = self.state.lock().unwrap();
        state.woken = true;
        state.wake_ups += 1;
        self.wake.notify_one();
    }

    pub(crate) fn has_signal(&self) -> bool {
        self.state.lock().unwrap().signal
    }

    pub(crate) fn is_late(&self) -> bool {
        self.state.lock().unwrap().late
    }

    pub(crate) fn might_sleep(&self) {
        assert!(!self.reads_rcu(), "may sleep inside of an RCU read side");
    }

    /// A lock that is held while memory is reclaimed stops all that need it.
    pub(crate) fn may_reclaim(&self) {
        self.might_sleep();
        assert_eq!(self.locks.load(Relaxed), 0, "allocates memory with a lock held");
    }

    pub(crate) fn locked(&self) {
        self.locks.fetch_add(1, Relaxed);
    }

    pub(crate) fn unlocked(&self) {
        self.locks.fetch_sub(1, Relaxed);
    }

    pub(crate) fn reads_rcu(&self) -> bool {
        self.rcu_readers.load(Relaxed) > 0
    }

    pub(crate) fn rcu_entered(&self) {
        self.rcu_readers.fetch_add(1, Relaxed);
    }

    pub(crate) fn rcu_left(&self) {
        self.rcu_readers.fetch_sub(1, Relaxed);
    }
}
