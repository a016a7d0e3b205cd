// SPDX-License-Identifier: GPL-2.0
//! The demonstration's numbers for people: the table and the targets.

use super::scenarios::{Burst, Measured, Results, Rounds, Scenario};
use crate::kernels::matrix::COMPARED;
use crate::results::numbers::median;
use crate::system::ui;

/// Wall times vary, those of the kernel without the option several times over: fewer
/// rounds than this say nothing of their median.
pub const ENOUGH: usize = 5;

pub fn table(scenarios: &[Scenario], all: &[Rounds]) -> String {
    let mut table =
        ui::table(["scenario", "option", "wall ms", "times init ran", "peak vmalloc MiB", "results"]);
    for (scenario, rounds) in scenarios.iter().zip(all) {
        for (which, bursts) in rounds.iter().enumerate() {
            let Summary { wall, runs, peak, results } = summary(bursts);
            let cells = [&scenario.name, COMPARED[which], &wall, &runs, &peak, &results];
            table.add_row(cells.map(str::to_owned));
        }
    }
    ui::align_right(&mut table, 2..=4);
    table.to_string()
}

/// All rounds of a scenario on one kernel, in words.
struct Summary {
    /// Milliseconds.
    wall: String,
    /// Times that init ran.
    runs: String,
    /// MiB of vmalloc.
    peak: String,
    results: String,
}

fn summary(bursts: &[Burst]) -> Summary {
    let runs = bursts.iter().filter_map(|b| b.runs);
    let peak = bursts.iter().map(|b| b.peak_vmalloc_kib).max().unwrap_or_default();
    Summary {
        wall: format!("{:.0}", wall_ms(bursts)),
        runs: range(runs.clone().min(), runs.max()),
        peak: format!("{:.1}", peak as f64 / 1024.0),
        results: bursts.last().map(|b| results(&b.results)).unwrap_or_default(),
    }
}

fn range(min: Option<u64>, max: Option<u64>) -> String {
    match (min, max) {
        (Some(min), Some(max)) if min != max => format!("{min} to {max}"),
        (Some(min), _) => min.to_string(),
        _ => String::new(),
    }
}

fn results(results: &Results) -> String {
    let words: Vec<_> = results.iter().map(|(name, count)| format!("{count} x {name}")).collect();
    words.join(", ")
}

/// The table of README.md.
pub fn markdown(scenarios: &[Measured]) -> String {
    let mut text = "| requests at the same moment | wall time | times init ran | peak vmalloc | results |\n\
                    |---|---|---|---|---|"
        .to_owned();
    for Measured { scenario, rounds } in scenarios {
        let [before, after] = rounds.each_ref().map(|bursts| summary(bursts));
        text += &format!(
            "\n| {scenario} | {} ms → **{} ms** | {} → **{}** | {} MiB → **{} MiB** | {} |",
            before.wall, after.wall, before.runs, after.runs, before.peak, after.peak, after.results
        );
    }
    text
}

/// The rows of the cover letter's table.
pub fn plain(scenarios: &[Measured]) -> Vec<[String; 3]> {
    let rows = scenarios.iter().flat_map(|Measured { scenario, rounds }| {
        let [before, after] = rounds.each_ref().map(|bursts| summary(bursts));
        [
            [scenario.clone(), String::new(), String::new()],
            ["  wall time, ms".to_owned(), before.wall, after.wall],
            ["  times that the init function ran".to_owned(), before.runs, after.runs],
            ["  peak use of vmalloc, MiB".to_owned(), before.peak, after.peak],
        ]
    });
    rows.collect()
}

/// The median of their wall times.
pub fn wall_ms(bursts: &[Burst]) -> f64 {
    median(bursts.iter().map(|b| b.wall_ms).collect()).unwrap_or(f64::NAN)
}

/// Each target of each scenario: reached or not, and what was measured.
pub fn targets(scenarios: &[Scenario], all: &[Rounds]) -> Vec<(bool, String)> {
    let pairs = scenarios.iter().zip(all);
    pairs.flat_map(|(scenario, rounds)| scenario_targets(scenario, rounds)).collect()
}

fn scenario_targets(scenario: &Scenario, [before, after]: &Rounds) -> Vec<(bool, String)> {
    let mut lines = vec![];
    let mut line = |reached, text: String| lines.push((reached, format!("{}: {text}", scenario.name)));
    let target = &scenario.target;
    if let Some(runs) = target.runs {
        let most = after.iter().filter_map(|b| b.runs).max();
        line(
            most.is_some() && after.iter().all(|b| b.runs == Some(runs)),
            format!("init ran {} times at most, wanted {runs}", number(most)),
        );
    }
    if let Some(wanted) = &target.results {
        let other = after.iter().find(|b| b.results != *wanted);
        let found = results(other.map_or(wanted, |b| &b.results));
        line(other.is_none() && !after.is_empty(), format!("{found}, wanted {}", results(wanted)));
    }
    if let Some(limit) = target.peak_vmalloc_kib {
        let peak = after.iter().map(|b| b.peak_vmalloc_kib).max();
        line(peak.is_some_and(|p| p <= limit), format!("{} KiB of vmalloc, at most {limit}", number(peak)));
    }
    if let Some(limit) = target.wall_ratio.filter(|_| before.len() >= ENOUGH) {
        let ratio = wall_ms(after) / wall_ms(before);
        line(ratio <= limit, format!("{ratio:.3} of the wall time without the option, at most {limit}"));
    }
    lines
}

