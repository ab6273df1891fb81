//! The loads of all sessions, on the loop thread: from request through redirects to the end.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use slab::Slab;
use url::Url;

use super::exchange::{self, Exchange};
use super::{Spent, failure, hosts, options};
use crate::engine::curl;
use crate::engine::easy::{Easy, Ended, Flow, Prepared};
use crate::engine::multi::Limits;
use crate::engine::reactor::{Engine, World};
use crate::engine::sockets::MultiId;
use crate::engine::timers::Timer;
use crate::foundation::error::Failure;
use crate::foundation::error_code;
use crate::foundation::headers::HeaderFields;
use crate::foundation::pool::{Pool, Work};
use crate::foundation::queue::{Operation, Queue};
use crate::foundation::sync::Lock;
use crate::loading::client::{
    ANSWERED, CANCEL, Connections, Finished, LoadControl, LoadStart, NO_SLOT, REDIRECT,
    Redirecting, SUSPENSION,
};
use crate::loading::redirect::{self, Redirect, UnusableReason};
use crate::loading::request::{CachePolicy, RequestUrl, RequestValue};
use crate::loading::response::Response;

pub enum Command {
    /// Begin, with a handle that was made ready for the first request.
    Start(Box<LoadStart>, Option<Prepared<Exchange>>),
    Signal(Arc<LoadControl>),
    /// A session is gone: close its connections.
    Close(Arc<Connections>),
}

/// Where a load stands. It moves forward through these, and back to `Queued` with every redirect.
enum Stage {
    /// Waits for its turn to connect to the host.
    Queued,
    /// Its turn has come; it begins with the next turn of the loop.
    Admitted,
    /// It is suspended and has not begun: it queues up again when it is resumed.
    Parked,
    /// libcurl is at work.
    Transferring(Easy<Exchange>),
    /// A redirect came and is looked at, or somebody is asked about it.
    Redirecting(Redirection),
    /// Between two stages, inside one function.
    Moving,
}

impl Stage {
    /// The handle, while libcurl may be at work with it.
    fn easy(&mut self) -> Option<&mut Easy<Exchange>> {
        match self {
            Stage::Transferring(easy) => Some(easy),
            Stage::Redirecting(redirection) => Some(&mut redirection.easy),
            _ => None,
        }
    }
}

struct Redirection {
    response: Arc<Response>,
    /// The exchange with the redirect's own body; libcurl may be done with it.
    easy: Easy<Exchange>,
    done: Option<u32>,
    /// What to do, once that is known: another request, or none to take this response.
    answer: Option<Option<Arc<RequestValue>>>,
}

struct Load {
    start: Box<LoadStart>,
    /// Its session's place.
    session: usize,
    /// The request of this hop.
    request: Arc<RequestValue>,
    /// What limits on connections count this hop under; set while it has entered there.
    host: Option<hosts::Place>,
    /// The handle for this hop, if it was made beforehand.
    prepared: Option<Prepared<Exchange>>,
    stage: Stage,
    redirects: usize,
    /// A redirect led to another origin: what is secret to the first stays behind.
    crossed: bool,
    timer: Timer,
    /// What libcurl had sent of the body when that was last looked at.
    moved: i64,
}

/// What the loop keeps for one session.
struct Session {
    multi: MultiId,
    hosts: hosts::Hosts,
    loads: usize,
    connections: Arc<Connections>,
    closed: bool,
}

/// How many turns, how many operations, and which part of all loads are waited for at most, so that
/// they are posted together.
const TURNS_TOGETHER: u32 = 8;
const READY_TOGETHER: usize = 32;
const OF_ALL: usize = 4;

pub struct Loader {
    loads: Slab<Load>,
    sessions: Slab<Session>,
    /// What is to be posted to queues.
    ready: Vec<(Arc<Queue>, Arc<dyn Operation>)>,
    /// For how many turns it has been waiting for more to come.
    turns_waited: u32,
    /// Kept to be filled again.
    attention: Vec<usize>,
    /// Loads whose turn has come.
    admitted: Vec<usize>,
    /// Connections that a load has stopped reading: session, host, and libcurl's number.
    stopped: Vec<(usize, hosts::Place, i64)>,
    /// What may be of the program's, and is not to be let go on this thread.
    graveyard: Vec<Box<dyn Send>>,
    /// The load that is being worked on: to be failed when that panics.
    current: Option<usize>,
}

