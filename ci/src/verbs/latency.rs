// SPDX-License-Identifier: GPL-2.0
//! The verb `latency`, on PREEMPT_RT: for how long interrupts or preemption are off at most while
//! the duplicates of a load are woken, in a guest with one CPU whose clock counts instructions; and
//! what it costs that they wait, in a guest with several.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{bail, ensure, Context, Result};
use guest::report::Detailed;
use serde::{Deserialize, Serialize};

use crate::guests::vng::{self, Guest, OUT};
use crate::kernels::build::{self, Kernel};
use crate::kernels::toolchain;
use crate::results::{numbers, readme};
use crate::system::{data::data, project::Project, tools::Tools, ui};

const LIMIT: Duration = Duration::from_secs(3600);
const NUMBERS: &str = "ci/latency.json";
const OPTION: [&str; 2] = ["off", "on"];

/// For each number of requests: the tracer begins when all wait, a second before the load ends, and
/// stops when all have returned.
const SCRIPT: &str = r#"
tracing=/sys/kernel/tracing
gate=/sys/module/test_module_gate/parameters
insmod ./test_module_gate.ko || exit
for requests in $all; do
	echo "ci: progress: $requests requests" > /dev/kmsg
	echo N > $gate/open_init
	./burst --json --gate test_module_gate.ko --requests "$requests" --result=-19 --gated --hold-ms 1000 \
		--tracing-off test_module_load.ko > "$out/$requests.json" &
	until [ "$(cat $gate/open_init)" = Y ]; do kill -0 $! && sleep 0.01 || exit; done
	echo preemptirqsoff > $tracing/current_tracer && echo 0 > $tracing/tracing_max_latency || exit
	if [ "$(cat /sys/module/test_module_load/initstate)" != coming ]; then
		echo "the load ended before the tracer began"
		exit 1
	fi
	wait $! || exit
	cat $tracing/tracing_max_latency > "$out/$requests.us"
	cat $tracing/trace > "$out/$requests.trace"
	echo nop > $tracing/current_tracer
	echo 1 > $tracing/tracing_on
done
"#;

