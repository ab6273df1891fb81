//! What a progress says of itself to a person.

use super::{DOWNLOADING, KIND_FILE, Label, RECEIVING, State, UPLOADING};

/// Seconds until the end at the present pace.
pub(super) fn remaining(state: &State) -> Option<f64> {
    let pace = state.throughput.or_else(|| state.pace.throughput())?;
    let left = state.total.checked_sub(state.completed)?;
    let known = pace > 0 && left >= 0 && !state.is_indeterminate();
    known.then(|| left as f64 / pace as f64)
}

pub(super) fn description(state: &State) -> String {
    match state.labels[Label::FileOperation as usize].as_deref() {
        Some(DOWNLOADING) => "Downloading…".to_owned(),
        Some(UPLOADING) => "Uploading…".to_owned(),
        Some(RECEIVING) => "Receiving…".to_owned(),
        _ if state.is_indeterminate() => String::new(),
        _ => format!("{:.0}% completed", (state.fraction() * 100.0).floor()),
    }
}

pub(super) fn additional(state: &State) -> String {
    if state.labels[Label::Kind as usize].as_deref() != Some(KIND_FILE) {
        return match state.is_indeterminate() {
            true => String::new(),
            false => format!("{} of {}", state.completed, state.total),
        };
    }
    let mut text = match state.is_indeterminate() {
        true => bytes(state.completed.max(0)),
        false => format!("{} of {}", bytes(state.completed), bytes(state.total)),
    };
    if let Some(pace) = state.throughput.or_else(|| state.pace.throughput()) {
        text.push_str(&format!(" ({}/sec)", bytes(pace)));
    }
    if let Some(seconds) = state.remaining.or_else(|| remaining(state)) {
        text.push_str(&format!(" — About {} remaining", duration(seconds)));
    }
    text
}

/// A number of bytes, in thousands as file managers count.
fn bytes(count: i64) -> String {
    const UNITS: [&str; 5] = ["KB", "MB", "GB", "TB", "PB"];
    if count == 1 {
        return "1 byte".to_owned();
    }
    if count < 1000 {
        return format!("{count} bytes");
    }
    let mut value = count as f64 / 1000.0;
    let mut unit = 0;
    // What would be rounded to 1000 is 1 of the next unit.
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let digits = usize::from(value < 100.0);
    format!("{value:.digits$} {}", UNITS[unit])
}

fn duration(seconds: f64) -> String {
    let (count, unit) = match seconds.ceil() {
        seconds if seconds < 60.0 => (seconds, "second"),
        seconds if seconds < 3600.0 => ((seconds / 60.0).ceil(), "minute"),
        seconds => ((seconds / 3600.0).ceil(), "hour"),
    };
    let plural = if count == 1.0 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_for_people() {
        for (count, text) in [
            (0, "0 bytes"),
            (1, "1 byte"),
            (999, "999 bytes"),
            (1000, "1.0 KB"),
            (123_456, "123 KB"),
            (999_999, "1.0 MB"),
            (12_345_678, "12.3 MB"),
            (5_000_000_000, "5.0 GB"),
        ] {
            assert_eq!(bytes(count), text);
        }
        for (seconds, text) in [
            (0.2, "1 second"),
            (59.0, "59 seconds"),
            (61.0, "2 minutes"),
            (7200.0, "2 hours"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }
}
