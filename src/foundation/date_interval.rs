//! NSDateInterval.

use super::object::{Class, Header, Object, begins_with_header};

#[repr(C)]
pub struct DateInterval {
    header: Header,
}

begins_with_header!(DateInterval);

impl Object for DateInterval {
    fn header(&self) -> &Header {
        &self.header
    }

    fn description(&self) -> String {
        "<date interval>".to_owned()
    }
}
