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

use kernel::{
    modules::Module,
    task::{self, Spawned},
};
use pending::loader::{
    bring_up, claim, claim_provisionally,
    errno::{EBUSY, EEXIST, ENODEV, ENOEXEC, ERESTARTSYS},
    explore, unload, Claim, Owner, Waiter,
};

const NAMES: [&CStr; 3] = [c"a", c"b", c"c"];
const TASKS: usize = 12;
const ROUNDS: usize = 3;

/// What all tasks know. It is no part of the machine, so that it orders nothing there.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Entries>>);

#[derive(Default)]
struct Entries {
    owners: HashMap<&'static CStr, usize>,
    outcomes: HashMap<usize, (&'static CStr, i32)>,
    live: HashMap<&'static CStr, Module>,
}

impl Log {
    fn write<T>(&self, entry: impl FnOnce(&mut Entries) -> T) -> T {
        entry(&mut self.0.lock().unwrap())
    }

    /// A request whose image was checked.
    fn request(&self, name: &'static CStr, ret: i32) {
        let owner = self.turn(claim(name), name);
        self.load(owner, name, ret);
    }

    /// A request with an image that only seems to bear the name.
    fn request_unchecked(&self, name: &'static CStr, ret: i32) {
        let owner = self.turn(claim_provisionally(name), name);
        match ret {
            ENOEXEC => drop(owner.map(|owner| owner.finish(ENOEXEC))),
            _ => self.load(owner, name, ret),
        }
    }

    /// The ownership that a claim comes to, at once or later.
    fn turn(&self, claim: Claim, name: &CStr) -> Option<Owner> {
        match claim {
            Claim::Owned(owner) => Some(owner),
            Claim::Joined(waiter) => self.wait(waiter, name),
            Claim::Refused(error) => {
                assert!([EEXIST, EBUSY].contains(&error), "{error}");
                None
            }
        }
    }

    fn load(&self, owner: Option<Owner>, name: &'static CStr, ret: i32) {
        let Some(owner) = owner else { return };
        assert!(owner.confirm(name));
        let other = self.write(|log| log.owners.insert(name, owner.id()));
        assert_eq!(other, None, "{name:?} has two owners");
        let module = bring_up(name, || ret);
        self.write(|log| {
            log.owners.remove(name);
            log.outcomes.insert(owner.id(), (name, ret));
            log.live.extend(module.ok().map(|module| (name, module)));
        });
        owner.finish(ret);
    }

    fn wait(&self, waiter: Waiter, name: &CStr) -> Option<Owner> {
        let id = waiter.id();
        let result = match waiter.wait_for_turn() {
            Ok(owner) => return Some(owner),
            Err(result) => result,
        };
        let outcome = self.write(|log| log.outcomes.get(&id).copied());
        match (result, outcome) {
            (ERESTARTSYS, _) => None,
            (EEXIST, Some((of, 0))) | (EBUSY, Some((of, ENODEV))) if of == name => None,
            _ => panic!("{name:?} got {result} from a load that ended with {outcome:?}"),
        }
    }

    fn remove(&self, name: &CStr) {
        if let Some(module) = self.write(|log| log.live.remove(name)) {
            unload(module);
        }
    }
}

#[test]
fn everything_at_once() {
    explore(|| {
        let log = Log::default();
        let tasks = [(); TASKS].map(|()| log.clone());
        let mut number = 0;
        let tasks = tasks.map(|log| {
            number += 1;
            task::spawn(move || {
                for round in number..number + ROUNDS {
                    let name = NAMES[round % NAMES.len()];
                    match (number + round) % 7 {
                        0 => log.remove(name),
                        1 => log.request(name, 0),
                        2 => log.request_unchecked(name, 0),
                        3 => log.request(name, ENODEV),
                        4 => log.request_unchecked(name, ENODEV),
                        _ => log.request_unchecked(name, ENOEXEC),
                    }
                }
            })
        });
        tasks.iter().step_by(5).for_each(Spawned::signal);
        for task in tasks {
            task.join();
        }
    });
}
