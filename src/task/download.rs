//! A download task's file: written as the body comes, on a thread for files.
//!
//! Everything that touches the file is done by one writer at a time. Others leave orders; the writer
//! comes to a thread of the pool when there are any.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::delivery::Event;
use super::task::Task;
use crate::foundation::data::Data;
use crate::foundation::error::Failure;
use crate::foundation::error_code;
use crate::foundation::pool::{Pool, Work};
use crate::foundation::sync::Lock;
use crate::loading::coding::CodingError;
use crate::loading::http;
use crate::loading::record::Unreadable;
use crate::loading::request::RequestValue;
use crate::loading::response::Response;
use crate::loading::resume::{self, ResumeData, Verdict};
use crate::session::delegate::{Method, Moved};
use crate::storage::partial_file::{FinishedFile, PartialFile};

/// Receives resume data, or `None` where there can be none.
pub type ResumeDataHandler = Box<dyn FnOnce(Option<&Arc<Data>>) + Send>;

/// The delegate is told of progress this often at most.
const REPORT_EVERY: Duration = Duration::from_millis(100);

/// So many pieces of the body are written before other orders, and other files, have their turn.
const PIECES_A_TURN: usize = 16;

/// How much of what waits was written.
enum Written {
    All,
    /// There may be more.
    ATurn,
}

/// What a download begins with.
pub enum Origin {
    Nothing,
    /// What an earlier one left, and the bytes that say so.
    Earlier(Box<ResumeData>, Arc<Data>),
    /// Bytes that say nothing.
    Unreadable(Unreadable),
}

/// What the response's body is for the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plan {
    /// There is no response yet.
    Undecided,
    /// All of it.
    Whole,
    /// What comes after what is there.
    Rest,
    /// No part of what is there, which stays for somebody who may come back for it.
    SomethingElse,
}

#[derive(Default)]
struct Orders {
    /// Look what an earlier download left, and begin to load.
    prepare: bool,
    /// Body bytes wait in the pipe.
    data: bool,
    /// The load is over.
    end: bool,
    /// Tell these how far the file has come.
    tell: Vec<ResumeDataHandler>,
}

impl Orders {
    fn is_empty(&self) -> bool {
        !self.prepare && !self.data && !self.end && self.tell.is_empty()
    }
}

struct State {
    orders: Orders,
    /// A writer is at work or is about to be.
    writing: bool,
    plan: Plan,
    /// The request was for the rest of what is there.
    ranged: bool,
    /// The task is cancelled for the sake of its resume data: these get them.
    producing: Option<Vec<ResumeDataHandler>>,
    /// Nothing will happen to the file any more.
    settled: bool,
    resume_data: Option<Arc<Data>>,
    finished: Option<FinishedFile>,
    reported: Option<Instant>,
}

/// What only the writer uses.
#[derive(Default)]
struct Writer {
    file: Option<PartialFile>,
    /// The file is ready for this response's body.
    open: bool,
}

pub struct Download {
    origin: Origin,
    state: Mutex<State>,
    writer: Mutex<Writer>,
    written: AtomicI64,
    /// What the delegate was told was written.
    told: AtomicI64,
    expected: AtomicI64,
}

impl Download {
    pub fn new(origin: Origin) -> Download {
        Download {
            origin,
            state: Mutex::new(State {
                orders: Orders::default(),
                writing: false,
                plan: Plan::Undecided,
                ranged: false,
                producing: None,
                settled: false,
                resume_data: None,
                finished: None,
                reported: None,
            }),
            writer: Mutex::default(),
            written: AtomicI64::new(0),
            told: AtomicI64::new(0),
            expected: AtomicI64::new(-1),
        }
    }

    fn judge(&self, state: &State, response: &Response) -> Verdict {
        match &self.origin {
            Origin::Earlier(data, _) if state.ranged => {
                resume::judge(data, response.status(), response.fields())
            }
            _ => Verdict::StartOver,
        }
    }

