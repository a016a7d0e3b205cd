// SPDX-License-Identifier: GPL-2.0

//! Many names at once, as udev's workers ask for them: each caller loads what its module needs,
//! then the module.

use std::{collections::BTreeMap, fs, path::Path, sync::Barrier, thread, time::Instant};

use anyhow::{ensure, Context, Result};
use guest::report::Costs;

use crate::module::{self, Module};

/// Loads all modules of `list` at once; JSON.
pub fn run(list: &Path) -> Result<String> {
    let dir = list.parent().context("not a file")?;
    let text = fs::read_to_string(list).with_context(|| format!("{}", list.display()))?;
    let orders: Vec<Vec<&str>> = text.lines().filter_map(order).collect();
    let mut modules = BTreeMap::new();
    for &name in orders.iter().flatten() {
        modules.insert(name, Module::read(&dir.join(name))?);
    }
    let loads = orders.iter().map(|order| order.iter().map(|name| &modules[name]).collect());
    let costs = at_once(loads.collect())?;
    let dead = modules.values().find(|module| module.state() != "live");
    ensure!(dead.is_none(), "{} is not live: {costs:?}", dead.map_or("", |module| &module.name));
    module::unload(modules.values().collect())?;
    Ok(serde_json::to_string(&costs)?)
}

/// A line of modules.dep as the order to load in: there, what is needed first stands last.
fn order(line: &str) -> Option<Vec<&str>> {
    let (module, needs) = line.split_once(':')?;
    Some(needs.split_whitespace().rev().chain([module]).collect())
}

/// A thread for each list of modules.
fn at_once(lists: Vec<Vec<&Module>>) -> Result<Costs> {
    let start = &Barrier::new(lists.len() + 1);
    thread::scope(|scope| {
        let call = |list: Vec<_>| {
            scope.spawn(move || {
                start.wait();
                module::load(&list)
            })
        };
        let callers: Vec<_> = lists.into_iter().map(call).collect();
        // Before they go: they take the CPUs from this thread.
        let released = Instant::now();
        start.wait();
        let mut costs = Costs::default();
        for caller in callers {
            let (spent, results) = caller.join().expect("no caller panics")?;
            costs.add(spent, &results);
        }
        Ok(Costs { wall_ms: released.elapsed().as_secs_f64() * 1e3, ..costs })
    })
}

#[cfg(test)]
mod tests {
    use super::order;

    #[test]
    fn what_is_needed_comes_first() {
        assert_eq!(order("c.ko: b.ko a.ko"), Some(vec!["a.ko", "b.ko", "c.ko"]));
        assert_eq!(order("a.ko:"), Some(vec!["a.ko"]));
        assert_eq!(order(""), None);
    }
}
