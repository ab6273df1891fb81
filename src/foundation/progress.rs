//! NSProgress.

use super::object::{Class, Header, Object, begins_with_header};

#[repr(C)]
pub struct Progress {
    header: Header,
}

begins_with_header!(Progress);

impl Object for Progress {
    fn header(&self) -> &Header {
        &self.header
    }

    fn description(&self) -> String {
        "<progress>".to_owned()
    }
}