    /// The request to make, when the answer to that for the rest is of no use. On the loop.
    fn request_again(&self, response: &Response) -> Option<RequestValue> {
        let mut state = self.state.locked();
        match &self.origin {
            Origin::Earlier(data, _) if self.judge(&state, response) == Verdict::RequestAgain => {
                state.ranged = false;
                Some(data.request())
            }
            _ => None,
        }
    }

    /// The body of this response is the task's.
    pub(super) fn accept(&self, response: &Response) {
        let mut state = self.state.locked();
        let mut expected = response.expected_length();
        state.plan = match self.judge(&state, response) {
            Verdict::StartOver | Verdict::RequestAgain => Plan::Whole,
            Verdict::SomethingElse => Plan::SomethingElse,
            Verdict::Append { total } => {
                expected = total.map_or(-1, |total| i64::try_from(total).unwrap_or(i64::MAX));
                Plan::Rest
            }
        };
        self.expected.store(expected, Ordering::Relaxed);
    }

    fn plan(&self) -> Plan {
        self.state.locked().plan
    }

    /// What the delegate is to be told of now, if there is anything.
    fn take_report(&self) -> Option<Moved> {
        let total = self.written.load(Ordering::Relaxed);
        let more = total - self.told.swap(total, Ordering::Relaxed);
        (more > 0).then(|| Moved {
            more,
            total,
            expected: self.expected.load(Ordering::Relaxed),
        })
    }

    /// What is in the file, and what will be.
    pub(super) fn counts(&self) -> (i64, i64) {
        let written = self.written.load(Ordering::Relaxed);
        (written, self.expected.load(Ordering::Relaxed))
    }

    /// The complete file.
    pub(super) fn take_finished(&self) -> Option<FinishedFile> {
        self.state.locked().finished.take()
    }

    pub(super) fn resume_data(&self) -> Option<Arc<Data>> {
        self.state.locked().resume_data.clone()
    }
}

struct Writing(Arc<Task>);

impl Work for Writing {
    fn perform(self: Arc<Self>) {
        self.0.write();
    }
}

/// Calls handlers of the caller's, which may take their time, on a thread for callbacks.
struct Telling(Mutex<Vec<ResumeDataHandler>>, Option<Arc<Data>>);

impl Work for Telling {
    fn perform(self: Arc<Self>) {
        let handlers = std::mem::take(&mut *self.0.locked());
        for handler in handlers {
            handler(self.1.as_ref());
        }
    }
}

pub(super) fn tell(handlers: Vec<ResumeDataHandler>, data: Option<Arc<Data>>) {
    if !handlers.is_empty() {
        Pool::shared().submit(Arc::new(Telling(Mutex::new(handlers), data)));
    }
}

impl Task {
    /// Leaves an order for the writer.
    fn order(self: &Arc<Self>, change: impl FnOnce(&mut Orders)) {
        let Some(download) = &self.download else {
            return;
        };
        let mut state = download.state.locked();
        change(&mut state.orders);
        if !std::mem::replace(&mut state.writing, true) {
            drop(state);
            Pool::io().submit(Arc::new(Writing(Arc::clone(self))));
        }
    }

    /// Begins a download. False when it goes on from nothing, as any other task does.
    pub(super) fn start_download(self: &Arc<Self>) -> bool {
        match self.download.as_ref().map(|download| &download.origin) {
            None | Some(Origin::Nothing) => return false,
            Some(Origin::Earlier(..)) => self.order(|orders| orders.prepare = true),
            Some(Origin::Unreadable(why)) => {
                self.fail(Failure::new(error_code::CANNOT_OPEN_FILE).detail(why.reason()));
            }
        }
        true
    }

    /// Another request to make than this response answers, for a download that was to go on.
    pub(super) fn judge_download(&self, response: &Response) -> Option<Arc<RequestValue>> {
        Some(Arc::new(self.download.as_ref()?.request_again(response)?))
    }

    /// Body bytes wait for the file.
    pub(super) fn download_received_data(self: &Arc<Self>) {
        self.order(|orders| orders.data = true);
    }

