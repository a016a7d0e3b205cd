// SPDX-License-Identifier: GPL-2.0
//! Numbers in the cover letter: its tables are made of what `scale`, `boot` and `bench`
//! have measured, by `make patches`, never by hand. A table is a paragraph; its first line says
//! which one it is.

use anyhow::{Context, Result};

use crate::results::{bench, burst::record, scale};
use crate::series::patches;
use crate::system::{git::Git, project::Project};

/// Of the columns, the first of which is as wide as a mail allows.
const WIDTHS: [usize; 3] = [50, 11, 11];

const _: () = assert!(2 + WIDTHS[0] + WIDTHS[1] + WIDTHS[2] <= 75, "a line fits into a mail");

/// What was measured, without the option, with it.
type Row = [String; 3];

/// The letter in the branch's description with the numbers of today; `None`: it has them.
pub fn outdated(project: &Project, git: &Git) -> Result<Option<String>> {
    let letter = patches::letter(git)?;
    let tables = [
        ("64 CPUs, Debian 12", scale::readme::cover(&project.root)?),
        ("requests at the same moment", record::cover(&project.root)?),
        ("exact", bench::readme::cover(&project.root)?),
    ];
    let mut tables = tables.into_iter().filter_map(|(name, rows)| Some((name, rows?)));
    let filled = tables.try_fold(letter.clone(), |text, (name, rows)| fill(&text, name, &rows))?;
    Ok((filled != letter).then_some(filled))
}

fn fill(text: &str, name: &str, rows: &[Row]) -> Result<String> {
    let is_table = |paragraph: &&str| paragraph.trim_start().starts_with(name);
    let old = text.split("\n\n").find(is_table);
    let old = old.with_context(|| format!("the cover letter has no table \"{name}\""))?;
    Ok(text.replacen(old, &plain(name, rows), 1))
}

/// As it is in a mail.
fn plain(name: &str, rows: &[Row]) -> String {
    let header = [name, "option n", "option y"].map(str::to_owned);
    let line = |[name, off, on]: &Row| {
        let [first, second, third] = WIDTHS;
        format!("  {name:first$}{off:>second$}{on:>third$}").trim_end().to_owned()
    };
    let lines: Vec<_> = std::iter::once(&header).chain(rows).map(line).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_takes_the_place_of_the_old_one() {
        let rows = [["a", "10", "1"].map(str::to_owned)];
        let fill = |text| fill(text, "some", &rows);
        let text = "module: x\n\nNot some table:\n\n  some   option n\n  a   2\n  b   3\n\nEnd.\n";
        let filled = fill(text).unwrap();
        let lines: Vec<&str> = filled.lines().collect();
        assert_eq!(lines[..4], ["module: x", "", "Not some table:", ""]);
        assert!(lines[4].starts_with("  some  ") && lines[4].ends_with("option n   option y"), "{filled}");
        assert!(lines[5].starts_with("  a  ") && lines[5].ends_with("         10          1"), "{filled}");
        assert_eq!(lines[6..], ["", "End."]);
        assert_eq!(fill(&filled).unwrap(), filled);
        assert!(fill("module: x\n").is_err());
    }
}
