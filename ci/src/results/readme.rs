// SPDX-License-Identifier: GPL-2.0
//! Numbers in README.md: what is between `<!-- VERB:NAME -->` and `<!-- /VERB -->` is
//! made by that verb from what it has measured, never by hand.

use std::fs;
use std::path::Path;

use anyhow::{bail, Context, Result};

/// The same text with what is between the markers of `verb` made anew by `block`, which
/// gets their names.
pub fn fill(text: &str, verb: &str, block: impl Fn(&str) -> Result<String>) -> Result<String> {
    let (begin, end) = (format!("<!-- {verb}:"), format!("<!-- /{verb} -->"));
    if !text.contains(&begin) {
        bail!("there is no {begin}NAME --> to put numbers behind");
    }
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(&begin) {
        let (name, after) =
            after.split_once(" -->").with_context(|| format!("{begin} has a marker without an end"))?;
        let (_, after) = after.split_once(&end).with_context(|| format!("{begin}{name} --> has no {end}"))?;
        filled += &format!("{before}{begin}{name} -->\n{}\n{end}", block(name)?);
        rest = after;
    }
    Ok(filled + rest)
}

/// Writes README.md below `root` anew, as `filled` makes it of the text that it has.
pub fn rewrite(root: &Path, filled: impl FnOnce(&str) -> Result<String>) -> Result<()> {
    let path = root.join("README.md");
    let text = fs::read_to_string(&path).context("cannot read README.md")?;
    fs::write(&path, filled(&text)?).context("cannot write README.md")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_markers_of_the_verb_changes() {
        let number = |name: &str| match name {
            "one" => Ok("1".to_owned()),
            _ => bail!("no such number"),
        };
        let text = "a\n<!-- v:one -->\nold\n<!-- /v -->\n<!-- w:x -->\n<!-- /w -->\n";
        let filled = fill(text, "v", number).unwrap();
        assert_eq!(filled, "a\n<!-- v:one -->\n1\n<!-- /v -->\n<!-- w:x -->\n<!-- /w -->\n");
        assert_eq!(fill(&filled, "v", number).unwrap(), filled);
        assert!(fill("<!-- v:two -->\n<!-- /v -->", "v", number).is_err());
        assert!(fill("<!-- v:one -->\n", "v", number).is_err());
        assert!(fill(text, "x", number).is_err());
    }
}
