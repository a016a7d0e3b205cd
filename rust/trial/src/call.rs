// SPDX-License-Identifier: GPL-2.0

//! A system call of the module loader, with its arguments.

use std::{
    fs::{self, File},
    os::fd::{AsRawFd, OwnedFd},
};

use guest::{errno::Errno, gate, module};

use crate::memory::{self, Memory};

/// A system call with its arguments.
#[derive(PartialEq, Eq)]
pub enum Call {
    /// `init_module(2)`.
    Init { image: Memory, params: Memory },
    /// `finit_module(2)`.
    Finit { file: Source, params: Memory, flags: u32 },
    /// `delete_module(2)`.
    Delete { name: Memory, flags: u32 },
    /// What the inits of modules return from now on, if the gate is there.
    Gate { result: i32 },
}

/// What the file descriptor of a call is.
#[derive(Clone, PartialEq, Eq)]
pub enum Source {
    /// A file with these bytes.
    Bytes(Vec<u8>),
    /// This file, open for reading.
    Path(&'static str),
    /// This file, open for writing.
    Sink(&'static str),
    /// No file.
    Number(i32),
}

impl Call {
    /// Does it.
    pub fn issue(&self) -> Result<(), Errno> {
        match self {
            Self::Init { image, params } => module::init(image, params),
            Self::Finit { file, params, flags } => {
                let open = file.open()?;
                let number = open.as_ref().map_or_else(|n| *n, AsRawFd::as_raw_fd);
                module::finit(number, params, *flags)
            }
            Self::Delete { name, flags } => module::delete(name, *flags),
            Self::Gate { result } => Ok(fs::write(gate::parameter("result"), result.to_string())?),
        }
    }
}

impl Source {
    fn open(&self) -> Result<Result<OwnedFd, i32>, Errno> {
        Ok(match self {
            Self::Bytes(bytes) => Ok(memory::file(bytes)?),
            Self::Path(path) => Ok(File::open(path)?.into()),
            Self::Sink(path) => Ok(File::create(path)?.into()),
            Self::Number(number) => Err(*number),
        })
    }
}
