//! One request and its response: what libcurl's callbacks do. Runs inside libcurl, on the loop.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Instant;

use super::head::{HeadReader, Malformed};
use super::measure::Probe;
use crate::engine::handle::Handle;
use crate::engine::transfer::{Flow, Supply, Transfer};
use crate::engine::turn::turn_time;
use crate::foundation::data::Data;
use crate::foundation::error::{CURL_DOMAIN, Failure};
use crate::foundation::error_code;
use crate::loading::client::{LoadClient, LoadControl};
use crate::loading::coding::{CodingError, Decoder};
use crate::loading::feed::{Feed, Taken};
use crate::loading::request::RequestValue;
use crate::loading::response::{Blank, Head, Response};

thread_local! {
    /// Loads for which something is to be done once libcurl has finished its work of this turn.
    static ATTENTION: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
    /// Much of a body waits to be passed on.
    static PRESSING: Cell<bool> = const { Cell::new(false) };
}

/// Whether so much of a body waits that it is to be passed on at once.
pub fn take_pressing() -> bool {
    PRESSING.take()
}

/// Moves the loads of this loop for which something is to be done; each may be named more than once.
pub fn take_attention(into: &mut Vec<usize>) {
    into.clear();
    ATTENTION.with_borrow_mut(|attention| into.append(attention));
}

/// How much of a redirect's own body is kept while it is not known whether anybody wants it.
const REDIRECT_BODY: usize = 64 * 1024;

/// Where the body goes.
enum Sink {
    /// To whoever delivers it, piece by piece.
    Pipe,
    /// Here, until all of it is there.
    Whole(Vec<u8>),
}

/// Where the request's body comes from.
pub enum Body {
    None,
    Data(Arc<Data>),
    Feed(Feed),
}

/// What the exchange is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Head,
    /// The response is a redirect: whether its body is wanted is not known yet.
    Redirect,
    Body,
}

pub struct Exchange {
    pub client: Arc<dyn LoadClient>,
    pub control: Arc<LoadControl>,
    /// Where the load is on the loop, once it is there.
    pub key: usize,
    /// Where the response will be, until there is one.
    blank: Option<Blank>,
    follows_redirects: bool,
    head: HeadReader,
    phase: Phase,
    sink: Sink,
    pub received: usize,
    body: Body,
    /// How long that is, where the server was told.
    length: Option<u64>,
    pub sent: u64,
    /// The body's stream has nothing to send now.
    pub hungry: bool,
    /// The body is to be sent again, and its stream cannot do that.
    pub wants_new_body: bool,
    /// The body may be sent twice without doing its work twice.
    repeatable: bool,
    /// When something moved last.
    pub activity: Instant,
    /// libcurl does not read, or not send, until it is told to.
    pub paused: (bool, bool),
    /// The client has something to deliver.
    pub announce: bool,
    /// A redirect that the loader has to look at.
    pub redirect: Option<Arc<Response>>,
    /// What the client wants to request instead of this response.
    pub next: Option<Arc<RequestValue>>,
    /// The response came by HTTP/2, which the loader does not know yet.
    pub multiplexed: bool,
    /// Other exchanges may share the connection.
    pub shares: bool,
    /// Why the exchange made libcurl stop.
    pub failure: Option<Failure>,
    /// The head of a response has come.
    pub responded: bool,
    /// How long heads have been so far.
    pub head_length: usize,
    /// The response, since it came.
    pub response: Option<Arc<Response>>,
    /// Notes what happens when, where that is wanted.
    pub probe: Option<Box<Probe>>,
    /// libcurl began to send the request once.
    started: bool,
}

pub struct Start<'a> {
    pub client: Arc<dyn LoadClient>,
    pub control: Arc<LoadControl>,
    pub url: &'a str,
    pub collect: bool,
    pub wants_metrics: bool,
    pub wants_informational: bool,
    pub body: Body,
    pub length: Option<u64>,
    pub repeatable: bool,
}

impl Exchange {
    pub fn new(start: Start<'_>) -> Exchange {
        Exchange {
            client: start.client,
            control: start.control,
            key: usize::MAX,
            blank: Some(Blank::new(start.url)),
            follows_redirects: true,
            head: HeadReader::new(start.wants_informational),
            phase: Phase::Head,
            sink: if start.collect {
                Sink::Whole(Vec::new())
            } else {
                Sink::Pipe
            },
            received: 0,
            body: start.body,
            length: start.length,
            sent: 0,
            hungry: false,
            wants_new_body: false,
            repeatable: start.repeatable,
            activity: Instant::now(),
            paused: (false, false),
            announce: false,
            redirect: None,
            next: None,
            multiplexed: false,
            shares: false,
            failure: None,
            responded: false,
            head_length: 0,
            response: None,
            probe: start.wants_metrics.then(|| Box::new(Probe::new())),
            started: false,
        }
    }

