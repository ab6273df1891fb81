//! What a client process measures about itself.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::Instant;

/// A point in time, with what the process had used up by then.
#[derive(Clone, Copy)]
pub struct Snapshot {
    wall: Instant,
    cpu: f64,
    switches: i64,
}

impl Snapshot {
    pub fn now() -> Self {
        // SAFETY: rusage is plain numbers, and getrusage fills it.
        let usage = unsafe {
            let mut usage: libc::rusage = std::mem::zeroed();
            libc::getrusage(libc::RUSAGE_SELF, &mut usage);
            usage
        };
        let seconds = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 / 1e6;
        Self {
            wall: Instant::now(),
            cpu: seconds(usage.ru_utime) + seconds(usage.ru_stime),
            switches: usage.ru_nvcsw + usage.ru_nivcsw,
        }
    }
}

/// A number of /proc/self/status: `VmRSS` and `VmHWM` in KiB, `Threads`.
pub fn status(field: &str) -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    text.lines()
        .filter_map(|line| line.strip_prefix(field)?.strip_prefix(':'))
        .filter_map(|rest| rest.split_whitespace().next()?.parse().ok())
        .next()
        .unwrap_or(0.0)
}

/// How far the resident memory has been above what it was, in MiB.
pub fn over_idle(idle_kib: f64) -> f64 {
    (status("VmHWM") - idle_kib) / 1024.0
}

/// Measures from the completion number `skip` to the completion number `total`.
pub struct Meter {
    skip: u64,
    total: u64,
    mark: Option<u64>,
    pub done: u64,
    pub errors: u64,
    pub threads: f64,
    marked_rss: f64,
    start: Option<Snapshot>,
    end: Option<Snapshot>,
}

impl Meter {
    /// `mark`: the completion after which to note the resident memory.
    pub fn new(total: u64, skip: u64, mark: Option<u64>) -> Self {
        Self {
            skip,
            total,
            mark,
            done: 0,
            errors: 0,
            threads: 0.0,
            marked_rss: 0.0,
            start: (skip == 0).then(Snapshot::now),
            end: None,
        }
    }

    /// Counts a completion. True: it was the last one.
    pub fn tick(&mut self, ok: bool) -> bool {
        self.done += 1;
        if !ok {
            self.errors += 1;
        }
        if self.done.is_multiple_of(self.total.div_ceil(4).max(1)) {
            self.sample_threads();
        }
        if Some(self.done) == self.mark {
            self.marked_rss = status("VmRSS");
        }
        if self.done == self.skip {
            self.start = Some(Snapshot::now());
        }
        if self.done == self.total {
            self.end = Some(Snapshot::now());
            self.sample_threads();
        }
        self.done >= self.total
    }

    pub fn sample_threads(&mut self) {
        self.threads = self.threads.max(status("Threads"));
    }

    pub fn report(&self) -> Report {
        let mut report = Report::default();
        if let (Some(start), Some(end)) = (self.start, self.end) {
            let requests = (self.total - self.skip).max(1) as f64;
            let seconds = end.wall.duration_since(start.wall).as_secs_f64();
            let cpu = end.cpu - start.cpu;
            report.add("requests", requests);
            report.add("seconds", seconds);
            report.add("cpu", cpu);
            report.add("rps", requests / seconds);
            report.add("cpu_us", cpu / requests * 1e6);
            report.add(
                "switches",
                (end.switches - start.switches) as f64 / requests,
            );
        }
        report.add("errors", self.errors as f64);
        report.add("threads", self.threads);
        report.add("rss_kib", status("VmRSS"));
        report.add("peak_mib", status("VmHWM") / 1024.0);
        if self.mark.is_some() {
            report.add("mark_kib", self.marked_rss);
            report.add("growth_kib", status("VmRSS") - self.marked_rss);
        }
        report
    }
}

/// The line of `key=value` that a client prints and the parent reads.
#[derive(Default)]
pub struct Report(Vec<(String, f64)>);

impl Report {
    pub fn add(&mut self, key: &str, value: f64) {
        self.0.push((key.to_owned(), value));
    }

    /// Adds what a transfer of `bytes` says about speed.
    pub fn add_bytes(&mut self, bytes: u64) {
        let mib = bytes as f64 / f64::from(1 << 20);
        let value = |key: &str| self.0.iter().find(|(k, _)| k == key).map(|(_, v)| *v);
        if let (Some(seconds), Some(cpu)) = (value("seconds"), value("cpu")) {
            self.add("mib_s", mib / seconds);
            self.add("cpu_ms_gib", cpu * 1e3 / (mib / 1024.0));
        }
        self.add("bytes", bytes as f64);
    }

    pub fn print(&self) {
        let mut line = String::new();
        for (key, value) in &self.0 {
            // Writing to a String cannot fail.
            let _ = write!(line, "{key}={value} ");
        }
        println!("{}", line.trim_end());
    }
}

/// Reads a client's line.
pub fn parse_report(line: &str) -> HashMap<String, f64> {
    line.split_whitespace()
        .filter_map(|pair| pair.split_once('='))
        .filter_map(|(key, value)| Some((key.to_owned(), value.parse().ok()?)))
        .collect()
}
