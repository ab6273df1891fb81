//! A task's end: what came of it, and its last messages in their order.

use std::sync::Arc;

use super::download::Download;
use super::kind::TaskHandler;
use super::task::Task;
use crate::foundation::data::Data;
use crate::foundation::date_interval::DateInterval;
use crate::foundation::error::{DOWNLOAD_RESUME_DATA_KEY, Failure, UPLOAD_RESUME_DATA_KEY};
use crate::foundation::error_code;
use crate::foundation::sync::Lock;
use crate::loading::body;
use crate::loading::http::{self, Spent};
use crate::loading::metrics::{self, TaskMetrics, Transaction};
use crate::session::delegate::Method;
use crate::storage::partial_file::FinishedFile;

/// What came of a task.
pub struct Ending {
    /// The body, of a task that wants it whole, or why there is none.
    result: Result<Option<Arc<Data>>, Failure>,
    /// The file, of a download with a completion handler.
    file: Option<FinishedFile>,
}

/// The last messages of a task.
pub enum Step {
    /// did_finish_collecting_metrics.
    Metrics(Arc<TaskMetrics>),
    /// did_finish_downloading_to_url.
    Downloaded(Box<FinishedFile>),
    /// The completion handler, or did_complete_with_error.
    Last(Box<Ending>),
}

impl Task {
    /// All that the task waited for is here: finds out how it ended, and what messages are left.
    pub(super) fn prepare_ending(self: &Arc<Self>) {
        let result = self.outcome();
        // Of a task that was cancelled after all, the file goes with this.
        let file = self.download.as_deref().and_then(Download::take_finished);
        let mut file = file.filter(|_| result.is_ok());
        let downloaded = if self.has_handler { None } else { file.take() };
        let metrics = self.metrics().map(Step::Metrics);
        let last = Step::Last(Box::new(Ending { result, file }));
        let downloaded = downloaded.map(|file| Step::Downloaded(Box::new(file)));
        let steps = downloaded.into_iter().chain(metrics).chain([last]);
        self.state.locked().end_with(steps);
    }

    /// What the task's requests took, if somebody wants to know.
    fn metrics(&self) -> Option<Arc<TaskMetrics>> {
        if !self.asks_for(Method::DidFinishCollectingMetrics) {
            return None;
        }
        let mut state = self.state.locked();
        let transactions = state.spent.as_mut().map(Spent::take_transactions);
        let current = Arc::clone(&state.current);
        drop(state);
        // One that never came to the network has begun nothing.
        let transactions = transactions
            .filter(|transactions| !transactions.is_empty())
            .unwrap_or_else(|| vec![Transaction::unbegun(current, f64::NAN)]);
        let interval = DateInterval::between(self.created(), metrics::date_now());
        let delivered = self.count_of_bytes_received();
        Some(TaskMetrics::new(transactions, interval, delivered))
    }

    pub(super) fn deliver_metrics(self: &Arc<Self>, metrics: &Arc<TaskMetrics>) {
        if let Some(delegate) = self.delegate_for(Method::DidFinishCollectingMetrics) {
            delegate.did_finish_collecting_metrics(&self.session, self, metrics);
        }
    }

    /// How the task ended, with the body of one that wants it whole.
    fn outcome(&self) -> Result<Option<Arc<Data>>, Failure> {
        let mut state = self.state.locked();
        let current = Arc::clone(&state.current);
        let cancelled = state.machine.is_cancelled();
        let outcome = state.outcome.take();
        let decoder = state.decoder.take();
        let has_response = state.response.is_some();
        drop(state);
        let failed = |failure: Failure| match &self.download {
            Some(download) => failure.resume_data(DOWNLOAD_RESUME_DATA_KEY, download.resume_data()),
            None => failure.resume_data(UPLOAD_RESUME_DATA_KEY, self.upload_resume_data(cancelled)),
        };
        let body = match outcome {
            // Cancelled, or failed for the same reason in the loader, where the reason is told.
            Some(Err(failure)) if !cancelled || failure.code() == error_code::CANCELLED => {
                return Err(failed(failure));
            }
            Some(Ok(body)) if !cancelled => body,
            _ => {
                let failure = Failure::new(error_code::CANCELLED).url(current.url_text());
                return Err(failed(failure));
            }
        };
        if self.download.is_some() {
            return Ok(None);
        }
        let decoded = if !self.collects() {
            self.reader
                .locked()
                .as_mut()
                .map_or(Ok(body), |reader| reader.finish().map(|()| Vec::new()))
        } else if let Some(decoder) = decoder.filter(|_| has_response && !body.is_empty()) {
            let decoded = body::decode_whole(decoder, &body, || !self.is_cancelled());
            if self.is_cancelled() {
                return Err(Failure::new(error_code::CANCELLED).url(current.url_text()));
            }
            decoded
        } else {
            Ok(body)
        };
        let body = decoded.map_err(|error| http::coding_failure(&error).url(current.url_text()))?;
        if !self.collects() {
            return Ok(None);
        }
        self.note_received(body.len());
        Ok(Some(Data::new(body)))
    }

    /// The last message: the completion handler, or did_complete_with_error.
    pub(super) fn deliver_last(self: &Arc<Self>, ending: Ending) {
        let error = ending.result.as_ref().err().cloned().map(Failure::build);
        let delegate = self.delegate_for(Method::DidComplete);
        let mut state = self.state.locked();
        if !state.machine.complete() {
            return;
        }
        state.error = error.clone();
        let own_delegate = state.delegate.take();
        let handler = state.handler.take();
        let response = state.response.clone();
        let spent = state.spent.take();
        drop(state);
        if let Some(progress) = self.progress_if_any() {
            progress.finish(error.is_none());
        }
        drop(spent);
        *self.reader.locked() = None;
        self.control.pipe.clear();
        if !self.refused {
            self.session.task_completes(self.identifier());
        }
        match (handler, delegate) {
            (Some(TaskHandler::Data(handler)), _) => {
                let data = ending.result.ok().flatten();
                handler(data.as_ref(), response.as_ref(), error.as_ref());
            }
            (Some(TaskHandler::Download(handler)), _) => {
                let location = ending.file.as_ref().map(FinishedFile::url);
                handler(location.as_deref(), response.as_ref(), error.as_ref());
            }
            (None, Some(delegate)) => delegate.did_complete(&self.session, self, error.as_ref()),
            (None, None) => {}
        }
        drop(own_delegate);
        if !self.refused {
            self.session.task_is_over();
        }
    }
}
