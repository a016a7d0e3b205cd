// SPDX-License-Identifier: GPL-2.0

//! One burst from beginning to end.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{ensure, Context, Result};
use guest::{
    files,
    gate::{self, OPEN},
    module::name_of,
    report::{Burst, Detailed},
    vmalloc::Peak,
};
use nix::{errno::Errno, unistd::Uid};

use crate::{
    cli::Args,
    crew::Crew,
    report,
    request::{Request, State},
    undo::{Gate, Unloaded},
};

const TRACING: &str = "/sys/kernel/tracing/tracing_on";
const SAMPLING: Duration = Duration::from_millis(2);
/// Once in so many samples.
const CHECKED: u32 = 50;

/// Runs the burst. Whatever happens, nothing of it is left in the system.
pub fn run(args: &Args) -> Result<Detailed> {
    args.check()?;
    ensure!(Uid::effective().is_root(), "loading modules needs root: run it as root");
    let request = Request::new(args)?;
    let mut gate = set_gate(args)?;
    let module = Unloaded::absent(&name_of(&args.file)?)?;
    if args.live {
        module.load(&args.file)?;
    }

    let mut crew = Crew::fork(args.requests, &request)?;
    overtake_the_requests()?;
    watch(&mut crew, State::Ready, |_| Ok(()))?;

    let runs_before = gate.is_some().then(gate::runs).transpose()?;
    let mut closed = args.gated;
    if let Some(gate) = gate.as_mut().filter(|_| closed) {
        gate.set(gate::parameter(OPEN), 'N')?;
    }
    let mut peak = Peak::start()?;
    let released_ns = crew.release()?;
    watch(&mut crew, State::Done, |crew| {
        peak.sample()?;
        if closed && crew.all_settled() {
            gate::open(true)?;
            closed = false;
        }
        Ok(())
    })?;
    if args.tracing_off {
        files::write(TRACING, "0")?;
    }
    let runs_after = gate.is_some().then(gate::runs).transpose()?;

    let runs = runs_after.zip(runs_before).map(|(after, before)| after - before);
    let seen = report::of(released_ns, &crew.outcomes());
    Ok(Detailed {
        burst: Burst { runs, peak_vmalloc_kib: peak.kib(), ..seen.burst },
        copied_bytes: crew.copied_bytes(request.image()),
        image_bytes: request.image_bytes,
        syscall: format!("{:?}", args.syscall).to_lowercase(),
        copies: args.copies,
        live: args.live,
        ..seen
    })
}

fn set_gate(args: &Args) -> Result<Option<Gate>> {
    let mut gate = Gate::find(args.gate.as_deref())?;
    if args.wants_gate() {
        let gate = gate
            .as_mut()
            .context("test_module_gate is not loaded: give --gate PATH of test_module_gate.ko")?;
        if let Some(result) = args.result {
            gate.set(gate::parameter("result"), result)?;
        }
        if let Some(hold_ms) = args.hold_ms {
            gate.set(gate::parameter("hold_ms"), hold_ms)?;
        }
    }
    Ok(gate)
}

/// Calls `each_time` regularly until all requests have reached `state`.
///
/// This process goes before the requests, and a look at thousands of them takes its time. So they
/// get at least as long until the next look.
fn watch(
    crew: &mut Crew,
    state: State,
    mut each_time: impl FnMut(&mut Crew) -> Result<()>,
) -> Result<()> {
    for sample in 0_u32.. {
        if crew.all(state) {
            break;
        }
        let look = Instant::now();
        each_time(crew)?;
        // It looks at each request.
        if sample % CHECKED == 0 {
            crew.check()?;
        }
        sleep(SAMPLING.max(look.elapsed()));
    }
    Ok(())
}

/// Makes this process run whenever it wants to, however many requests are busy.
fn overtake_the_requests() -> Result<()> {
    let lowest = libc::sched_param { sched_priority: 1 };
    // SAFETY: `lowest` is valid for the duration of the call.
    let result = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &lowest) };
    Errno::result(result).context("no real-time priority for the measuring process")?;
    Ok(())
}
