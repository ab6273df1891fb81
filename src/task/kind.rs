//! Which of Apple's task classes a task is, and what its completion handler takes.

use std::ffi::CStr;
use std::sync::Arc;

use crate::foundation::data::Data;
use crate::foundation::error::Error;
use crate::loading::response::Response;

/// The classes of tasks, with the numbers of the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum TaskKind {
    Data = 1,
    Upload = 2,
    Download = 3,
}

impl TaskKind {
    pub fn name(self) -> &'static str {
        match self {
            TaskKind::Data => "data",
            TaskKind::Upload => "upload",
            TaskKind::Download => "download",
        }
    }
}

/// Takes a body, a response and an error.
pub type DataHandler =
    Box<dyn FnOnce(Option<&Arc<Data>>, Option<&Arc<Response>>, Option<&Arc<Error>>) + Send>;
/// Takes the path of a file, a response and an error.
pub type DownloadHandler =
    Box<dyn FnOnce(Option<&CStr>, Option<&Arc<Response>>, Option<&Arc<Error>>) + Send>;

/// The completion handler of a task. Called once; dropped uncalled only with the process.
pub enum TaskHandler {
    Data(DataHandler),
    Download(DownloadHandler),
}
