// SPDX-License-Identifier: GPL-2.0

//! What is left over: modules, vmalloc areas, slab objects.

use std::{collections::BTreeMap, fs, path::Path, thread::sleep, time::Duration};

use anyhow::{bail, ensure, Context, Result};
use guest::files;

use crate::kernel;

const KMEMLEAK: &str = "/sys/kernel/debug/kmemleak";
/// kmemleak does not report what is younger than this.
const KMEMLEAK_AGE: Duration = Duration::from_secs(6);
/// Functions of the loader that allocate areas, as /proc/vmallocinfo calls them.
const AREAS: [&str; 4] = ["module", "execmem", "kernel_read_file", "copy_from_user"];
/// Caches that say nothing: areas are freed in large lots, and counted one by one; the debugging
/// keeps objects of its own, free ones for later and one for each object of all other caches.
const OTHERS: [&str; 3] = ["vmap_area", "debug_objects_cache", "kmemleak_object"];
/// Objects of one slab cache that may be more than before: caches of the rest of the kernel.
const SLACK: i64 = 1000;
/// Something is always freed meanwhile.
const MOST_SHRINKS: usize = 10;

/// What there is at one moment.
pub struct Snapshot {
    modules: Vec<String>,
    areas: usize,
    objects: BTreeMap<String, i64>,
}

impl Snapshot {
    /// Takes it, after all that is freed later has been freed.
    pub fn take() -> Result<Self> {
        files::write("/proc/sys/vm/drop_caches", "3")?;
        shrink_to_the_end()?;
        // The loader frees init sections by a work item, after a grace period.
        sleep(Duration::from_secs(1));
        let modules = kernel::modules()?.into_iter().map(|m| m.name).collect();
        Ok(Self { modules, areas: areas()?, objects: objects()? })
    }

    /// Fails if there is more now than there was; says what is close to that.
    pub fn compare(&self, now: &Self) -> Result<String> {
        ensure!(self.modules == now.modules, "modules are left over: {:?}", now.modules);
        ensure!(self.areas > 0, "/proc/vmallocinfo has no area of a module: {AREAS:?}");
        ensure!(self.areas >= now.areas, "vmalloc areas: {} before, {} now", self.areas, now.areas);
        let grown = |name: &String, count: &i64| count - self.objects.get(name).unwrap_or(&0);
        let most = now.objects.iter().map(|(name, count)| (grown(name, count), name)).max();
        let (more, cache) = most.context("no slab cache")?;
        ensure!(more <= SLACK, "slab cache {cache}: {more} objects more than before");
        Ok(format!("areas={} slab_growth={more} slab_cache={cache}", now.areas))
    }
}

/// Shrinks all caches until that frees nothing more: the lists of a cache are objects of another
/// one, which may have had its turn.
fn shrink_to_the_end() -> Result<()> {
    let all = || Ok::<i64, anyhow::Error>(objects()?.values().sum());
    let mut before = all()?;
    for _ in 0..MOST_SHRINKS {
        shrink()?;
        let now = all()?;
        if now >= before {
            break;
        }
        before = now;
    }
    Ok(())
}

/// Empties the lists of freed objects that each cache keeps, KASAN's quarantine among them.
fn shrink() -> Result<()> {
    let dir = "/sys/kernel/slab";
    for cache in fs::read_dir(dir).context(dir)?.flatten() {
        // A link is another name of a cache.
        if cache.file_type()?.is_dir() {
            files::write(cache.path().join("shrink"), "1")?;
        }
    }
    Ok(())
}

/// Whether the kernel has kmemleak.
pub fn can_scan() -> bool {
    Path::new(KMEMLEAK).exists()
}

/// What kmemleak finds from here on is new, where the kernel has it.
pub fn forget_old() -> Result<()> {
    if can_scan() {
        ["scan=off", "scan", "clear"].iter().try_for_each(|order| files::write(KMEMLEAK, order))?;
    }
    Ok(())
}

/// Fails if kmemleak finds anything.
pub fn scan() -> Result<()> {
    if !can_scan() {
        return Ok(());
    }
    // The second scan forgives what moved during the first.
    for _ in 0..2 {
        sleep(KMEMLEAK_AGE);
        files::write(KMEMLEAK, "scan")?;
    }
    let found = fs::read_to_string(KMEMLEAK).context(KMEMLEAK)?;
    if found.is_empty() {
        return Ok(());
    }
    println!("{found}");
    bail!("kmemleak: {} objects", found.matches("unreferenced object").count())
}

fn areas() -> Result<usize> {
    let text = fs::read_to_string("/proc/vmallocinfo").context("/proc/vmallocinfo")?;
    let of_loader =
        |line: &&str| !line.contains("unpurged") && AREAS.iter().any(|a| line.contains(a));
    Ok(text.lines().filter(of_loader).count())
}

/// Objects in use, by the name of the cache.
fn objects() -> Result<BTreeMap<String, i64>> {
    let text = fs::read_to_string("/proc/slabinfo").context("/proc/slabinfo")?;
    let of_others = |(name, _): &(String, i64)| !OTHERS.contains(&name.as_str());
    Ok(text.lines().filter_map(cache).filter(of_others).collect())
}

fn cache(line: &str) -> Option<(String, i64)> {
    let mut words = line.split_whitespace();
    Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(modules: &[&str], areas: usize, objects: i64) -> Snapshot {
        let modules = modules.iter().map(|m| (*m).to_owned()).collect();
        Snapshot { modules, areas, objects: [("kmalloc-256".to_owned(), objects)].into() }
    }

    #[test]
    fn what_is_left_over_is_found() {
        let before = snapshot(&["gate"], 9, 100);
        assert!(before.compare(&snapshot(&["gate"], 9, 100 + SLACK)).is_ok());
        assert!(before.compare(&snapshot(&["gate", "m"], 9, 100)).is_err());
        assert!(before.compare(&snapshot(&["gate"], 10, 100)).is_err());
        assert!(snapshot(&["gate"], 0, 100).compare(&snapshot(&["gate"], 0, 100)).is_err());
        assert!(before.compare(&snapshot(&["gate"], 9, 101 + SLACK)).is_err());
    }

    #[test]
    fn the_heading_is_no_cache() {
        assert_eq!(cache("slabinfo - version: 2.1"), None);
        assert_eq!(cache("# name <active_objs> <num_objs>"), None);
        assert_eq!(cache("kmalloc-8 512 512 8"), Some(("kmalloc-8".to_owned(), 512)));
    }
}
