//! An upload task's body: where it comes from, what the delegate hears of it, and how an upload goes
//! on where an earlier one was.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use super::completion::BodyStreamCompletion;
use super::delivery::Event;
use super::download::{ResumeDataHandler, tell};
use super::task::Task;
use crate::foundation::data::Data;
use crate::foundation::error::Failure;
use crate::foundation::error_code;
use crate::foundation::pool::{Pool, Work};
use crate::foundation::sync::Lock;
use crate::loading::file_body::FileBody;
use crate::loading::request::{RequestBody, RequestValue};
use crate::loading::response::Response;
use crate::loading::resumable_upload::{self, Source, UploadResumeData};
use crate::session::delegate::{Method, Moved};

/// Where an upload's body comes from.
pub enum UploadStart {
    /// It is in the request.
    Given,
    File(PathBuf),
    /// The delegate is asked for it.
    Asked,
    /// What an earlier upload left says that.
    Earlier(Box<UploadResumeData>),
}

/// What is known of the server's place for this upload.
enum Place {
    Unknown,
    /// There is one, and how much has arrived there has to be asked for.
    Told(Box<UploadResumeData>),
    /// It is being asked.
    Asking(Box<UploadResumeData>, Option<Arc<FileBody>>),
}

pub struct Upload {
    start: UploadStart,
    /// The length of the file when the task was made; what counts is that when it is opened.
    length: i64,
    place: Mutex<Place>,
    /// Where the stream is to begin that the delegate is asked for.
    stream_offset: AtomicI64,
    /// The task is cancelled for the sake of its resume data.
    producing: AtomicBool,
}

impl Upload {
    pub fn new(start: UploadStart) -> Upload {
        let length = match &start {
            UploadStart::File(path) => path.metadata().map_or(0, |metadata| metadata.len()),
            UploadStart::Earlier(data) => data.source.as_ref().map_or(0, |source| source.length),
            UploadStart::Given | UploadStart::Asked => 0,
        };
        Upload {
            start,
            length: i64::try_from(length).unwrap_or(i64::MAX),
            place: Mutex::new(Place::Unknown),
            stream_offset: AtomicI64::new(0),
            producing: AtomicBool::new(false),
        }
    }

    /// The length of the body, when it is a file that was not opened yet.
    pub fn length(&self) -> Option<i64> {
        let is_file = matches!(self.start, UploadStart::File(_) | UploadStart::Earlier(_));
        is_file.then_some(self.length)
    }

    fn resume_data(&self) -> Option<Arc<Data>> {
        match &*self.place.locked() {
            Place::Told(data) | Place::Asking(data, _) => Some(Data::new(data.encode())),
            Place::Unknown => match &self.start {
                UploadStart::Earlier(data) => Some(Data::new(data.encode())),
                _ => None,
            },
        }
    }
}

struct Opening(Arc<Task>);

impl Work for Opening {
    fn perform(self: Arc<Self>) {
        self.0.open_body();
    }
}

impl Task {
    /// Begins to upload what has to be opened first. False when the request is ready as it is.
    pub(super) fn start_upload(self: &Arc<Self>) -> bool {
        let Some(upload) = &self.upload else {
            return false;
        };
        match upload.start {
            UploadStart::Given => false,
            UploadStart::File(_) | UploadStart::Earlier(_) => {
                Pool::io().submit(Arc::new(Opening(Arc::clone(self))));
                true
            }
            UploadStart::Asked => {
                let resumable = self.may_be_resumed();
                if resumable {
                    self.launch_upload(RequestValue::clone(self.original_request()));
                }
                resumable
            }
        }
    }

    /// Loads a request that says that the upload can be resumed.
    fn launch_upload(self: &Arc<Self>, mut request: RequestValue) {
        resumable_upload::announce(&mut request);
        self.launch(Arc::new(request));
    }

    /// Whether resume data of this upload can come to be.
    pub(super) fn may_be_resumed(&self) -> bool {
        match self.upload.as_ref().map(|upload| &upload.start) {
            Some(UploadStart::File(_) | UploadStart::Earlier(_)) => true,
            Some(UploadStart::Asked) => self.asks_for(Method::NeedNewBodyStreamFromOffset),
            Some(UploadStart::Given) | None => false,
        }
    }

    /// Opens the file, which may block, and begins to load.
    fn open_body(self: &Arc<Self>) {
        match self.upload.as_ref().map(|upload| &upload.start) {
            Some(UploadStart::File(path)) => match FileBody::open(path) {
                Ok(file) => {
                    let mut request = RequestValue::clone(self.original_request());
                    request.body = Some(RequestBody::File(Arc::new(file), 0));
                    self.launch_upload(request);
                }
                Err(failure) => self.fail(failure),
            },
            Some(UploadStart::Earlier(data)) => match earlier_file(data) {
                Ok(file) => self.ask_for_place(data, file),
                Err(failure) => self.fail(failure),
            },
            _ => {}
        }
    }

