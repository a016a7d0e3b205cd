// SPDX-License-Identifier: GPL-2.0
//! What README.md names is there: links, paths, verbs, versions.

use std::fs;
use std::path::{Path, PathBuf};

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
    let readme = read("README.md");
    let anchors: Vec<String> = find(&readme, r"(?m)^#+ (.+)$").iter().map(|line| anchor(line)).collect();
    for link in find(&readme, r"\]\(([^)]+)\)").iter().filter(|link| !link.starts_with("https:")) {
        let (path, fragment) = link.split_once('#').unwrap_or((link, ""));
        assert!(root().join(path).exists(), "there is no {path}");
        assert!(!path.is_empty() || anchors.iter().any(|a| a == fragment), "there is no heading #{fragment}");
    }
}

#[test]
fn paths_exist() {
    let paths = find(&read("README.md"), r"`((?:ci|rust|kernel-config|patches|findings|\.ci)/[^` <*]*)`");
    assert!(!paths.is_empty());
    for path in paths {
        assert!(root().join(&path).exists(), "there is no {path}");
    }
}

#[test]
fn verbs_are_those_of_the_makefile() {
    let makefile = read("Makefile");
    let verbs: Vec<String> = find(&makefile, r"VERBS := (.+)")
        .iter()
        .flat_map(|l| l.split(' ').map(str::to_owned).collect::<Vec<_>>())
        .collect();
    for verb in find(&read("README.md"), r"(?m)(?:`|^    )make ([a-z][a-z-]+)") {
        let of_the_kernel = ["mrproper"].contains(&verb.as_str());
        assert!(of_the_kernel || verbs.contains(&verb), "there is no make {verb}");
    }
}

#[test]
fn versions_are_those_of_the_data() {
    let readme = read("README.md");
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
