// SPDX-License-Identifier: GPL-2.0

//! Random operations of the module loader, the same for the same seed.

use std::path::Path;

use anyhow::Result;
use fastrand::Rng;
use guest::module::{COMPRESSED_FILE, FORCE, NONBLOCK};

use crate::{
    call::{Call, Source},
    image::{self, Image, NAME_LEN},
    memory::Memory,
};

/// Those that are loaded most often come more than once.
const MODULES: [&str; 9] = [
    "test_module_gate",
    "test_module_gate",
    "test_module_load",
    "test_module_load",
    "test_module_load",
    "test_module_load2",
    "test_module_load2",
    "trial_notifier",
    "trial_stay",
];
/// Its image is of a size that the kernel always peeks at. Only whole: the peek answers for a live
/// module before it looks at the rest of the image.
const LARGE: &str = "burst_big";
/// One with the parameter `gated`.
const GATED: usize = 2;
/// So many bytes of parameters; all are ASCII.
const SHOWN: usize = 40;
/// No user space address.
const KERNEL_ADDRESS: usize = 0xffff_8880_0000_0000;

/// One system call and what to call it.
pub struct Operation {
    /// All choices that were made, in words.
    pub what: String,
    /// The call itself.
    pub call: Call,
}

/// An endless sequence.
pub struct Operations {
    rng: Rng,
    images: Vec<Image>,
}

impl Operations {
    /// Over the modules in `dir`.
    pub fn new(dir: &Path, seed: u64) -> Result<Self> {
        let names = MODULES.iter().chain([&LARGE]);
        let images = names.map(|name| Image::read(dir, name)).collect::<Result<_>>()?;
        Ok(Self { rng: Rng::with_seed(seed), images })
    }

    fn load(&mut self) -> Operation {
        let image =
            if self.rng.u8(..8) == 0 { self.images[MODULES.len()].clone() } else { self.image() };
        let Image { name, plain, xz, signed } = image;
        let params = self.params(&name);
        let shown = &params[..params.len().min(SHOWN)];
        let what = format!("{name} {shown:?} ({} bytes)", params.len());
        match self.rng.u8(..4) {
            0 => self.request(format!("{what} signed"), signed, None, Memory::text(&params)),
            _ => self.request(what, plain, Some(xz), Memory::text(&params)),
        }
    }

    /// Either system call, for an image that may be anything.
    fn request(
        &mut self,
        what: String,
        plain: Vec<u8>,
        xz: Option<Vec<u8>>,
        params: Memory,
    ) -> Operation {
        match (self.rng.u8(..3), xz) {
            (0, Some(xz)) => {
                let call = Call::Finit { file: Source::Bytes(xz), params, flags: COMPRESSED_FILE };
                Operation { what: format!("finit xz {what}"), call }
            }
            (1, _) => {
                let call = Call::Finit { file: Source::Bytes(plain), params, flags: 0 };
                Operation { what: format!("finit {what}"), call }
            }
            _ => {
                let call = Call::Init { image: Memory::Bytes(plain), params };
                Operation { what: format!("init {what}"), call }
            }
        }
    }

    /// An image that the kernel must refuse, or that is another than it seems. What its code
    /// depends on stays whole, unless the image is one of another kernel, too.
    fn broken(&mut self) -> Operation {
        let mut image = self.image();
        let mut params = "";
        let (what, xz_too) = match self.rng.u8(..12) {
            0..2 => (self.damage(&mut image), true),
            2..7 => (self.disguise(&mut image), false),
            7 => {
                // The kernel lets it through. It fails before it can be seen, where the name
                // would go on with what follows it in memory.
                params = "gated=maybe";
                (self.name_too_long(&mut image), false)
            }
            8..11 => (self.forge(&mut image), false),
            _ => {
                image.plain.clear();
                image.xz.clear();
                ("empty".to_owned(), true)
            }
        };
        let Image { name, plain, xz, .. } = image;
        let xz = xz_too.then_some(xz);
        self.request(format!("{name} {what}"), plain, xz, Memory::text(params))
    }

