//! NSURLSessionTaskMetrics and NSURLSessionTaskTransactionMetrics.

use crate::foundation::object::{Class, Header, Object, begins_with_header};

#[repr(C)]
pub struct TaskMetrics {
    header: Header,
}

begins_with_header!(TaskMetrics);

impl Object for TaskMetrics {
    fn header(&self) -> &Header {
        &self.header
    }

    fn description(&self) -> String {
        "<task metrics>".to_owned()
    }
}

#[repr(C)]
pub struct TransactionMetrics {
    header: Header,
}

begins_with_header!(TransactionMetrics);

impl Object for TransactionMetrics {
    fn header(&self) -> &Header {
        &self.header
    }

    fn description(&self) -> String {
        "<transaction metrics>".to_owned()
    }
}
