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
    claim, claim_provisionally,
    errno::{EBUSY, EEXIST, ENODEV, ENOEXEC, ENOMEM, ERESTARTSYS},
    explore, Claim, Owner,
};
use proptest::prelude::*;

const NAMES: [&CStr; 3] = [c"a", c"b", c"ab"];

/// One step, with the index of a name.
#[derive(Clone, Debug)]
enum Step {
    Request(usize),
    RequestUnchecked(usize),
    RequestWithoutMemory(usize),
    Check(usize),
    Refuse(usize),
    Finish(usize, i32),
    Kill(usize, usize),
    StartRemoval(usize),
    EndRemoval(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let name = 0..NAMES.len();
    prop_oneof![
        4 => name.clone().prop_map(Step::Request),
        4 => name.clone().prop_map(Step::RequestUnchecked),
        1 => name.clone().prop_map(Step::Check),
        2 => name.clone().prop_map(Step::Refuse),
        1 => name.clone().prop_map(Step::RequestWithoutMemory),
        2 => (name.clone(), prop_oneof![Just(0), Just(ENODEV), Just(EEXIST)])
            .prop_map(|(name, ret)| Step::Finish(name, ret)),
        1 => (name.clone(), 0..4_usize).prop_map(|(name, i)| Step::Kill(name, i)),
        1 => name.clone().prop_map(Step::StartRemoval),
        1 => name.prop_map(Step::EndRemoval),
    ]
}

/// What there is of a name. An owner whose image is not checked is unchecked.
enum Name {
    Free,
    Unchecked(Owner, Waiters),
    Pending(Owner, Waiters),
    Live(Module),
    Going(Module),
}

/// In the order in which they sleep.
type Waiters = Vec<Spawned<Result<Owner, i32>>>;

impl Name {
    fn request(self, name: &CStr, claim: impl Fn(&CStr) -> Claim) -> Self {
        match (self, claim(name)) {
            (Self::Unchecked(owner, waiters), claim) => {
                let waiters = join(&owner, waiters, claim);
                Self::Unchecked(owner, waiters)
            }
            (Self::Pending(owner, waiters), claim) => {
                let waiters = join(&owner, waiters, claim);
                Self::Pending(owner, waiters)
            }
            (Self::Free, Claim::Owned(owner)) => Self::Pending(owner, Vec::new()),
            (Self::Live(module), Claim::Refused(EEXIST)) => Self::Live(module),
            (Self::Going(module), Claim::Refused(EBUSY)) => Self::Going(module),
            (_, claim) => panic!("{name:?}: {claim:?}"),
        }
    }

    fn request_unchecked(self, name: &CStr) -> Self {
        let was_free = matches!(self, Self::Free);
        match self.request(name, claim_provisionally) {
            Self::Pending(owner, waiters) if was_free => Self::Unchecked(owner, waiters),
            name => name,
        }
    }

    fn request_without_memory(self, name: &CStr) -> Self {
        memory::limit(0);
        let after = match self {
            Self::Free => {
                assert!(matches!(claim(name), Claim::Refused(ENOMEM)));
                Self::Free
            }
            taken => taken.request(name, claim),
        };
        memory::limit(usize::MAX);
        after
    }

    /// The image of the owner is a good one.
    fn check(self, name: &CStr) -> Self {
        let Self::Unchecked(owner, waiters) = self else { return self };
        assert!(owner.confirm(name));
        Self::Pending(owner, waiters)
    }

    /// The image of the owner is a bad one.
    fn refuse(self) -> Self {
        let Self::Unchecked(owner, mut waiters) = self else { return self };
        owner.finish(ENOEXEC);
        if waiters.is_empty() {
            return Self::Free;
        }
        let next = waiters.remove(0).join().expect("it has waited longest");
        Self::Unchecked(next, waiters)
    }

    fn finish(self, name: &CStr, ret: i32) -> Self {
        let Self::Pending(owner, waiters) = self else { return self };
        let live = (ret == 0).then(|| Module::add(name, LIVE));
        owner.finish(ret);
        for waiter in waiters {
            let expected = if ret == 0 { EEXIST } else { EBUSY };
            assert_eq!(waiter.join().unwrap_err(), expected);
        }
        live.map_or(Self::Free, Self::Live)
    }

    fn kill(mut self, which: usize) -> Self {
        if let Self::Pending(_, waiters) | Self::Unchecked(_, waiters) = &mut self {
            if which < waiters.len() {
                let killed = waiters.remove(which);
                killed.signal();
                assert_eq!(killed.join().unwrap_err(), ERESTARTSYS);
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
            Step::Request(name) => self.request(NAMES[name], claim),
            Step::RequestUnchecked(name) => self.request_unchecked(NAMES[name]),
            Step::RequestWithoutMemory(name) => self.request_without_memory(NAMES[name]),
            Step::Check(name) => self.check(NAMES[name]),
            Step::Refuse(_) => self.refuse(),
            Step::Finish(name, ret) => self.finish(NAMES[name], ret),
            Step::Kill(_, which) => self.kill(which),
            Step::StartRemoval(_) => self.start_removal(),
            Step::EndRemoval(_) => self.end_removal(),
        }
    }
}

/// Another duplicate, which sleeps.
fn join(owner: &Owner, mut waiters: Waiters, claim: Claim) -> Waiters {
    let Claim::Joined(waiter) = claim else { panic!("not a duplicate: {claim:?}") };
    assert_eq!(waiter.id(), owner.id());
    let task = task::spawn(move || waiter.wait_for_turn());
    task.wait_until_asleep();
    waiters.push(task);
    waiters
}

impl Step {
    fn name(&self) -> usize {
        match *self {
            Self::Request(name)
            | Self::RequestUnchecked(name)
            | Self::RequestWithoutMemory(name)
            | Self::Check(name)
            | Self::Refuse(name)
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

        let pending = |name: &Name| matches!(name, Name::Unchecked(..) | Name::Pending(..));
        assert_eq!(memory::in_use() > 0, names.iter().any(pending), "after {step:?}");
    }
    for (name, text) in names.into_iter().zip(NAMES) {
        name.check(text).finish(text, ENODEV);
    }
}

proptest! {
    #[test]
    fn any_sequence_follows_the_contract(steps in prop::collection::vec(step(), 1..60)) {
        explore(move || run(&steps));
    }
}
