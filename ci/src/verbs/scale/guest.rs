// SPDX-License-Identifier: GPL-2.0
//! One guest: a kernel with a Debian's user space in memory. It measures udev's coldplug of
//! the CPUs, and the burst.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{bail, Context, Result};
use serde_json::{json, Map, Value};

use crate::guests::{qemu, supervise, verdict::PROGRESS};
use crate::kernels::build::{stage, Kernel};
use crate::kernels::initramfs::{DONE, UP};
use crate::results::scale::plan::{self, Guest, Plan};
use crate::results::storm;
use crate::system::{files, project::Project, rootfs, ui::Step};

/// Programs of the guest. They are linked statically, because its libraries are not the host's.
const PROGRAMS: [&str; 2] = ["burst", "cost"];
const TARGET: &str = "x86_64-unknown-linux-gnu";
/// Modules of the burst.
const MODULES: [&str; 2] = ["test_module_gate.ko", "burst_big.ko"];
/// The mount tag of the folder for results, which the guest mounts at /results.
const RESULTS: &str = "results";

/// `{SCRIPT}` is what it measures, in the folder for results.
const INIT: &str = "\
#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0
/bin/busybox --install -s /usr/local/bin
# Its modprobe is not the one to be measured.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bin
mkdir -p /proc /sys /dev /run /tmp /results
for kind in proc:/proc sysfs:/sys devtmpfs:/dev tmpfs:/run tmpfs:/tmp tracefs:/sys/kernel/tracing; do
	mount -t ${kind%:*} none /${kind#*:}
done
mount -t 9p -o trans=virtio,version=9p2000.L results /results
echo '{UP}' > /dev/kmsg
( cd /results || exit
{SCRIPT}) > /results/output 2>&1
echo \"{DONE}$?\" > /dev/kmsg
poweroff -f
";

/// The kernel has registered the CPUs before udev starts, so udev has seen no event of them. A write
/// to /proc/profile resets it. `{FIRST}` comes from scale.toml.
const COLDPLUG: &str = "\
udevd=/usr/lib/systemd/systemd-udevd
[ -x $udevd ] || udevd=/lib/systemd/systemd-udevd
$udevd --daemon || exit
sh /record.sh start || exit
echo > /proc/profile
{FIRST}
cost coldplug > coldplug.json || exit
cat /proc/profile > profile || exit
sh /record.sh stop > trace || exit
";

/// Before the burst, and after it.
const CLOCK: &str = "cat /proc/uptime >> /results/uptime\n";

/// What all guests of a kernel share.
pub struct Parts<'a> {
    pub plan: &'a Plan,
    pub kernel: &'a Kernel,
    /// Its name among the results.
    pub label: &'a str,
    /// The folder with programs.
    pub programs: &'a Path,
}

/// Builds the programs; the folder that they are in.
pub fn programs(project: &Project) -> Result<PathBuf> {
    let target = project.root.join("rust/target");
    project.ui.step("build the guest's programs", |step| {
        let mut cargo = project.cargo("rust", &["build", "--release", "--locked", "--target", TARGET]);
        cargo.arg("--target-dir").arg(&target);
        cargo.args(PROGRAMS.map(|name| format!("-p={name}")));
        step.run(cargo.env("RUSTFLAGS", "-C target-feature=+crt-static")).map(drop)
    })?;
    Ok(target.join(TARGET).join("release"))
}

/// What was measured: the coldplug, and the burst if it was.
pub struct Measured {
    pub coldplug: Value,
    pub burst: Option<Value>,
}

/// Boots and measures.
pub fn run(
    project: &Project,
    parts: &Parts,
    (name, guest, archive): (&str, &Guest, &Path),
    cpus: u32,
) -> Result<Measured> {
    let out = project.root.join(format!("build/results/scale-{name}-{cpus}-{}", parts.label));
    files::empty(&out)?;
    project.ui.step(&format!("{}, {}", plan::key(&guest.key, cpus), parts.label), |step| {
        let init = init(&script(parts.plan, (name, guest), cpus));
        let initrd = out.join("initrd");
        rootfs::join(&initrd, &[archive, &ours(project, step, parts, &out, &init)?])?;
        let mut command = command(parts, guest, (&initrd, &out), cpus);
        supervise::save_command(project, step, &qemu::quoted(&command)?)?;
        let limit = Duration::from_secs(parts.plan.limit_s);
        let verdict = supervise::run(step, &mut command, &format!("scale {}", parts.label), limit)?.verdict;
        fs::remove_file(&initrd)?;
        verdict.fail_unless_clean(&out)?;
        let requests = storm::json(project, step, &out.join("trace"))?;
        let coldplug = merged(&read(&out.join("coldplug.json"))?, &requests)?;
        step.note(format!("{} requests, {} ms", coldplug["requests"], coldplug["wall_ms"]));
        let burst = (name == parts.plan.burst.guest).then(|| burst(&out)).transpose()?;
        Ok(Measured { coldplug, burst })
    })
}

fn script(plan: &Plan, (name, guest): (&str, &Guest), cpus: u32) -> String {
    let mut script = COLDPLUG.replace("{FIRST}", &guest.first);
    if name == plan.burst.guest {
        let command = plan.burst.command.replacen("burst ", &format!("burst --requests={cpus} "), 1);
        script += &format!("echo '{PROGRESS}burst' > /dev/kmsg\ncd /\n{CLOCK}");
        script += &format!("{command} > /results/burst.json || exit\n{CLOCK}");
    }
    script
}

fn init(script: &str) -> String {
    INIT.replace("{UP}", UP).replace("{DONE}", DONE).replace("{SCRIPT}", script)
}

