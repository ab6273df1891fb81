//! NSDateInterval.
