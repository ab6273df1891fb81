//! How fast something has been moving of late.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What is older says nothing about how fast it goes now.
const WINDOW: Duration = Duration::from_secs(2);
/// Samples are at least this far apart.
const APART: Duration = Duration::from_millis(50);

#[derive(Default)]
pub struct Pace {
    samples: VecDeque<(Instant, i64)>,
}

impl Pace {
    /// So much was done at that time.
    pub fn note(&mut self, completed: i64, now: Instant) {
        if self
            .samples
            .back()
            .is_some_and(|(_, before)| completed < *before)
        {
            // It began anew.
            self.samples.clear();
        }
        match self
            .samples
            .len()
            .checked_sub(2)
            .map(|index| self.samples[index].0)
        {
            // The last one is replaced until it is far enough from the one before.
            Some(before) if now - before < APART => {
                self.samples.pop_back();
            }
            _ => {}
        }
        self.samples.push_back((now, completed));
        while self.samples.len() > 2 && now - self.samples[0].0 > WINDOW {
            self.samples.pop_front();
        }
    }

    /// Units a second.
    pub fn throughput(&self) -> Option<i64> {
        let (first, last) = (self.samples.front()?, self.samples.back()?);
        let seconds = (last.0 - first.0).as_secs_f64();
        (seconds > 0.0).then(|| ((last.1 - first.1) as f64 / seconds) as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_is_that_of_late() {
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let mut pace = Pace::default();
        assert_eq!(pace.throughput(), None);
        pace.note(0, at(0));
        assert_eq!(pace.throughput(), None);
        pace.note(1000, at(1000));
        assert_eq!(pace.throughput(), Some(1000));
        for step in 1..=40 {
            pace.note(1000 + step * 1000, at(1000 + step as u64 * 100));
        }
        assert_eq!(pace.throughput(), Some(10_000));
        // Sent again from the beginning.
        pace.note(0, at(5100));
        assert_eq!(pace.throughput(), None);
    }
}
