// SPDX-License-Identifier: GPL-2.0

//! What other programs of the guest measure with, too.

pub mod vmalloc;