    /// Breaks it anywhere, compressed or not.
    fn damage(&mut self, image: &mut Image) -> String {
        if self.rng.bool() {
            self.truncate(&mut image.plain);
            self.truncate(&mut image.xz);
            return format!("truncated to {} or {}", image.plain.len(), image.xz.len());
        }
        image::break_vermagic(&mut image.plain);
        self.flip_anywhere(&mut image.plain);
        self.flip_anywhere(&mut image.xz);
        "flipped anywhere".to_owned()
    }

    /// Makes it say something else of itself.
    fn disguise(&mut self, Image { name, plain, .. }: &mut Image) -> String {
        match self.rng.u8(..5) {
            0 => self.spoil(plain, ".strtab"),
            1 => self.spoil(plain, ".modinfo"),
            2 => {
                image::break_vermagic(plain);
                "of another kernel".to_owned()
            }
            3 => {
                image::break_machine(plain);
                "of another machine".to_owned()
            }
            _ => {
                let new = MODULES[self.rng.usize(..MODULES.len())];
                image::rename(plain, name, new);
                format!("as {new}")
            }
        }
    }

    fn name_too_long(&mut self, image: &mut Image) -> String {
        *image = self.images[GATED].clone();
        image::rename(&mut image.plain, MODULES[GATED], &"n".repeat(NAME_LEN));
        "with a name too long".to_owned()
    }

    /// Gives it a signature that is not its own.
    fn forge(&mut self, image: &mut Image) -> String {
        match self.rng.u8(..3) {
            0 => {
                let content = 0..image.plain.len();
                image::flip(&mut image.signed, content, &mut self.rng);
                image.plain.clone_from(&image.signed);
                "flipped since it was signed".to_owned()
            }
            1 => {
                let other = self.image();
                image.plain.extend(other.signature());
                format!("with the signature of {}", other.name)
            }
            _ => {
                image.plain.extend(image::NO_SIGNATURE);
                "with a signature that is none".to_owned()
            }
        }
    }

    fn truncate(&mut self, image: &mut Vec<u8>) {
        image.truncate(self.rng.usize(..image.len()));
    }

    fn flip_anywhere(&mut self, image: &mut [u8]) {
        let all = 0..image.len();
        image::flip(image, all, &mut self.rng);
    }

    fn spoil(&mut self, image: &mut [u8], section: &str) -> String {
        if let Some(range) = image::section(image, section) {
            image::flip(image, range, &mut self.rng);
        }
        format!("flipped in {section}")
    }

    fn bad_arguments(&mut self) -> Operation {
        let Image { plain, xz, .. } = self.image();
        let none = Memory::text("");
        let (address, address_name) = self.address();
        let len =
            [0, 1, 64, plain.len(), usize::MAX, isize::MAX as usize, 1 << 40][self.rng.usize(..7)];
        let (what, call) = match self.rng.u8(..5) {
            0 => {
                let image = Memory::Address(address, len);
                (
                    format!("init of {len} bytes at {address_name}"),
                    Call::Init { image, params: none },
                )
            }
            1 => {
                let (image, params) = (Memory::Bytes(plain), Memory::Address(address, 0));
                (format!("init, parameters at {address_name}"), Call::Init { image, params })
            }
            2 => {
                let flags = self.rng.u32(..) >> self.rng.u32(..32);
                // What the kernel is told to ignore must be right.
                let file = Source::Bytes(if flags & COMPRESSED_FILE == 0 { plain } else { xz });
                (format!("finit with flags {flags:#x}"), Call::Finit { file, params: none, flags })
            }
            3 => {
                let (file, name) = self.no_module();
                (format!("finit of {name}"), Call::Finit { file, params: none, flags: 0 })
            }
            _ => {
                let name = Memory::Address(address, 0);
                (format!("delete, name at {address_name}"), Call::Delete { name, flags: NONBLOCK })
            }
        };
        Operation { what, call }
    }

