//! What the system says about this process, under the names that every client of Prometheus gives it.

use std::fs;

use prometheus::{Counter, Gauge, Registry};

use super::{family, opts, real_gauge, register};

/// Ticks of a second in `/proc`, the same on every Linux.
const TICKS: f64 = 100.0;

/// Gauges of this process. Where the system has no `/proc` they stay at 0.
#[derive(Debug)]
pub(super) struct Process {
    resident: Gauge,
    virtual_memory: Gauge,
    cpu: Counter,
    fds: Gauge,
    born: Gauge,
}

impl Process {
    pub(super) fn new(registry: &Registry) -> Self {
        Self {
            resident: real_gauge(registry, &family::RESIDENT),
            virtual_memory: real_gauge(registry, &family::VIRTUAL),
            cpu: register(registry, Counter::with_opts(opts(&family::CPU))),
            fds: real_gauge(registry, &family::FDS),
            born: real_gauge(registry, &family::BORN),
        }
    }

    /// Asks anew.
    pub(super) fn look(&self) {
        let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
        let status = read("/proc/self/status");
        self.resident.set(kibibytes(&status, "VmRSS:"));
        self.virtual_memory.set(kibibytes(&status, "VmSize:"));
        self.fds.set(fs::read_dir("/proc/self/fd").map_or(0.0, |open| count(open.count())));
        let stat = read("/proc/self/stat");
        let cpu = (field(&stat, 14) + field(&stat, 15)) / TICKS;
        self.cpu.inc_by((cpu - self.cpu.get()).max(0.0));
        let booted = read("/proc/stat");
        let booted = booted.lines().find_map(|line| line.strip_prefix("btime ")).and_then(|time| time.parse().ok());
        self.born.set(booted.map_or(0.0, |booted: f64| booted + field(&stat, 22) / TICKS));
    }
}

/// A line of `/proc/self/status`, in bytes.
fn kibibytes(status: &str, name: &str) -> f64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")).and_then(|kib| kib.trim().parse::<f64>().ok());
    kib.unwrap_or_default() * 1024.0
}

/// A field of `/proc/self/stat`, counted from 1. The second is the program's name in brackets, which may hold spaces.
fn field(stat: &str, number: usize) -> f64 {
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    after_name.split_whitespace().nth(number - 3).and_then(|field| field.parse().ok()).unwrap_or_default()
}

#[expect(clippy::cast_precision_loss, reason = "a few files")]
fn count(n: usize) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::float_cmp, reason = "whole numbers come out as they are")]
    fn fields_are_counted_past_a_name_with_spaces_and_brackets() {
        let stat = "42 (a (b) c) S 1 42 42 0 -1 4194560 100 0 0 0 7 5 0 0 20 0 1 0 900 0";
        assert_eq!([field(stat, 3), field(stat, 14), field(stat, 15), field(stat, 22)], [0.0, 7.0, 5.0, 900.0]);
        assert_eq!(kibibytes("Name:\tx\nVmRSS:\t  2048 kB\n", "VmRSS:"), 2_097_152.0);
    }
}
