//! NSDateInterval.

use std::sync::Arc;

use super::object::{Class, Header, Object, begins_with_header, downcast, hash_of};

/// A time and how long it lasts, in seconds; the start is in seconds since 1970.
#[repr(C)]
pub struct DateInterval {
    header: Header,
    start: f64,
    duration: f64,
}

begins_with_header!(DateInterval);

impl DateInterval {
    /// From one date to another. An end before the start, as a clock that was set back makes it,
    /// gives an interval without length.
    pub fn between(start: f64, end: f64) -> Arc<DateInterval> {
        Arc::new(DateInterval {
            header: Header::new(Class::DateInterval),
            start,
            duration: (end - start).max(0.0),
        })
    }

    pub fn start(&self) -> f64 {
        self.start
    }

    pub fn duration(&self) -> f64 {
        self.duration
    }

    pub fn end(&self) -> f64 {
        self.start + self.duration
    }
}

impl Object for DateInterval {
    fn header(&self) -> &Header {
        &self.header
    }

    fn description(&self) -> String {
        format!(
            "<date interval: from {:.6}, {:.6} s>",
            self.start, self.duration
        )
    }

    fn equals(&self, other: &dyn Object) -> bool {
        downcast::<DateInterval>(other)
            .is_some_and(|other| self.start == other.start && self.duration == other.duration)
    }

    fn hash_value(&self) -> u64 {
        // 0.0 and -0.0 are equal.
        hash_of(&(
            (self.start + 0.0).to_bits(),
            (self.duration + 0.0).to_bits(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_has_a_start_an_end_and_a_length() {
        let interval = DateInterval::between(1000.0, 1002.5);
        assert_eq!(
            (interval.start(), interval.end(), interval.duration()),
            (1000.0, 1002.5, 2.5)
        );
        let backwards = DateInterval::between(1000.0, 999.0);
        assert_eq!((backwards.end(), backwards.duration()), (1000.0, 0.0));
    }

    #[test]
    fn intervals_are_equal_by_what_they_hold() {
        let (a, b) = (
            DateInterval::between(0.0, 1.0),
            DateInterval::between(-0.0, 1.0),
        );
        assert!(a.equals(&*b));
        assert_eq!(a.hash_value(), b.hash_value());
        assert!(!a.equals(&*DateInterval::between(0.0, 2.0)));
    }
}
