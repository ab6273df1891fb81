//! What is said about a progress when the program says nothing.

use super::{DOWNLOADING, RECEIVING, UPLOADING};

/// What there is to say something about.
pub struct Facts {
    pub is_file: bool,
    pub operation: Option<String>,
    pub completed: i64,
    pub total: i64,
    /// `None`: indeterminate.
    pub fraction: Option<f64>,
    pub throughput: Option<i64>,
    pub time_remaining: Option<f64>,
}

impl Facts {
    /// One line: "Downloading…", "30% completed".
    pub fn description(&self) -> String {
        let operation = self.operation.as_deref().filter(|_| self.is_file);
        match (operation, self.fraction) {
            (Some(DOWNLOADING), _) => "Downloading…".to_owned(),
            (Some(UPLOADING), _) => "Uploading…".to_owned(),
            (Some(RECEIVING), _) => "Receiving…".to_owned(),
            (None, Some(fraction)) if !self.is_file => {
                // Not 100 before all is done, but 29 for 0.29, which is a little less.
                format!("{:.0}% completed", (fraction * 100.0 + 1e-9).floor())
            }
            _ => "Loading…".to_owned(),
        }
    }

    /// Details: "3 of 10", "3.3 MB of 103.92 GB (2 KB/sec) — 2 minutes remaining". Empty if nothing
    /// is known.
    pub fn additional_description(&self) -> String {
        let mut text = match self.fraction {
            Some(_) => format!(
                "{} of {}",
                self.amount(self.completed),
                self.amount(self.total)
            ),
            None if self.completed > 0 => self.amount(self.completed),
            None => String::new(),
        };
        if let Some(throughput) = self.throughput.filter(|_| self.is_file) {
            let space = if text.is_empty() { "" } else { " " };
            text = format!("{text}{space}({}/sec)", bytes(throughput));
        }
        if let Some(seconds) = self.time_remaining {
            let dash = if text.is_empty() { "" } else { " — " };
            text = format!("{text}{dash}{} remaining", duration(seconds));
        }
        text
    }

    fn amount(&self, units: i64) -> String {
        if self.is_file {
            bytes(units)
        } else {
            units.to_string()
        }
    }
}

/// A number of bytes in decimal units, as finely as Apple's file sizes: "Zero KB", "512 bytes",
/// "123 KB", "3.3 MB", "103.92 GB".
fn bytes(count: i64) -> String {
    match count {
        ..0 => return format!("{count} bytes"),
        0 => return "Zero KB".to_owned(),
        1 => return "1 byte".to_owned(),
        2..1000 => return format!("{count} bytes"),
        1000.. => {}
    }
    let mut value = count as f64;
    let units = [
        ("KB", 0),
        ("MB", 1),
        ("GB", 2),
        ("TB", 2),
        ("PB", 2),
        ("EB", 2),
    ];
    for (unit, digits) in units {
        value /= 1000.0;
        let scale = 10_f64.powi(digits);
        let rounded = (value * scale).round() / scale;
        if rounded < 1000.0 || unit == "EB" {
            // The shortest that says it: 3 MB, not 3.0 MB.
            return format!("{rounded} {unit}");
        }
    }
    unreachable!("the last unit takes whatever is left")
}

/// A time in its largest unit, rounded up.
fn duration(seconds: f64) -> String {
    const UNITS: [(f64, f64, &str); 3] = [
        (1.0, 60.0, "second"),
        (60.0, 60.0, "minute"),
        (3600.0, 24.0, "hour"),
    ];
    let (count, unit) = UNITS
        .into_iter()
        .map(|(length, most, unit)| ((seconds / length).ceil(), most, unit))
        .find(|(count, most, _)| count < most)
        .map_or(((seconds / 86400.0).ceil(), "day"), |(count, _, unit)| {
            (count, unit)
        });
    let plural = if count == 1.0 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(completed: i64, total: i64, fraction: Option<f64>) -> Facts {
        Facts {
            is_file: false,
            operation: None,
            completed,
            total,
            fraction,
            throughput: None,
            time_remaining: None,
        }
    }

    fn file(completed: i64, total: i64, fraction: Option<f64>) -> Facts {
        Facts {
            is_file: true,
            operation: Some(DOWNLOADING.to_owned()),
            ..facts(completed, total, fraction)
        }
    }

    #[test]
    fn sizes_are_written_as_apple_writes_them() {
        for (count, text) in [
            (0, "Zero KB"),
            (1, "1 byte"),
            (999, "999 bytes"),
            (1000, "1 KB"),
            (123_456, "123 KB"),
            (999_499, "999 KB"),
            (999_500, "1 MB"),
            (789_100_000, "789.1 MB"),
            (999_949_999, "999.9 MB"),
            (999_950_000, "1 GB"),
            (103_920_000_000, "103.92 GB"),
            (i64::MAX, "9.22 EB"),
            (-5, "-5 bytes"),
        ] {
            assert_eq!(bytes(count), text, "{count}");
        }
    }

    #[test]
    fn times_are_rounded_up() {
        for (seconds, text) in [
            (0.0, "0 seconds"),
            (0.2, "1 second"),
            (59.0, "59 seconds"),
            (59.5, "1 minute"),
            (61.0, "2 minutes"),
            (3540.0, "59 minutes"),
            (3541.0, "1 hour"),
            (23.0 * 3600.0, "23 hours"),
            (23.5 * 3600.0, "1 day"),
            (10.0 * 86400.0, "10 days"),
        ] {
            assert_eq!(duration(seconds), text, "{seconds}");
        }
    }

    #[test]
    fn descriptions_say_what_is_known() {
        assert_eq!(facts(3, 10, Some(0.3)).description(), "30% completed");
        assert_eq!(facts(29, 100, Some(0.29)).description(), "29% completed");
        let almost = facts(999, 1000, Some(0.999));
        assert_eq!(almost.description(), "99% completed");
        assert_eq!(facts(0, -1, None).description(), "Loading…");
        assert_eq!(file(0, 10, Some(0.0)).description(), "Downloading…");
        let other = Facts {
            operation: None,
            ..file(0, 10, Some(0.0))
        };
        assert_eq!(other.description(), "Loading…");
    }

    #[test]
    fn details_say_what_is_known() {
        let text = |facts: Facts| facts.additional_description();
        assert_eq!(text(facts(3, 10, Some(0.3))), "3 of 10");
        assert_eq!(text(facts(3, -1, None)), "3");
        assert_eq!(text(facts(0, -1, None)), "");
        assert_eq!(
            text(file(123_000, 789_100_000, Some(0.0))),
            "123 KB of 789.1 MB"
        );
        let details = Facts {
            throughput: Some(2000),
            time_remaining: Some(90.0),
            ..file(1_610_000_000, 3_220_000_000, Some(0.5))
        };
        assert_eq!(
            text(details),
            "1.61 GB of 3.22 GB (2 KB/sec) — 2 minutes remaining"
        );
        let rate_alone = Facts {
            throughput: Some(1000),
            time_remaining: Some(60.0),
            ..file(0, -1, None)
        };
        assert_eq!(text(rate_alone), "(1 KB/sec) — 1 minute remaining");
        let of_units = Facts {
            throughput: Some(1000),
            time_remaining: Some(1.0),
            ..facts(3, 10, Some(0.3))
        };
        assert_eq!(text(of_units), "3 of 10 — 1 second remaining");
    }
}