impl World for Loader {
    type Command = Command;

    fn new() -> Self {
        Loader {
            loads: Slab::new(),
            sessions: Slab::new(),
            ready: Vec::new(),
            turns_waited: 0,
            attention: Vec::new(),
            admitted: Vec::new(),
            stopped: Vec::new(),
            graveyard: Vec::new(),
            current: None,
        }
    }

    fn command(&mut self, engine: &mut Engine, command: Command) {
        match command {
            Command::Start(start, prepared) => self.start(engine, start, prepared),
            Command::Signal(control) => {
                self.signalled(engine, &control);
                if let Some(control) = Arc::into_inner(control) {
                    self.graveyard.push(Box::new(control));
                }
            }
            Command::Close(connections) => {
                let key = connections.slot.load(Ordering::Relaxed);
                if let Some(session) = self.sessions.get_mut(key) {
                    session.closed = true;
                    self.close_if_unused(engine, key);
                }
            }
        }
    }

    fn finished(&mut self, engine: &mut Engine, key: usize, code: u32) {
        self.current = Some(key);
        // What the callbacks noted comes first: a redirect, or HTTP/2.
        self.attend(engine, key);
        match self.loads.get_mut(key).map(|load| &mut load.stage) {
            Some(Stage::Transferring(easy)) => {
                let result = match code {
                    curl_sys::CURLE_OK if !easy.transfer().responded => {
                        Err(failure::without_response())
                    }
                    curl_sys::CURLE_OK => Ok(easy.transfer().take_whole()),
                    code => Err(failure::of_transfer(easy, code)),
                };
                self.finish(engine, key, result);
            }
            Some(Stage::Redirecting(redirection)) => {
                redirection.done = Some(code);
                self.proceed(engine, key);
            }
            _ => {}
        }
        self.current = None;
    }

    fn timer(&mut self, engine: &mut Engine, key: usize) {
        let Some(load) = self.loads.get_mut(key) else {
            return;
        };
        self.current = Some(key);
        load.timer.fired();
        let now = engine.now();
        load.note_sending(now);
        let resource = load.start.resource_deadline;
        if load.start.control.is_suspended() {
            // Suspended loads have no timers; being resumed sets them again.
        } else if resource.is_some_and(|deadline| deadline <= now) {
            let reason = "The whole load took longer than the resource timeout allows.";
            self.time_out(engine, key, "resource", reason);
        } else if load.idle_deadline().is_some_and(|deadline| deadline <= now) {
            let reason = "Nothing was sent or received for as long as the request timeout allows.";
            self.time_out(engine, key, "request", reason);
        } else {
            self.arm(engine, key);
        }
        self.current = None;
    }

    fn turn_ended(&mut self, engine: &mut Engine) -> bool {
        let mut attention = std::mem::take(&mut self.attention);
        loop {
            // Either makes more of the other.
            for key in std::mem::take(&mut self.admitted) {
                self.current = Some(key);
                self.begin(engine, key);
                self.current = None;
            }
            exchange::take_attention(&mut attention);
            for key in &attention {
                self.current = Some(*key);
                self.attend(engine, *key);
                // A redirect whose body has not ended by now is not waited for.
                self.hurry(engine, *key);
                self.current = None;
            }
            if attention.is_empty() && self.admitted.is_empty() {
                break;
            }
        }
        self.attention = attention;
        self.hand_reading_on(engine);
        if !self.graveyard.is_empty() {
            let burial = Burial(Mutex::new(std::mem::take(&mut self.graveyard)));
            Pool::shared().submit_patiently(Arc::new(burial));
        }
        if self.ready.is_empty() {
            return false;
        }
        // Where much is under way, several turns share one waking of the other thread.
        let together = self.loads.len() / OF_ALL;
        if self.turns_waited < TURNS_TOGETHER
            && self.ready.len() < together.min(READY_TOGETHER)
            && !exchange::take_pressing()
        {
            self.turns_waited += 1;
            return true;
        }
        self.pass_on();
        false
    }