    fn call_attention(&self) {
        ATTENTION.with_borrow_mut(|attention| attention.push(self.key));
    }

    fn announce(&mut self) {
        if !std::mem::replace(&mut self.announce, true) {
            self.call_attention();
        }
    }

    fn inform(&mut self, head: Head) -> Flow {
        if let Some(blank) = &self.blank
            && self.client.informational(blank.informational(head))
        {
            self.announce();
        }
        Flow::Continue
    }

    fn respond(&mut self, head: Head) -> Flow {
        let Some(blank) = self.blank.take() else {
            return Flow::Continue;
        };
        self.responded = true;
        self.shares = !head.http_version.starts_with("HTTP/1");
        self.multiplexed = self.shares;
        let redirects = matches!(head.status, 301 | 302 | 303 | 307 | 308);
        let location = head
            .fields
            .get("Location")
            .is_some_and(|location| !location.is_empty());
        if let Sink::Whole(whole) = &mut self.sink
            && let Some(length) = head.fields.get("Content-Length")
            && let Some(length) = std::str::from_utf8(length)
                .ok()
                .and_then(|text| text.parse::<usize>().ok())
        {
            // A server may lie: what it does not send costs at most this.
            whole.reserve_exact(length.min(1 << 20));
        }
        let response = blank.fill(head);
        self.response = Some(Arc::clone(&response));
        match self.client.next_request(&response) {
            Ok(next) => self.next = next,
            Err(failure) => {
                self.failure = Some(failure);
                return Flow::Abort;
            }
        }
        if self.next.is_some() || redirects && location && self.follows_redirects {
            self.phase = Phase::Redirect;
            self.redirect = Some(response);
            self.call_attention();
            return Flow::Continue;
        }
        if self.multiplexed {
            self.call_attention();
        }
        self.accept(response)
    }

    /// This is the response that the task gets.
    fn accept(&mut self, response: Arc<Response>) -> Flow {
        self.phase = Phase::Body;
        let fields = response.fields();
        let coding = match fields.get("Content-Encoding") {
            Some(_) => fields.joined("Content-Encoding"),
            None => None,
        };
        let decoder = match coding
            .as_deref()
            .map(Decoder::for_content_encoding)
            .transpose()
        {
            Ok(decoder) => decoder.flatten(),
            Err(error) => {
                if self.client.received_response(response, None) {
                    self.announce();
                }
                self.failure = Some(coding_failure(&error));
                return Flow::Abort;
            }
        };
        if self.client.received_response(response, decoder) {
            self.announce();
        }
        Flow::Continue
    }

    /// The redirect is not followed: its response is the task's.
    pub fn take_redirect_response(&mut self, response: Arc<Response>) -> Flow {
        let flow = self.accept(response);
        if self.received > 0 && matches!(self.sink, Sink::Pipe) && self.client.received_data() {
            self.announce();
        }
        flow
    }

    /// The transfer is over, with all that the server sent.
    pub fn complete(&mut self) {
        if let Some(response) = &self.response
            && let Some(trailers) = self.head.take_trailers()
        {
            response.set_trailers(trailers);
        }
        if let Some(probe) = &mut self.probe {
            probe.response_ends();
        }
    }

    /// What was collected.
    pub fn take_whole(&mut self) -> Vec<u8> {
        match &mut self.sink {
            Sink::Whole(whole) => std::mem::take(whole),
            Sink::Pipe => Vec::new(),
        }
    }

    /// Whether there is a request's body on its way of which nobody knows where it is.
    pub fn is_sending(&self) -> bool {
        self.has_body() && !self.responded
    }

    /// Whether the request has a body, sent or not.
    pub fn has_body(&self) -> bool {
        !matches!(self.body, Body::None)
    }

    /// Whether libcurl should be reading now.
    pub fn wants_receiving(&self) -> bool {
        if self.control.is_suspended() {
            return false;
        }
        match (&self.sink, self.phase) {
            (Sink::Pipe, _) => !self.control.pipe.is_full(),
            (Sink::Whole(_), Phase::Redirect) => self.received < REDIRECT_BODY,
            (Sink::Whole(_), _) => true,
        }
    }
}

