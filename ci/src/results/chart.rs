// SPDX-License-Identifier: GPL-2.0
//! How charts look: SVG without a background, in colours that can be read on any.

use plotters::prelude::*;

pub const GREY: RGBColor = RGBColor(128, 128, 128);
const LICENSE: &str = "<!-- SPDX-License-Identifier: GPL-2.0 -->\n";

/// The colour of a kernel's numbers, wherever they are shown.
pub fn colour(kernel: &str) -> RGBColor {
    match kernel {
        "off" => RGBColor(214, 96, 77),
        "part" => RGBColor(170, 140, 40),
        "on" => RGBColor(60, 140, 210),
        "base" => RGBColor(150, 110, 200),
        _ => unreachable!("no kernel {kernel} is in a chart"),
    }
}

pub fn text(size: i32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&GREY)
}

/// The file of a picture.
pub fn file(svg: &str) -> String {
    format!("{LICENSE}{svg}")
}