fn number(value: Option<u64>) -> String {
    value.map_or("no".to_owned(), |v| v.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::burst::scenarios::Target;

    fn burst(wall_ms: f64, runs: u64, peak_vmalloc_kib: u64) -> Burst {
        let results = Results::from([("EBUSY".to_owned(), 399), ("ENODEV".to_owned(), 1)]);
        Burst { wall_ms, runs: Some(runs), peak_vmalloc_kib, results }
    }

    fn scenario() -> Scenario {
        let text = "name = 'x'\narguments = []\nmodule = 'm.ko'\n[target]\nruns = 1\n\
                    peak_vmalloc_kib = 4096\nwall_ratio = 0.2\nresults = { ENODEV = 1, EBUSY = 399 }\n";
        toml::from_str(text).unwrap()
    }

    #[test]
    fn the_table_shows_medians_ranges_and_peaks() {
        let before = vec![burst(9000.0, 2, 2048), burst(1000.0, 37, 517120), burst(8000.0, 5, 1024)];
        let after = vec![burst(500.0, 1, 3072)];
        let text = table(&[scenario()], &[[before, after]]);
        for cell in ["8000", "2 to 37", "505.0", "| off ", "| on ", "3.0", "399 x EBUSY, 1 x ENODEV"] {
            assert!(text.contains(cell), "{cell} is not in\n{text}");
        }
    }

    #[test]
    fn the_table_of_the_readme_has_both_kernels_in_a_row() {
        let before = vec![burst(9000.0, 2, 2048), burst(8000.0, 37, 517120), burst(1000.0, 5, 1024)];
        let measured = Measured { scenario: "x".to_owned(), rounds: [before, vec![burst(500.0, 1, 0)]] };
        let row =
            "| x | 8000 ms → **500 ms** | 2 to 37 → **1** | 505.0 MiB → **0.0 MiB** | 399 x EBUSY, 1 x ENODEV |";
        assert_eq!(markdown(&[measured]).lines().last(), Some(row));
    }

    #[test]
    fn the_table_of_the_cover_letter_has_a_row_for_each_number() {
        let rounds = [vec![burst(9000.0, 2, 2048)], vec![burst(500.0, 1, 0)]];
        let rows = plain(&[Measured { scenario: "x".to_owned(), rounds }]);
        assert_eq!(rows[1], ["  wall time, ms", "9000", "500"]);
        assert_eq!(rows[3], ["  peak use of vmalloc, MiB", "2.0", "0.0"]);
    }

    #[test]
    fn targets_are_reached_in_every_round_or_missed() {
        let before = vec![burst(9000.0, 2, 0); ENOUGH];
        let good = vec![burst(500.0, 1, 4096), burst(600.0, 1, 100), burst(700.0, 1, 100)];
        let lines = targets(&[scenario()], &[[before.clone(), good]]);
        assert_eq!(lines.len(), 4);
        assert!(lines.iter().all(|l| l.0), "{lines:?}");

        let mut bad = vec![burst(5000.0, 1, 4097), burst(6000.0, 2, 100), burst(7000.0, 1, 100)];
        bad[1].results.insert("ENOMEM".to_owned(), 1);
        let lines = targets(&[scenario()], &[[before, bad]]);
        assert!(lines.iter().all(|l| !l.0), "{lines:?}");
    }

    #[test]
    fn few_rounds_say_nothing_of_wall_times() {
        let before = vec![burst(9000.0, 2, 0); ENOUGH - 1];
        let lines = targets(&[scenario()], &[[before, vec![burst(9000.0, 1, 0)]]]);
        assert_eq!(lines.len(), 3);
        assert!(lines.iter().all(|l| l.0), "{lines:?}");
    }

    #[test]
    fn no_round_reaches_nothing() {
        let lines = targets(&[scenario()], &[Rounds::default()]);
        assert_eq!(lines.iter().filter(|l| l.0).count(), 0, "{lines:?}");
    }

    #[test]
    fn a_scenario_without_targets_has_no_lines() {
        let mut scenario = scenario();
        scenario.target = Target::default();
        assert!(targets(&[scenario], &[Rounds::default()]).is_empty());
    }
}
