// SPDX-License-Identifier: GPL-2.0

//! Lists of reference-counted entries.

use std::ops::Deref;

use pinned_init::PinInit;

use crate::{
    memory::Flags,
    sync::{Arc, ArcBorrow},
};

pub use crate::{impl_list_arc_safe, impl_list_item};

/// The place of an entry in a list; the stand-in's list needs none.
pub struct ListLinks<const ID: u64 = 0>;

impl<const ID: u64> ListLinks<ID> {
    /// Not in a list.
    pub fn new() -> impl PinInit<Self> {
        Self
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
    entries: Vec<ListArc<T, ID>>,
}

impl<T: ListItem<ID>, const ID: u64> List<T, ID> {
    /// An empty list.
    #[expect(clippy::new_without_default, reason = "as the kernel's")]
    pub const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    /// Says whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds an entry.
    pub fn push_back(&mut self, entry: ListArc<T, ID>) {
        self.entries.push(entry);
    }

    /// Visits all entries.
    pub fn iter(&self) -> impl Iterator<Item = ArcBorrow<'_, T>> {
        self.entries.iter().map(|entry| entry.arc.as_arc_borrow())
    }

    /// A position before the first entry.
    pub fn cursor_front(&mut self) -> Cursor<'_, T, ID> {
        Cursor { list: self, next: 0 }
    }
}

/// A position between two entries.
pub struct Cursor<'a, T: ListItem<ID>, const ID: u64 = 0> {
    list: &'a mut List<T, ID>,
    next: usize,
}

impl<T: ListItem<ID>, const ID: u64> Cursor<'_, T, ID> {
    /// The entry that follows.
    pub fn peek_next(&mut self) -> Option<CursorPeek<'_, T, ID>> {
        let entries = &mut self.list.entries;
        (self.next < entries.len()).then_some(CursorPeek { entries, index: self.next })
    }

    /// Moves behind the entry that follows, if there is one.
    pub fn move_next(&mut self) -> bool {
        let moves = self.next < self.list.entries.len();
        self.next += usize::from(moves);
        moves
    }
}

/// An entry beside a cursor.
pub struct CursorPeek<'a, T: ListItem<ID>, const ID: u64 = 0> {
    entries: &'a mut Vec<ListArc<T, ID>>,
    index: usize,
}

impl<T: ListItem<ID>, const ID: u64> CursorPeek<'_, T, ID> {
    /// Takes the entry off the list.
    pub fn remove(self) -> ListArc<T, ID> {
        self.entries.remove(self.index)
    }
}

impl<T: ListItem<ID>, const ID: u64> Deref for CursorPeek<'_, T, ID> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.entries[self.index]
    }
}