    fn pass_on(&mut self) {
        self.turns_waited = 0;
        self.post();
    }

    fn panicked(&mut self, engine: &mut Engine) {
        if let Some(key) = self.current.take() {
            let reason = "The library failed inside. This is a bug of its own.";
            self.fail(
                engine,
                key,
                Failure::new(error_code::UNKNOWN).detail(reason),
            );
        }
    }
}

impl Load {
    /// When the load fails if nothing moves until then. `None` while it is not the network that is
    /// waited for.
    fn idle_deadline(&mut self) -> Option<Instant> {
        match &mut self.stage {
            Stage::Transferring(easy) => {
                let exchange = easy.transfer();
                let held = exchange.paused != (false, false) || self.start.control.is_asking();
                (!held).then(|| exchange.activity.checked_add(self.start.idle_timeout))?
            }
            _ => None,
        }
    }

    /// Looks whether more of the request's body was sent. libcurl takes large pieces of it, which
    /// may be long on their way after that.
    fn note_sending(&mut self, now: Instant) {
        if let Stage::Transferring(easy) = &mut self.stage
            && easy.transfer().is_sending()
        {
            let moved = easy.info_offset(curl::INFO_SIZE_UPLOAD);
            if std::mem::replace(&mut self.moved, moved) != moved {
                easy.transfer().activity = now;
            }
        }
    }

    /// When to look at it next: at a deadline, and before that while a body is being sent.
    fn next_look(&mut self, now: Instant) -> Option<Instant> {
        let mut idle = self.idle_deadline();
        if let Stage::Transferring(easy) = &mut self.stage
            && easy.transfer().is_sending()
        {
            let sample = now.checked_add(self.start.idle_timeout / SAMPLES);
            idle = idle.into_iter().chain(sample).min();
        }
        idle.into_iter().chain(self.start.resource_deadline).min()
    }
}

/// How often the sending of a body is looked at within an idle timeout.
const SAMPLES: u32 = 8;

/// Things that are let go on a thread of the pool.
struct Burial(Mutex<Vec<Box<dyn Send>>>);

impl Work for Burial {
    fn perform(self: Arc<Self>) {
        self.0.locked().clear();
    }
}

impl Loader {
    fn start(
        &mut self,
        engine: &mut Engine,
        start: Box<LoadStart>,
        prepared: Option<Prepared<Exchange>>,
    ) {
        let control = Arc::clone(&start.control);
        let Some(session) = self.open_session(engine, &start) else {
            let url = start.request.url_text().to_owned();
            let failure = Failure::new(error_code::UNKNOWN)
                .detail("There is no memory for more connections.")
                .url(url);
            let request = Arc::clone(&start.request);
            return self.hand_over(Err(failure), start, request, None, None, prepared);
        };
        let key = self.loads.insert(Load {
            request: Arc::clone(&start.request),
            session,
            start,
            host: None,
            prepared,
            stage: Stage::Moving,
            redirects: 0,
            crossed: false,
            timer: Timer::default(),
            moved: 0,
        });
        control.slot.store(key, Ordering::Release);
        self.current = Some(key);
        if control.take_signals() & CANCEL != 0 {
            self.fail(engine, key, Failure::new(error_code::CANCELLED));
        } else {
            self.queue(engine, key);
        }
        self.current = None;
    }

    /// The place of a load's session, which is opened for its first load.
    fn open_session(&mut self, engine: &mut Engine, start: &LoadStart) -> Option<usize> {
        let connections = &start.connections;
        let key = connections.slot.load(Ordering::Relaxed);
        if let Some(session) = self.sessions.get_mut(key) {
            session.loads += 1;
            return Some(key);
        }
        let multi = engine.open_multi(Limits {
            connections_per_host: connections.per_host,
        })?;
        let key = self.sessions.insert(Session {
            multi,
            hosts: hosts::Hosts::new(connections.per_host),
            loads: 1,
            connections: Arc::clone(connections),
            closed: false,
        });
        connections.slot.store(key, Ordering::Relaxed);
        Some(key)
    }

