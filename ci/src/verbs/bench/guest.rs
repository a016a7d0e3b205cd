// SPDX-License-Identifier: GPL-2.0
//! The measurements of one kernel, in one guest.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Deserializer, Value};

use crate::guests::vng::{self, Guest, CPUS, OUT};
use crate::kernels::build::Kernel;
use crate::results::bench::{
    plan::{Measurement, Plan},
    results::Results,
};
use crate::system::{project::Project, tools::Tools};

/// As `timeout` says that it was one.
const GAVE_UP: &str = "124";
const LIMIT: Duration = Duration::from_secs(4 * 3600);

/// Before the measurements: all modules into memory, where copies of them go, too.
const PREPARE: &str = "\
export PATH=$PWD:$PATH TMPDIR=/run/bench
bench=$PWD/bench/lib/modules/0.0.0
mkdir $TMPDIR && mount -t tmpfs -o size=90% none $TMPDIR || exit
cp *.ko $bench/*.ko $TMPDIR || exit
grep -E '^(chain|fan)_' $bench/modules.dep > $TMPDIR/names.dep && cd $TMPDIR || exit
insmod ./test_module_gate.ko || exit
";

/// For udev: compressed, so that modprobe of Debian 12 calls init_module().
const COLDPLUG: &str = "\
installed=/lib/modules/$(uname -r)
mkdir -p $installed && cp chain_*.ko fan_*.ko $installed || exit
xz --check=crc32 $installed/*.ko && depmod || exit
pidof systemd-udevd > /dev/null || /lib/systemd/systemd-udevd --daemon
";

/// `measure NUMBER ROW TIMES KEY COMMAND...`: a command that is given up ends its row.
const FUNCTION: &str = "\
read began rest < /proc/uptime
measure() {
	number=$1 row=$2 times=$3 key=$4; shift 4
	[ \"$row\" != \"$slow\" ] || { echo 124 > $out/$number.code; return; }
	read now rest < /proc/uptime
	left=$(((${now%.*} - ${began%.*}) * (all - number) / (number + 1) / 60))
	echo \"ci: progress: $number of $all, $left minutes left, $key\" > /dev/kmsg
	code=0
	for time in $(seq $times); do timeout $limit \"$@\" || { code=$?; break; }; done > $out/$number.json
	echo $code > $out/$number.code
	case $code in 0) ;; 124) slow=$row ;; *) echo \"$key failed\"; exit 1 ;; esac
}
";

/// Boots the kernel and adds what is measured; `list` is all exact or all not.
pub fn run(
    (project, tools): (&Project, &Tools),
    plan: &Plan,
    (kernel, label): (&Kernel, &str),
    list: &[&Measurement],
    results: &mut Results,
) -> Result<()> {
    let exact = list.iter().any(|m| m.exact);
    let what = if exact { "count" } else { "measure" };
    let out = project.root.join(format!("build/results/bench-{what}-{label}"));
    let guest = Guest {
        name: format!("bench {label}"),
        kernel,
        cpus: if exact { 1 } else { CPUS },
        script: script(plan, list),
        limit: LIMIT,
        out,
        options: if exact { vng::exact() } else { vec![] },
    };
    project.ui.step(&format!("{what} {label}"), |step| {
        vng::run_clean(project, tools, step, &guest)?;
        for (number, measurement) in list.iter().enumerate() {
            match read(&guest.out, number)? {
                Some(objects) => objects.into_iter().for_each(|o| results.add(label, &measurement.key, o)),
                None => results.gave_up(label, &measurement.key),
            }
        }
        Ok(())
    })
}

fn script(plan: &Plan, list: &[&Measurement]) -> String {
    let mut script = format!("out={OUT} all={} limit={}\n{PREPARE}", list.len(), plan.limit_s);
    if list.iter().any(|m| m.command.starts_with("cost coldplug")) {
        script += COLDPLUG;
    }
    script += FUNCTION;
    for (number, Measurement { key, row, command, times, .. }) in list.iter().enumerate() {
        // The programs of the project, each with the option that makes it print JSON.
        let command = command.replacen("burst ", "burst --json ", 1);
        script += &format!("measure {number} {row} {times} '{key}' {command}\n");
    }
    script
}

/// The objects that a command printed, one each time; nothing if it was given up.
fn read(out: &Path, number: usize) -> Result<Option<Vec<Value>>> {
    let code = fs::read_to_string(out.join(format!("{number}.code"))).context("a command left no result")?;
    if code.trim() == GAVE_UP {
        return Ok(None);
    }
    let text = fs::read_to_string(out.join(format!("{number}.json")))?;
    let objects: serde_json::Result<Vec<Value>> = Deserializer::from_str(&text).into_iter().collect();
    Ok(Some(objects.with_context(|| format!("not JSON: {text}"))?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::bench::plan::plan;
    use crate::system::child;

    /// Runs the script here, without what prepares a guest; whether it succeeds.
    fn succeeds(out: &Path, limit: &str, list: &[Measurement]) -> bool {
        let list: Vec<&Measurement> = list.iter().collect();
        let script = script(&plan(), &list).replace(PREPARE, "").replace(OUT, &out.to_string_lossy());
        let script = script.replace("/dev/kmsg", "/dev/null");
        let script = script.replace(&format!("limit={}", plan().limit_s), &format!("limit={limit}"));
        child::succeeds(child::command("sh").args(["-c", &script])).unwrap()
    }

    #[test]
    fn what_takes_too_long_ends_its_row_and_the_rest_is_done_each_time() {
        let dir = tempfile::tempdir().unwrap();
        let list = ["sleep 5", "true", "echo 1"].map(|command| Measurement {
            key: command.to_owned(),
            row: usize::from(command == "echo 1"),
            command: command.to_owned(),
            times: 2,
            exact: false,
        });
        assert!(succeeds(dir.path(), "0.2", &list));
        assert!(read(dir.path(), 0).unwrap().is_none());
        assert!(read(dir.path(), 1).unwrap().is_none());
        assert_eq!(read(dir.path(), 2).unwrap(), Some(vec![Value::from(1); 2]));
    }

    #[test]
    fn a_command_that_fails_ends_all() {
        let dir = tempfile::tempdir().unwrap();
        for command in ["true", "false"] {
            let (key, command) = (command.to_owned(), command.to_owned());
            let list = [Measurement { key, row: 0, command, times: 1, exact: false }];
            assert_eq!(succeeds(dir.path(), "60", &list), list[0].key == "true");
        }
    }
}
