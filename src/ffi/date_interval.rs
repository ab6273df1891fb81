//! NSDateInterval.

use super::guard::guarded;
use super::object::borrowed;
use super::types::nsurlsession_date_interval_t;
use crate::foundation::date_interval::DateInterval;

fn read(
    interval: *const nsurlsession_date_interval_t,
    name: &str,
    nothing: f64,
    read: impl FnOnce(&DateInterval) -> f64,
) -> f64 {
    guarded(name, nothing, || {
        borrowed(interval, name).map_or(nothing, |interval| read(&interval))
    })
}

/// -[NSDateInterval startDate]. When the interval begins, in seconds since 1970. NULL: not a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_date_interval_start_date(
    interval: *const nsurlsession_date_interval_t,
) -> f64 {
    const NAME: &str = "nsurlsession_date_interval_start_date";
    read(interval, NAME, f64::NAN, DateInterval::start)
}

/// -[NSDateInterval endDate]. When the interval ends, in seconds since 1970: its start and its
/// duration together. NULL: not a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_date_interval_end_date(
    interval: *const nsurlsession_date_interval_t,
) -> f64 {
    const NAME: &str = "nsurlsession_date_interval_end_date";
    read(interval, NAME, f64::NAN, DateInterval::end)
}

/// -[NSDateInterval duration]. How long the interval is, in seconds; never negative. NULL: 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_date_interval_duration(
    interval: *const nsurlsession_date_interval_t,
) -> f64 {
    const NAME: &str = "nsurlsession_date_interval_duration";
    read(interval, NAME, 0.0, DateInterval::duration)
}