const WAIT: &str = "insmod ./test_module_gate.ko && ./burst --json --gate test_module_gate.ko --result=-19";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Plan {
    kernels: [String; 2],
    requests: Vec<u32>,
    most_off: u32,
    at_most: f64,
    wait: Wait,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wait {
    requests: u32,
    hold_ms: u32,
    at_most: f64,
}

/// The longest section of a burst.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
struct Longest {
    us: u64,
    /// The functions in which it began and ended.
    section: String,
}

#[derive(Serialize, Deserialize)]
struct Numbers {
    /// By number of requests: with the option off, unless these are too many, and on.
    longest: BTreeMap<u32, (Option<Longest>, Longest)>,
    /// With the option off, and on.
    wait: [Waited; 2],
}

/// What it cost all requests of a burst to wait.
#[derive(Serialize, Deserialize)]
struct Waited {
    cpu_ms: f64,
    sleeps: u64,
}

fn plan() -> Plan {
    data!("latency.toml")
}

pub fn run(project: &Project) -> Result<()> {
    let (tools, tree) = &toolchain::set_up(project)?;
    let plan = plan();
    let few: Vec<u32> = plan.requests.iter().copied().filter(|number| *number <= plan.most_off).collect();
    let (mut measured, mut waited) = (vec![], vec![]);
    for ((option, row), requests) in OPTION.iter().zip(&plan.kernels).zip([&few, &plan.requests]) {
        let kernel = build::row(project, tools, tree, row)?;
        measured.push(measure(project, tools, &kernel, option, requests)?);
        waited.push(wait(project, tools, &kernel, option, &plan.wait)?);
    }
    let [off, on] = <[Vec<Longest>; 2]>::try_from(measured).ok().context("two kernels")?;
    let off = off.into_iter().map(Some).chain(std::iter::repeat(None));
    let longest = plan.requests.iter().copied().zip(off.zip(on)).collect();
    let numbers = Numbers { longest, wait: waited.try_into().ok().context("two kernels")? };
    println!("{}\n{}", table(&numbers), wait_table(&numbers));
    if tree.is_published(project)? {
        save(&project.root, &numbers)?;
    }
    judge(&numbers, &plan)
}

fn measure(
    project: &Project,
    tools: &Tools,
    kernel: &Kernel,
    option: &str,
    requests: &[u32],
) -> Result<Vec<Longest>> {
    let all: Vec<String> = requests.iter().map(u32::to_string).collect();
    let guest = Guest {
        name: format!("latency {option}"),
        kernel,
        cpus: 1,
        script: format!("out={OUT} all='{}'\n{SCRIPT}", all.join(" ")),
        limit: LIMIT,
        out: project.root.join(format!("build/results/latency-{option}")),
        options: vng::exact(),
    };
    project.ui.step(&format!("latency, option {option}"), |step| {
        vng::run_clean(project, tools, step, &guest)?;
        requests.iter().map(|requests| read(&guest.out, *requests)).collect()
    })
}

fn wait(project: &Project, tools: &Tools, kernel: &Kernel, option: &str, plan: &Wait) -> Result<Waited> {
    let Wait { requests, hold_ms, .. } = plan;
    let guest = Guest {
        name: format!("wait {option}"),
        kernel,
        cpus: vng::CPUS,
        script: format!(
            "{WAIT} --requests {requests} --hold-ms {hold_ms} test_module_load.ko > {OUT}/burst.json\n"
        ),
        limit: LIMIT,
        out: project.root.join(format!("build/results/wait-{option}")),
        options: vec![],
    };
    project.ui.step(&format!("{requests} requests wait, option {option}"), |step| {
        vng::run_clean(project, tools, step, &guest)?;
        let burst: Detailed = serde_json::from_str(&fs::read_to_string(guest.out.join("burst.json"))?)?;
        Ok(Waited { cpu_ms: burst.sys_cpu_ms, sleeps: burst.voluntary_switches })
    })
}

fn read(out: &Path, requests: u32) -> Result<Longest> {
    let text = |end: &str| {
        let path = out.join(format!("{requests}.{end}"));
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    let us = text("us")?.trim().parse().context("ftrace's longest time is no number")?;
    ensure!(us > 0, "ftrace has measured nothing while {requests} requests returned");
    Ok(Longest { us, section: section(&text("trace")?) })
}

/// Of the head of a trace: `#  => started at: f` and `#  => ended at:   g`.
fn section(trace: &str) -> String {
    let find = |key: &str| {
        let line = trace.lines().find_map(|line| line.split_once(key));
        line.map_or("?", |(_, function)| function.trim()).to_owned()
    };
    match [find("started at:"), find("ended at:")] {
        [begin, end] if begin == end => begin,
        [begin, end] => format!("{begin} to {end}"),
    }
}

fn table(numbers: &Numbers) -> String {
    let mut table = ui::table(["requests", "off, us", "where", "on, us", "where"]);
    for (requests, (off, on)) in &numbers.longest {
        let cells = |longest: &Longest| [longest.us.to_string(), longest.section.clone()];
        let off = off.as_ref().map_or(["–", "not measured"].map(str::to_owned), cells);
        table.add_row([requests.to_string()].into_iter().chain(off).chain(cells(on)));
    }
    ui::align_right(&mut table, [0, 1, 3]);
    table.to_string()
}

fn wait_table(numbers: &Numbers) -> String {
    let mut table = ui::table(["option", "CPU time, ms", "times that a request went to sleep"]);
    for (option, waited) in OPTION.iter().zip(&numbers.wait) {
        table.add_row([(*option).to_owned(), format!("{:.0}", waited.cpu_ms), waited.sleeps.to_string()]);
    }
    ui::align_right(&mut table, [1, 2]);
    table.to_string()
}

fn save(root: &Path, latencies: &Numbers) -> Result<()> {
    numbers::write(&root.join(NUMBERS), latencies)?;
    readme::rewrite(root, "latency", |name| block(name, latencies))
}

fn block(name: &str, numbers: &Numbers) -> Result<String> {
    match name {
        "table" => Ok(table(numbers)),
        "wait" => Ok(wait_table(numbers)),
        _ => bail!("{name}: latency has no such numbers"),
    }
}

fn judge(numbers: &Numbers, plan: &Plan) -> Result<()> {
    let mut on = numbers.longest.values().map(|(_, on)| on.us as f64);
    let fewest = on.next().context("nothing was measured")?;
    let growth = on.next_back().unwrap_or(fewest) / fewest.max(1.0);
    let sleeps = numbers.wait[1].sleeps as f64 / f64::from(plan.wait.requests);
    let targets = [
        ("the longest time grows with the number of requests by", growth, plan.at_most),
        ("a request that waits goes to sleep, times", sleeps, plan.wait.at_most),
    ];
    let missed = targets.iter().filter(|(_, measured, at_most)| measured > at_most).count();
    for (what, measured, at_most) in targets {
        println!("{what} {measured:.2}, at most {at_most}");
    }
    ensure!(missed == 0, "{missed} of {} targets were missed", targets.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn longest(us: u64) -> Longest {
        Longest { us, section: "complete_all".to_owned() }
    }

    #[test]
    fn the_section_is_in_the_head_of_the_trace() {
        let trace = "# latency: 71 us\n#  => started at: a\n#  => ended at:   b\n#\n";
        assert_eq!(section(trace), "a to b");
        assert_eq!(section(&trace.replace("   b", "a")), "a");
        assert_eq!(section("# tracer: nop"), "?");
    }

    fn numbers(on: &[u64], sleeps: u64) -> Numbers {
        let of = |us: u64| (Some(longest(9 * us)), longest(us));
        let wait = [900 * sleeps, sleeps].map(|sleeps| Waited { cpu_ms: 1.5, sleeps });
        Numbers { longest: [16, 256, 4096].into_iter().zip(on.iter().copied().map(of)).collect(), wait }
    }

    #[test]
    fn the_option_on_is_judged() {
        let plan = plan();
        assert!(judge(&numbers(&[50, 900, 100], 32), &plan).is_ok());
        assert!(judge(&numbers(&[50, 60, 101], 32), &plan).is_err());
        assert!(judge(&numbers(&[50, 60, 70], 33), &plan).is_err());
        assert!(judge(&numbers(&[], 0), &plan).is_err());
    }

    #[test]
    fn the_documents_say_what_was_measured() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let numbers = fs::read_to_string(root.join(NUMBERS)).unwrap();
        let numbers: Numbers = serde_json::from_str(&numbers).unwrap();
        assert!(plan().requests.iter().eq(numbers.longest.keys()));
        readme::assert_current("latency", |name| block(name, &numbers));
    }
}