    /// Asks the server how much has arrived.
    fn ask_for_place(self: &Arc<Self>, data: &UploadResumeData, file: Option<Arc<FileBody>>) {
        if let Some(upload) = &self.upload {
            *upload.place.locked() = Place::Asking(Box::new(data.clone()), file);
        }
        self.launch(Arc::new(data.offset_request()));
    }

    /// The request that goes on where the server says that the upload is. On the loop.
    pub(super) fn find_place_in_upload(
        &self,
        upload: &Upload,
        response: &Response,
    ) -> Result<Option<Arc<RequestValue>>, Failure> {
        let mut place = upload.place.locked();
        let (data, file) = match std::mem::replace(&mut *place, Place::Unknown) {
            Place::Asking(data, file) => (data, file),
            other => {
                *place = other;
                return Ok(None);
            }
        };
        let length = file.as_ref().map(|file| file.length());
        let offset = resumable_upload::offset(response, length)?;
        let mut request = data.append_request(offset);
        request.body = Some(match file {
            Some(file) => RequestBody::File(file, offset),
            None => {
                let offset = i64::try_from(offset).unwrap_or(i64::MAX);
                upload.stream_offset.store(offset, Ordering::Relaxed);
                RequestBody::Asked
            }
        });
        *place = Place::Told(data);
        Ok(Some(Arc::new(request)))
    }

    /// Notes the server's place for this upload, if this response tells it. On the loop.
    pub(super) fn note_resumption(&self, response: &Response) {
        let Some(upload) = &self.upload else { return };
        let current = self.current_request();
        let Some(location) = resumable_upload::location(response, &current) else {
            return;
        };
        let source = match &current.body {
            Some(RequestBody::File(file, _)) => Some(Source {
                path: file.path().to_string_lossy().into_owned(),
                length: file.length(),
                modified: file.modified(),
            }),
            Some(RequestBody::Asked) => None,
            _ => return,
        };
        let data = UploadResumeData::new(self.original_request(), &location, source);
        *upload.place.locked() = Place::Told(Box::new(data));
    }

    /// What a later task can go on from, when this one failed, or was cancelled for that.
    pub(super) fn upload_resume_data(&self, cancelled: bool) -> Option<Arc<Data>> {
        let upload = self.upload.as_ref()?;
        let wanted = !cancelled || upload.producing.load(Ordering::Relaxed);
        wanted.then(|| upload.resume_data()).flatten()
    }

    /// Cancels an upload; what a later one can go on from goes to `handler`.
    pub fn cancel_upload_by_producing_resume_data(self: &Arc<Self>, handler: ResumeDataHandler) {
        let Some(upload) = &self.upload else { return };
        let over = self.response().is_some() || self.task_state() == super::TaskState::Completed;
        upload.producing.store(true, Ordering::Relaxed);
        let data = if over { None } else { upload.resume_data() };
        self.cancel();
        tell(vec![handler], data);
    }

    pub(super) fn deliver_sent(self: &Arc<Self>) {
        let total = self.count_of_bytes_sent();
        let more = total - self.told_sent.swap(total, Ordering::Relaxed);
        if more <= 0 {
            return;
        }
        if let Some(delegate) = self.delegate_for(Method::DidSendBodyData) {
            let expected = self.count_of_bytes_expected_to_send();
            let moved = Moved {
                more,
                total,
                expected,
            };
            delegate.did_send_body_data(&self.session, self, moved);
        }
    }

    /// Whether there is somebody to be asked for a body; the question then waits to be asked.
    pub(super) fn ask_for_body(&self) -> Option<bool> {
        self.asks_for(self.body_method().0)
            .then(|| self.state.locked().push(Event::NeedBody))
    }

    /// The method that asks for a body, and where the body is to begin.
    fn body_method(&self) -> (Method, i64) {
        let upload = self.upload.as_ref();
        match upload.map_or(0, |upload| upload.stream_offset.load(Ordering::Relaxed)) {
            0 => (Method::NeedNewBodyStream, 0),
            offset => (Method::NeedNewBodyStreamFromOffset, offset),
        }
    }

    pub(super) fn deliver_need_of_body(self: &Arc<Self>) {
        let (method, offset) = self.body_method();
        let Some(delegate) = self.delegate_for(method) else {
            return self.answer_body_stream(None);
        };
        self.block();
        let completion = BodyStreamCompletion::new(Arc::clone(self));
        if method == Method::NeedNewBodyStream {
            delegate.need_new_body_stream(&self.session, self, &completion);
        } else {
            delegate.need_new_body_stream_from_offset(&self.session, self, offset, &completion);
        }
    }
}

/// The file of an earlier upload, if it is still what it was.
fn earlier_file(data: &UploadResumeData) -> Result<Option<Arc<FileBody>>, Failure> {
    let Some(source) = &data.source else {
        return Ok(None);
    };
    let file = FileBody::open(source.path.as_ref())?;
    if file.length() != source.length || file.modified() != source.modified {
        let detail = format!("“{}” was changed since the upload began.", source.path);
        return Err(Failure::new(error_code::REQUEST_BODY_STREAM_EXHAUSTED).detail(detail));
    }
    Ok(Some(Arc::new(file)))
}
