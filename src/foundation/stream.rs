//! NSInputStream, NSOutputStream, and pairs of them.

use super::object::{Class, Header, Object, begins_with_header};

#[repr(C)]
pub struct InputStream {
    header: Header,
}

begins_with_header!(InputStream);

impl Object for InputStream {
    fn header(&self) -> &Header {
        &self.header
    }

    fn description(&self) -> String {
        "<input stream>".to_owned()
    }
}

#[repr(C)]
pub struct OutputStream {
    header: Header,
}

begins_with_header!(OutputStream);

impl Object for OutputStream {
    fn header(&self) -> &Header {
        &self.header
    }

    fn description(&self) -> String {
        "<output stream>".to_owned()
    }
}
