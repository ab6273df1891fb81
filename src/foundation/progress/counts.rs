//! What the two counts of a progress say.

/// What tells that the work is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The counts.
    ByCounts,
    /// The owner, who has not said so yet.
    Open,
    /// The owner said that it succeeded.
    Succeeded,
    /// The owner said that it failed.
    Failed,
}

#[derive(Clone, Copy, Debug)]
pub struct Counts {
    pub completed: i64,
    pub total: i64,
    pub end: End,
}

impl Counts {
    pub const fn new(total: i64, end: End) -> Counts {
        Counts {
            completed: 0,
            total,
            end,
        }
    }

    pub fn is_finished(&self) -> bool {
        match self.end {
            End::ByCounts => self.completed > 0 && self.total >= 0 && self.completed >= self.total,
            End::Succeeded => true,
            End::Open | End::Failed => false,
        }
    }

    /// Whether there is no telling how much is left. Children are work, even where the total is zero.
    pub fn is_indeterminate(&self, has_children: bool) -> bool {
        self.end != End::Succeeded
            && (self.completed < 0
                || self.total < 0
                || (self.total == 0 && self.completed == 0 && has_children))
    }

    /// Neither count was set: there is nothing to do, or it has not been said yet.
    pub fn is_untouched(&self) -> bool {
        self.completed == 0 && self.total == 0 && !self.is_finished()
    }

    /// Part that is done, with `more` units of children's besides the completed ones.
    pub fn fraction(&self, has_children: bool, more: f64) -> f64 {
        if self.end == End::Succeeded {
            return 1.0;
        }
        if self.is_indeterminate(has_children) {
            return 0.0;
        }
        if self.total == 0 {
            return 1.0;
        }
        ((self.completed as f64 + more) / self.total as f64).clamp(0.0, 1.0)
    }

    /// The owner says how it ended; false if that was said before.
    pub fn end_with(&mut self, success: bool) -> bool {
        if self.end != End::Open {
            return false;
        }
        self.end = if success {
            // What came is all there was.
            self.total = self.completed;
            End::Succeeded
        } else {
            End::Failed
        };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(completed: i64, total: i64) -> Counts {
        Counts {
            completed,
            ..Counts::new(total, End::ByCounts)
        }
    }

    #[test]
    fn two_counts_say_three_things() {
        // completed, total: finished, indeterminate, fraction
        for (completed, total, finished, indeterminate, fraction) in [
            (0, 0, false, false, 1.0),
            (0, 10, false, false, 0.0),
            (3, 10, false, false, 0.3),
            (10, 10, true, false, 1.0),
            (11, 10, true, false, 1.0),
            (5, 0, true, false, 1.0),
            (0, -1, false, true, 0.0),
            (5, -1, false, true, 0.0),
            (-1, 10, false, true, 0.0),
            (i64::MAX, i64::MAX, true, false, 1.0),
            (i64::MIN, i64::MIN, false, true, 0.0),
        ] {
            let counts = counts(completed, total);
            assert_eq!(counts.is_finished(), finished, "{counts:?}");
            assert_eq!(counts.is_indeterminate(false), indeterminate, "{counts:?}");
            assert_eq!(counts.fraction(false, 0.0), fraction, "{counts:?}");
        }
        assert!(counts(0, 0).is_indeterminate(true));
        assert_eq!(counts(0, 0).fraction(true, 0.0), 0.0);
        assert_eq!(counts(2, 10).fraction(true, 2.5), 0.45);
        assert_eq!(counts(8, 10).fraction(true, 2.5), 1.0);
    }

    #[test]
    fn an_owner_ends_it_once() {
        let mut counts = Counts::new(10, End::Open);
        counts.completed = 10;
        assert!(!counts.is_finished());
        assert!(counts.end_with(false));
        assert!(!counts.is_finished());
        assert!(!counts.end_with(true));
        assert!(!counts.is_finished());

        let mut empty = Counts::new(-1, End::Open);
        assert!(empty.is_indeterminate(false));
        assert!(empty.end_with(true));
        assert!(empty.is_finished() && !empty.is_indeterminate(false));
        assert_eq!((empty.total, empty.fraction(false, 0.0)), (0, 1.0));
    }
}