    /// The load is over; what is left of the body may still be on its way to the file.
    pub(super) fn download_ended(self: &Arc<Self>) {
        self.order(|orders| orders.end = true);
    }

    /// Cancels the task; what a later one can go on from goes to `handler`.
    pub fn cancel_by_producing_resume_data(self: &Arc<Self>, handler: ResumeDataHandler) {
        let Some(download) = &self.download else {
            return;
        };
        let mut state = download.state.locked();
        if state.settled {
            let data = state.resume_data.clone();
            drop(state);
            return tell(vec![handler], data);
        }
        state.producing.get_or_insert_default().push(handler);
        drop(state);
        self.cancel();
    }

    /// Tells how far the download has come, without ending it.
    pub fn take_resume_data(self: &Arc<Self>, handler: ResumeDataHandler) {
        let Some(download) = &self.download else {
            return;
        };
        let state = download.state.locked();
        let settled = state.settled.then(|| state.resume_data.clone());
        drop(state);
        match settled {
            Some(data) => tell(vec![handler], data),
            None => self.order(|orders| orders.tell.push(handler)),
        }
    }

    /// Carries out all orders.
    fn write(self: &Arc<Self>) {
        let Some(download) = &self.download else {
            return;
        };
        let mut writer = download.writer.locked();
        loop {
            let mut state = download.state.locked();
            if state.orders.is_empty() {
                state.writing = false;
                return;
            }
            let orders = std::mem::take(&mut state.orders);
            let settled = state.settled;
            drop(state);
            if settled {
                tell(orders.tell, download.resume_data());
                continue;
            }
            if orders.prepare {
                self.prepare_download(download, &mut writer);
            }
            let written = if orders.data || orders.end {
                self.write_what_waits(download, &mut writer)
            } else {
                Ok(Written::All)
            };
            if !orders.tell.is_empty() {
                let data = written
                    .is_ok()
                    .then(|| self.produce(&mut writer, false))
                    .flatten();
                let data = data.or_else(|| self.unused_origin(download, &mut writer));
                tell(orders.tell, data);
            }
            match written {
                Err(failure) => self.end_writing(download, &mut writer, Some(failure)),
                Ok(Written::ATurn) => {
                    let mut state = download.state.locked();
                    state.orders.data = true;
                    state.orders.end |= orders.end;
                    // It stays the only writer: other files come first, then it goes on.
                    drop(state);
                    drop(writer);
                    return Pool::io().submit_patiently(Arc::new(Writing(Arc::clone(self))));
                }
                Ok(Written::All) if orders.end => self.end_writing(download, &mut writer, None),
                Ok(Written::All) => {}
            }
        }
    }

    /// Finds out what is left of the download that this one goes on from, and begins to load.
    fn prepare_download(self: &Arc<Self>, download: &Download, writer: &mut Writer) {
        let Origin::Earlier(data, _) = &download.origin else {
            return;
        };
        writer.file = PartialFile::adopt(&data.file, data.received, data.digest);
        let mut request = Arc::clone(self.original_request());
        if writer.file.is_some() {
            download.state.locked().ranged = true;
            request = Arc::new(data.range_request(&request));
        }
        self.launch(request);
    }

    /// Makes the file ready for the body that the response announced.
    fn open(self: &Arc<Self>, download: &Download, writer: &mut Writer) -> Result<(), Failure> {
        let plan = download.plan();
        if writer.open || plan == Plan::Undecided {
            return Ok(());
        }
        writer.open = true;
        match (&mut writer.file, plan) {
            (Some(file), Plan::Rest) => {
                let offset = i64::try_from(file.length()).unwrap_or(i64::MAX);
                download.written.store(offset, Ordering::Relaxed);
                download.told.store(offset, Ordering::Relaxed);
                self.note_leap();
                self.push_if_asked(Method::DidResumeAtOffset, || Event::ResumedAt(offset));
            }
            (Some(file), Plan::Whole) => file.restart()?,
            (file, _) => {
                if let Some(mut earlier) = file.take() {
                    earlier.confirm();
                }
                *file = Some(PartialFile::create()?);
            }
        }
        Ok(())
    }

