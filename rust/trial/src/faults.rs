// SPDX-License-Identifier: GPL-2.0

//! One allocation after the other fails, in every load: an error comes back, nothing leaks, and
//! the name can be loaded again.

use std::{
    collections::BTreeMap,
    fs::File,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::FileExt,
    },
    path::Path,
    thread::sleep,
    time::Duration,
};

use anyhow::{bail, ensure, Context, Result};
use guest::{
    errno::{self, Errno},
    module::{finit, init, COMPRESSED_FILE},
    process,
};
use nix::{
    sys::signal::Signal,
    unistd::{alarm, Pid},
};

use crate::{
    gate,
    image::Image,
    injection, kernel, leaks, memory,
    request::{self, End, Request},
};

const NAME: &str = "test_module_load";
/// A load has fewer allocations.
const MOST: u32 = 5000;
const PATIENCE: Duration = Duration::from_secs(60);
/// The gate opens when the waiter has slept for so many looks at it.
const LOOKS: u32 = 5;
const LOOK: Duration = Duration::from_millis(4);

/// Both sides, every way into the loader, init that succeeds and that fails.
pub fn run(dir: &Path) -> Result<()> {
    ensure!(
        injection::prepare()?,
        "this needs a kernel with fault injection: make faults builds one"
    );
    ensure!(leaks::can_scan(), "this needs a kernel with kmemleak: make faults builds one");
    request::catch(Signal::SIGALRM, true)?;
    gate::load(dir)?;
    let image = Image::read(dir, NAME)?;
    let ways = [
        ("init_module", Way::Init(image.plain.clone())),
        ("finit_module", Way::Finit(memory::file(&image.plain)?, 0)),
        ("finit_module xz", Way::Finit(memory::file(&image.xz)?, COMPRESSED_FILE)),
    ];
    let plain = Way::Init(image.plain);
    ways.iter().try_for_each(|(_, way)| works(way))?;
    leaks::forget_old()?;
    let mut faults = Faults {
        fail_nth: injection::open().context("fail-nth of this thread")?,
        plain,
        points: 0,
    };
    let before = leaks::Snapshot::take()?;
    for (name, way) in &ways {
        faults.owner(name, way, 0)?;
        faults.owner(name, way, libc::ENODEV)?;
        faults.waiter(name, way, 0)?;
        faults.waiter(name, way, libc::ENODEV)?;
    }
    let left = before.compare(&leaks::Snapshot::take()?)?;
    leaks::scan()?;
    println!("points={} {left}", faults.points);
    Ok(())
}

/// A way into the loader.
enum Way {
    Init(Vec<u8>),
    Finit(OwnedFd, u32),
}

impl Way {
    /// Whether a fault may come to this. The decompressor of Linux 7.3 says EINVAL, whatever the
    /// reason.
    fn fails_with(&self, errno: i32) -> bool {
        let compressed = matches!(self, Self::Finit(_, COMPRESSED_FILE));
        errno == libc::ENOMEM || (compressed && errno == libc::EINVAL)
    }

    /// Ends with EINTR if it sleeps for ever.
    fn call(&self) -> Result<(), Errno> {
        alarm::set(PATIENCE.as_secs() as u32);
        let result = match self {
            Self::Init(image) => init(&**image, c""),
            Self::Finit(file, flags) => finit(file.as_raw_fd(), c"", *flags),
        };
        alarm::cancel();
        result
    }
}

struct Faults {
    fail_nth: File,
    /// A load that meets no fault.
    plain: Way,
    points: u32,
}

impl Faults {
    /// The load itself meets the fault.
    fn owner(&mut self, name: &str, way: &Way, errno: i32) -> Result<()> {
        gate::program(-errno, 0)?;
        let what = format!("owner by {name}, init returns {errno}");
        let points = self.points;
        self.each(&what, way, (errno, errno), |faults, nth| {
            let outcome = faults.inject(nth, way)?;
            if outcome.0.is_ok() {
                gate::remove(NAME)?;
            }
            Ok(outcome)
        })?;
        ensure!(self.points > points, "{what}: no allocation failed");
        Ok(())
    }

    /// A load that waits for another meets the fault.
    fn waiter(&mut self, name: &str, way: &Way, errno: i32) -> Result<()> {
        gate::program(-errno, 0)?;
        let wanted = if errno == 0 { libc::EEXIST } else { libc::EBUSY };
        let what = format!("waiter by {name}, init returns {errno}");
        self.each(&what, way, (errno, wanted), |faults, nth| {
            gate::open(false)?;
            let mut owner = [Request::fork(NAME, &|| faults.plain.call())?];
            ensure!(process::until(PATIENCE, || Ok(gate::waiting()? > 0))?, "no init runs");
            let waiter = Pid::this();
            let mut opener = [Request::helper(&|| open_when_asleep(waiter))?];
            let outcome = faults.inject(nth, way)?;
            request::all_ended(&mut opener, PATIENCE, "openers of the gate")?;
            request::all_ended(&mut owner, PATIENCE, "owners")?;
            ensure!(owner[0].end == Some(End::Returned(errno)), "the owner: {:?}", owner[0].end);
            if errno == 0 {
                gate::remove(NAME)?;
            }
            Ok(outcome)
        })
    }

    /// Fails the first, the second, ... allocation, until there is none left to fail. Given what
    /// init returns, and what a load without a fault.
    fn each(
        &mut self,
        what: &str,
        way: &Way,
        (init, wanted): (i32, i32),
        attempt: impl Fn(&mut Self, u32) -> Result<(Result<(), Errno>, bool)>,
    ) -> Result<()> {
        let mut ends = BTreeMap::<i32, u32>::new();
        for nth in 1..MOST {
            let (result, injected) =
                attempt(self, nth).with_context(|| format!("{what}, {nth}"))?;
            let errno = errno::number(result);
            ensure!(
                errno == wanted || (injected && way.fails_with(errno)),
                "{what}, {nth}: {errno}"
            );
            works(&self.plain).with_context(|| format!("after {what}, {nth}"))?;
            gate::program(-init, 0)?;
            if !injected {
                let ends: Vec<String> =
                    ends.iter().map(|(e, n)| format!("{}={n}", errno::name(*e))).collect();
                println!("{what}: points={} {}", nth - 1, ends.join(" "));
                kernel::progress(&format!("{what}: {} points", nth - 1));
                self.points += nth - 1;
                return Ok(());
            }
            *ends.entry(errno).or_default() += 1;
        }
        bail!("{what}: more than {MOST} allocations")
    }

    /// Makes the call with its `nth` allocation failing; whether there was one.
    fn inject(&mut self, nth: u32, way: &Way) -> Result<(Result<(), Errno>, bool)> {
        injection::fail(&self.fail_nth, nth)?;
        let result = way.call();
        let mut left = [0; 16];
        let len = self.fail_nth.read_at(&mut left, 0)?;
        injection::fail(&self.fail_nth, 0)?;
        Ok((result, left[..len].trim_ascii() == b"0"))
    }
}

/// A waiter that meets a fault may not wait at all: then it sleeps for this process.
fn open_when_asleep(waiter: Pid) {
    let mut asleep = 0;
    while asleep < LOOKS {
        asleep = if process::state(waiter) == Some('S') { asleep + 1 } else { 0 };
        sleep(LOOK);
    }
    let _ = gate::open(true);
}

/// Nothing is loaded, and a load without a fault succeeds.
fn works(way: &Way) -> Result<()> {
    gate::is_alone()?;
    gate::program(0, 0)?;
    gate::open(true)?;
    way.call().context("no load without a fault")?;
    gate::remove(NAME)
}
