// SPDX-License-Identifier: GPL-2.0

//! What each request of an episode of `soak` does.

use std::{
    os::fd::{AsRawFd, OwnedFd},
    path::Path,
};

use anyhow::Result;
use fastrand::Rng;
use guest::{
    errno::Errno,
    module::{finit, init, unload, COMPRESSED_FILE},
};
use nix::sys::signal::Signal;

use crate::{
    episode::{Episode, How, Load, MODULES},
    image::Image,
    injection, memory,
    pool::Ticket,
    request,
};

/// What the workers need.
pub struct Scene {
    pub images: Vec<Source>,
    /// Whether the kernel can make allocations fail.
    faults: bool,
}

/// A module. It is mapped, so that a fork copies none of its pages.
pub struct Source {
    pub name: &'static str,
    pub plain: &'static [u8],
    file: OwnedFd,
    xz: Vec<u8>,
}

impl Source {
    fn read(dir: &Path, name: &'static str) -> Result<Self> {
        let image = Image::read(dir, name)?;
        let file = memory::file(&image.plain)?;
        let plain = memory::map(&file, image.plain.len())?;
        Ok(Self { name, plain, file, xz: image.xz })
    }
}

impl Scene {
    /// Reads the modules from `dir`.
    pub fn read(dir: &Path) -> Result<Self> {
        let images = MODULES.iter().map(|(name, _)| Source::read(dir, name));
        Ok(Self { images: images.collect::<Result<_>>()?, faults: injection::prepare()? })
    }

    /// What follows from a seed.
    pub fn episode(&self, seed: u64) -> Episode {
        let mut episode = Episode::random(&mut Rng::with_seed(seed));
        if !self.faults {
            episode.loads.iter_mut().for_each(|load| load.fail_nth = None);
        }
        episode
    }

    /// Makes one request; runs in a worker.
    pub fn serve(&self, ticket: Ticket, wait: &mut dyn FnMut()) -> Result<(), Errno> {
        let (episode, index) = (self.episode(ticket.episode), ticket.index as usize);
        match episode.loads.get(index) {
            Some(load) => self.load(load, wait),
            None => {
                let (module, flags) = episode.removals[index - episode.loads.len()];
                wait();
                unload(MODULES[module].0, flags)
            }
        }
    }

    fn load(&self, load: &Load, wait: &mut dyn FnMut()) -> Result<(), Errno> {
        let source = &self.images[load.module];
        let params = if load.bad_params { c"gated=maybe" } else { c"" };
        let copy = match load.how {
            How::Copy => Some(memory::file(source.plain)?),
            How::Xz => Some(memory::file(&source.xz)?),
            How::Init | How::OneFile => None,
        };
        let file = copy.as_ref().unwrap_or(&source.file).as_raw_fd();
        let flags = if load.how == How::Xz { COMPRESSED_FILE } else { 0 };
        request::catch(Signal::SIGINT, load.catches)?;
        let faults = load.fail_nth.map(|_| injection::open()).transpose()?;
        let fail = |nth| faults.as_ref().map_or(Ok(()), |file| injection::fail(file, nth));
        wait();
        fail(load.fail_nth.unwrap_or_default())?;
        let result = match load.how {
            How::Init => init(source.plain, params),
            _ => finit(file, params, flags),
        };
        fail(0)?;
        result
    }
}