    fn close_if_unused(&mut self, engine: &mut Engine, key: usize) {
        let unused = |session: &Session| session.closed && session.loads == 0;
        if self.sessions.get(key).is_some_and(unused) {
            let session = self.sessions.remove(key);
            session.connections.slot.store(NO_SLOT, Ordering::Relaxed);
            engine.close_multi(session.multi);
        }
    }

    fn session_of(&mut self, key: usize) -> Option<&mut Session> {
        let session = self.loads.get(key)?.session;
        self.sessions.get_mut(session)
    }

    /// Begins a hop: at once, or when the host has a connection to spare.
    fn queue(&mut self, engine: &mut Engine, key: usize) {
        let Some(load) = self.loads.get_mut(key) else {
            return;
        };
        if let Err(failure) = usable_url(&load.request) {
            return self.fail(engine, key, failure);
        }
        if load.request.cache_policy == CachePolicy::ReturnCacheDontLoad {
            let failure = Failure::new(error_code::CANNOT_LOAD_FROM_NETWORK);
            return self.fail(engine, key, failure);
        }
        let name = load.request.url.as_ref().and_then(RequestUrl::host_key);
        let name = name.cloned().unwrap_or_default();
        load.stage = Stage::Queued;
        let Some(session) = self.sessions.get_mut(load.session) else {
            return;
        };
        let (place, may_start) = session.hosts.enter(&name, key);
        load.host = Some(place);
        if may_start {
            load.stage = Stage::Admitted;
            self.begin(engine, key);
        } else {
            self.arm(engine, key);
        }
    }

    /// Notes that a load's turn has come.
    fn admit(&mut self, key: usize) {
        if let Some(load) = self.loads.get_mut(key) {
            load.stage = Stage::Admitted;
            self.admitted.push(key);
        }
    }

    /// Hands an admitted load's request to libcurl, unless it is suspended.
    fn begin(&mut self, engine: &mut Engine, key: usize) {
        let Some(multi) = self.session_of(key).map(|session| session.multi) else {
            return;
        };
        let Some(load) = self.loads.get_mut(key) else {
            return;
        };
        if !matches!(load.stage, Stage::Admitted) {
            return;
        }
        if load.start.control.is_suspended() {
            load.stage = Stage::Parked;
            self.leave_host(key);
            return self.arm(engine, key);
        }
        load.stage = Stage::Moving;
        load.moved = 0;
        let prepared = load.prepared.take().map(Prepared::arrive);
        let easy = prepared.or_else(|| prepare(&load.start, &load.request, load.crossed));
        let started = easy.and_then(|mut easy| {
            let exchange = easy.transfer();
            exchange.key = key;
            exchange.activity = engine.now();
            engine.add(multi, &mut easy, key).then_some(easy)
        });
        match started {
            Some(easy) => {
                load.stage = Stage::Transferring(easy);
                self.arm(engine, key);
            }
            None => {
                let reason = "The URL is too long, or there is no memory for the transfer.";
                let failure = Failure::new(error_code::BAD_URL).detail(reason);
                self.fail(engine, key, failure);
            }
        }
    }

    /// Sets the timer to what comes first: the resource's end, or nothing having moved.
    fn arm(&mut self, engine: &mut Engine, key: usize) {
        let Some(load) = self.loads.get_mut(key) else {
            return;
        };
        match load.next_look(engine.now()) {
            Some(deadline) => engine.arm(&mut load.timer, deadline, key),
            None => engine.disarm(&mut load.timer),
        }
    }

