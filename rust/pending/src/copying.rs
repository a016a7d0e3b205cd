// SPDX-License-Identifier: GPL-2.0

//! Images that are being copied and checked: others that seem to have the same name wait.
//!
//! Many requests for one name that come at once would each copy an image, only to learn from it
//! that they are duplicates. So they are a *burst*: the first one copies its image, and the others
//! give it a moment to claim the name. If it does, they share in its load. If its image is a bad
//! one, or has another name, they go on by themselves. A request that comes while they are at work
//! does not wait. If the first image takes long to come, the others wait for a second at most.

use super::*;
use core::mem;
use kernel::{
    sync::GlobalLockedBy,
    time::{
        msecs_to_jiffies,
        Msecs, //
    }, //
};

/// How long each try of a request waits at most, in milliseconds.
const MOMENT: Msecs = 1000;

global_lock! {
    // SAFETY: `mod_claim_init()` initializes it, as it does with `PENDING`.
    unsafe(uninit) static BURSTS: Mutex<List<Burst>> = List::new();
}

/// Initializes the list of bursts.
///
/// # Safety
///
/// Must be called once, before any other function of this file.
pub(super) unsafe fn init() {
    // SAFETY: By the safety requirements, this is the only call, and the first use of the list.
    unsafe { BURSTS.init() };
}

/// Requests whose images seem to have one name, and that are at work at the same time.
#[pin_data]
struct Burst {
    /// The name that the images seem to have.
    name: CString,
    /// How many requests there are, those that wait included.
    requests: GlobalLockedBy<usize, BURSTS>,
    /// How many of them began to wait since others were last woken.
    waiting: GlobalLockedBy<u32, BURSTS>,
    /// Completed when one of them has claimed a name, or has ended.
    #[pin]
    decided: Completion,
    /// Links of [`BURSTS`].
    #[pin]
    links: ListLinks,
}

impl_list_arc_safe! {
    impl ListArcSafe<0> for Burst { untracked; }
}

impl_list_item! {
    impl ListItem<0> for Burst { using ListLinks { self.links }; }
}

impl Burst {
    /// A burst of one request.
    fn new(name: &CStr) -> Result<ListArc<Self>> {
        ListArc::pin_init(
            try_pin_init!(Self {
                name: CString::try_from(name)?,
                requests: GlobalLockedBy::new(1),
                waiting: GlobalLockedBy::new(0),
                decided <- Completion::new(),
                links <- ListLinks::new(),
            }),
            GFP_KERNEL,
        )
    }

    /// Takes a request out of the burst, and, if it is the last one, the burst off the list.
    ///
    /// Returns how many others are to be woken.
    fn leave(&self) -> u32 {
        let mut bursts = BURSTS.lock();
        let requests = self.requests.as_mut(&mut bursts);
        *requests -= 1;
        let removed = if *requests == 0 {
            // SAFETY: There is no other list of bursts that this one could be in.
            unsafe { bursts.remove(self) }
        } else {
            None
        };
        let waiting = mem::take(self.waiting.as_mut(&mut bursts));
        drop(bursts);
        drop(removed);

        waiting
    }
}

/// A request that copies an image, until it is dropped.
pub(super) struct Copying(Arc<Burst>);

impl Drop for Copying {
    fn drop(&mut self) {
        let waiting = self.0.leave();
        wake_all(&self.0.decided, waiting);
    }
}

impl Copying {
    /// Begins the copy of an image.
    ///
    /// If it is one of a burst, it waits a moment for the first one. A signal ends this wait alone.
    ///
    /// Returns [`None`] if there is no memory to note the copy down.
    pub(super) fn of(name: &CStr) -> Option<Self> {
        let new = Burst::new(name).ok()?;

        let mut bursts = BURSTS.lock();
        let burst: Option<Arc<Burst>> = bursts
            .iter()
            .find(|burst| *burst.name == *name)
            .map(Into::into);
        let Some(burst) = burst else {
            let burst = new.clone_arc();
            bursts.push_back(new);
            return Some(Self(burst));
        };
        *burst.requests.as_mut(&mut bursts) += 1;
        *burst.waiting.as_mut(&mut bursts) += 1;
        drop(bursts);
        drop(new);

        let moment = msecs_to_jiffies(MOMENT);
        let _ = burst
            .decided
            .wait_for_completion_interruptible_timeout(moment);
        Some(Self(burst))
    }
}
