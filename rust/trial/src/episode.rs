// SPDX-License-Identifier: GPL-2.0

//! An episode of the soak, chosen at random: what is asked for, and what disturbs it.

use fastrand::Rng;
use guest::module::{FORCE, NONBLOCK};

/// What is loaded in bursts: name, size of the largest burst. In this order they can be removed.
pub const MODULES: [(&str, u32); 6] = [
    ("test_module_load", 480),
    ("test_module_load2", 480),
    ("trial_user", 96),
    ("trial_base", 96),
    ("trial_stay", 192),
    ("burst_big", 6),
];
/// What inits fail with.
const RESULTS: [i32; 4] = [libc::ENODEV, libc::EBUSY, libc::EEXIST, libc::ENOMEM];

/// How a load reaches the loader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// `init_module(2)`.
    Init,
    /// `finit_module(2)` on the one file that all share.
    OneFile,
    /// `finit_module(2)` on a file of its own.
    Copy,
    /// `finit_module(2)` on a compressed file of its own.
    Xz,
}

/// One load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load {
    /// Which of [`MODULES`].
    pub module: usize,
    /// The way in.
    pub how: How,
    /// Its parameters cannot be parsed.
    pub bad_params: bool,
    /// It survives SIGINT.
    pub catches: bool,
    /// The allocation that fails, where the kernel can do that.
    pub fail_nth: Option<u32>,
}

/// A burst of one or more modules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Episode {
    /// All loads, in the order in which they are started.
    pub loads: Vec<Load>,
    /// Removals during the burst: module, flags.
    pub removals: Vec<(usize, u32)>,
    /// What inits return, positive.
    pub result: i32,
    /// How long inits sleep.
    pub hold_ms: u32,
    /// Inits wait until all requests sleep.
    pub gated: bool,
    /// This module is refused by a notifier.
    pub vetoed: Option<usize>,
    /// Signals: which load, whether SIGKILL (else SIGINT), milliseconds after the one before.
    pub signals: Vec<(usize, bool, u32)>,
    /// A process takes what memory there is.
    pub hog: bool,
    /// CPUs go and come back.
    pub hotplug: bool,
}

impl Episode {
    /// The next one.
    pub fn random(rng: &mut Rng) -> Self {
        let modules = Self::modules(rng);
        let faults = rng.u8(..6) == 0;
        let mut loads: Vec<Load> = vec![];
        for module in &modules {
            Self::burst(*module, faults, rng, &mut loads);
        }
        rng.shuffle(&mut loads);
        let mut episode = Self {
            result: if rng.bool() { 0 } else { RESULTS[rng.usize(..RESULTS.len())] },
            hold_ms: if rng.bool() { 0 } else { rng.u32(..20) },
            gated: rng.u8(..3) > 0,
            vetoed: (rng.u8(..8) == 0).then(|| modules[0]),
            hog: rng.u8(..32) == 0,
            hotplug: rng.u8(..8) == 0,
            signals: vec![],
            removals: vec![],
            loads,
        };
        if rng.u8(..3) == 0 {
            episode.add_signals(rng);
        }
        if rng.u8(..3) == 0 {
            episode.add_removals(&modules, rng);
        }
        episode
    }

    /// Nothing makes one load differ from another.
    pub fn is_plain(&self) -> bool {
        let plain = |l: &Load| !l.bad_params && l.fail_nth.is_none();
        self.gated
            && self.signals.is_empty()
            && self.removals.is_empty()
            && self.vetoed.is_none()
            && !self.hog
            && self.loads.iter().all(plain)
    }

    fn modules(rng: &mut Rng) -> Vec<usize> {
        let mut modules: Vec<usize> = (0..MODULES.len()).collect();
        rng.shuffle(&mut modules);
        modules.truncate(rng.usize(1..=3));
        modules
    }

    fn burst(module: usize, faults: bool, rng: &mut Rng, loads: &mut Vec<Load>) {
        let only = [How::Init, How::OneFile, How::Copy, How::Xz];
        let fixed = rng.bool().then(|| only[rng.usize(..only.len())]);
        let bad_params = rng.u8(..6) == 0 && MODULES[module].0.starts_with("test_");
        let largest = if rng.u8(..4) == 0 { MODULES[module].1 } else { MODULES[module].1 / 4 };
        for _ in 0..rng.u32(1..=largest) {
            loads.push(Load {
                module,
                how: fixed.unwrap_or_else(|| only[rng.usize(..only.len())]),
                bad_params: bad_params && rng.bool(),
                catches: rng.bool(),
                fail_nth: (faults && rng.bool()).then(|| rng.u32(1..80)),
            });
        }
    }

    fn add_signals(&mut self, rng: &mut Rng) {
        for _ in 0..rng.usize(1..=self.loads.len()) {
            self.signals.push((rng.usize(..self.loads.len()), rng.bool(), rng.u32(..3)));
        }
    }

    /// The forced ones come last.
    fn add_removals(&mut self, modules: &[usize], rng: &mut Rng) {
        for _ in 0..rng.u32(1..8) {
            let flags = if rng.bool() { NONBLOCK } else { NONBLOCK | FORCE };
            self.removals.push((modules[rng.usize(..modules.len())], flags));
        }
        self.removals.sort_by_key(|(_, flags)| flags & FORCE);
    }

    /// How many loads and removals there are.
    pub fn requests(&self) -> usize {
        self.loads.len() + self.removals.len()
    }

    /// Which of them is the first removal that is forced. Those wait for all others: a live
    /// module that is forced out before its load has returned is freed under the loader's feet,
    /// with the option and without.
    pub fn first_forced(&self) -> usize {
        let unforced = self.removals.iter().filter(|(_, flags)| flags & FORCE == 0);
        self.loads.len() + unforced.count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_one_sequence() {
        let episodes = |seed| {
            let mut rng = Rng::with_seed(seed);
            (0..50).map(|_| Episode::random(&mut rng)).collect::<Vec<_>>()
        };
        assert_eq!(episodes(1), episodes(1));
        assert_ne!(episodes(1), episodes(2));
    }

    #[test]
    fn forced_removals_come_last() {
        let mut rng = Rng::with_seed(1);
        let mut forced = 0;
        for episode in (0..50).map(|_| Episode::random(&mut rng)) {
            let (others, last) =
                episode.removals.split_at(episode.first_forced() - episode.loads.len());
            assert!(others.iter().all(|(_, flags)| flags & FORCE == 0));
            assert!(last.iter().all(|(_, flags)| flags & FORCE != 0));
            forced += last.len();
        }
        assert_ne!(forced, 0);
    }
}
