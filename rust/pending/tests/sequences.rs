// SPDX-License-Identifier: GPL-2.0

//! Random sequences of requests, kills, ends and removals over several names, against a model that
//! is nothing but the contract.

#![cfg(not(any(feature = "loom", feature = "shuttle")))] // A sequence is one interleaving.

use std::ffi::CStr;

use kernel::{
    memory,
    modules::{Module, GOING, LIVE},
    task::{self, Spawned},
};
use pending::loader::{
    claim,
    errno::{EBUSY, EEXIST, ENODEV, ENOMEM, ERESTARTSYS},
    explore, Claim, Owner,
};
use proptest::prelude::*;

const NAMES: [&CStr; 3] = [c"a", c"b", c"ab"];

/// One step, with the index of a name.
#[derive(Clone, Debug)]
enum Step {
    Request(usize),
    RequestWithoutMemory(usize),
    Finish(usize, i32),
    Kill(usize, usize),
    StartRemoval(usize),
    EndRemoval(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let name = 0..NAMES.len();
    prop_oneof![
        4 => name.clone().prop_map(Step::Request),
        1 => name.clone().prop_map(Step::RequestWithoutMemory),
        2 => (name.clone(), prop_oneof![Just(0), Just(ENODEV), Just(EEXIST)])
            .prop_map(|(name, ret)| Step::Finish(name, ret)),
        1 => (name.clone(), 0..4_usize).prop_map(|(name, i)| Step::Kill(name, i)),
        1 => name.clone().prop_map(Step::StartRemoval),
        1 => name.prop_map(Step::EndRemoval),
    ]
}

/// What there is of a name.
enum Name {
    Free,
    Pending(Owner, Vec<Spawned<i32>>),
    Live(Module),
    Going(Module),
}

impl Name {
    fn request(self, name: &CStr, has_memory: bool) -> Self {
        memory::limit(if has_memory { usize::MAX } else { 0 });
        match (self, claim(name)) {
            (Self::Free, Claim::Owned(owner)) if has_memory => Self::Pending(owner, Vec::new()),
            (Self::Free, Claim::Refused(ENOMEM)) if !has_memory => Self::Free,
            (Self::Pending(owner, mut waiters), Claim::Joined(waiter)) => {
                assert_eq!(waiter.id(), owner.id());
                waiters.push(task::spawn(move || waiter.wait()));
                Self::Pending(owner, waiters)
            }
            (Self::Live(module), Claim::Refused(EEXIST)) => Self::Live(module),
            (Self::Going(module), Claim::Refused(EBUSY)) => Self::Going(module),
            (_, claim) => panic!("{name:?}: {claim:?}"),
        }
    }

    fn finish(self, name: &CStr, ret: i32) -> Self {
        let Self::Pending(owner, waiters) = self else { return self };
        let live = (ret == 0).then(|| Module::add(name, LIVE));
        owner.finish(ret);
        for waiter in waiters {
            assert_eq!(waiter.join(), if ret == 0 { EEXIST } else { EBUSY });
        }
        live.map_or(Self::Free, Self::Live)
    }

    fn kill(mut self, which: usize) -> Self {
        if let Self::Pending(_, waiters) = &mut self {
            if which < waiters.len() {
                let killed = waiters.remove(which);
                killed.signal();
                assert_eq!(killed.join(), ERESTARTSYS);
            }
        }
        self
    }

    fn start_removal(self) -> Self {
        let Self::Live(module) = self else { return self };
        module.set_state(GOING);
        Self::Going(module)
    }

    fn end_removal(self) -> Self {
        let Self::Going(module) = self else { return self };
        module.free();
        Self::Free
    }

    fn apply(self, step: &Step) -> Self {
        match *step {
            Step::Request(name) => self.request(NAMES[name], true),
            Step::RequestWithoutMemory(name) => self.request(NAMES[name], false),
            Step::Finish(name, ret) => self.finish(NAMES[name], ret),
            Step::Kill(_, which) => self.kill(which),
            Step::StartRemoval(_) => self.start_removal(),
            Step::EndRemoval(_) => self.end_removal(),
        }
    }
}

impl Step {
    fn name(&self) -> usize {
        match *self {
            Self::Request(name)
            | Self::RequestWithoutMemory(name)
            | Self::Finish(name, _)
            | Self::Kill(name, _)
            | Self::StartRemoval(name)
            | Self::EndRemoval(name) => name,
        }
    }
}

fn run(steps: &[Step]) {
    let mut names = NAMES.map(|_| Name::Free);
    for step in steps {
        let name = &mut names[step.name()];
        *name = std::mem::replace(name, Name::Free).apply(step);

        let pending = names.iter().filter(|name| matches!(name, Name::Pending(..))).count();
        assert_eq!(memory::in_use() > 0, pending > 0, "after {step:?}");
    }
    for (name, text) in names.into_iter().zip(NAMES) {
        name.finish(text, ENODEV);
    }
}

proptest! {
    #[test]
    fn any_sequence_follows_the_contract(steps in prop::collection::vec(step(), 1..60)) {
        explore(move || run(&steps));
    }
}
