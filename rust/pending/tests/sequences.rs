// SPDX-License-Identifier: GPL-2.0

//! Random sequences of requests, kills, ends and removals over several names, against a model that
//! is nothing but the contract.

#![cfg(not(any(feature = "loom", feature = "shuttle")))] // A sequence is one interleaving.

use std::{ffi::CStr, mem};

use kernel::{
    memory,
    modules::{Module, COMING, GOING, LIVE},
    task::{self, Spawned},
};
use pending::loader::{
    errno::{EBUSY, EEXIST, EFAULT, EINPROGRESS, ENODEV, ENOEXEC, ENOMEM, ERESTARTSYS},
    explore, Claim, Image, AGAIN,
};
use proptest::prelude::*;

const NAMES: [&CStr; 3] = [c"a", c"b", c"ab"];

/// One step, with the index of a name.
#[derive(Clone, Debug)]
enum Step {
    /// A request with a compressed image.
    Request(usize),
    /// A request with a small image.
    Small(usize),
    /// The same, whose arguments cannot be copied.
    Refused(usize),
    RequestWithoutMemory(usize),
    /// A request looks at its large image, and goes on to copy it.
    Look(usize),
    LookWithoutMemory(usize),
    /// A copy of the first name is checked: it has the second one.
    Check(usize, usize, usize),
    /// A copy is a bad one.
    Bad(usize, usize),
    Live(usize),
    Fail(usize, i32),
    Kill(usize, usize),
    KillWaiting(usize, usize),
    Expire(usize, usize),
    StartRemoval(usize),
    EndRemoval(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let name = || 0..NAMES.len();
    let error = prop_oneof![Just(ENODEV), Just(EEXIST), Just(ERESTARTSYS)];
    prop_oneof![
        2 => name().prop_map(Step::Request),
        3 => name().prop_map(Step::Small),
        1 => name().prop_map(Step::Refused),
        1 => name().prop_map(Step::RequestWithoutMemory),
        6 => name().prop_map(Step::Look),
        1 => name().prop_map(Step::LookWithoutMemory),
        3 => (name(), 0..4_usize, name()).prop_map(|(name, i, is)| Step::Check(name, i, is)),
        2 => (name(), 0..4_usize).prop_map(|(name, i)| Step::Bad(name, i)),
        2 => name().prop_map(Step::Live),
        2 => (name(), error).prop_map(|(name, ret)| Step::Fail(name, ret)),
        1 => (name(), 0..4_usize).prop_map(|(name, i)| Step::Kill(name, i)),
        1 => (name(), 0..4_usize).prop_map(|(name, i)| Step::KillWaiting(name, i)),
        1 => (name(), 0..4_usize).prop_map(|(name, i)| Step::Expire(name, i)),
        2 => name().prop_map(Step::StartRemoval),
        2 => name().prop_map(Step::EndRemoval),
    ]
}

/// What there is of the load of a name.
#[derive(Default)]
enum Load {
    #[default]
    Free,
    Pending(Claim, Module, Vec<Spawned<i32>>),
    Live(Module),
    Going(Module),
}

/// What there is of a name.
#[derive(Default)]
struct Name {
    load: Load,
    burst: Burst,
}

/// The images that seem to have a name.
#[derive(Default)]
struct Burst {
    copies: Vec<Claim>,
    waiting: Vec<Spawned<(i32, Claim)>>,
    /// One of them has ended: nobody waits any more.
    decided: bool,
}

#[derive(Default)]
struct Names([Name; NAMES.len()]);

/// A duplicate, which sleeps.
fn sleeper(claim: Claim) -> Spawned<i32> {
    let task = task::spawn(move || claim.wait());
    task.wait_until_asleep();
    task
}

fn look(name: usize) -> (i32, Claim) {
    let mut claim = Claim::default();
    (claim.look(Image::large(NAMES[name])), claim)
}

impl Names {
    /// A request with an image that is checked. What it has already comes to an end by this.
    fn request(&mut self, name: usize, mut claim: Claim, refused: i32) {
        let ret = claim.name(NAMES[name], refused);
        match (&mut self.0[name].load, ret) {
            (Load::Pending(owner, _, waiters), EINPROGRESS) => {
                assert_eq!(claim.id(), owner.id());
                waiters.push(sleeper(claim));
            }
            (load @ Load::Free, 0) if refused == 0 => {
                let module = Module::add(NAMES[name], COMING);
                *load = Load::Pending(claim, module, Vec::new());
            }
            (Load::Free, ret) if ret == refused => assert_eq!(claim.end(ret), ret),
            (Load::Live(_), EEXIST) | (Load::Going(_), EBUSY) => assert_eq!(claim.end(ret), ret),
            _ => panic!("{name}: {ret}"),
        }
    }