    fn write_what_waits(
        self: &Arc<Self>,
        download: &Download,
        writer: &mut Writer,
    ) -> Result<Written, Failure> {
        self.open(download, writer)?;
        let Some(file) = &mut writer.file else {
            return Ok(Written::All);
        };
        let mut pieces = 0;
        loop {
            if pieces == PIECES_A_TURN {
                return Ok(Written::ATurn);
            }
            pieces += 1;
            // Its own statement: the loop must not wait for this lock while a file is written.
            let next = self.reader.locked().as_mut().map(|reader| reader.next());
            let piece = match next {
                Some(Ok(Some(piece))) => piece,
                Some(Err(error)) => return Err(self.decoding_failure(&error)),
                Some(Ok(None)) | None => break,
            };
            file.append(&piece)?;
            let more = i64::try_from(piece.len()).unwrap_or(i64::MAX);
            self.received.fetch_add(more, Ordering::Relaxed);
            download.written.fetch_add(more, Ordering::Relaxed);
            let mut reader = self.reader.locked();
            let drained = reader
                .as_mut()
                .is_some_and(|reader| reader.delivered(Some(piece)));
            drop(reader);
            if drained {
                self.drained();
            }
            self.note_progress();
            self.report_download(download, false);
        }
        let drained = self
            .reader
            .locked()
            .as_mut()
            .is_some_and(|reader| reader.take_resume());
        if drained {
            self.drained();
        }
        Ok(Written::All)
    }

    fn report_download(self: &Arc<Self>, download: &Download, last: bool) {
        let mut state = download.state.locked();
        let now = Instant::now();
        let due = state
            .reported
            .is_none_or(|before| now - before >= REPORT_EVERY);
        if due || last {
            state.reported = Some(now);
            drop(state);
            self.push_if_asked(Method::DidWriteData, || Event::Written);
        }
    }

    /// An error of the decoder's, as a download has it.
    fn decoding_failure(&self, error: &CodingError) -> Failure {
        let code = match error {
            CodingError::Truncated => error_code::DOWNLOAD_DECODING_FAILED_TO_COMPLETE,
            CodingError::Unknown(_) => error_code::CANNOT_DECODE_CONTENT_DATA,
            CodingError::Corrupt(_) => error_code::DOWNLOAD_DECODING_FAILED_MID_STREAM,
        };
        Failure::new(code).detail(error.to_string())
    }

    /// What a later task can go on from. Not `for_good`: this one goes on.
    fn produce(&self, writer: &mut Writer, for_good: bool) -> Option<Arc<Data>> {
        let file = writer.file.as_mut().filter(|_| writer.open)?;
        let response = self.response()?;
        // What it began with is what would be requested again.
        let original = self.original_request();
        let download = self.download.as_ref()?;
        let proven = match &download.origin {
            Origin::Earlier(data, _) if download.plan() == Plan::Rest => Some(&data.validator),
            _ => None,
        };
        let validator = resume::resumability(original, &response, proven)?;
        if for_good {
            file.confirm().then_some(())?;
        } else {
            file.tell();
        }
        let total = download.expected.load(Ordering::Relaxed);
        let data = ResumeData {
            url: original.url_text().to_owned(),
            headers: original
                .headers
                .iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            validator,
            received: file.length(),
            total: u64::try_from(total).ok(),
            digest: file.digest(),
            file: file.name(),
        };
        Some(Data::new(data.encode()))
    }

