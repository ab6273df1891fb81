//! How fast a count grows, over the last two seconds.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Long enough to even out bursts, short enough to follow a change.
const WINDOW: Duration = Duration::from_secs(2);
/// What comes closer than this after a sample is not kept as one.
const SPACING: Duration = Duration::from_millis(125);
/// Samples of a window, the one before it, and one to spare.
const MOST: usize = 18;
/// Less time says nothing about the rate.
const LEAST: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, Debug)]
struct Sample {
    count: i64,
    time: Instant,
}

/// One that was not made by `measuring` notes nothing.
#[derive(Debug, Default)]
pub struct Meter {
    samples: VecDeque<Sample>,
    /// The newest count, kept as a sample or not.
    last: Option<Sample>,
    /// The count has grown: what has not begun has no rate.
    has_moved: bool,
}

impl Meter {
    pub fn measuring() -> Meter {
        Meter {
            samples: VecDeque::with_capacity(MOST),
            last: None,
            has_moved: false,
        }
    }

    /// What was before does not count any more.
    pub fn restart(&mut self) {
        self.samples.clear();
        self.last = None;
        self.has_moved = false;
    }

    pub fn note(&mut self, count: i64, now: Instant) {
        if self.samples.capacity() == 0 {
            return;
        }
        if self.last.is_some_and(|last| count < last.count) {
            // It began anew.
            self.restart();
        }
        self.has_moved |= self.last.is_some_and(|last| count > last.count);
        let sample = Sample { count, time: now };
        self.last = Some(sample);
        if let Some(newest) = self.samples.back()
            && now.saturating_duration_since(newest.time) < SPACING
        {
            return;
        }
        while self.samples.len() >= 2 && is_before_window(self.samples[1], now) {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
    }

    /// Units a second, if enough was seen.
    pub fn rate(&self, now: Instant) -> Option<f64> {
        let last = self.last.filter(|_| self.has_moved)?;
        if is_before_window(last, now) {
            return Some(0.0);
        }
        let before = |sample: &&Sample| is_before_window(**sample, now);
        let start = self.samples.iter().rev().find(before);
        let start = start.or(self.samples.front())?;
        let elapsed = now.saturating_duration_since(start.time).min(WINDOW);
        (elapsed >= LEAST).then(|| (last.count - start.count) as f64 / elapsed.as_secs_f64())
    }
}

fn is_before_window(sample: Sample, now: Instant) -> bool {
    now.saturating_duration_since(sample.time) >= WINDOW
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A meter, and a clock that stands still unless it is set.
    struct Bench {
        meter: Meter,
        start: Instant,
    }

    impl Bench {
        fn new() -> Bench {
            Bench {
                meter: Meter::measuring(),
                start: Instant::now(),
            }
        }

        fn at(&self, milliseconds: u64) -> Instant {
            self.start + Duration::from_millis(milliseconds)
        }

        fn note(&mut self, milliseconds: u64, count: i64) {
            self.meter.note(count, self.at(milliseconds));
        }

        fn rate(&self, milliseconds: u64) -> Option<f64> {
            self.meter.rate(self.at(milliseconds))
        }
    }

    #[test]
    fn nothing_is_known_at_first() {
        let mut bench = Bench::new();
        assert_eq!(bench.rate(0), None);
        bench.note(0, 0);
        bench.note(1, 0);
        assert_eq!(bench.rate(10_000), None);
        let mut bench = Bench::new();
        bench.note(0, 0);
        bench.note(50, 1000);
        assert_eq!(bench.rate(50), None);
        bench.note(500, 1000);
        assert_eq!(bench.rate(500), Some(2000.0));
    }

    #[test]
    fn a_steady_rate_is_found_whatever_the_pieces() {
        for step in [1, 10, 100, 500, 1000] {
            let mut bench = Bench::new();
            for time in (0..=10_000).step_by(step) {
                bench.note(time, 3 * time as i64);
            }
            let rate = bench.rate(10_000).unwrap();
            // The sample before the window lies up to a step, or the spacing, outside of it.
            let error = 3000.0 * (step.max(125) as f64) / 2000.0;
            assert!((rate - 3000.0).abs() <= error, "{step}: {rate}");
            assert!(bench.meter.samples.len() <= MOST);
            assert_eq!(
                bench.meter.samples.capacity(),
                Meter::measuring().samples.capacity()
            );
        }
    }

    #[test]
    fn a_change_is_followed_within_the_window() {
        let mut bench = Bench::new();
        for time in (0..=10_000).step_by(125) {
            bench.note(time, time as i64);
        }
        assert_eq!(bench.rate(10_000), Some(1000.0));
        for time in (10_125..=12_000).step_by(125) {
            bench.note(time, 10_000 + (time as i64 - 10_000) * 8);
        }
        assert_eq!(bench.rate(12_000), Some(8000.0));
    }

    #[test]
    fn a_stall_fades_to_zero() {
        let mut bench = Bench::new();
        for time in (0..=2_000).step_by(125) {
            bench.note(time, time as i64);
        }
        assert_eq!(bench.rate(3_000), Some(500.0));
        assert_eq!(bench.rate(4_000), Some(0.0));
        assert_eq!(bench.rate(60_000), Some(0.0));
        // What comes after it came within the window.
        bench.note(60_000, 6_000);
        assert_eq!(bench.rate(60_000), Some(2000.0));
    }

    #[test]
    fn a_new_beginning_is_not_negative() {
        let mut bench = Bench::new();
        bench.note(0, 0);
        bench.note(1_000, 1_000);
        bench.note(2_000, 10);
        assert_eq!(bench.rate(2_000), None);
        bench.note(3_000, 110);
        assert_eq!(bench.rate(3_000), Some(100.0));
        bench.meter.restart();
        assert_eq!(bench.rate(3_000), None);
    }

    #[test]
    fn one_that_does_not_measure_keeps_nothing() {
        let mut meter = Meter::default();
        let start = Instant::now();
        meter.note(0, start);
        meter.note(1_000, start + WINDOW);
        assert_eq!(meter.rate(start + WINDOW), None);
    }
}
