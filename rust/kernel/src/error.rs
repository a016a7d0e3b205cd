// SPDX-License-Identifier: GPL-2.0

//! Error numbers.

use std::{convert::Infallible, num::NonZeroI32};

use crate::{ffi::c_int, memory::AllocError};

/// A negative error number of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error(NonZeroI32);

/// A result whose error is a number of the kernel.
pub type Result<T = (), E = Error> = core::result::Result<T, E>;

impl Error {
    /// The error of a negative number.
    pub fn from_errno(errno: c_int) -> Self {
        assert!((-4095..0).contains(&errno), "{errno} is no error");
        Self(NonZeroI32::new(errno).expect("it is negative"))
    }

    /// The negative number.
    pub fn to_errno(self) -> c_int {
        self.0.get()
    }
}

impl From<AllocError> for Error {
    fn from(_: AllocError) -> Self {
        code::ENOMEM
    }
}

impl From<Infallible> for Error {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// What a function of C returned, as a result.
pub fn to_result(ret: c_int) -> Result {
    if ret < 0 {
        Err(Error::from_errno(ret))
    } else {
        Ok(())
    }
}

/// The numbers by name.
pub mod code {
    use super::Error;

    macro_rules! codes {
        ($($name:ident = $number:literal, $what:literal;)*) => {$(
            #[doc = $what]
            pub const $name: Error = Error(core::num::NonZeroI32::new(-$number).unwrap());
        )*};
    }

    codes! {
        EPERM = 1, "Operation not permitted.";
        ENOENT = 2, "No such file or directory.";
        EINTR = 4, "Interrupted system call.";
        ENOEXEC = 8, "Exec format error.";
        ENOMEM = 12, "Out of memory.";
        EFAULT = 14, "Bad address.";
        EBUSY = 16, "Device or resource busy.";
        EEXIST = 17, "File exists.";
        ENODEV = 19, "No such device.";
        EINVAL = 22, "Invalid argument.";
        ETIMEDOUT = 110, "Connection timed out.";
        EINPROGRESS = 115, "Operation now in progress.";
        ERESTARTSYS = 512, "Restart the system call.";
    }
}