    /// A request with a small image. The look at it says nothing, or that it shares in a load.
    fn small(&mut self, name: usize) {
        let mut claim = Claim::default();
        match claim.look(Image::small(NAMES[name])) {
            0 => self.request(name, claim, 0),
            ret => {
                assert_eq!(ret, EINPROGRESS);
                self.looked(name, (ret, claim));
            }
        }
    }

    fn request_without_memory(&mut self, name: usize) {
        memory::limit(0);
        if let Load::Free = self.0[name].load {
            let mut claim = Claim::default();
            assert_eq!(claim.name(NAMES[name], 0), ENOMEM);
            assert_eq!(claim.end(ENOMEM), ENOMEM);
        } else {
            self.request(name, Claim::default(), 0);
        }
        memory::limit(usize::MAX);
    }

    /// Whether a look at an image has an answer already.
    fn is_known(&self, name: usize) -> bool {
        matches!(self.0[name].load, Load::Pending(..) | Load::Live(_))
    }

    /// A request has looked at its image. Without an answer, it goes on to copy that.
    fn looked(&mut self, name: usize, (ret, mut claim): (i32, Claim)) {
        let Name { load, burst } = &mut self.0[name];
        match (load, ret) {
            (Load::Pending(owner, _, waiters), EINPROGRESS) => {
                assert_eq!(claim.id(), owner.id());
                waiters.push(sleeper(claim));
            }
            (Load::Live(_), EEXIST) => assert_eq!(claim.end(ret), ret),
            (Load::Free | Load::Going(_), 0) => burst.copies.push(claim),
            _ => panic!("{name}: {ret}"),
        }
    }

    fn look(&mut self, name: usize) {
        let known = self.is_known(name);
        let burst = &mut self.0[name].burst;
        if known || burst.copies.is_empty() || burst.decided {
            self.looked(name, look(name));
        } else {
            let task = task::spawn(move || look(name));
            task.wait_until_asleep();
            burst.waiting.push(task);
        }
    }

    fn look_without_memory(&mut self, name: usize) {
        memory::limit(0);
        if self.is_known(name) {
            self.looked(name, look(name));
        } else {
            let (ret, mut claim) = look(name);
            assert_eq!((ret, claim.end(ENOEXEC)), (0, ENOEXEC));
        }
        memory::limit(usize::MAX);
    }

    /// A request waited for long enough. With an answer, it has ended, as far as the others
    /// know it.
    fn go_on(&mut self, name: usize, task: Spawned<(i32, Claim)>) {
        self.looked(name, task.join());
        if self.is_known(name) {
            self.decide(name);
        }
    }

    /// A request that copied an image has ended, as far as the others know it.
    fn decide(&mut self, name: usize) {
        for task in mem::take(&mut self.0[name].burst.waiting) {
            self.looked(name, task.join());
        }
        let burst = &mut self.0[name].burst;
        burst.decided = !burst.copies.is_empty();
    }

    fn take_copy(&mut self, name: usize, which: usize) -> Option<Claim> {
        let copies = &mut self.0[name].burst.copies;
        (which < copies.len()).then(|| copies.remove(which))
    }

    fn check(&mut self, name: usize, which: usize, is: usize) {
        if let Some(claim) = self.take_copy(name, which) {
            self.request(is, claim, 0);
            self.decide(name);
        }
    }

