// SPDX-License-Identifier: GPL-2.0
//! The series on each architecture: its KUnit suites and its kselftest in one boot
//! from an initramfs, and a table of all.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{anyhow, bail, Result};

use crate::guests::supervise::{self, Boot};
use crate::guests::verdict::{self, FAILED};
use crate::guests::{qemu, systemd};
use crate::kernels::{build::Kernel, configs, matrix};
use crate::results::kselftest::{self, Tally};
use crate::results::kunit;
use crate::series::tree::Tree;
use crate::system::ui::{self, Step};
use crate::system::{project::Project, rootfs};

const LIMIT: Duration = Duration::from_secs(600);

/// How an architecture did.
pub struct Row {
    kernel: String,
    built: Duration,
    pub up: Duration,
    pub kunit: Tally,
    pub selftest: Tally,
    pub surprises: Vec<String>,
    log: String,
}

impl Row {
    pub fn tally(&self) -> Tally {
        self.kunit + self.selftest
    }
}

/// The kernels that boot from an initramfs: the test of the series' option.
pub fn tested(kernels: &BTreeMap<String, Kernel>) -> impl Iterator<Item = &Kernel> {
    kernels.values().filter(|kernel| matrix::has_initramfs(&kernel.name))
}

/// Boots the kernel from its initramfs, or with the systemd of its row, and counts its tests.
pub fn boot(project: &Project, tree: &Tree, kernel: &Kernel) -> Result<Row> {
    let root = configs::systemd(&kernel.name).map(|suite| rootfs::archive(project, &suite)).transpose()?;
    project.ui.step(&format!("boot {}", kernel.full_name()), |step| {
        let mut command = match &root {
            Some(root) => systemd::command(step, kernel, root)?,
            None => qemu::command(kernel),
        };
        supervise::save_command(project, step, &qemu::quoted(&command)?)?;
        let guest = format!("kselftest {}", kernel.name);
        let boot = supervise::run(step, &mut command, &guest, LIMIT)?;
        let row = judge(step, tree, kernel, boot)?;
        step.note(row.tally().to_string());
        Ok(row)
    })
}

fn judge(step: &mut Step, tree: &Tree, kernel: &Kernel, boot: Boot) -> Result<Row> {
    let Boot { verdict, log, took } = boot;
    // A test that failed makes the guest fail; the tests say which.
    if !verdict.is_clean() && verdict.what != FAILED {
        bail!("{verdict}");
    }
    if let Some(part) = configs::missing_in_log(&kernel.name, &log) {
        bail!("the guest does not log {part:?}, as ci/configs.toml wants it");
    }
    let (booting, running) = verdict::halves(&log).ok_or_else(|| anyhow!("the log has no marker"))?;
    let (kunit, mut surprises) = kunit::read(step, &tree.dir, &booting, &kernel.stage)?;
    let (selftest, more) = kselftest::judge(&running, kernel, false)?;
    if !verdict.is_clean() && selftest.failed == 0 {
        bail!("the selftest passed and ended with {}", verdict.line);
    }
    surprises.extend(more);
    for line in &surprises {
        step.write(&format!("{line}\n"))?;
    }
    Ok(Row {
        kernel: kernel.full_name(),
        built: kernel.took,
        up: took,
        kunit,
        selftest,
        surprises,
        log: step.log_name.clone(),
    })
}

pub fn table(rows: &[Row]) -> String {
    let mut table = ui::table(["kernel", "build s", "boot s", "passed", "failed", "skipped", "log"]);
    for row in rows {
        let Tally { passed, failed, skipped } = row.tally();
        table.add_row([
            row.kernel.clone(),
            format!("{:.0}", row.built.as_secs_f64()),
            format!("{:.1}", row.up.as_secs_f64()),
            format!("{passed} ({} KUnit, {} kselftest)", row.kunit.passed, row.selftest.passed),
            failed.to_string(),
            skipped.to_string(),
            row.log.clone(),
        ]);
    }
    ui::align_right(&mut table, 1..=2);
    let notes =
        rows.iter().flat_map(|row| row.surprises.iter().map(move |s| format!("\n{}: {s}", row.kernel)));
    notes.fold(table.to_string(), |text, note| text + &note)
}
