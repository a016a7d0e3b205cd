// SPDX-License-Identifier: GPL-2.0
//! The data files beside this crate.

/// A data file of this crate; it is part of the program, so a mistake in it is ours.
macro_rules! data {
    ($name:literal) => {
        toml::from_str(include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/", $name)))
            .unwrap_or_else(|error| panic!("ci/{}: {error}", $name))
    };
}
pub(crate) use data;
