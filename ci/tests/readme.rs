// SPDX-License-Identifier: GPL-2.0
//! What the documents name is there: links, paths, verbs, versions.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use regex_lite::Regex;
use toml::Table;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("ci/ is in a folder").to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn data(path: &str) -> Table {
    read(path).parse().unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All that the first group of a pattern finds.
fn find(text: &str, pattern: &str) -> Vec<String> {
    let pattern = Regex::new(pattern).unwrap();
    pattern.captures_iter(text).map(|found| found[1].to_owned()).collect()
}

/// Every README.md, by its path from the top.
fn documents() -> Vec<String> {
    let git =
        Command::new("git").arg("-C").arg(root()).args(["ls-files", "README.md", "*/README.md"]).output();
    let paths = String::from_utf8(git.expect("git").stdout).unwrap();
    let paths: Vec<String> = paths.lines().map(str::to_owned).collect();
    assert!(paths.len() > 1);
    paths
}

/// The anchor that a forge gives a heading.
fn anchor(heading: &str) -> String {
    let kept = heading
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
        .collect::<String>();
    kept.replace(' ', "-")
}

#[test]
fn links_resolve() {
    for document in documents() {
        let text = read(&document);
        let anchors: Vec<String> = find(&text, r"(?m)^#+ (.+)$").iter().map(|line| anchor(line)).collect();
        for link in find(&text, r"\]\(([^)]+)\)").iter().filter(|link| !link.starts_with("https:")) {
            let (path, fragment) = link.split_once('#').unwrap_or((link, ""));
            let folder = root().join(&document).parent().unwrap().to_owned();
            assert!(folder.join(path).exists(), "{document}: there is no {path}");
            let is_heading = anchors.iter().any(|anchor| anchor == fragment);
            assert!(!path.is_empty() || is_heading, "{document}: there is no heading #{fragment}");
        }
    }
}

#[test]
fn paths_exist() {
    let pattern = r"`((?:ci|rust|kernel-config|patches|findings|\.ci)/[^` <*]*)`";
    for document in documents() {
        for path in find(&read(&document), pattern) {
            assert!(root().join(&path).exists(), "{document}: there is no {path}");
        }
    }
}

#[test]
fn verbs_are_those_of_the_makefile() {
    let makefile = read("Makefile");
    let verbs: Vec<String> = find(&makefile, r"VERBS := (.+)")
        .iter()
        .flat_map(|l| l.split(' ').map(str::to_owned).collect::<Vec<_>>())
        .collect();
    for document in documents() {
        for verb in find(&read(&document), r"(?m)(?:`|^    )make ([a-z][a-z-]+)") {
            let of_others = ["localmodconfig", "mrproper", "selftests-module"].contains(&verb.as_str());
            assert!(of_others || verbs.contains(&verb), "{document}: there is no make {verb}");
        }
    }
}

#[test]
fn versions_are_those_of_the_data() {
    let readme: String = documents().iter().map(|document| read(document)).collect();
    let base = &data("ci/base.toml")["base"][0]["name"];
    for version in find(&readme, r"Linux (\d+\.\d+\.\d+)\b") {
        assert_eq!(Some(version.as_str()), base.as_str());
    }
    let herd7 = &data("ci/litmus.toml")["oldest"];
    assert!(readme.contains(&format!("herd7 older than {},", herd7.as_str().unwrap())));
    let rust = data("ci/deps.toml")["oldest-rust"]["version"].as_str().unwrap()[..4].to_owned();
    for version in find(&readme, r"Rust (\d\.\d+)[,; ]") {
        assert_eq!(version, rust);
    }
    assert_eq!(data("ci/Cargo.toml")["package"]["rust-version"].as_str(), Some(rust.as_str()));
}
