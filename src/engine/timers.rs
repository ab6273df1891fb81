//! Deadlines on the monotonic clock.

use std::collections::BTreeMap;
use std::time::Instant;

/// A deadline that can be moved. It belongs to one token.
#[derive(Debug, Default)]
pub struct Timer {
    key: Option<(Instant, u64)>,
}

/// All armed timers, the earliest first.
#[derive(Debug)]
pub struct Timers<T> {
    armed: BTreeMap<(Instant, u64), T>,
    next: u64,
}

impl<T> Default for Timers<T> {
    fn default() -> Self {
        Timers {
            armed: BTreeMap::new(),
            next: 0,
        }
    }
}

impl<T> Timers<T> {
    /// Moves a timer to `at`.
    pub fn arm(&mut self, timer: &mut Timer, at: Instant, token: T) {
        if let Some(key) = timer.key
            && key.0 == at
        {
            return;
        }
        self.disarm(timer);
        let key = (at, self.next);
        self.next += 1;
        self.armed.insert(key, token);
        timer.key = Some(key);
    }

    pub fn disarm(&mut self, timer: &mut Timer) {
        if let Some(key) = timer.key.take() {
            self.armed.remove(&key);
        }
    }

    pub fn earliest(&self) -> Option<Instant> {
        self.armed.first_key_value().map(|(key, _)| key.0)
    }

    /// Takes one timer that is due. Its owner's `Timer` still names a deadline that is gone:
    /// arming or disarming it again is harmless.
    pub fn pop_due(&mut self, now: Instant) -> Option<T> {
        if self.earliest()? > now {
            return None;
        }
        self.armed.pop_first().map(|(_, token)| token)
    }
}

impl Timer {
    /// Forgets the deadline, once `pop_due` has taken it.
    pub fn fired(&mut self) {
        self.key = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn timers_come_due_in_order_and_can_move() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut timers = Timers::default();
        let (mut a, mut b, mut c) = (Timer::default(), Timer::default(), Timer::default());
        timers.arm(&mut a, at(3), 'a');
        timers.arm(&mut b, at(2), 'b');
        timers.arm(&mut c, at(1), 'c');
        timers.arm(&mut c, at(4), 'c');
        timers.disarm(&mut b);
        assert_eq!(timers.earliest(), Some(at(3)));
        assert_eq!(timers.pop_due(at(2)), None);
        assert_eq!(timers.pop_due(at(9)), Some('a'));
        assert_eq!(timers.pop_due(at(9)), Some('c'));
        assert_eq!(timers.pop_due(at(9)), None);
        timers.disarm(&mut a);
        timers.arm(&mut a, at(5), 'a');
        assert_eq!(timers.pop_due(at(9)), Some('a'));
    }
}
