// SPDX-License-Identifier: GPL-2.0
//! Guests with the user space of a Debian: systemd is process 1, udev loads the drivers, and then a
//! service runs the kselftest of the series.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::guests::qemu;
use crate::kernels::build::Kernel;
use crate::kernels::initramfs::{ARCHIVE, DONE, UP};
use crate::system::{rootfs, ui::Step};

const SERVICE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/guest/selftest.service"));
const SCRIPT: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/guest/selftest.sh"));

/// A server's model: udev asks for nine drivers for each CPU. One thread runs all of them in turn,
/// as for `make scale`.
const MACHINE: [&str; 6] = ["-cpu", "Skylake-Server", "-smp", "8", "-accel", "tcg,thread=single"];
/// Of it, the root file system takes some 100 MB.
const MEMORY: &str = "2G";

/// Nobody logs in, and what an installation would have made is there or is not needed.
const PARAMETERS: &str = "rdinit=/lib/systemd/systemd systemd.unit=multi-user.target \
	systemd.show_status=no systemd.firstboot=no systemd.mask=getty.target \
	systemd.mask=ldconfig.service systemd.mask=systemd-hwdb-update.service";

/// What starts the guest. `root` is the archive of a Debian.
pub fn command(step: &mut Step, kernel: &Kernel, root: &Path) -> Result<Command> {
    let initrd = kernel.stage.join("systemd.cpio");
    // The initramfs of every guest has the selftest and its modules.
    rootfs::join(&initrd, &[root, &kernel.stage.join(ARCHIVE), &ours(step, kernel)?])?;
    let parameters = format!("{} {PARAMETERS}", qemu::TESTS);
    Ok(qemu::machine(kernel, &initrd, (&MACHINE, MEMORY), &parameters))
}

/// The archive of what is not Debian's.
fn ours(step: &mut Step, kernel: &Kernel) -> Result<PathBuf> {
    let folder = tempfile::tempdir_in(&kernel.stage)?;
    let (root, archive) = (folder.path(), kernel.stage.join("systemd-ours.cpio"));
    write(root)?;
    rootfs::add_modules(step, &kernel.stage, root)?;
    rootfs::pack(step, root, &archive)?;
    Ok(archive)
}

/// The service, and what an installation would have made.
fn write(root: &Path) -> Result<()> {
    let units = root.join("etc/systemd/system");
    fs::create_dir_all(units.join("multi-user.target.wants"))?;
    fs::write(units.join("selftest.service"), SERVICE)?;
    symlink("../selftest.service", units.join("multi-user.target.wants/selftest.service"))?;
    fs::write(root.join("selftest.sh"), script())?;
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n")?;
    fs::write(root.join("etc/group"), "root:x:0:\n")?;
    fs::write(root.join("etc/machine-id"), "0123456789abcdef0123456789abcdef\n")?;
    Ok(())
}

fn script() -> String {
    SCRIPT.replace("{UP}", UP).replace("{DONE}", DONE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::child;

    #[test]
    fn the_script_is_one_for_a_shell() {
        let script = script();
        assert!(child::succeeds(child::command("sh").args(["-n", "-c", &script])).unwrap(), "{script}");
        assert!(script.contains(UP) && script.contains(DONE) && !script.contains("{UP}"), "{script}");
    }

    #[test]
    fn the_service_is_started_and_runs_the_script() {
        let root = tempfile::tempdir().unwrap();
        write(root.path()).unwrap();
        let link = root.path().join("etc/systemd/system/multi-user.target.wants/selftest.service");
        let unit = fs::read_to_string(link).unwrap();
        assert!(unit.contains("ExecStart=/bin/busybox sh /selftest.sh\n"), "{unit}");
        assert!(root.path().join("selftest.sh").exists());
    }

    #[test]
    fn process_1_is_systemd_on_a_server_with_several_cpus() {
        let kernel = Kernel::for_test("x86_64");
        let line =
            qemu::quoted(&qemu::machine(&kernel, Path::new("/a.cpio"), (&MACHINE, MEMORY), PARAMETERS));
        let line = line.unwrap();
        for part in ["-smp 8", "-initrd /a.cpio", "rdinit=/lib/systemd/systemd systemd.unit", "-m 2G"] {
            assert!(line.contains(part), "{part} is not in {line}");
        }
    }
}
