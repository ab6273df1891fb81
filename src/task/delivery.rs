//! The delivery of a task's callbacks: in order, on the session's queue, one at a time.
//!
//! A task has a mailbox. While something deliverable is in it, the task itself is an operation on
//! the session's queue; when it runs it delivers a few events and goes to the end of the queue
//! again. A method that owes an answer blocks the mailbox of its task, and nothing else.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::completion::{RedirectionCompletion, ResponseCompletion};
use super::ending::Step;
use super::task::{State, Task};
use crate::foundation::data::Data;
use crate::foundation::queue::Operation;
use crate::foundation::sync::Lock;
use crate::loading::coding::CodingError;
use crate::loading::http;
use crate::loading::request::{Request, RequestValue};
use crate::loading::response::Response;
use crate::session::delegate::Method;

/// Events of one task that are delivered before others have their turn.
const EVENTS_A_TURN: usize = 4;
/// The body of a task that does not prefer incremental delivery comes in pieces of this size.
const GATHERED: usize = 1024 * 1024;

pub enum Event {
    Redirect(Arc<Response>, Arc<RequestValue>),
    Response(Arc<Response>),
    /// A response before the final one.
    Informational(Arc<Response>),
    /// More of the request's body was sent.
    Sent,
    /// The request's body has to be had from the program.
    NeedBody,
    /// Body bytes wait in the pipe.
    Data,
    /// The task is to go on as a download.
    BecomeDownload,
    /// More of the body is in the file.
    Written,
    /// The file's first part, of this length, was there already.
    ResumedAt(i64),
    /// All is here: what comes last can be prepared.
    Complete,
    /// One of the last messages, in the order in which they come.
    Ending(Step),
}

impl Event {
    /// Whether a task that was cancelled still gets this.
    fn is_last(&self) -> bool {
        matches!(self, Event::Complete | Event::Ending(_))
    }
}

/// What becomes of a piece of the body.
enum Gathered {
    /// It is delivered as it is.
    Alone(Vec<u8>),
    /// It waits for more. With its buffer, which is free again.
    Waits(Vec<u8>),
    /// All that was gathered is delivered. With the last piece's buffer.
    Enough(Vec<u8>, Vec<u8>),
}

pub struct Mailbox {
    events: VecDeque<Event>,
    /// A method was called whose answer is still owed.
    blocked: bool,
    /// The task is on the queue, or is delivering.
    scheduled: bool,
}

impl Mailbox {
    pub fn new() -> Mailbox {
        Mailbox {
            // More are hardly ever there at once; the loop then takes no memory for them.
            events: VecDeque::with_capacity(4),
            blocked: false,
            scheduled: false,
        }
    }

    pub fn unblock(&mut self) {
        self.blocked = false;
    }
}

impl State {
    /// Puts the last messages before everything else, as they are to come.
    pub fn end_with(&mut self, steps: impl DoubleEndedIterator<Item = Step>) {
        for step in steps.rev() {
            self.mailbox.events.push_front(Event::Ending(step));
        }
    }

    /// Adds an event. True when the task is to be posted to its queue.
    pub fn push(&mut self, event: Event) -> bool {
        self.mailbox.events.push_back(event);
        self.schedule()
    }

    /// Puts an event before all others.
    pub fn push_first(&mut self, event: Event) {
        self.mailbox.events.push_front(event);
    }

    /// Adds an event that stands for all of its kind that wait.
    pub fn push_merged(&mut self, event: Event) -> bool {
        let kind = std::mem::discriminant(&event);
        let waits = |other: &Event| std::mem::discriminant(other) == kind;
        if self.mailbox.events.iter().any(waits) {
            return self.schedule();
        }
        self.push(event)
    }

    /// The time is up: what was asked needs no answer any more, and what waits for one is not told.
    pub fn forgo_answer(&mut self) {
        if std::mem::take(&mut self.mailbox.blocked) {
            self.mailbox.events.retain(Event::is_last);
        }
    }

    pub fn clear_mailbox(&mut self) {
        self.mailbox.events.clear();
    }

    /// Whether the task is to be posted to its queue, where it is not yet.
    pub fn schedule(&mut self) -> bool {
        !self.mailbox.scheduled && self.is_deliverable() && {
            self.mailbox.scheduled = true;
            true
        }
    }

    fn is_deliverable(&self) -> bool {
        !self.mailbox.events.is_empty()
            && self.machine.delivers()
            && (!self.mailbox.blocked || self.machine.is_cancelled())
    }

    /// The next event to deliver. A cancelled task has no others than its last.
    fn next(&mut self) -> Option<Event> {
        if self.machine.is_cancelled() {
            self.mailbox.blocked = false;
            self.mailbox.events.retain(Event::is_last);
        }
        if !self.is_deliverable() {
            self.mailbox.scheduled = false;
            return None;
        }
        self.mailbox.events.pop_front()
    }
}