    /// Does what a load was told from outside.
    fn signalled(&mut self, engine: &mut Engine, control: &Arc<LoadControl>) {
        let key = control.slot.load(Ordering::Acquire);
        // One that has not come, or that has gone. The signals of the former are looked at then.
        let Some(load) = self
            .loads
            .get_mut(key)
            .filter(|load| Arc::ptr_eq(&load.start.control, control))
        else {
            return;
        };
        self.current = Some(key);
        let signals = control.take_signals();
        if signals & CANCEL != 0 {
            self.fail(engine, key, Failure::new(error_code::CANCELLED));
        } else {
            if signals & REDIRECT != 0
                && let Stage::Redirecting(redirection) = &mut load.stage
                && let Some(answer) = control.take_redirect()
            {
                redirection.answer = Some(answer);
                self.proceed(engine, key);
                self.hurry(engine, key);
            }
            if signals & (SUSPENSION | ANSWERED) != 0 && !control.is_suspended() {
                self.resumed(engine, key);
            }
            self.apply_pause(engine, key);
        }
        self.current = None;
    }

    /// A load goes on that was suspended: the time until then was nobody's fault.
    fn resumed(&mut self, engine: &mut Engine, key: usize) {
        match self.loads.get_mut(key).map(|load| &mut load.stage) {
            Some(Stage::Transferring(easy)) => easy.transfer().activity = engine.now(),
            Some(Stage::Parked) => self.queue(engine, key),
            _ => {}
        }
    }

    /// Makes libcurl read and send, or not, as things stand now.
    fn apply_pause(&mut self, engine: &mut Engine, key: usize) {
        let Some(load) = self.loads.get_mut(key) else {
            return;
        };
        let suspended = load.start.control.is_suspended();
        let easy = match &mut load.stage {
            Stage::Transferring(easy) => easy,
            Stage::Redirecting(redirection) if redirection.done.is_none() => &mut redirection.easy,
            _ => return self.arm(engine, key),
        };
        let exchange = easy.transfer();
        let wanted = (!exchange.wants_receiving(), suspended);
        if wanted != exchange.paused {
            exchange.paused = wanted;
            exchange.activity = engine.now();
            let fast = !exchange.hastened && load.start.control.pipe.is_fast();
            exchange.hastened |= fast;
            if fast {
                options::hasten(easy);
            }
            easy.pause(wanted.0, wanted.1);
            if wanted.0 {
                self.stops_reading(key);
            }
        }
        self.arm(engine, key);
    }

    /// A load stops reading: notes that others that share its connection may have to look what there
    /// is to read.
    fn stops_reading(&mut self, key: usize) {
        let Some(load) = self.loads.get_mut(key) else {
            return;
        };
        let (Some(host), Some(easy)) = (load.host, load.stage.easy()) else {
            return;
        };
        let Some(session) = self.sessions.get_mut(load.session) else {
            return;
        };
        let exchange = easy.transfer();
        if exchange.responded && !exchange.shares {
            return session.hosts.does_not_multiplex(host);
        }
        if session.hosts.sharing(host).len() > 1 {
            let connection = easy.connection();
            let noted = (load.session, host, connection);
            if !self.stopped.contains(&noted) {
                self.stopped.push(noted);
            }
        }
    }

    /// Lets another load read where one has stopped. libcurl reads a whole connection on behalf of
    /// one transfer; when that one has had enough, what OpenSSL has taken off the socket by then
    /// wakes nobody.
    fn hand_reading_on(&mut self, engine: &mut Engine) {
        for (session, host, connection) in self.stopped.drain(..) {
            let Some(session) = self.sessions.get(session) else {
                continue;
            };
            for other in session.hosts.sharing(host) {
                let Some(easy) = self
                    .loads
                    .get_mut(*other)
                    .and_then(|load| load.stage.easy())
                else {
                    continue;
                };
                let (receiving, sending) = easy.transfer().paused;
                if receiving || easy.connection() != connection {
                    continue;
                }
                if easy.has_buffered_input() {
                    // Nothing changes, but libcurl will run the transfer.
                    easy.pause(false, sending);
                    engine.nudge(session.multi);
                }
                break;
            }
        }
    }