/// The archive of what is not Debian's.
fn ours(project: &Project, step: &mut Step, parts: &Parts, out: &Path, init: &str) -> Result<PathBuf> {
    let Parts { kernel, programs, .. } = parts;
    let folder = tempfile::tempdir_in(out)?;
    let (root, archive) = (folder.path(), out.join("ours"));
    let bin = root.join("usr/local/bin");
    fs::create_dir_all(&bin)?;
    PROGRAMS.iter().try_for_each(|name| stage::copy_to(&bin, &programs.join(name)).map(drop))?;
    stage::copy_to(root, &project.root.join("rust/storm/record.sh"))?;
    MODULES.iter().try_for_each(|name| stage::copy_to(root, &kernel.stage.join(name)).map(drop))?;
    files::write_script(&root.join("init"), init)?;
    rootfs::add_modules(step, &kernel.stage, root)?;
    rootfs::pack(step, root, &archive)?;
    Ok(archive)
}

fn command(parts: &Parts, guest: &Guest, (initrd, out): (&Path, &Path), cpus: u32) -> Command {
    let Parts { plan, kernel, .. } = parts;
    let (smp, memory) = (cpus.to_string(), format!("{}M", plan.memory_mib(cpus)));
    let mut parameters = "rdinit=/init profile=2".to_owned();
    let mut options: Vec<&str> = plan.qemu.iter().map(String::as_str).chain(["-smp", &smp]).collect();
    if guest.counted {
        options.extend(qemu::COUNTED);
        parameters += &format!(" {}", plan.counted_parameters);
    }
    let mut qemu = qemu::machine(kernel, initrd, (&options, &memory), &parameters);
    let out = out.display();
    qemu.arg("-virtfs").arg(format!("local,path={out},mount_tag={RESULTS},security_model=none"));
    qemu
}

fn read(path: &Path) -> Result<Value> {
    let text = fs::read_to_string(path).with_context(|| format!("no result in {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("not JSON: {text}"))
}

/// What burst prints, and the guest's time that it took in all.
fn burst(out: &Path) -> Result<Value> {
    let uptime = fs::read_to_string(out.join("uptime")).context("the guest has left no uptime")?;
    let mut all = Map::new();
    all.insert("work_ms".to_owned(), json!(between(&uptime).context("the guest's uptime is no time")?));
    flatten("", &read(&out.join("burst.json"))?, &mut all);
    Ok(Value::Object(all))
}

/// From the first of two lines of /proc/uptime to the second, in ms.
fn between(uptime: &str) -> Option<f64> {
    let mut times = uptime.lines().map(|line| line.split(' ').next()?.parse::<f64>().ok());
    let (before, after) = (times.next()??, times.next()??);
    Some(((after - before) * 1000.0).round())
}

/// What cost has measured, and what the trace says of all requests and of each module.
fn merged(cost: &Value, requests: &Value) -> Result<Value> {
    for field in ["lost", "partial"] {
        if requests[field] != json!(0) {
            bail!("the trace is not whole: {field} is {}", requests[field]);
        }
    }
    let mut all = Map::new();
    flatten("", cost, &mut all);
    flatten("", &requests["all"], &mut all);
    for (name, of_module) in requests["modules"].as_object().context("the trace has no modules")? {
        // The kernel has not read the name of a request that was merged by inode.
        flatten(if name.is_empty() { NAMELESS } else { name }, of_module, &mut all);
    }
    Ok(Value::Object(all))
}

/// Instead of the name of a module that is not known.
const NAMELESS: &str = "?";

/// Flattens nested objects. A field gets the names of its parents as a prefix: `results.EBUSY`.
fn flatten(name: &str, value: &Value, all: &mut Map<String, Value>) {
    match value {
        Value::Object(fields) if name.is_empty() => {
            fields.iter().for_each(|(field, value)| flatten(field, value, all));
        }
        Value::Object(fields) => {
            fields.iter().for_each(|(field, value)| flatten(&format!("{name}.{field}"), value, all));
        }
        value => drop(all.insert(name.to_owned(), value.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::child;

    #[test]
    fn the_scripts_are_such_for_a_shell() {
        let plan = plan::plan();
        for (name, guest) in &plan.guests {
            let init = init(&script(&plan, (name, guest), 64));
            let first = &guest.first;
            assert!(child::succeeds(child::command("sh").args(["-n", "-c", &init])).unwrap(), "{init}");
            assert!(!init.contains("{SCRIPT}") && init.contains(UP) && init.contains(first), "{init}");
            assert_eq!(init.contains("burst --requests=64 --json"), *name == plan.burst.guest, "{init}");
        }
    }

    #[test]
    fn a_modules_numbers_have_its_name_before_them() {
        let requests = json!({
            "lost": 0, "partial": 0, "all": { "requests": 3, "results": { "0": 1 } },
            "modules": { "": { "requests": 1 }, "a": { "requests": 2, "results": { "EBUSY": 1 } } },
        });
        let all = merged(&json!({ "wall_ms": 1.5 }), &requests).unwrap();
        let wanted = json!({
            "wall_ms": 1.5, "requests": 3, "results.0": 1, "?.requests": 1, "a.requests": 2,
            "a.results.EBUSY": 1,
        });
        assert_eq!(all, wanted);
    }

    #[test]
    fn the_clock_is_read_twice() {
        assert_eq!(between("12.34 99.00\n15.67 120.00\n"), Some(3330.0));
        assert_eq!(between("12.34 99.00\n"), None);
    }

    #[test]
    fn a_trace_with_holes_is_refused() {
        for (field, count) in [("lost", 1), ("partial", 2)] {
            let mut requests = json!({ "lost": 0, "partial": 0, "all": {}, "modules": {} });
            requests[field] = json!(count);
            let error = merged(&json!({}), &requests).unwrap_err().to_string();
            assert!(error.contains(field), "{error}");
        }
    }
}
