// SPDX-License-Identifier: GPL-2.0

//! Global locks.

use std::{
    marker::PhantomData,
    ops::{Deref, DerefMut},
    ptr,
    sync::atomic::{AtomicPtr, Ordering::Relaxed},
};

use crate::{
    backend::{Mutex, MutexGuard, UnsafeCell},
    machine::at_shutdown,
    task,
};

/// What a global lock protects.
pub trait GlobalLockBackend: Sync + 'static {
    /// The type of it.
    type Item: Send + 'static;
    /// How it begins.
    fn initial() -> Self::Item;
}

/// A global lock.
pub struct GlobalLock<B: GlobalLockBackend> {
    /// Null before it is initialized: each machine has a lock of its own.
    lock: AtomicPtr<Mutex<B::Item>>,
    backend: PhantomData<B>,
}

impl<B: GlobalLockBackend> GlobalLock<B> {
    /// A lock that is not initialized.
    #[expect(clippy::new_without_default, reason = "not to be used but by the macro")]
    pub const fn new() -> Self {
        Self { lock: AtomicPtr::new(ptr::null_mut()), backend: PhantomData }
    }

    /// Initializes the lock for the machine that runs.
    ///
    /// # Safety
    ///
    /// Must be called once on a machine.
    pub unsafe fn init(&'static self) {
        self.lock.store(Box::into_raw(Box::new(Mutex::new(B::initial()))), Relaxed);
        at_shutdown(|| {
            let lock = self.lock.swap(ptr::null_mut(), Relaxed);
            // SAFETY: It was made above, and nothing runs any more.
            drop(unsafe { Box::from_raw(lock) });
        });
    }

    /// Takes the lock.
    pub fn lock(&'static self) -> GlobalGuard<B> {
        task::current().might_sleep();
        GlobalGuard::new(self.get().lock().unwrap())
    }

    /// Takes the lock if nobody has it.
    pub fn try_lock(&'static self) -> Option<GlobalGuard<B>> {
        self.get().try_lock().ok().map(GlobalGuard::new)
    }

    fn get(&'static self) -> &'static Mutex<B::Item> {
        // SAFETY: It is null, or was made above and is freed when nothing runs any more.
        unsafe { self.lock.load(Relaxed).as_ref() }.expect("used before init()")
    }
}

/// A global lock that is held.
pub struct GlobalGuard<B: GlobalLockBackend> {
    guard: MutexGuard<'static, B::Item>,
}

impl<B: GlobalLockBackend> GlobalGuard<B> {
    fn new(guard: MutexGuard<'static, B::Item>) -> Self {
        task::current().locked();
        Self { guard }
    }
}

impl<B: GlobalLockBackend> Deref for GlobalGuard<B> {
    type Target = B::Item;

    fn deref(&self) -> &B::Item {
        &self.guard
    }
}

impl<B: GlobalLockBackend> DerefMut for GlobalGuard<B> {
    fn deref_mut(&mut self) -> &mut B::Item {
        &mut self.guard
    }
}

impl<B: GlobalLockBackend> Drop for GlobalGuard<B> {
    fn drop(&mut self) {
        task::current().unlocked();
    }
}

/// A value that a global lock protects beside its own.
pub struct GlobalLockedBy<T, B: GlobalLockBackend> {
    value: UnsafeCell<T>,
    lock: PhantomData<B>,
}

// SAFETY: The value is reached only with the lock held.
unsafe impl<T: Send, B: GlobalLockBackend> Sync for GlobalLockedBy<T, B> {}

impl<T, B: GlobalLockBackend> GlobalLockedBy<T, B> {
    /// Protects a value.
    pub fn new(value: T) -> Self {
        Self { value: UnsafeCell::new(value), lock: PhantomData }
    }

    /// The value, as long as the lock is held.
    pub fn as_ref<'a>(&'a self, _guard: &'a GlobalGuard<B>) -> &'a T {
        // SAFETY: The lock is held, and its guard is borrowed.
        self.value.with(|value| unsafe { &*value })
    }

    /// The value, as long as the lock is held, to change it.
    pub fn as_mut<'a>(&'a self, _guard: &'a mut GlobalGuard<B>) -> &'a mut T {
        // SAFETY: The lock is held, and its guard is borrowed by nobody else.
        self.value.with_mut(|value| unsafe { &mut *value })
    }
}

/// Defines a global lock.
#[macro_export]
macro_rules! global_lock {
    (unsafe(uninit) static $name:ident: Mutex<$item:ty> = $initial:expr;) => {
        #[expect(non_camel_case_types, reason = "a type beside the static of that name")]
        enum $name {}

        impl $crate::sync::global::GlobalLockBackend for $name {
            type Item = $item;

            fn initial() -> $item {
                $initial
            }
        }

        static $name: $crate::sync::global::GlobalLock<$name> =
            $crate::sync::global::GlobalLock::new();
    };
}
