// SPDX-License-Identifier: GPL-2.0

//! A large cast under random schedules: run with `--features shuttle`.
//!
//! `SHUTTLE_SCHEDULES` says how many. A failure prints its schedule; with that in `SHUTTLE_REPLAY`
//! it happens again.

#![cfg(not(feature = "loom"))] // Too large: loom has five threads at most.

use std::{
    collections::HashMap,
    ffi::CStr,
    sync::{Arc, Mutex},
};

use kernel::task::{self, Spawned};
use pending::loader::{
    errno::{EBUSY, EEXIST, EFAULT, EINTR, ENODEV, ENOENT, ENOEXEC, ERESTARTSYS},
    explore, remove, wait_for, Request,
};

const NAMES: [&CStr; 3] = [c"a", c"b", c"c"];
const TASKS: usize = 12;
const ROUNDS: usize = 3;

/// What all tasks know. It is no part of the machine, so that it orders nothing there.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<HashMap<&'static CStr, Entry>>>);

/// What there was of a name.
#[derive(Default)]
struct Entry {
    /// An init function runs now.
    runs: bool,
    succeeded: usize,
    failed: usize,
    removed: usize,
    /// How many requests returned 0.
    reported: usize,
}

impl Log {
    fn write<T>(&self, name: &'static CStr, change: impl FnOnce(&mut Entry) -> T) -> T {
        change(self.0.lock().unwrap().entry(name).or_default())
    }

    /// An init function that ends as `ret` says, unless its task is killed.
    fn init(&self, name: &'static CStr, ret: i32) -> i32 {
        let ran = self.write(name, |entry| std::mem::replace(&mut entry.runs, true));
        assert!(!ran, "{name:?} has two owners");
        let ret = if task::current().fatal_signal_pending() { EINTR } else { ret };
        self.write(name, |entry| {
            entry.runs = false;
            *if ret == 0 { &mut entry.succeeded } else { &mut entry.failed } += 1;
        });
        ret
    }

    fn of(&self, request: Request, name: &'static CStr, ret: i32) -> Request {
        let log = self.clone();
        request.with_init(move || log.init(name, ret))
    }

    /// Whether a request whose image has that name, or seems to, may return that.
    fn may_return(&self, name: &'static CStr, ret: i32) -> bool {
        let signalled = task::current().signal_pending();
        self.write(name, |entry| match ret {
            EEXIST => entry.succeeded > 0,
            EBUSY => entry.failed + entry.removed > 0,
            ERESTARTSYS | EINTR => signalled,
            _ => false,
        })
    }

    /// A request whose image is good, and has that name.
    fn load(&self, request: Request, name: &'static CStr, own: &[i32]) {
        match request.call() {
            0 => self.write(name, |entry| entry.reported += 1),
            ret => assert!(own.contains(&ret) || self.may_return(name, ret), "{name:?}: {ret}"),
        }
    }

    fn act(&self, what: usize, name: &'static CStr, other: &'static CStr) {
        let [small, large] = [Request::small(name), Request::large(name)];
        match what {
            0 => {
                self.write(name, |entry| entry.removed += 1);
                remove(name);
            }
            1 => self.load(self.of(small, name, 0), name, &[]),
            2 => self.load(self.of(large, name, 0), name, &[]),
            3 => self.load(self.of(small, name, ENODEV), name, &[ENODEV]),
            4 => self.load(self.of(large, name, ENODEV), name, &[ENODEV]),
            5 => self.load(large.which_is(Err(ENOEXEC)), name, &[ENOEXEC]),
            6 => self.load(small.with_bad_arguments(EFAULT), name, &[EFAULT]),
            7 => {
                // What it seems to be can answer for it, too.
                let request = Request::large(other).which_is(Ok(name));
                match self.of(request, name, 0).call() {
                    0 => self.write(name, |entry| entry.reported += 1),
                    ret => assert!(
                        [name, other].iter().any(|name| self.may_return(name, ret)),
                        "{ret}"
                    ),
                }
            }
            8 => {
                let request = self.of(small.which_needs(other), name, 0);
                // A load that fails before its init function is a failure, too.
                self.write(name, |entry| entry.failed += 1);
                self.load(request, name, &[ENOENT, EBUSY]);
            }
            _ => {
                let left = wait_for(name, 9);
                assert!((0..=9).contains(&left) || left == ERESTARTSYS as isize, "{left}");
            }
        }
    }
}

#[test]
fn everything_at_once() {
    explore(|| {
        let log = Log::default();
        let mut number = 0;
        let tasks = [(); TASKS].map(|()| {
            number += 1;
            let log = log.clone();
            task::spawn(move || {
                for round in number..number + ROUNDS {
                    let [name, other] = [round, round + 1].map(|at| NAMES[at % NAMES.len()]);
                    log.act((3 * number + round) % 10, name, other);
                }
            })
        });
        tasks.iter().step_by(5).for_each(Spawned::kill);
        tasks.iter().skip(1).step_by(5).for_each(Spawned::signal);
        tasks.iter().skip(2).step_by(5).for_each(Spawned::expire);
        for task in tasks {
            task.join();
        }
        for (name, entry) in &*log.0.lock().unwrap() {
            assert_eq!(entry.succeeded, entry.reported, "{name:?}");
        }
    });
}
