// SPDX-License-Identifier: GPL-2.0
//! Before and after as bars: a pair for each scenario, as long as its wall time, the largest gain
//! first.

use anyhow::{anyhow, Result};
use plotters::coord::Shift;
use plotters::prelude::*;

use super::report::wall_ms;
use super::scenarios::{Measured, Record};
use crate::kernels::matrix::COMPARED;
use crate::results::chart;

const WIDTH: i32 = 720;
/// Of a scenario: its name, and two bars.
const ROW: i32 = 56;
const BAR: i32 = 14;
/// Of the title.
const TOP: i32 = 36;
/// For the number behind the longest bar.
const RIGHT: i32 = 150;

const TITLE: &str = "wall time of a burst, with the option off and on";

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// An SVG file.
pub fn draw(record: &Record) -> Result<String> {
    let mut svg = String::new();
    bars(&mut svg, &record.scenarios).map_err(|error| anyhow!("cannot draw: {error}"))?;
    Ok(chart::file(&svg))
}

/// How many times shorter it became.
fn gain(measured: &Measured) -> f64 {
    let [off, on] = &measured.rounds;
    wall_ms(off) / wall_ms(on)
}

fn bars(svg: &mut String, scenarios: &[Measured]) -> Result<(), Box<dyn std::error::Error>> {
    let height = TOP + ROW * scenarios.len() as i32;
    let area = SVGBackend::with_string(svg, (WIDTH as u32, height as u32)).into_drawing_area();
    area.draw_text(TITLE, &chart::text(18), (0, 4))?;
    let mut scenarios: Vec<&Measured> = scenarios.iter().collect();
    scenarios.sort_by(|a, b| gain(b).total_cmp(&gain(a)));
    let walls = scenarios.iter().flat_map(|measured| measured.rounds.iter().map(|bursts| wall_ms(bursts)));
    let longest = walls.fold(1.0, f64::max);
    for (number, measured) in scenarios.into_iter().enumerate() {
        let top = TOP + ROW * number as i32;
        area.draw_text(&measured.scenario, &chart::text(14), (0, top))?;
        for (which, bursts) in measured.rounds.iter().enumerate() {
            let (kernel, wall) = (COMPARED[which], wall_ms(bursts));
            let gain = if which == 1 { format!(" (÷ {:.1})", gain(measured)) } else { String::new() };
            let label = format!("{wall:.0} ms, {kernel}{gain}");
            bar(&area, top + 18 + (BAR + 2) * which as i32, kernel, wall / longest, &label)?;
        }
    }
    area.present()?;
    Ok(())
}

/// A bar that is `part` of the longest one.
fn bar(
    area: &Area,
    top: i32,
    kernel: &str,
    part: f64,
    label: &str,
) -> Result<(), Box<dyn std::error::Error>> {
    let right = (part * f64::from(WIDTH - RIGHT)).round() as i32;
    area.draw(&Rectangle::new([(0, top), (right, top + BAR)], chart::colour(kernel).filled()))?;
    area.draw_text(label, &chart::text(13), (right + 6, top + 1))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::measured;
    use super::*;

    #[test]
    fn each_kernel_has_a_bar_as_long_as_it_took() {
        let scenarios = vec![measured("a", 10000.0, 100.0)];
        let svg = draw(&Record { about: String::new(), scenarios }).unwrap();
        let width = |colour: &str| -> u32 {
            let bar = svg.lines().find(|line| line.contains("<rect") && line.contains(colour)).unwrap();
            bar.split("width=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap()
        };
        let (before, after) = (width("#D6604D"), width("#3C8CD2"));
        assert_eq!(before, (WIDTH - RIGHT) as u32);
        assert_eq!(after, (before + 50) / 100);
        assert!(svg.contains("10000 ms, off") && svg.contains("100 ms, on (÷ 100.0)"), "{svg}");
    }

    #[test]
    fn the_largest_gain_comes_first() {
        let scenarios = vec![measured("same", 10.0, 10.0), measured("less", 20.0, 1.0)];
        let svg = draw(&Record { about: String::new(), scenarios }).unwrap();
        assert!(svg.find("less") < svg.find("same"), "{svg}");
    }
}
