// SPDX-License-Identifier: GPL-2.0

//! A reference count that notices a reference which it does not know.

use std::{
    marker::PhantomData,
    mem::{ManuallyDrop, MaybeUninit},
    ops::Deref,
    ptr::{self, NonNull},
    sync::atomic::{
        AtomicBool,
        Ordering::{AcqRel, Relaxed},
    },
};

use pinned_init::PinInit;

use crate::{
    backend::AtomicUsize,
    machine::at_shutdown,
    memory::{AllocError, Allocation, Flags},
};

/// A counted reference.
pub struct Arc<T> {
    object: NonNull<Object<T>>,
}

/// What references refer to. Without the feature `free-at-once`, its memory stays until the machine
/// is shut down, so that a use after free finds it dead.
struct Object<T> {
    dead: AtomicBool,
    references: AtomicUsize,
    memory: Option<Allocation>,
    value: MaybeUninit<T>,
}

// SAFETY: As for the reference counts of std.
unsafe impl<T: Send + Sync> Send for Arc<T> {}
// SAFETY: As for the reference counts of std.
unsafe impl<T: Send + Sync> Sync for Arc<T> {}

impl<T> Arc<T> {
    /// Makes an object in place.
    pub fn pin_init<E: From<AllocError>>(
        init: impl PinInit<T, E>,
        flags: Flags,
    ) -> Result<Self, E> {
        let mut object = Box::new(Object {
            dead: AtomicBool::new(false),
            references: AtomicUsize::new(1),
            memory: Some(Allocation::new(flags)?),
            value: MaybeUninit::uninit(),
        });
        // SAFETY: The place is valid for writes, and is not moved: it stays in its box.
        unsafe { init.__pinned_init(object.value.as_mut_ptr()) }?;
        Ok(Self { object: NonNull::from(Box::leak(object)) })
    }

    /// A reference that is not counted.
    pub fn as_arc_borrow(&self) -> ArcBorrow<'_, T> {
        ArcBorrow { arc: ManuallyDrop::new(Self { object: self.object }), of: PhantomData }
    }

    fn object(&self) -> &Object<T> {
        // SAFETY: The memory stays valid until the machine is shut down.
        let object = unsafe { self.object.as_ref() };
        assert!(!object.dead.load(Relaxed), "use after free");
        object
    }

    fn die(&mut self) {
        self.object().dead.store(true, Relaxed);
        // SAFETY: There is no other reference, and the value is initialized.
        unsafe {
            let object = self.object.as_mut();
            object.value.assume_init_drop();
            object.memory = None;
        }
        if cfg!(feature = "free-at-once") {
            Self::give_back(self.object.as_ptr());
        } else {
            let address = self.object.as_ptr().expose_provenance();
            at_shutdown(move || Self::give_back(ptr::with_exposed_provenance_mut(address)));
        }
    }

    fn give_back(object: *mut Object<T>) {
        // SAFETY: It was made by `Box::leak()`, and nobody refers to it any more.
        drop(unsafe { Box::from_raw(object) });
    }
}

impl<T> Clone for Arc<T> {
    fn clone(&self) -> Self {
        self.object().references.fetch_add(1, Relaxed);
        Self { object: self.object }
    }
}

impl<T> Drop for Arc<T> {
    fn drop(&mut self) {
        if self.object().references.fetch_sub(1, AcqRel) == 1 {
            self.die();
        }
    }
}

impl<T> Deref for Arc<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: The value is initialized and alive.
        unsafe { self.object().value.assume_init_ref() }
    }
}

/// A reference that is not counted.
pub struct ArcBorrow<'a, T> {
    arc: ManuallyDrop<Arc<T>>,
    of: PhantomData<&'a Arc<T>>,
}

impl<T> Deref for ArcBorrow<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.arc
    }
}

impl<T> From<ArcBorrow<'_, T>> for Arc<T> {
    fn from(borrow: ArcBorrow<'_, T>) -> Self {
        Arc::clone(&borrow.arc)
    }
}
