// SPDX-License-Identifier: GPL-2.0

//! Images that are being copied and checked: others that seem to have the same name are put off.
//!
//! Many requests for one name that come at once would each copy an image, only to learn from it
//! that they are duplicates. So the first one notes down the name that its image seems to have.
//! The others give it a moment to claim that name. If it does, they share in its load. If it does
//! not, because its image is a bad one, has another name or takes long to come, they go on by
//! themselves.

use super::*;

/// How long a request is put off at most, in milliseconds.
const MOMENT: Msecs = 1000;

global_lock! {
    // SAFETY: `mod_claim_init()` initializes it, as it does with `PENDING`.
    unsafe(uninit) static COPIES: Mutex<List<Copy>> = List::new();
}

/// Initializes the list of copies.
///
/// # Safety
///
/// Must be called once, before any other function of this file.
pub(super) unsafe fn init() {
    // SAFETY: By the safety requirements, this is the only call, and the first use of the list.
    unsafe { COPIES.init() };
}

/// An image that is being copied or checked, and those that wait for this.
#[pin_data]
struct Copy {
    /// The name that it seems to have.
    name: CString,
    /// Completed when its request has claimed a name, or has ended.
    #[pin]
    done: Completion,
    /// Links of [`COPIES`].
    #[pin]
    links: ListLinks,
}

impl_list_arc_safe! {
    impl ListArcSafe<0> for Copy { untracked; }
}

impl_list_item! {
    impl ListItem<0> for Copy { using ListLinks { self.links }; }
}

/// The first copy of an image that seems to have a name. Ends when it is dropped.
pub(super) struct FirstCopy(Arc<Copy>);

impl Drop for FirstCopy {
    fn drop(&mut self) {
        let mut copies = COPIES.lock();
        // SAFETY: There is no other list of copies that this one could be in.
        let removed = unsafe { copies.remove(&self.0) };
        drop(copies);
        drop(removed);

        self.0.done.complete_all();
    }
}

impl FirstCopy {
    /// Notes down that an image is about to be copied, unless another one that seems to have the
    /// same name is. Gives that one a moment, and returns none then, or if there is no memory.
    ///
    /// # Errors
    ///
    /// [`ERESTARTSYS`] if a signal arrived meanwhile.
    pub(super) fn of(name: &CStr) -> Result<Option<Self>> {
        let Ok(copy) = Self::new(name) else {
            return Ok(None);
        };

        let mut copies = COPIES.lock();
        let earlier: Option<Arc<Copy>> = copies
            .iter()
            .find(|earlier| *earlier.name == *name)
            .map(Into::into);
        let Some(earlier) = earlier else {
            let first = Self(copy.clone_arc());
            copies.push_back(copy);
            return Ok(Some(first));
        };
        drop(copies);
        drop(copy);

        match earlier
            .done
            .wait_for_completion_interruptible_timeout(msecs_to_jiffies(MOMENT))
        {
            Err(ERESTARTSYS) => Err(ERESTARTSYS),
            _ => Ok(None),
        }
    }

    fn new(name: &CStr) -> Result<ListArc<Copy>> {
        ListArc::pin_init(
            try_pin_init!(Copy {
                name: CString::try_from(name)?,
                done <- Completion::new(),
                links <- ListLinks::new(),
            }),
            GFP_KERNEL,
        )
    }
}
