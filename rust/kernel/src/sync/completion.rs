// SPDX-License-Identifier: GPL-2.0

//! Completion support.
//!
//! Reference: <https://docs.kernel.org/scheduler/completion.html>
//!
//! C header: [`include/linux/completion.h`](srctree/include/linux/completion.h)

use crate::{
    bindings,
    error::to_result,
    prelude::*,
    task::MAX_SCHEDULE_TIMEOUT,
    time::Jiffies,
    types::Opaque, //
};

/// Synchronization primitive to signal when a certain task has been completed.
///
/// The [`Completion`] synchronization primitive signals when a certain task has been completed by
/// waking up other tasks that have been queued up to wait for the [`Completion`] to be completed.
///
/// # Examples
///
/// ```
/// use kernel::sync::{Arc, Completion};
/// use kernel::workqueue::{self, impl_has_work, new_work, Work, WorkItem};
///
/// #[pin_data]
/// struct MyTask {
///     #[pin]
///     work: Work<MyTask>,
///     #[pin]
///     done: Completion,
/// }
///
/// impl_has_work! {
///     impl HasWork<Self> for MyTask { self.work }
/// }
///
/// impl MyTask {
///     fn new() -> Result<Arc<Self>> {
///         let this = Arc::pin_init(pin_init!(MyTask {
///             work <- new_work!("MyTask::work"),
///             done <- Completion::new(),
///         }), GFP_KERNEL)?;
///
///         let _ = workqueue::system().enqueue(this.clone());
///
///         Ok(this)
///     }
///
///     fn wait_for_completion(&self) {
///         self.done.wait_for_completion();
///
///         pr_info!("Completion: task complete\n");
///     }
/// }
///
/// impl WorkItem for MyTask {
///     type Pointer = Arc<MyTask>;
///
///     fn run(this: Arc<MyTask>) {
///         // process this task
///         this.done.complete_all();
///     }
/// }
///
/// let task = MyTask::new()?;
/// task.wait_for_completion();
/// # Ok::<(), Error>(())
/// ```
#[pin_data]
pub struct Completion {
    #[pin]
    inner: Opaque<bindings::completion>,
}

// SAFETY: `Completion` is safe to be send to any task.
unsafe impl Send for Completion {}

// SAFETY: `Completion` is safe to be accessed concurrently.
unsafe impl Sync for Completion {}

impl Completion {
    /// Create an initializer for a new [`Completion`].
    pub fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            inner <- Opaque::ffi_init(|slot: *mut bindings::completion| {
                // SAFETY: `slot` is a valid pointer to an uninitialized `struct completion`.
                unsafe { bindings::init_completion(slot) };
            }),
        })
    }

    fn as_raw(&self) -> *mut bindings::completion {
        self.inner.get()
    }

    /// Signal a single task waiting on this completion.
    ///
    /// This method wakes up one of the tasks waiting on this completion, in the order in which they
    /// came. If there is none, the next one to wait does not sleep. It may be called from any
    /// context but NMI.
    ///
    /// See also [`Completion::complete_all`], which disables interrupts until it has woken all.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::sync::Completion;
    /// use pin_init::stack_pin_init;
    ///
    /// stack_pin_init!(let ready = Completion::new());
    /// ready.complete();
    /// ready.wait_for_completion();
    /// ```
    #[inline]
    pub fn complete(&self) {
        // SAFETY: `self.as_raw()` is a pointer to a valid `struct completion`.
        unsafe { bindings::complete(self.as_raw()) };
    }

    /// Signal all tasks waiting on this completion.
    ///
    /// This method wakes up all tasks waiting on this completion; after this operation the
    /// completion is permanently done, i.e. signals all current and future waiters.
    #[inline]
    pub fn complete_all(&self) {
        // SAFETY: `self.as_raw()` is a pointer to a valid `struct completion`.
        unsafe { bindings::complete_all(self.as_raw()) };
    }

    /// Wait for completion of a task.
    ///
    /// This method waits for the completion of a task; it is not interruptible and there is no
    /// timeout.
    ///
    /// See also [`Completion::complete_all`].
    #[inline]
    pub fn wait_for_completion(&self) {
        // SAFETY: `self.as_raw()` is a pointer to a valid `struct completion`.
        unsafe { bindings::wait_for_completion(self.as_raw()) };
    }

    /// Wait for completion of a task, unless a signal arrives first.
    ///
    /// This method waits, without a timeout, until the task is completed or the current task has a
    /// signal pending. It may sleep, hence it must be called from process context and without any
    /// spinlock held.
    ///
    /// A completion that is already done, see [`Completion::complete_all`], wins over a pending
    /// signal.
    ///
    /// # Errors
    ///
    /// Returns [`ERESTARTSYS`] if a signal ended the wait. The task that is waited for is not
    /// affected: it may be waited for again.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::sync::Completion;
    /// use pin_init::stack_pin_init;
    ///
    /// fn wait_until_ready(ready: &Completion) -> Result {
    ///     // A system call passes `ERESTARTSYS` on, so that the signal is handled.
    ///     ready.wait_for_completion_interruptible()?;
    ///
    ///     pr_info!("Completion: ready\n");
    ///     Ok(())
    /// }
    ///
    /// stack_pin_init!(let ready = Completion::new());
    /// ready.complete_all();
    /// assert_eq!(wait_until_ready(&ready), Ok(()));
    /// ```
    #[inline]
    pub fn wait_for_completion_interruptible(&self) -> Result {
        // SAFETY: `self.as_raw()` is a pointer to a valid `struct completion`.
        to_result(unsafe { bindings::wait_for_completion_interruptible(self.as_raw()) })
    }

    /// Wait for completion of a task, unless a signal arrives or the time is up first.
    ///
    /// This method is [`Completion::wait_for_completion_interruptible`] with a time limit. A
    /// timeout of [`MAX_SCHEDULE_TIMEOUT`] or more means no timeout.
    ///
    /// Returns how much of `timeout` is left. If the task is completed already, this is `timeout`,
    /// but at least one jiffy.
    ///
    /// # Errors
    ///
    /// * [`ETIMEDOUT`] if the time was up first.
    /// * [`ERESTARTSYS`] if a signal ended the wait.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     sync::Completion,
    ///     time::msecs_to_jiffies, //
    /// };
    /// use pin_init::stack_pin_init;
    ///
    /// stack_pin_init!(let ready = Completion::new());
    /// let timeout = msecs_to_jiffies(10);
    /// assert_eq!(ready.wait_for_completion_interruptible_timeout(timeout), Err(ETIMEDOUT));
    ///
    /// ready.complete_all();
    /// assert_eq!(ready.wait_for_completion_interruptible_timeout(timeout), Ok(timeout));
    /// ```
    #[inline]
    pub fn wait_for_completion_interruptible_timeout(&self, timeout: Jiffies) -> Result<Jiffies> {
        let timeout = timeout.min(MAX_SCHEDULE_TIMEOUT as Jiffies);

        // SAFETY: `self.as_raw()` is a pointer to a valid `struct completion`.
        let left =
            unsafe { bindings::wait_for_completion_interruptible_timeout(self.as_raw(), timeout) };

        match left {
            0 => Err(ETIMEDOUT),
            ..0 => Err(Error::from_errno(left as c_int)),
            _ => Ok(left as Jiffies),
        }
    }
}
