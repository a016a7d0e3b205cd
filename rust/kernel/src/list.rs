// SPDX-License-Identifier: GPL-2.0

//! Lists of reference-counted entries.

use std::{
    ops::Deref,
    ptr,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use pinned_init::PinInit;

use crate::{
    backend::UnsafeCell,
    memory::Flags,
    sync::{Arc, ArcBorrow},
};

pub use crate::{impl_list_arc_safe, impl_list_item};

/// The place of an entry in a list: here only the number of that list, or 0.
pub struct ListLinks<const ID: u64 = 0>(UnsafeCell<usize>);

// SAFETY: It is accessed with the list at hand, which the model checkers check.
unsafe impl<const ID: u64> Sync for ListLinks<ID> {}

impl<const ID: u64> ListLinks<ID> {
    /// Not in a list.
    pub fn new() -> impl PinInit<Self> {
        Self(UnsafeCell::new(0))
    }

    fn list(&self) -> usize {
        // SAFETY: Nobody changes it meanwhile: whoever does has the list at hand.
        self.0.with(|list| unsafe { *list })
    }

    fn set(&self, list: usize) {
        // SAFETY: As above.
        self.0.with_mut(|own| unsafe { *own = list });
    }
}

/// A type that says how many [`ListArc`]s its values have.
pub trait ListArcSafe<const ID: u64 = 0> {}

/// A type with [`ListLinks`].
pub trait ListItem<const ID: u64 = 0>: ListArcSafe<ID> {
    /// The links in the value.
    fn links(&self) -> &ListLinks<ID>;
}

/// Implements [`ListArcSafe`].
#[macro_export]
macro_rules! impl_list_arc_safe {
    (impl ListArcSafe<$id:tt> for $self:ty { untracked; }) => {
        impl $crate::list::ListArcSafe<$id> for $self {}
    };
}

/// Implements [`ListItem`].
#[macro_export]
macro_rules! impl_list_item {
    (impl ListItem<$id:tt> for $self:ty { using ListLinks { self.$links:ident }; }) => {
        impl $crate::list::ListItem<$id> for $self {
            fn links(&self) -> &$crate::list::ListLinks<$id> {
                &self.$links
            }
        }
    };
}

/// The one reference to an entry by which it can be in a list.
pub struct ListArc<T: ListArcSafe<ID>, const ID: u64 = 0> {
    arc: Arc<T>,
}

impl<T: ListArcSafe<ID>, const ID: u64> ListArc<T, ID> {
    /// Makes an entry in place.
    pub fn pin_init<E>(init: impl PinInit<T, E>, flags: Flags) -> Result<Self, E>
    where
        E: From<crate::memory::AllocError>,
    {
        Ok(Self { arc: Arc::pin_init(init, flags)? })
    }

    /// Another reference to the entry.
    pub fn clone_arc(&self) -> Arc<T> {
        self.arc.clone()
    }
}

impl<T: ListArcSafe<ID>, const ID: u64> Deref for ListArc<T, ID> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.arc
    }
}

/// A list that owns a reference to each entry.
pub struct List<T: ListItem<ID>, const ID: u64 = 0> {
    /// Tells it from all other lists. 0 as long as it has had no entry.
    number: usize,
    entries: Vec<ListArc<T, ID>>,
}

impl<T: ListItem<ID>, const ID: u64> List<T, ID> {
    /// An empty list.
    #[expect(clippy::new_without_default, reason = "as the kernel's")]
    pub const fn new() -> Self {
        Self { number: 0, entries: Vec::new() }
    }

    /// Adds an entry.
    pub fn push_back(&mut self, entry: ListArc<T, ID>) {
        static LISTS: AtomicUsize = AtomicUsize::new(1);
        if self.number == 0 {
            self.number = LISTS.fetch_add(1, Relaxed);
        }
        assert_eq!(entry.links().list(), 0, "an entry is in two lists");
        entry.links().set(self.number);
        self.entries.push(entry);
    }

    /// Takes an entry off the list, if it is in it.
    ///
    /// # Safety
    ///
    /// `item` must not be in another list.
    pub unsafe fn remove(&mut self, item: &T) -> Option<ListArc<T, ID>> {
        let list = item.links().list();
        if list == 0 {
            return None;
        }
        assert_eq!(list, self.number, "removed from a list that it is not in");
        item.links().set(0);
        let index = self.entries.iter().position(|entry| ptr::eq::<T>(&**entry, item));
        Some(self.entries.remove(index.expect("it is in this list")))
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Visits all entries.
    pub fn iter(&self) -> impl Iterator<Item = ArcBorrow<'_, T>> {
        self.entries.iter().map(|entry| entry.arc.as_arc_borrow())
    }
}