    fn bad(&mut self, name: usize, which: usize) {
        if let Some(claim) = self.take_copy(name, which) {
            claim.fail(ENOEXEC);
            self.decide(name);
        }
    }

    fn live(&mut self, name: usize) {
        match mem::take(&mut self.0[name].load) {
            Load::Pending(owner, module, waiters) => {
                module.set_state(LIVE);
                owner.succeed();
                waiters.into_iter().for_each(|waiter| assert_eq!(waiter.join(), EEXIST));
                self.0[name].load = Load::Live(module);
            }
            other => self.0[name].load = other,
        }
    }

    fn fail(&mut self, name: usize, ret: i32) {
        match mem::take(&mut self.0[name].load) {
            Load::Pending(owner, module, waiters) => {
                module.free();
                let expected = if ret == ERESTARTSYS {
                    owner.interrupt();
                    AGAIN
                } else {
                    owner.fail(ret);
                    EBUSY
                };
                waiters.into_iter().for_each(|waiter| assert_eq!(waiter.join(), expected));
            }
            other => self.0[name].load = other,
        }
    }

    fn kill(&mut self, name: usize, which: usize) {
        let Load::Pending(_, _, waiters) = &mut self.0[name].load else { return };
        if which < waiters.len() {
            let killed = waiters.remove(which);
            killed.signal();
            assert_eq!(killed.join(), ERESTARTSYS);
        }
    }

    fn take_waiting(&mut self, name: usize, which: usize) -> Option<Spawned<(i32, Claim)>> {
        let waiting = &mut self.0[name].burst.waiting;
        (which < waiting.len()).then(|| waiting.remove(which))
    }

    fn kill_waiting(&mut self, name: usize, which: usize) {
        if let Some(killed) = self.take_waiting(name, which) {
            killed.kill();
            self.go_on(name, killed);
        }
    }

    fn expire(&mut self, name: usize, which: usize) {
        if let Some(late) = self.take_waiting(name, which) {
            late.expire();
            self.go_on(name, late);
        }
    }

    fn start_removal(&mut self, name: usize) {
        if let Load::Live(module) = self.0[name].load {
            module.set_state(GOING);
            self.0[name].load = Load::Going(module);
        }
    }

    fn end_removal(&mut self, name: usize) {
        if let Load::Going(module) = self.0[name].load {
            module.free();
            self.0[name].load = Load::Free;
        }
    }

    fn apply(&mut self, step: &Step) {
        match *step {
            Step::Request(name) => self.request(name, Claim::default(), 0),
            Step::Small(name) => self.small(name),
            Step::Refused(name) => self.request(name, Claim::default(), EFAULT),
            Step::RequestWithoutMemory(name) => self.request_without_memory(name),
            Step::Look(name) => self.look(name),
            Step::LookWithoutMemory(name) => self.look_without_memory(name),
            Step::Check(name, which, is) => self.check(name, which, is),
            Step::Bad(name, which) => self.bad(name, which),
            Step::Live(name) => self.live(name),
            Step::Fail(name, ret) => self.fail(name, ret),
            Step::Kill(name, which) => self.kill(name, which),
            Step::KillWaiting(name, which) => self.kill_waiting(name, which),
            Step::Expire(name, which) => self.expire(name, which),
            Step::StartRemoval(name) => self.start_removal(name),
            Step::EndRemoval(name) => self.end_removal(name),
        }
    }

    fn uses_memory(&self) -> bool {
        let uses =
            |name: &Name| matches!(name.load, Load::Pending(..)) || !name.burst.copies.is_empty();
        self.0.iter().any(uses)
    }
}

fn run(steps: &[Step]) {
    let mut names = Names::default();
    for step in steps {
        names.apply(step);
        assert_eq!(memory::in_use() > 0, names.uses_memory(), "after {step:?}");
    }
    for name in 0..NAMES.len() {
        while !names.0[name].burst.copies.is_empty() {
            names.bad(name, 0);
        }
        names.fail(name, ENODEV);
    }
}

proptest! {
    #[test]
    fn any_sequence_follows_the_contract(steps in prop::collection::vec(step(), 1..60)) {
        explore(move || run(&steps));
    }
}
