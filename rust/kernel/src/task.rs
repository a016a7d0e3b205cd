// SPDX-License-Identifier: GPL-2.0

//! Tasks: threads that sleep, are woken and get signals as the kernel's tasks do.

use std::{
    cell::RefCell,
    sync::{
        atomic::{AtomicUsize, Ordering::Relaxed},
        Arc,
    },
};

use crate::{
    backend::{self, thread_local, Condvar, Mutex},
    ffi::c_long,
    machine::machine,
};

/// So long a wait has no limit.
pub const MAX_SCHEDULE_TIMEOUT: c_long = c_long::MAX;

/// A thread of the machine.
pub struct Task {
    pid: Pid,
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
    fatal: bool,
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
    CURRENT.with(|current| current.borrow_mut().get_or_insert_with(Task::new).clone())
}

/// The thread that runs becomes a new task, of the machine that is about to run.
pub(crate) fn start() {
    CURRENT.with(|current| *current.borrow_mut() = None);
}

/// A task that was spawned.
pub struct Spawned<T> {
    task: Arc<Task>,
    thread: backend::JoinHandle<T>,
}

/// Runs `body` as a task of its own.
pub fn spawn<T: 'static + Send>(body: impl FnOnce() -> T + Send + 'static) -> Spawned<T> {
    let task = Task::new();
    let own = task.clone();
    let thread = backend::spawn(move || {
        CURRENT.with(|current| *current.borrow_mut() = Some(own));
        body()
    });
    Spawned { task, thread }
}

impl<T> Spawned<T> {
    /// Its number.
    pub fn pid(&self) -> Pid {
        self.task.pid
    }

    /// Sends a signal to the task, which stays pending and ends interruptible sleep.
    pub fn signal(&self) {
        self.task.signal();
    }

    /// Sends a signal that kills the task, once it returns from the kernel.
    pub fn kill(&self) {
        self.task.kill();
    }

    /// Lets the time be up that the task is ready to wait, now and later.
    pub fn expire(&self) {
        self.task.notify(|state| state.late = true);
    }

    /// Waits until the task sleeps. Its thread must not be able to end without.
    pub fn wait_until_asleep(&self) {
        while !self.task.state.lock().unwrap().asleep {
            backend::yield_now();
        }
    }

    /// How often the task was woken by other than a signal or the end of its time.
    pub fn wake_ups(&self) -> usize {
        self.task.state.lock().unwrap().wake_ups
    }

    /// Waits for the end of the task and yields what it returned.
    pub fn join(self) -> T {
        self.thread.join().expect("the task panicked")
    }
}

impl Task {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            pid: machine().next_pid(),
            state: Mutex::default(),
            wake: Condvar::new(),
            locks: AtomicUsize::new(0),
            rcu_readers: AtomicUsize::new(0),
        })
    }

    /// The number of the task.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Says whether the task has got a signal.
    pub fn signal_pending(&self) -> bool {
        self.state.lock().unwrap().signal
    }

    /// Says whether the task was killed.
    pub fn fatal_signal_pending(&self) -> bool {
        self.state.lock().unwrap().fatal
    }

    /// Sends the task a signal.
    pub fn signal(&self) {
        self.notify(|state| state.signal = true);
    }

    /// Handles the signals of the task, which has left the kernel.
    pub fn handle_signal(&self) {
        self.state.lock().unwrap().signal = false;
    }

    /// Kills the task, once it returns from the kernel.
    pub fn kill(&self) {
        self.notify(|state| {
            state.signal = true;
            state.fatal = true;
        });
    }

    fn notify(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock().unwrap();
        change(&mut state);
        state.woken = true;
        self.wake.notify_one();
    }

    /// Sleeps until it is woken, gets a signal or the time is up, and yields what is left of that.
    pub(crate) fn sleep(&self, timeout: c_long) -> c_long {
        assert_eq!(self.locks.load(Relaxed), 0, "sleeps with a lock held");
        self.might_sleep();
        let has_limit = timeout != MAX_SCHEDULE_TIMEOUT;
        let mut state = self.state.lock().unwrap();
        state.asleep = true;
        while !state.woken && timeout != 0 && !(has_limit && state.late) {
            state = backend::wait(&self.wake, state);
        }
        state.asleep = false;
        state.woken = false;
        match timeout {
            MAX_SCHEDULE_TIMEOUT => timeout,
            _ if state.late => 0,
            _ => (timeout - 1).max(0),
        }
    }

    pub(crate) fn wake(&self) {
        self.notify(|state| state.wake_ups += 1);
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