    /// Does what an exchange's callbacks left to do.
    fn attend(&mut self, engine: &mut Engine, key: usize) {
        let Some(load) = self.loads.get_mut(key) else {
            return;
        };
        let Some(easy) = load.stage.easy() else {
            return;
        };
        let exchange = easy.transfer();
        let stopped = exchange.shares && exchange.paused.0;
        if std::mem::take(&mut exchange.announce) {
            self.ready.push(Arc::clone(&load.start.client).operation());
        }
        let redirect = exchange.redirect.take();
        if std::mem::take(&mut exchange.multiplexed)
            && let Some(host) = load.host
            && let Some(session) = self.sessions.get_mut(load.session)
        {
            for other in session.hosts.multiplexes(host) {
                self.admit(other);
            }
        }
        if stopped {
            self.stops_reading(key);
        }
        if let Some(response) = redirect {
            self.redirected(engine, key, response);
        }
    }

    fn redirected(&mut self, engine: &mut Engine, key: usize, response: Arc<Response>) {
        let Some(load) = self.loads.get_mut(key) else {
            return;
        };
        let proposed = match propose(load, &response) {
            Ok(Some(proposed)) => Arc::new(proposed),
            Ok(None) => {
                // Not a redirect after all.
                if let Stage::Transferring(easy) = &mut load.stage {
                    let exchange = easy.transfer();
                    if exchange.take_redirect_response(response) == Flow::Abort {
                        let failure = exchange.failure.take();
                        return self.fail(engine, key, failure.unwrap_or_else(unknown));
                    }
                    self.attend(engine, key);
                }
                return;
            }
            Err(failure) => return self.fail(engine, key, failure),
        };
        let Stage::Transferring(easy) = std::mem::replace(&mut load.stage, Stage::Moving) else {
            return;
        };
        let (decision, announce) = load.start.client.redirected(&response, &proposed);
        if announce {
            self.ready.push(Arc::clone(&load.start.client).operation());
        }
        load.stage = Stage::Redirecting(Redirection {
            response,
            easy,
            done: None,
            answer: (decision == Redirecting::Follow).then_some(Some(proposed)),
        });
        self.arm(engine, key);
    }

    /// Goes on after a redirect, if what to do is known and its own exchange is over.
    fn proceed(&mut self, engine: &mut Engine, key: usize) {
        let Some(load) = self.loads.get_mut(key) else {
            return;
        };
        let Stage::Redirecting(redirection) = &mut load.stage else {
            return;
        };
        match &redirection.answer {
            Some(None) => self.take_response(engine, key),
            Some(Some(_)) if redirection.done.is_some() => self.follow(engine, key),
            _ => {}
        }
    }

    /// Follows a redirect whose own exchange has not ended in time. That costs its connection.
    fn hurry(&mut self, engine: &mut Engine, key: usize) {
        if let Some(load) = self.loads.get_mut(key)
            && let Stage::Redirecting(redirection) = &load.stage
            && matches!(redirection.answer, Some(Some(_)))
        {
            self.follow(engine, key);
        }
    }

    fn follow(&mut self, engine: &mut Engine, key: usize) {
        self.stops_reading(key);
        let Some(load) = self.loads.get_mut(key) else {
            return;
        };
        let Stage::Redirecting(redirection) = std::mem::replace(&mut load.stage, Stage::Moving)
        else {
            return;
        };
        let Some(Some(request)) = redirection.answer else {
            return;
        };
        // Nothing of the program's goes with it: the load has the request and the client too.
        drop(redirection.easy);
        load.start.control.pipe.clear();
        load.redirects += 1;
        let origin = |value: &RequestValue| {
            value
                .url
                .as_ref()
                .and_then(|url| Some(url.parsed()?.origin()))
        };
        load.crossed |= origin(&load.request) != origin(&request);
        let before = std::mem::replace(&mut load.request, request);
        let known = load.start.client.following(&load.request);
        for request in [before, known] {
            if let Some(request) = Arc::into_inner(request) {
                self.graveyard.push(Box::new(request));
            }
        }
        self.leave_host(key);
        self.queue(engine, key);
    }

