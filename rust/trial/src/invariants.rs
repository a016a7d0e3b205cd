// SPDX-License-Identifier: GPL-2.0

//! The contract, as far as it can be told from how the requests ended.

use anyhow::{ensure, Result};
use libc::{EAGAIN, EBUSY, EEXIST, EINTR, EINVAL, ENOENT, ENOMEM, ENOSPC};

use crate::request::End;

/// All that happened to one name, which was free before.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// What its init returns; positive, as system calls show it.
    pub result: i32,
    /// Some requests have parameters that cannot be parsed.
    pub bad_params: bool,
    /// A notifier refuses the name.
    pub vetoed: bool,
    /// It depends on a module that may come and go, and has an init that does not fail.
    pub depends: bool,
    /// Signals were sent.
    pub signals: bool,
    /// Memory was short, by hogs or by injected faults.
    pub no_memory: bool,
    /// Compressed images are among them.
    pub compressed: bool,
    /// Requests for one file by `finit_module(2)` are among them.
    pub one_file: bool,
    /// How the loads ended.
    pub loads: Vec<End>,
    /// How the removals ended.
    pub removals: Vec<End>,
}

impl Facts {
    /// How many loads ended with `errno`.
    fn loads_with(&self, errno: i32) -> usize {
        self.loads.iter().filter(|end| **end == End::Returned(errno)).count()
    }

    fn killed(&self) -> usize {
        self.loads.iter().filter(|end| **end == End::Killed).count()
    }

    /// A load may have succeeded.
    fn success(&self) -> bool {
        self.loads_with(0) + self.killed() > 0
    }

    /// What init makes the owner return: EEXIST is reserved for "already loaded".
    fn init_errno(&self) -> i32 {
        match self.result {
            _ if self.depends => 0,
            EEXIST => EBUSY,
            errno => errno,
        }
    }

    /// Something but init can make a load of it fail, or a removal is in the way.
    fn disturbed(&self) -> bool {
        self.bad_params
            || self.vetoed
            || self.depends
            || self.signals
            || self.no_memory
            || !self.removals.is_empty()
    }

    /// Whether the contract knows this return value of a load.
    fn allows(&self, errno: i32) -> bool {
        match errno {
            0 => self.init_errno() == 0,
            EEXIST => true,
            EBUSY => self.init_errno() != 0 || self.disturbed(),
            EINVAL if self.bad_params => true,
            ENOSPC if self.vetoed => true,
            ENOENT if self.depends => true,
            EINTR if self.signals => true,
            ENOMEM if self.no_memory => true,
            // What the decompressor of Linux 7.3 says, whatever the reason.
            EINVAL if self.no_memory && self.compressed => true,
            errno => errno == self.init_errno(),
        }
    }

    /// Checks all that does not need the order of events.
    pub fn check(&self, name: &str) -> Result<()> {
        for end in &self.loads {
            let End::Returned(errno) = end else { continue };
            ensure!(self.allows(*errno), "{name}: a load returned {errno}: {self:?}");
        }
        for end in &self.removals {
            let known = [0, ENOENT, EBUSY, EAGAIN, EINTR].map(End::Returned);
            ensure!(
                *end == End::Killed || known.contains(end),
                "{name}: a removal ended with {end:?}"
            );
        }
        ensure!(
            self.loads_with(EEXIST) == 0 || self.success(),
            "{name}: a load returned EEXIST and none succeeded: {self:?}"
        );
        let removed = self.removals.iter().filter(|end| **end == End::Returned(0)).count();
        ensure!(
            self.one_file || self.loads_with(0) <= 1 + removed,
            "{name}: more than one load succeeded: {self:?}"
        );
        Ok(())
    }

    /// So many inits can have run at most: one for each load that owned the name.
    pub fn most_inits(&self) -> usize {
        let mut errnos = vec![self.init_errno(), 0, EINTR, ENOMEM];
        errnos.sort_unstable();
        errnos.dedup();
        let inits: usize = errnos.iter().map(|errno| self.loads_with(*errno)).sum();
        inits + self.killed()
    }

    /// Nothing came between the loads, so all but one found the first: init ran once.
    pub fn check_one_owner(&self, name: &str) -> Result<()> {
        let duplicates = if self.init_errno() == 0 { EEXIST } else { EBUSY };
        let owners = self.loads.len() - self.loads_with(duplicates);
        let all_alike = self.init_errno() == duplicates && owners == 0;
        ensure!(
            all_alike || (self.one_file && owners >= 1) || owners == 1,
            "{name}: {owners} owners at the same time: {self:?}"
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(result: i32, loads: &[i32]) -> Facts {
        let loads = loads.iter().map(|errno| End::Returned(*errno)).collect();
        Facts { result, loads, ..Facts::default() }
    }

    #[test]
    fn what_the_contract_allows_passes() {
        for facts in [
            facts(0, &[0, EEXIST, EEXIST]),
            facts(ENOMEM, &[EBUSY, ENOMEM]),
            facts(EEXIST, &[EBUSY, EBUSY]),
        ] {
            facts.check("m").unwrap();
            facts.check_one_owner("m").unwrap();
        }
    }

    #[test]
    fn what_it_forbids_is_found() {
        assert!(facts(0, &[0, 0]).check("m").is_err());
        assert!(facts(0, &[EINVAL]).check("m").is_err());
        assert!(facts(0, &[0, EBUSY]).check("m").is_err());
        assert!(facts(ENOMEM, &[ENOMEM, EEXIST]).check("m").is_err());
        assert!(facts(ENOMEM, &[0]).check("m").is_err());
        assert!(facts(ENOMEM, &[ENOMEM, ENOMEM]).check_one_owner("m").is_err());
        assert!(facts(0, &[0, EBUSY]).check_one_owner("m").is_err());
    }

    #[test]
    fn each_exception_has_its_cause() {
        let with = |errno, change: fn(&mut Facts)| {
            let mut facts = facts(0, &[errno]);
            assert!(facts.check("m").is_err(), "{errno}");
            change(&mut facts);
            facts.check("m").unwrap();
        };
        with(EINVAL, |f| f.bad_params = true);
        with(ENOSPC, |f| f.vetoed = true);
        with(ENOENT, |f| f.depends = true);
        with(EINTR, |f| f.signals = true);
        with(ENOMEM, |f| f.no_memory = true);
        with(EINVAL, |f| (f.no_memory, f.compressed) = (true, true));
        with(EBUSY, |f| f.bad_params = true);
        with(EBUSY, |f| f.vetoed = true);
        with(EBUSY, |f| f.depends = true);
        with(EBUSY, |f| f.signals = true);
        with(EBUSY, |f| f.no_memory = true);
        with(EBUSY, |f| f.removals.push(End::Returned(0)));
    }

    #[test]
    fn a_killed_load_may_have_succeeded_and_run_init() {
        let mut facts = facts(0, &[EEXIST]);
        facts.loads.push(End::Killed);
        facts.check("m").unwrap();
        assert_eq!(facts.most_inits(), 1);
    }
}