impl Operation for Task {
    fn run(self: Arc<Self>) {
        for _ in 0..EVENTS_A_TURN {
            // Its own statement: the lock must be free while an event is delivered.
            let event = self.state.locked().next();
            match event {
                None => return,
                Some(Event::Redirect(response, proposed)) => {
                    self.deliver_redirect(&response, proposed)
                }
                Some(Event::Response(response)) => self.deliver_response(&response),
                Some(Event::Data) => self.deliver_data(),
                Some(Event::Sent) => self.deliver_sent(),
                Some(Event::NeedBody) => self.deliver_need_of_body(),
                Some(Event::BecomeDownload) => self.deliver_conversion(),
                Some(Event::Written) => self.deliver_written(),
                Some(Event::ResumedAt(offset)) => self.deliver_resumed(offset),
                Some(Event::Complete) => self.deliver_end(),
                Some(Event::Ending(Step::Metrics(metrics))) => self.deliver_metrics(&metrics),
                Some(Event::Informational(response)) => self.deliver_informational(&response),
                Some(Event::Ending(Step::Downloaded(file))) => self.deliver_downloaded(&file),
                Some(Event::Ending(Step::Last(ending))) => return self.deliver_last(*ending),
            }
            if self.session.queue().is_interrupted() {
                break;
            }
        }
        let queue = Arc::clone(self.session.queue());
        queue.post(self);
    }
}

impl Task {
    pub(super) fn block(&self) {
        self.state.locked().mailbox.blocked = true;
    }

    fn deliver_redirect(self: &Arc<Self>, response: &Arc<Response>, proposed: Arc<RequestValue>) {
        let Some(delegate) = self.delegate_for(Method::WillPerformRedirection) else {
            return self.answer_redirect(Some(proposed));
        };
        self.block();
        let completion = RedirectionCompletion::new(Arc::clone(self));
        let request = Request::new(proposed);
        delegate.will_perform_redirection(&self.session, self, response, &request, &completion);
    }

    fn deliver_informational(self: &Arc<Self>, response: &Arc<Response>) {
        if let Some(delegate) = self.delegate_for(Method::DidReceiveInformationalResponse) {
            delegate.did_receive_informational_response(&self.session, self, response);
        }
    }

    fn deliver_response(self: &Arc<Self>, response: &Arc<Response>) {
        let Some(delegate) = self.delegate_for(Method::DidReceiveResponse) else {
            return;
        };
        self.block();
        let completion = ResponseCompletion::new(Arc::clone(self));
        delegate.did_receive_response(&self.session, self, response, &completion);
    }

    fn deliver_data(self: &Arc<Self>) {
        let mut guard = self.reader.locked();
        let Some(reader) = guard.as_mut() else { return };
        let piece = match reader.next() {
            Ok(Some(piece)) => piece,
            Ok(None) => {
                let drained = reader.take_resume();
                drop(guard);
                if drained {
                    self.drained();
                }
                return;
            }
            Err(error) => {
                drop(guard);
                return self.fail_decoding(&error);
            }
        };
        drop(guard);
        let length = i64::try_from(piece.len()).unwrap_or(i64::MAX);
        self.received.fetch_add(length, Ordering::Relaxed);
        self.note_progress();
        let buffer = match self.gather(piece) {
            Gathered::Alone(piece) => self.hand_over(piece),
            Gathered::Waits(buffer) => Some(buffer),
            Gathered::Enough(all, buffer) => {
                self.hand_over(all);
                Some(buffer)
            }
        };
        let mut guard = self.reader.locked();
        let Some(reader) = guard.as_mut() else { return };
        let drained = reader.delivered(buffer);
        let more = reader.has_more();
        drop(guard);
        if drained {
            self.drained();
        }
        if more {
            self.state.locked().mailbox.events.push_front(Event::Data);
        }
    }

    /// Adds a piece of the body to those that wait, when the task prefers few large pieces.
    fn gather(&self, piece: Vec<u8>) -> Gathered {
        let incremental = self.prefers_incremental_delivery();
        let mut state = self.state.locked();
        if incremental && state.gathered.is_empty() {
            return Gathered::Alone(piece);
        }
        state.gathered.extend_from_slice(&piece);
        if incremental || state.gathered.len() >= GATHERED {
            return Gathered::Enough(std::mem::take(&mut state.gathered), piece);
        }
        Gathered::Waits(piece)
    }

    /// Gives body bytes to the delegate. Returns their buffer when it kept none of them.
    fn hand_over(self: &Arc<Self>, bytes: Vec<u8>) -> Option<Vec<u8>> {
        let data = Data::new(bytes);
        if let Some(delegate) = self.delegate_for(Method::DidReceiveData) {
            delegate.did_receive_data(&self.session, self, &data);
        }
        data.into_buffer()
    }

    /// The load is over: what was gathered comes first, and may still suspend or cancel the task.
    fn deliver_end(self: &Arc<Self>) {
        let mut state = self.state.locked();
        let gathered = std::mem::take(&mut state.gathered);
        if gathered.is_empty() || state.machine.is_cancelled() {
            drop(state);
            return self.prepare_ending();
        }
        state.push_first(Event::Complete);
        drop(state);
        self.hand_over(gathered);
    }

    /// The body cannot be decoded: that is the task's end, whatever else may still come.
    fn fail_decoding(&self, error: &CodingError) {
        *self.reader.locked() = None;
        let mut state = self.state.locked();
        state.mailbox.events.clear();
        if state.fail_here(http::coding_failure(error)) {
            drop(state);
            http::cancel(&self.control);
        } else {
            state.mailbox.events.push_back(Event::Complete);
        }
    }
}