    /// Takes the redirect's own response as the result.
    fn take_response(&mut self, engine: &mut Engine, key: usize) {
        let Some(load) = self.loads.get_mut(key) else {
            return;
        };
        let Stage::Redirecting(redirection) = std::mem::replace(&mut load.stage, Stage::Moving)
        else {
            return;
        };
        let mut easy = redirection.easy;
        let exchange = easy.transfer();
        let refused = exchange.take_redirect_response(redirection.response) == Flow::Abort;
        let result = match redirection.done {
            _ if refused => Some(Err(exchange.failure.take().unwrap_or_else(unknown))),
            Some(curl_sys::CURLE_OK) => Some(Ok(exchange.take_whole())),
            Some(code) => Some(Err(failure::of_transfer(&mut easy, code))),
            None => None,
        };
        load.stage = Stage::Transferring(easy);
        self.attend(engine, key);
        match result {
            Some(result) => self.finish(engine, key, result),
            None => self.apply_pause(engine, key),
        }
    }

    fn fail(&mut self, engine: &mut Engine, key: usize, failure: Failure) {
        self.finish(engine, key, Err(failure));
    }

    fn time_out(&mut self, engine: &mut Engine, key: usize, kind: &'static str, reason: &str) {
        let failure = Failure::new(error_code::TIMED_OUT);
        self.fail(engine, key, failure.timeout(kind).detail(reason));
    }

    /// The end of a load.
    fn finish(&mut self, engine: &mut Engine, key: usize, result: Result<Vec<u8>, Failure>) {
        self.stops_reading(key);
        self.leave_host(key);
        let Some(mut load) = self.loads.try_remove(key) else {
            return;
        };
        engine.disarm(&mut load.timer);
        load.start.control.slot.store(NO_SLOT, Ordering::Release);
        let (exchange, answer) = match load.stage {
            Stage::Transferring(easy) => (Some(easy.end()), None),
            Stage::Redirecting(redirection) => {
                (Some(redirection.easy.end()), redirection.answer.flatten())
            }
            Stage::Queued | Stage::Admitted | Stage::Parked | Stage::Moving => (None, None),
        };
        let result = result.map_err(|failure| failure.url(load.request.url_text()));
        self.hand_over(
            result,
            load.start,
            load.request,
            answer,
            exchange,
            load.prepared,
        );
        if let Some(session) = self.sessions.get_mut(load.session) {
            session.loads -= 1;
        }
        self.close_if_unused(engine, load.session);
    }

    /// Tells the client the end, and hands it what is left of the load.
    fn hand_over(
        &mut self,
        result: Result<Vec<u8>, Failure>,
        start: Box<LoadStart>,
        request: Arc<RequestValue>,
        answer: Option<Arc<RequestValue>>,
        mut exchange: Option<Ended<Exchange>>,
        prepared: Option<Prepared<Exchange>>,
    ) {
        let client = Arc::clone(&start.client);
        // What a callback announced since the last look must not be forgotten with the exchange.
        let announced = exchange
            .as_mut()
            .is_some_and(|exchange| exchange.transfer().announce);
        let spent = Spent {
            _start: start,
            _request: Some(request),
            _answer: answer,
            _exchange: exchange,
            _prepared: prepared,
        };
        let post = match client.finished(result, spent) {
            Finished::Taken(post) => post,
            Finished::Late(spent) => {
                self.graveyard.push(Box::new(spent));
                false
            }
        };
        if post || announced {
            self.ready.push(client.operation());
        } else {
            self.graveyard.push(Box::new(client));
        }
    }

    /// Gives up the hop's place at its host; the next one there may start.
    fn leave_host(&mut self, key: usize) {
        let Some(load) = self.loads.get_mut(key) else {
            return;
        };
        let Some(host) = load.host.take() else {
            return;
        };
        let queued = matches!(load.stage, Stage::Queued);
        let Some(session) = self.session_of(key) else {
            return;
        };
        if queued {
            session.hosts.give_up(host, key);
        } else if let Some(next) = session.hosts.leave(host, key) {
            self.admit(next);
        }
    }

