// SPDX-License-Identifier: GPL-2.0

//! The boot as a picture: a row for each module, a bar for each request.

use anyhow::{anyhow, Result};
use plotters::coord::Shift;
use plotters::prelude::*;

use crate::model::{Module, Verdict};
use crate::report::span;
use crate::request::Request;

const WIDTH: i32 = 1000;
/// For the names.
const LEFT: i32 = 210;
/// Of the title and the legend.
const TOP: i32 = 56;
/// Of the time axis.
const BOTTOM: i32 = 28;
/// Of a bar; requests at the same time are below each other.
const BAR: i32 = 4;
const GAP: i32 = 8;
/// The least height of a row, for its name.
const ROW: i32 = 14;
/// Of all rows: a browser still shows it.
const ROWS: usize = 100;

const GREY: RGBColor = RGBColor(128, 128, 128);
const LICENSE: &str = "<!-- SPDX-License-Identifier: GPL-2.0 -->\n";

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

/// An SVG file of these modules, in the order of their first request.
pub fn draw(modules: &[&Module<'_>]) -> Result<String> {
    let mut modules: Vec<_> = modules.iter().copied().take(ROWS).collect();
    modules.sort_by_key(|module| module.requests.first().map(|(request, _)| request.enter));
    let mut svg = String::new();
    draw_rows(&mut svg, &modules).map_err(|error| anyhow!("cannot draw: {error}"))?;
    Ok(format!("{LICENSE}{svg}"))
}

fn draw_rows(svg: &mut String, modules: &[&Module<'_>]) -> Drawn {
    let rows: Vec<_> = modules.iter().map(|module| Row::new(module)).collect();
    let height = TOP + BOTTOM + rows.iter().map(|row| row.height() + GAP).sum::<i32>();
    let area = SVGBackend::with_string(svg, (WIDTH as u32, height as u32)).into_drawing_area();
    let axis = Axis::new(modules);
    legend(&area)?;
    axis.draw(&area, height - BOTTOM)?;
    let mut top = TOP;
    for row in &rows {
        row.draw(&area, &axis, top)?;
        top += row.height() + GAP;
    }
    area.present()?;
    Ok(())
}

fn text(size: i32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&GREY)
}

fn look(verdict: Verdict) -> (RGBColor, &'static str) {
    match verdict {
        Verdict::Merged => (RGBColor(214, 96, 77), "the series would merge it"),
        Verdict::ByInode => (RGBColor(150, 110, 200), "merged by inode"),
        Verdict::AfterFailure => (RGBColor(170, 140, 40), "loads again after a failure"),
        Verdict::Live | Verdict::Unknown => (RGBColor(150, 150, 150), "module is live"),
        Verdict::Load => (RGBColor(60, 140, 210), "loads"),
    }
}

fn legend(area: &Area) -> Drawn {
    area.draw_text("requests for modules that were asked for more than once", &text(18), (0, 4))?;
    for (number, verdict) in Verdict::NAMED.into_iter().enumerate() {
        let (colour, name) = look(verdict);
        let left = number as i32 * WIDTH / Verdict::NAMED.len() as i32;
        area.draw(&Rectangle::new([(left, 32), (left + 12, 44)], colour.filled()))?;
        area.draw_text(name, &text(13), (left + 18, 32))?;
    }
    Ok(())
}

/// Time in nanoseconds to pixels.
struct Axis {
    from: u64,
    span: u64,
}

impl Axis {
    fn new(modules: &[&Module<'_>]) -> Axis {
        let requests =
            || modules.iter().flat_map(|m| m.requests.iter().map(|(request, _)| *request));
        let from = requests().map(|request| request.enter).min().unwrap_or(0);
        Axis { from, span: span(requests()).max(1) }
    }

    fn x(&self, time: u64) -> i32 {
        let part = (time - self.from) as f64 / self.span as f64;
        LEFT + (part * f64::from(WIDTH - LEFT - 10)).round() as i32
    }

    /// Whole seconds of the trace's clock where there is room for them.
    fn draw(&self, area: &Area, bottom: i32) -> Drawn {
        let step = [0.001, 0.01, 0.1, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 1000.0];
        let span = self.span as f64 / 1e9;
        let step = step.into_iter().find(|step| span / step <= 10.0).unwrap_or(span);
        let from = self.from as f64 / 1e9;
        let mut tick = (from / step).ceil() * step;
        while tick <= from + span {
            let x = self.x((tick * 1e9) as u64);
            area.draw(&PathElement::new([(x, TOP - 4), (x, bottom)], GREY.mix(0.3)))?;
            area.draw_text(&format!("{} s", short(tick)), &text(13), (x - 10, bottom + 6))?;
            tick += step;
        }
        Ok(())
    }
}

fn short(seconds: f64) -> String {
    let text = format!("{seconds:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

struct Row<'a> {
    module: &'a Module<'a>,
    /// Of each request: requests in one lane do not overlap.
    lanes: Vec<usize>,
}

impl<'a> Row<'a> {
    fn new(module: &'a Module<'a>) -> Row<'a> {
        Row { module, lanes: lanes(module.requests.iter().map(|(request, _)| *request)) }
    }

    fn height(&self) -> i32 {
        let lanes = self.lanes.iter().max().map_or(0, |lane| lane + 1);
        (lanes as i32 * (BAR + 1)).max(ROW)
    }

    fn draw(&self, area: &Area, axis: &Axis, top: i32) -> Drawn {
        area.draw_text(self.module.name, &text(13), (0, top))?;
        for ((request, verdict), lane) in self.module.requests.iter().zip(&self.lanes) {
            let top = top + *lane as i32 * (BAR + 1);
            let (left, right) = (axis.x(request.enter), axis.x(request.exit));
            let bar = [(left, top), (right.max(left + 2), top + BAR)];
            area.draw(&Rectangle::new(bar, look(*verdict).0.filled()))?;
        }
        Ok(())
    }
}

/// The first lane that is free for each request; they come by the time of their entry.
fn lanes<'a>(requests: impl Iterator<Item = &'a Request>) -> Vec<usize> {
    let mut ends: Vec<u64> = vec![];
    let place = |request: &Request| {
        let lane = ends.iter().position(|end| *end <= request.enter).unwrap_or(ends.len());
        match ends.get_mut(lane) {
            Some(end) => *end = request.exit,
            None => ends.push(request.exit),
        }
        lane
    };
    requests.map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model;
    use crate::request;

    /// Two requests at one time, and two more after them.
    const TRACE: &str = "\
        a-1 [000] .....  1.000000: sys_init_module(umod: 0, len: 1, uargs: 0)
        a-2 [000] .....  1.100000: sys_init_module(umod: 0, len: 1, uargs: 0)
        a-1 [000] .....  1.200000: module_load: a
        a-1 [000] .....  1.200000: sys_init_module -> 0x0
        a-2 [000] .....  1.200000: name: (find_module_all+0x0/0xa0) name=\"a\"
        a-2 [000] .....  1.300000: sys_init_module -> 0xffffffffffffffef
        a-1 [000] .....  1.300000: sys_init_module(umod: 0, len: 1, uargs: 0)
        a-1 [000] .....  1.300000: name: (find_module_all+0x0/0xa0) name=\"a\"
        a-2 [000] .....  1.450000: sys_init_module(umod: 0, len: 1, uargs: 0)
        a-2 [000] .....  1.450000: name: (find_module_all+0x0/0xa0) name=\"a\"
        a-1 [000] .....  1.600000: sys_init_module -> 0xffffffffffffffef
        a-2 [000] .....  1.600000: sys_init_module -> 0xffffffffffffffef
    ";

    #[test]
    fn bars_are_where_their_time_is_and_below_each_other() {
        let trace = request::read(TRACE).unwrap();
        let modules = model::modules(&trace);
        let svg = draw(&[&modules[0]]).unwrap();
        let bars: Vec<_> = svg.lines().filter(|line| line.contains("<rect")).skip(5).collect();
        let third = (WIDTH - LEFT - 10) / 3;
        // Left, top, width.
        let places = [
            (LEFT, TOP, third),
            (LEFT + third / 2, TOP + BAR + 1, third),
            (LEFT + third * 3 / 2, TOP, third * 3 / 2),
            (LEFT + third * 9 / 4, TOP + BAR + 1, third * 3 / 4),
        ];
        assert_eq!(bars.len(), places.len());
        for (bar, (left, top, width)) in bars.iter().zip(places) {
            let place = format!("x=\"{left}\" y=\"{top}\" width=\"{width}\"");
            assert!(bar.contains(&place), "{bar} is not at {place}");
        }
        assert!(svg.contains("\n1.2 s\n"), "{svg}");
    }
}