    fn address(&mut self) -> (usize, &'static str) {
        let addresses = [(0, "0"), (8, "8"), (KERNEL_ADDRESS, "kernel"), (usize::MAX, "-1")];
        addresses[self.rng.usize(..addresses.len())]
    }

    fn no_module(&mut self) -> (Source, &'static str) {
        let sources = [
            (Source::Number(-1), "no file"),
            (Source::Number(9999), "a file that is not open"),
            (Source::Path("/proc"), "a folder"),
            (Source::Path("/dev/null"), "/dev/null"),
            (Source::Path("/proc/version"), "/proc/version"),
            (Source::Path("/bin/sh"), "/bin/sh"),
            (Source::Sink("/tmp/trial-sink"), "a file open for writing"),
        ];
        sources[self.rng.usize(..sources.len())].clone()
    }

    fn delete(&mut self) -> Operation {
        let name = match self.rng.u8(..20) {
            0 => String::new(),
            1 => "no_such_module".to_owned(),
            2 => "n".repeat(NAME_LEN - 1),
            3 => "n".repeat(NAME_LEN),
            4 => "n".repeat(5000),
            _ => self.images[self.rng.usize(..self.images.len())].name.clone(),
        };
        let flags = match self.rng.u8(..8) {
            0 => 0,
            1 => FORCE,
            2 => NONBLOCK | FORCE,
            3 => self.rng.u32(..),
            _ => NONBLOCK,
        };
        let what = format!("delete {:.60} with flags {flags:#x}", name);
        Operation { what, call: Call::Delete { name: Memory::text(&name), flags } }
    }

    fn gate(&mut self) -> Operation {
        let results =
            [0, 0, 0, 0, -libc::ENODEV, -libc::EEXIST, -libc::EBUSY, -libc::ENOMEM, 5, -4096];
        let result = results[self.rng.usize(..results.len())];
        Operation { what: format!("inits return {result}"), call: Call::Gate { result } }
    }

    /// One of [`MODULES`].
    fn image(&mut self) -> Image {
        self.images[self.rng.usize(..MODULES.len())].clone()
    }

    /// Good ones mostly. None closes the gate: the operations would wait for ever.
    fn params(&mut self, module: &str) -> String {
        const ANY: [&str; 12] = [
            "nosuch=1",
            "gated=maybe",
            "gated",
            "gated=0",
            "gated=1 gated=0",
            "result=x",
            "\"unbalanced",
            "a=\"b c\" d",
            "=",
            "-- gated=maybe",
            "async_probe dyndbg=+p",
            "hold_ms=1 hold_ms=0",
        ];
        match (self.rng.u8(..8), module) {
            (0, _) => ANY[self.rng.usize(..ANY.len())].to_owned(),
            (1, _) => format!("x={}", "y".repeat(self.rng.usize(..8192))),
            (2..5, "trial_notifier") => {
                format!("veto={}", MODULES[self.rng.usize(..MODULES.len())])
            }
            _ => String::new(),
        }
    }
}

impl Iterator for Operations {
    type Item = Operation;

    fn next(&mut self) -> Option<Operation> {
        Some(match self.rng.u8(..100) {
            0..32 => self.load(),
            32..56 => self.broken(),
            56..64 => self.bad_arguments(),
            64..70 => self.gate(),
            _ => self.delete(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operations(seed: u64) -> Vec<Operation> {
        let image = |name: &&str| Image {
            name: (*name).to_owned(),
            plain: vec![1; 99],
            xz: vec![2; 9],
            signed: vec![1; 109],
        };
        let images = MODULES.iter().chain([&LARGE]).map(image).collect();
        Operations { rng: Rng::with_seed(seed), images }.take(2000).collect()
    }

    fn same(a: &[Operation], b: &[Operation]) -> bool {
        a.iter().zip(b).all(|(a, b)| a.what == b.what && a.call == b.call)
    }

    #[test]
    fn a_seed_gives_one_sequence() {
        assert!(same(&operations(7), &operations(7)));
        assert!(!same(&operations(7), &operations(8)));
    }
}
