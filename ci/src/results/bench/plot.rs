// SPDX-License-Identifier: GPL-2.0
//! Charts of a field over the number of requests, or of CPUs.

use anyhow::{anyhow, Result};
use plotters::prelude::*;

use super::plan::{Plot, KERNELS};
use super::results::Results;
use crate::results::chart::{self, GREY};

const SIZE: (u32, u32) = (720, 360);
/// Of a kernel.
type Line = (&'static str, Vec<(f64, f64)>);

pub struct Chart<'a> {
    pub plot: &'a Plot,
    /// What the lines grow with.
    x: &'static str,
    pub lines: Vec<Line>,
}

impl Chart<'_> {
    /// `keys`: of the results that have a point, by its place on the axis.
    pub fn new<'a>(plot: &'a Plot, results: &Results, x: &'static str, keys: &[(f64, String)]) -> Chart<'a> {
        let line = |kernel: &'static str| -> Line {
            let point = |(x, key): &(f64, String)| {
                let value = results.number(&(kernel.to_owned(), key.clone(), plot.field.clone()))?;
                // A logarithm has no zero.
                Some((*x, value.max(1e-3)))
            };
            (kernel, keys.iter().filter_map(point).collect())
        };
        let lines = KERNELS.map(line).into_iter().filter(|(_, points)| !points.is_empty()).collect();
        Chart { plot, x, lines }
    }

    /// Its file, without a picture if nothing of it was measured.
    pub fn draw(&self) -> Result<String> {
        let Chart { plot, x, lines } = self;
        let mut svg = String::new();
        if !lines.is_empty() {
            fill(&mut svg, &plot.title, x, lines).map_err(|e| anyhow!("{}: {e}", plot.file))?;
        }
        Ok(chart::file(&svg))
    }
}

/// Those with a picture, as a document shows them.
pub fn links(charts: &[Chart]) -> String {
    let drawn = charts.iter().filter(|chart| !chart.lines.is_empty());
    let links = drawn.map(|Chart { plot, .. }| format!("![{}]({})", plot.title, plot.file));
    links.collect::<Vec<_>>().join("\n")
}

fn fill(svg: &mut String, title: &str, x: &str, lines: &[Line]) -> Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    let points = || lines.iter().flat_map(|(_, points)| points);
    let bounds = |of: fn(&(f64, f64)) -> f64| {
        let (low, high) = points().map(of).fold((f64::MAX, f64::MIN), |(l, h), v| (l.min(v), h.max(v)));
        (low * 0.9..high * 1.2).log_scale()
    };
    let mut diagram = ChartBuilder::on(&root)
        .caption(title, chart::text(20))
        .margin(10)
        .x_label_area_size(44)
        .y_label_area_size(80)
        .build_cartesian_2d(bounds(|p| p.0), bounds(|p| p.1))?;
    diagram
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GREY.mix(0.3))
        .axis_style(GREY)
        .label_style(chart::text(15))
        .x_desc(x)
        .x_label_formatter(&|n| format!("{n:.0}"))
        .y_label_formatter(&|v| super::target::number(*v))
        .draw()?;
    for (kernel, points) in lines {
        let colour = chart::colour(kernel);
        diagram
            .draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2)).point_size(3))?
            .label(*kernel)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    diagram
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .label_font(chart::text(15))
        .draw()?;
    root.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{plan::plan, readme::charts};
    use super::*;

    #[test]
    fn a_chart_has_a_line_for_each_kernel_and_no_background() {
        let (plan, mut results) = (plan(), Results::default());
        let plot = &plan.plots[0];
        assert_eq!(charts(&plan, &results)[0].draw().unwrap(), chart::file(""));
        for (kernel, slope) in [("off", 9), ("on", 1)] {
            for n in [1, 64, 4096] {
                let burst = serde_json::json!({ plot.field.clone(): n * slope });
                results.add(kernel, &format!("{n} x {}", plot.key), burst);
            }
        }
        let svg = charts(&plan, &results)[0].draw().unwrap();
        assert!(svg.contains("#D6604D") && svg.contains("#3C8CD2"), "{svg}");
        assert!(!svg.contains("#FFFFFF") && !svg.contains("#000000"), "{svg}");
    }
}
