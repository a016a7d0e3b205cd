// SPDX-License-Identifier: GPL-2.0
//! The layers of the driver hold: a module uses its own layer and lower ones, no verb uses
//! another one, and no modules use each other in a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The lowest first. `cli` and `main` are above all of them.
const LAYERS: [&str; 6] = ["system", "series", "kernels", "guests", "results", "verbs"];

/// A module to the modules that it uses, each by its path: `verbs::bench::guest`.
type Uses = BTreeMap<String, BTreeSet<String>>;

fn files(dir: &Path, module: &str, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let inner = if module.is_empty() { name.to_owned() } else { format!("{module}::{name}") };
        if path.is_dir() {
            files(&path, &inner, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let module = if name == "mod" { module.to_owned() } else { inner };
            found.insert(module, fs::read_to_string(&path).unwrap());
        }
    }
}

/// The paths of a tree of `use`, as `a::{b, c::d}`, up to where it ends. `text` begins with it.
fn paths(text: &str, before: &str, found: &mut Vec<String>) -> usize {
    let mut at = 0;
    let mut path = before.to_owned();
    loop {
        let rest = &text[at..];
        if rest.starts_with('{') {
            at += 1;
            while !text[at..].starts_with('}') {
                at += text[at..].len() - text[at..].trim_start_matches([',', ' ', '\n']).len();
                if text[at..].starts_with('}') {
                    break;
                }
                at += paths(&text[at..], &path, found).max(1);
            }
            return at + 1;
        }
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        path = format!("{path}::{}", &rest[..end]);
        at += end;
        if !text[at..].starts_with("::") {
            found.push(path);
            return at;
        }
        at += 2;
    }
}

/// What a module uses: the longest part of each path that is a module.
fn uses(module: &str, text: &str, modules: &BTreeMap<String, String>) -> BTreeSet<String> {
    let parent = module.rsplit_once("::").map_or("", |(parent, _)| parent);
    let roots = [("crate::", ""), ("super::", parent), ("self::", module)];
    let mut used = BTreeSet::new();
    for (word, root) in roots {
        for (at, _) in text.match_indices(word) {
            let mut found = vec![];
            paths(&text[at + word.len()..], root, &mut found);
            for path in found {
                let names: Vec<&str> = path.split("::").filter(|name| !name.is_empty()).collect();
                let mut known = (1..=names.len()).rev().map(|end| names[..end].join("::"));
                used.insert(known.find(|path| modules.contains_key(path)).unwrap_or("main".to_owned()));
            }
        }
    }
    used.remove(module);
    used
}

/// Without comments, texts, and the module of tests at the end.
fn code(text: &str) -> String {
    let end = text.find("#[cfg(test)]\nmod tests").unwrap_or(text.len());
    let lines = text[..end].lines().filter(|line| !line.trim_start().starts_with(['/', '"']));
    lines.map(|line| format!("{line}\n")).collect()
}

fn all_uses(modules: &BTreeMap<String, String>) -> Uses {
    modules.iter().map(|(name, text)| (name.clone(), uses(name, &code(text), modules))).collect()
}

fn layer(module: &str) -> usize {
    let name = module.split("::").next().unwrap_or_default();
    LAYERS.iter().position(|layer| *layer == name).unwrap_or(LAYERS.len())
}

/// The verb that a module is of, if it is.
fn verb(module: &str) -> Option<&str> {
    module.strip_prefix("verbs::")?.split("::").next()
}

/// Arrows that go up, or from a verb to another one.
fn wrong(uses: &Uses) -> Vec<String> {
    let pairs = uses.iter().flat_map(|(from, to)| to.iter().map(move |to| (from, to)));
    let is_wrong = |from: &str, to: &str| {
        layer(from) < layer(to) || (verb(from).is_some() && verb(to).is_some() && verb(from) != verb(to))
    };
    pairs.filter(|(from, to)| is_wrong(from, to)).map(|(from, to)| format!("{from} -> {to}")).collect()
}

/// The modules that use themselves in the end: what is left when all those that use none of the
/// rest, or that none of the rest uses, are taken away.
fn circle(uses: &Uses) -> Uses {
    let mut rest = uses.clone();
    loop {
        let used: BTreeSet<String> = rest.values().flatten().cloned().collect();
        let before = rest.len();
        rest.retain(|module, to| !to.is_empty() && used.contains(module));
        let names: BTreeSet<String> = rest.keys().cloned().collect();
        rest.values_mut().for_each(|to| to.retain(|module| names.contains(module)));
        if rest.len() == before {
            return rest;
        }
    }
}

fn driver() -> BTreeMap<String, String> {
    let mut modules = BTreeMap::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut modules);
    modules
}

#[test]
fn every_module_uses_its_own_layer_and_lower_ones() {
    let uses = all_uses(&driver());
    assert!(LAYERS.iter().all(|layer| uses.contains_key(*layer)), "a layer has no folder");
    assert_eq!(wrong(&uses), Vec::<String>::new());
}

#[test]
fn no_modules_use_each_other_in_a_circle() {
    assert_eq!(circle(&all_uses(&driver())), Uses::new());
}

/// Modules by what they say.
fn modules(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

#[test]
fn an_arrow_that_goes_up_or_to_another_verb_is_wrong() {
    let wrong = |text: &str| {
        let others =
            ["main", "system::git", "guests::vng", "verbs::boot", "verbs::boot::rows", "verbs::tree"];
        let mut all: Vec<_> = others.iter().map(|name| (*name, "")).collect();
        all.extend([("guests::qemu", text), ("verbs::bench", text)]);
        wrong(&all_uses(&modules(&all)))
    };
    assert_eq!(
        wrong("use crate::system::{git::{Git, BASE}};\nuse crate::guests::{vng};"),
        Vec::<String>::new()
    );
    assert_eq!(wrong("// crate::verbs::tree\n#[cfg(test)]\nmod tests {}"), Vec::<String>::new());
    let both = ["guests::qemu -> verbs::boot::rows", "verbs::bench -> verbs::boot::rows"];
    assert_eq!(wrong("use crate::{\n    system::git,\n    verbs::{boot::rows::{self, run}},\n};"), both);
    let both = ["guests::qemu -> main", "verbs::bench -> main"];
    assert_eq!(wrong("fn f() { crate::complaint() }"), both);
}

#[test]
fn a_circle_is_found() {
    let uses = all_uses(&modules(&[
        ("a", "use crate::b::c;"),
        ("b", "mod c;"),
        ("b::c", "use super::d;"),
        ("b::d", "use crate::{a::x, e};"),
        ("e", ""),
        ("f", "use crate::a;"),
    ]));
    assert_eq!(circle(&uses).into_keys().collect::<Vec<_>>(), ["a", "b::c", "b::d"]);
}

/// A line that is printed otherwise destroys that of a step that runs.
#[test]
fn below_the_verbs_only_the_terminal_prints() {
    let modules = driver();
    let prints = |(name, text): &(&String, &String)| {
        let code = code(text);
        layer(name) < 5 && (code.contains("print!(") || code.contains("println!("))
    };
    let names: Vec<_> = modules.iter().filter(prints).map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["system::ui"]);
}
