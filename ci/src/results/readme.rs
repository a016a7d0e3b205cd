// SPDX-License-Identifier: GPL-2.0
//! Numbers in the documents: what is between `<!-- VERB:NAME -->` and `<!-- /VERB -->` is
//! made by that verb from what it has measured, never by hand.

use std::fs;
use std::path::Path;

use anyhow::{bail, Context, Result};

/// The documents that have numbers.
pub const DOCUMENTS: [&str; 5] =
    ["README.md", "ci/README.md", "ci/bench/README.md", "ci/scale/README.md", "kernel-config/README.md"];

/// The same text with what is between the markers of `verb` made anew by `block`, which
/// gets their names.
pub fn fill(text: &str, verb: &str, block: impl Fn(&str) -> Result<String>) -> Result<String> {
    let (begin, end) = (format!("<!-- {verb}:"), format!("<!-- /{verb} -->"));
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

/// Fills the documents below `root` that have markers of `verb`. It is an error if none has.
pub fn rewrite(root: &Path, verb: &str, block: impl Fn(&str) -> Result<String>) -> Result<()> {
    for (name, filled) in outdated(root, verb, block)? {
        fs::write(root.join(name), filled).with_context(|| format!("cannot write {name}"))?;
    }
    Ok(())
}

/// The documents that filling would change, with the new text.
fn outdated(
    root: &Path,
    verb: &str,
    block: impl Fn(&str) -> Result<String>,
) -> Result<Vec<(&'static str, String)>> {
    let marker = format!("<!-- {verb}:");
    let mut documents = vec![];
    for name in DOCUMENTS {
        let text = fs::read_to_string(root.join(name)).with_context(|| format!("cannot read {name}"))?;
        if text.contains(&marker) {
            documents.push((name, fill(&text, verb, &block)?, text));
        }
    }
    if documents.is_empty() {
        bail!("no document has {marker}NAME --> to put numbers behind");
    }
    documents.retain(|(_, filled, text)| filled != text);
    Ok(documents.into_iter().map(|(name, filled, _)| (name, filled)).collect())
}

/// Fails unless the documents of the repository are as `verb` makes them.
#[cfg(test)]
pub fn assert_current(verb: &str, block: impl Fn(&str) -> Result<String>) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let names: Vec<&str> = outdated(root, verb, block).unwrap().into_iter().map(|(name, _)| name).collect();
    assert!(names.is_empty(), "{names:?}: what is behind <!-- {verb}: is not of the numbers: measure again");
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
        assert_eq!(fill(text, "x", number).unwrap(), text);
    }

    #[test]
    fn each_document_with_markers_is_written() {
        let dir = tempfile::tempdir().unwrap();
        for name in DOCUMENTS {
            fs::create_dir_all(dir.path().join(name).parent().unwrap()).unwrap();
            fs::write(dir.path().join(name), "text\n").unwrap();
        }
        let number = |_: &str| Ok("1".to_owned());
        assert!(rewrite(dir.path(), "v", number)
            .unwrap_err()
            .to_string()
            .contains("no document has <!-- v:"));
        let path = dir.path().join("ci/README.md");
        fs::write(&path, "<!-- v:one -->\n<!-- /v -->\n").unwrap();
        let filled = "<!-- v:one -->\n1\n<!-- /v -->\n";
        assert_eq!(outdated(dir.path(), "v", number).unwrap(), [("ci/README.md", filled.to_owned())]);
        rewrite(dir.path(), "v", number).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), filled);
        assert!(outdated(dir.path(), "v", number).unwrap().is_empty());
    }
}
