// SPDX-License-Identifier: GPL-2.0

//! What threads, locks and atomics are made of.

pub use imp::*;

/// A cell whose accesses only loom looks at.
#[cfg(not(feature = "loom"))]
pub struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

#[cfg(not(feature = "loom"))]
impl<T> UnsafeCell<T> {
    /// With a value.
    pub fn new(value: T) -> Self {
        Self(std::cell::UnsafeCell::new(value))
    }

    /// Gives the value to `read`.
    pub fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
        read(self.0.get())
    }

    /// Gives the value to `change`.
    pub fn with_mut<R>(&self, change: impl FnOnce(*mut T) -> R) -> R {
        change(self.0.get())
    }
}

#[cfg(not(any(feature = "loom", feature = "shuttle")))]
mod imp {
    use std::{sync::PoisonError, time::Duration};
    pub use std::{
        sync::{
            atomic::{AtomicU32, AtomicUsize},
            Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard,
        },
        thread::{spawn, JoinHandle},
        thread_local,
    };

    /// Lets others run. On a busy machine, a task that only yields takes their time.
    pub fn yield_now() {
        std::thread::sleep(Duration::from_micros(10));
    }

    /// Far above what any test takes.
    const LIMIT: Duration = Duration::from_secs(20);

    /// Runs `test` once.
    pub fn explore(test: impl Fn() + Send + Sync + 'static) {
        test();
    }

    /// Waits for `condvar`. The model checkers notice by themselves if nothing is left to run.
    pub fn wait<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        let (guard, timeout) =
            condvar.wait_timeout(guard, LIMIT).unwrap_or_else(PoisonError::into_inner);
        assert!(!timeout.timed_out(), "a task sleeps for ever");
        guard
    }
}

#[cfg(feature = "loom")]
mod imp {
    pub use loom::{
        cell::UnsafeCell,
        sync::{
            atomic::{AtomicU32, AtomicUsize},
            Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard,
        },
        thread::{spawn, yield_now, JoinHandle},
        thread_local,
    };
    use std::sync::{
        atomic::{AtomicUsize as Count, Ordering::Relaxed},
        Arc,
    };

    /// A bug that needs more ill-timed preemptions than three is rare, and the next step costs
    /// several times the time.
    const PREEMPTIONS: usize = 3;

    /// Runs `test` under every interleaving with a bounded number of preemptions:
    /// `LOOM_MAX_PREEMPTIONS`, or 3.
    pub fn explore(test: impl Fn() + Send + Sync + 'static) {
        let mut model = loom::model::Builder::new();
        model.preemption_bound.get_or_insert(PREEMPTIONS);
        model.max_branches = 10_000;
        let runs = Arc::new(Count::new(0));
        let count = runs.clone();
        model.check(move || {
            count.fetch_add(1, Relaxed);
            test();
        });
        println!("{} interleavings", runs.load(Relaxed));
    }

    /// Waits for `condvar`.
    pub fn wait<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        condvar.wait(guard).expect("a task panicked")
    }
}

#[cfg(feature = "shuttle")]
mod imp {
    pub use shuttle::{
        sync::{
            atomic::{AtomicU32, AtomicUsize},
            Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard,
        },
        thread::{spawn, yield_now, JoinHandle},
        thread_local,
    };
    use std::env;

    const SCHEDULES: usize = 1_000;

    /// Runs `test` under random schedules: `SHUTTLE_SCHEDULES` of them, or 1000; or under the one
    /// that a failure printed, in `SHUTTLE_REPLAY`.
    pub fn explore(test: impl Fn() + Send + Sync + 'static) {
        if let Ok(schedule) = env::var("SHUTTLE_REPLAY") {
            return shuttle::replay(test, &schedule);
        }
        let schedules = env::var("SHUTTLE_SCHEDULES");
        let schedules = schedules.map_or(SCHEDULES, |n| n.parse().expect("SHUTTLE_SCHEDULES"));
        shuttle::check_random(test, schedules);
    }

    /// Waits for `condvar`.
    pub fn wait<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        condvar.wait(guard).expect("a task panicked")
    }
}
