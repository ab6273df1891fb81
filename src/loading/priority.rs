//! How urgent a load is: what NSURLSessionTask's priority means to servers.

/// The priority of a load that was given none.
pub const DEFAULT: f32 = 0.5;

/// `NSURLSessionTask.priority`, and whether pieces of the body are of use as they come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Priority {
    /// From 0 to 1.
    pub urgency: f32,
    /// Set by hand; otherwise nothing is said about it.
    pub incremental: bool,
}

impl Default for Priority {
    fn default() -> Self {
        Priority {
            urgency: DEFAULT,
            incremental: false,
        }
    }
}

impl Priority {
    /// The value of a Priority field (RFC 9218); `None` for what servers take for granted.
    pub fn field(self) -> Option<String> {
        // 0 is the most urgent of 8 levels, and 3 the usual one.
        let level = if self.urgency >= DEFAULT {
            3 - ((self.urgency - DEFAULT) * 6.0).round() as i32
        } else {
            3 + ((DEFAULT - self.urgency) * 8.0).round() as i32
        };
        match (level, self.incremental) {
            (3, false) => None,
            (3, true) => Some("i".to_owned()),
            (level, false) => Some(format!("u={level}")),
            (level, true) => Some(format!("u={level}, i")),
        }
    }

    /// The weight of an HTTP/2 stream: from 1 to 256, 16 being the usual one.
    pub fn weight(self) -> i64 {
        let weight = if self.urgency >= DEFAULT {
            16.0 + (self.urgency - DEFAULT) * 480.0
        } else {
            1.0 + self.urgency * 30.0
        };
        (weight.round() as i64).clamp(1, 256)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priorities_become_fields_and_weights() {
        for (urgency, incremental, field, weight) in [
            (0.5, false, None, 16),
            (0.5, true, Some("i"), 16),
            (1.0, false, Some("u=0"), 256),
            (0.75, true, Some("u=1, i"), 136),
            (0.25, false, Some("u=5"), 9),
            (0.0, false, Some("u=7"), 1),
        ] {
            let priority = Priority {
                urgency,
                incremental,
            };
            assert_eq!(priority.field().as_deref(), field);
            assert_eq!(priority.weight(), weight);
        }
    }
}