    /// Posts what the turn brought: at once for each queue, so that it is woken once.
    fn post(&mut self) {
        let mut waiting = std::mem::take(&mut self.ready);
        let mut ready = waiting.drain(..).peekable();
        while let Some((queue, operation)) = ready.next() {
            let same = |other: &(Arc<Queue>, _)| Arc::ptr_eq(&other.0, &queue);
            let mut first = Some(operation);
            queue.post_all(std::iter::from_fn(|| {
                first.take().or_else(|| Some(ready.next_if(same)?.1))
            }));
            if let Some(queue) = Arc::into_inner(queue) {
                self.graveyard.push(Box::new(queue));
            }
        }
        drop(ready);
        self.ready = waiting;
    }
}

fn unknown() -> Failure {
    Failure::new(error_code::UNKNOWN)
}

/// The URL, if it is one that this loader loads.
fn usable_url(request: &RequestValue) -> Result<&Url, Failure> {
    let Some(url) = &request.url else {
        let failure = Failure::new(error_code::UNSUPPORTED_URL);
        return Err(failure.detail("The request has no URL."));
    };
    let Some(parsed) = url.parsed() else {
        let detail = format!("“{}” is not an absolute URL.", url.text());
        return Err(Failure::new(error_code::BAD_URL).detail(detail));
    };
    if !matches!(parsed.scheme(), "http" | "https") {
        let detail = format!("URLs of the scheme “{}” cannot be loaded.", parsed.scheme());
        return Err(Failure::new(error_code::UNSUPPORTED_URL).detail(detail));
    }
    Ok(parsed)
}

/// Makes a handle ready for a request. Any thread may do that; what is wrong with the request is
/// said on the loop.
pub fn prepare(start: &LoadStart, request: &RequestValue, crossed: bool) -> Option<Easy<Exchange>> {
    let url = usable_url(request).ok()?;
    let exchange = Exchange::new(exchange::Start {
        client: Arc::clone(&start.client),
        control: Arc::clone(&start.control),
        url: url.as_str(),
        collect: start.collect,
        body: request.body.clone(),
        repeatable: options::is_idempotent(request.method()),
    });
    let mut without_secrets = None;
    let additional: &HeaderFields = if crossed {
        let mut fields = HeaderFields::clone(&start.additional_headers);
        fields.retain(|name| !options::is_any(name, &options::SECRET));
        without_secrets.insert(fields)
    } else {
        &start.additional_headers
    };
    let mut easy = Easy::new(exchange)?;
    options::apply(&mut easy, url, request, additional, start.idle_timeout).then_some(easy)
}

/// The request that a redirect leads to; `None` when the response is no redirect.
fn propose(load: &Load, response: &Response) -> Result<Option<RequestValue>, Failure> {
    let Some(url) = load.request.url.as_ref().and_then(RequestUrl::parsed) else {
        return Ok(None);
    };
    let hop = redirect::Hop {
        url,
        method: load.request.method(),
        has_body: load.request.body.is_some(),
    };
    let status = u16::try_from(response.status()).unwrap_or(0);
    let follow = match redirect::evaluate(status, response.fields().get("Location"), hop) {
        Redirect::None => return Ok(None),
        Redirect::Unusable(UnusableReason::Unparsable) => {
            return Err(Failure::new(error_code::REDIRECT_TO_NON_EXISTENT_LOCATION)
                .detail("The server redirects to something that is no URL."));
        }
        Redirect::Unusable(UnusableReason::UnsupportedScheme) => {
            return Err(Failure::new(error_code::UNSUPPORTED_URL)
                .detail("The server redirects to a URL that is neither http nor https."));
        }
        Redirect::Follow(follow) => follow,
    };
    if load.redirects >= redirect::LIMIT {
        return Err(
            Failure::new(error_code::HTTP_TOO_MANY_REDIRECTS).detail(format!(
                "The server redirected more than {} times.",
                redirect::LIMIT
            )),
        );
    }
    let mut next = RequestValue::clone(&load.request);
    next.headers
        .retain(|name| redirect::header_survives(name, &follow));
    // The method is one that was sent before, or GET.
    let _ = next.set_method(Some(&follow.method));
    if !follow.keep_body {
        next.body = None;
    }
    next.url = Some(RequestUrl::from(follow.url));
    Ok(Some(next))
}