    /// The last that happens to the file.
    fn end_writing(
        self: &Arc<Self>,
        download: &Download,
        writer: &mut Writer,
        failure: Option<Failure>,
    ) {
        let failure = failure.or_else(|| {
            let completes = self.succeeded();
            completes
                .then(|| self.complete_file(download, writer).err())
                .flatten()
        });
        let own_failure = failure.is_some();
        // Of a file that cannot be written to any more nothing stays, unless that was promised.
        let promised = failure
            .as_ref()
            .is_some_and(|failure| failure.code() == error_code::CANNOT_WRITE_TO_FILE)
            && writer.file.as_ref().is_some_and(PartialFile::is_told_of);
        let lost = own_failure && !promised;
        let producing = download.state.locked().producing.is_some();
        let ends_well = download.state.locked().finished.is_some();
        let wanted = !ends_well && !lost && (producing || !self.is_cancelled());
        let data = wanted.then(|| self.produce(writer, true)).flatten();
        // Resume data that led to nothing are as good as before.
        let data = data.or_else(|| self.unused_origin(download, writer).filter(|_| wanted));
        match writer.file.take() {
            Some(file) if lost => file.discard(),
            _ => {}
        }
        self.report_download(download, true);
        download.settle(data);
        // Last of all: when its load has ended too, the task completes.
        let loading = failure.is_some_and(|failure| self.state.locked().fail_here(failure));
        if loading {
            http::cancel(&self.control);
        } else {
            self.push_complete();
        }
    }

    /// The resume data that the task was made from, when the file is still as they say.
    fn unused_origin(&self, download: &Download, writer: &mut Writer) -> Option<Arc<Data>> {
        let Origin::Earlier(_, data) = &download.origin else {
            return None;
        };
        let file = writer.file.as_mut().filter(|_| !writer.open)?;
        file.confirm().then(|| Arc::clone(data))
    }

    fn complete_file(
        self: &Arc<Self>,
        download: &Download,
        writer: &mut Writer,
    ) -> Result<(), Failure> {
        let decoded = self
            .reader
            .locked()
            .as_mut()
            .map_or(Ok(()), |reader| reader.finish());
        decoded.map_err(|error| self.decoding_failure(&error))?;
        self.open(download, writer)?;
        let file = match writer.file.take() {
            Some(file) => file,
            None => PartialFile::create()?,
        };
        let expected = u64::try_from(download.expected.load(Ordering::Relaxed));
        let part = download.plan() == Plan::Rest;
        if part && expected.is_ok_and(|expected| expected != file.length()) {
            file.discard();
            let reason = "The server announced another length for the rest than it sent.";
            return Err(Failure::new(error_code::BAD_SERVER_RESPONSE).detail(reason));
        }
        let finished = file.finish()?;
        download.state.locked().finished = Some(finished);
        Ok(())
    }

    pub(super) fn deliver_written(self: &Arc<Self>) {
        let report = self.download.as_deref().and_then(Download::take_report);
        if let Some(report) = report
            && let Some(delegate) = self.delegate_for(Method::DidWriteData)
        {
            delegate.did_write_data(&self.session, self, report);
        }
    }

    pub(super) fn deliver_resumed(self: &Arc<Self>, offset: i64) {
        let Some(download) = &self.download else {
            return;
        };
        if let Some(delegate) = self.delegate_for(Method::DidResumeAtOffset) {
            let expected = download.expected.load(Ordering::Relaxed);
            delegate.did_resume_at_offset(&self.session, self, offset, expected);
        }
    }

    pub(super) fn deliver_downloaded(self: &Arc<Self>, file: &FinishedFile) {
        if let Some(delegate) = self.delegate_for(Method::DidFinishDownloading) {
            delegate.did_finish_downloading(&self.session, self, &file.url());
        }
    }
}

impl Download {
    /// It was cancelled before it began: what it was made from is as good as before.
    pub(super) fn settle_unbegun(&self) {
        let wanted = self.state.locked().producing.is_some();
        self.settle(match &self.origin {
            Origin::Earlier(_, data) if wanted => Some(Arc::clone(data)),
            _ => None,
        });
    }

    /// Nothing happens to the file any more: whoever waits for resume data gets them.
    pub(super) fn settle(&self, data: Option<Arc<Data>>) {
        let mut state = self.state.locked();
        state.settled = true;
        state.resume_data = data.clone();
        let handlers = state.producing.take().unwrap_or_default();
        drop(state);
        tell(handlers, data);
    }
}
