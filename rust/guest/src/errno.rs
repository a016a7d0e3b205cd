// SPDX-License-Identifier: GPL-2.0

//! Results of system calls.

use std::{error::Error, fmt, io};

use nix::errno;

/// What a system call failed with, as it comes: the kernel may return a number that no program
/// should see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub i32);

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match errno::Errno::from_raw(self.0) {
            errno::Errno::UnknownErrno => write!(f, "errno {}", self.0),
            known => write!(f, "{known:?}"),
        }
    }
}

impl Error for Errno {}

impl From<errno::Errno> for Errno {
    fn from(errno: errno::Errno) -> Self {
        Self(errno as i32)
    }
}

impl From<io::Error> for Errno {
    fn from(error: io::Error) -> Self {
        Self(error.raw_os_error().unwrap_or(libc::EIO))
    }
}

/// The number of a result; 0 is success.
pub fn number(result: Result<(), Errno>) -> i32 {
    result.err().map_or(0, |errno| errno.0)
}

/// The name of a number; "0" is success.
pub fn name(number: i32) -> String {
    match number {
        0 => "0".to_owned(),
        errno => Errno(errno).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_has_a_name_of_its_own() {
        assert_eq!([0, 16, 513].map(name), ["0", "EBUSY", "errno 513"]);
        assert_eq!([Ok(()), Err(Errno(513))].map(number), [0, 513]);
    }
}