/// Content that cannot be decoded, as an error.
pub fn coding_failure(error: &CodingError) -> Failure {
    let code = match error {
        CodingError::Unknown(_) => error_code::CANNOT_DECODE_CONTENT_DATA,
        CodingError::Corrupt(_) | CodingError::Truncated => error_code::CANNOT_DECODE_RAW_DATA,
    };
    Failure::new(code).detail(error.to_string())
}

impl Transfer for Exchange {
    fn header(&mut self, line: &[u8], handle: &Handle) -> Flow {
        self.activity = turn_time();
        self.head_length += line.len();
        let read = self.head.line(line);
        if let Some(probe) = &mut self.probe {
            probe.reads_line(handle);
            if self.head.is_final() {
                probe.response_starts();
            }
        }
        match read {
            Ok(Some(head)) if head.status < 200 => self.inform(head),
            Ok(Some(head)) => self.respond(head),
            Ok(None) => Flow::Continue,
            Err(Malformed) => {
                let reason = "The response’s status line is malformed.";
                let failure = Failure::new(error_code::CANNOT_PARSE_RESPONSE).detail(reason);
                let below = i64::from(curl_sys::CURLE_FTP_WEIRD_SERVER_REPLY);
                self.failure = Some(failure.underlying(CURL_DOMAIN, below, reason));
                Flow::Abort
            }
        }
    }

    fn starts(&mut self, handle: &Handle) -> bool {
        if let Some(probe) = &mut self.probe {
            probe.sends(handle);
        }
        let first = !std::mem::replace(&mut self.started, true);
        if !first && !self.repeatable {
            // The server may have done what the request asks for before the connection was lost.
            let failure = Failure::new(error_code::NETWORK_CONNECTION_LOST);
            let reason = "The connection was lost before an answer came, and the request is not \
                          one to be sent twice.";
            self.failure = Some(failure.detail(reason));
            return false;
        }
        true
    }

    fn body(&mut self, bytes: &[u8]) -> Flow {
        self.activity = turn_time();
        self.received += bytes.len();
        match &mut self.sink {
            Sink::Whole(whole) => {
                whole.extend_from_slice(bytes);
                if self.phase == Phase::Body {
                    self.client.collected(whole.len() as u64);
                }
            }
            Sink::Pipe => {
                let pushed = self.control.pipe.push(bytes);
                if pushed.first && self.phase == Phase::Body && self.client.received_data() {
                    self.announce();
                }
                if pushed.pressing {
                    PRESSING.set(true);
                }
            }
        }
        if self.wants_receiving() {
            return Flow::Continue;
        }
        self.paused.0 = true;
        if self.shares {
            self.call_attention();
        }
        Flow::Pause
    }

    fn read(&mut self, buffer: &mut [u8]) -> Supply {
        self.activity = turn_time();
        if self.control.is_suspended() {
            self.paused.1 = true;
            return Supply::Pause;
        }
        let count = match &self.body {
            Body::None => 0,
            Body::Data(data) => {
                let sent = usize::try_from(self.sent).unwrap_or(usize::MAX);
                let left = data.bytes().get(sent..).unwrap_or_default();
                let count = left.len().min(buffer.len());
                buffer[..count].copy_from_slice(&left[..count]);
                count
            }
            Body::Feed(feed) => match feed.take(buffer) {
                Taken::Bytes(count) => count,
                Taken::End if self.length.is_some_and(|length| self.sent < length) => {
                    let reason = "The body’s stream ended before as much had come as the \
                                  request’s Content-Length announces.";
                    let failure = Failure::new(error_code::REQUEST_BODY_STREAM_EXHAUSTED);
                    self.failure = Some(failure.detail(reason));
                    return Supply::Abort;
                }
                Taken::End => 0,
                Taken::Wait => {
                    self.hungry = true;
                    self.paused.1 = true;
                    return Supply::Pause;
                }
                Taken::Failed(failure) => {
                    self.failure = Some(failure);
                    return Supply::Abort;
                }
            },
        };
        if count > 0 {
            self.sent += count as u64;
            self.client.sent(self.sent);
        }
        Supply::Bytes(count)
    }

    fn rewind(&mut self, offset: u64) -> bool {
        if !self.repeatable {
            return false;
        }
        let rewound = match &self.body {
            Body::None => offset == 0,
            Body::Data(data) => offset <= data.bytes().len() as u64,
            Body::Feed(feed) => offset == self.sent || feed.rewind(offset),
        };
        if rewound {
            self.sent = offset;
            self.client.sent(self.sent);
        } else {
            self.wants_new_body = true;
        }
        rewound
    }
}
