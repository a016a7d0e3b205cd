// SPDX-License-Identifier: GPL-2.0

//! How much memory is in use.

use std::fs;

use anyhow::{Context, Result};

const USED: &str = "VmallocUsed";

/// The highest use of vmalloc memory since a starting point.
pub struct Peak {
    before: u64,
    highest: u64,
}

impl Peak {
    /// Starts at what is in use now.
    pub fn start() -> Result<Self> {
        // The counters are kept per CPU and summed lazily. Without a kernel that can be asked to
        // sum them, the starting point is off by at most what the CPUs have not told yet.
        let _ = fs::read("/proc/sys/vm/stat_refresh");
        let before = meminfo_kib(USED)?;
        Ok(Self { before, highest: before })
    }

    /// Looks once more.
    pub fn sample(&mut self) -> Result<()> {
        self.highest = self.highest.max(meminfo_kib(USED)?);
        Ok(())
    }

    /// The peak above the starting point.
    pub fn kib(&self) -> u64 {
        self.highest - self.before
    }
}

/// A line of /proc/meminfo.
pub fn meminfo_kib(field: &str) -> Result<u64> {
    let text = fs::read_to_string("/proc/meminfo")?;
    parse(&text, field).with_context(|| format!("/proc/meminfo has no {field} line"))
}

fn parse(meminfo: &str, field: &str) -> Option<u64> {
    let value = meminfo.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    value.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_found() {
        let text = "VmallocTotal:   34359738367 kB\nVmallocUsed:        5324 kB\nPercpu: 1 kB\n";
        assert_eq!(parse(text, "VmallocUsed"), Some(5324));
    }

    #[test]
    fn what_is_no_number_of_kib_is_nothing() {
        for text in ["", "VmallocUsed:", "VmallocUsed: x kB", "VmallocUsed: 12 MB"] {
            assert_eq!(parse(text, "VmallocUsed"), None, "{text}");
        }
    }
}
