//! The loads of all sessions, on the loop thread: their life from request to end.

mod bodies;
mod load;
mod reading;
mod redirects;

use std::os::fd::RawFd;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use slab::Slab;

use self::load::{Load, Stage};
use super::exchange::{self, Exchange};
use super::measure::Measurements;
use super::prepare::{prepare, usable_url};
use super::{Spent, failure, hosts, options};
use crate::engine::multi::Limits;
use crate::engine::reactor::{Engine, World};
use crate::engine::shared_connections::Owner;
use crate::engine::sockets::MultiId;
use crate::engine::template::Prepared;
use crate::engine::timers::Timer;
use crate::foundation::error::Failure;
use crate::foundation::error_code;
use crate::foundation::pool::{Pool, Work};
use crate::foundation::queue::Operation;
use crate::foundation::sync::Lock;
use crate::loading::client::{
    ANSWERED, BODY, CANCEL, Connections, FED, LoadClient, LoadControl, LoadStart, NO_SLOT,
    PRIORITY, REDIRECT, SUSPENSION,
};
use crate::loading::priority;
use crate::loading::request::{CachePolicy, RequestBody, RequestUrl};

pub enum Command {
    /// Begin, with a handle that was made ready for the first request.
    Start(Box<LoadStart>, Option<Prepared<Exchange>>),
    Signal(Arc<LoadControl>),
    /// A session is gone: close its connections.
    Close(Arc<Connections>),
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
    /// Those who have something to be posted to their queues.
    ready: Vec<Arc<dyn LoadClient>>,
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
        // All of the answer is there, which libcurl would not leave at that.
        let code = match code {
            curl_sys::CURLE_TOO_MANY_REDIRECTS => curl_sys::CURLE_OK,
            code => code,
        };
        // What the callbacks noted comes first: a redirect, or HTTP/2.
        self.attend(engine, key);
        let stage = self.loads.get_mut(key).map(|load| &mut load.stage);
        if let Some(easy) = stage.and_then(Stage::easy)
            && code == curl_sys::CURLE_OK
            && easy.transfer().responded
        {
            easy.transfer().complete();
        }
        match self.loads.get_mut(key).map(|load| &mut load.stage) {
            Some(Stage::Transferring(easy)) => {
                let result = match code {
                    curl_sys::CURLE_SEND_FAIL_REWIND if easy.transfer().wants_new_body => {
                        self.send_again(engine, key);
                        self.current = None;
                        return;
                    }
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

    fn arrived(&mut self, owner: Owner, socket: RawFd) -> bool {
        self.read_for_all(owner, socket)
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
            let mut measurements = start.wants_metrics.then(Measurements::new);
            if let Some(measurements) = &mut measurements {
                measurements.hop_ended(&start.request, None, false);
            }
            let spent = Spent {
                start,
                _answer: None,
                exchange: None,
                _prepared: prepared,
                transactions: measurements.map_or_else(Vec::new, Measurements::into_transactions),
            };
            return self.hand_over(Err(failure), spent);
        };
        let measurements = start.wants_metrics.then(|| Box::new(Measurements::new()));
        let key = self.loads.insert(Load {
            session,
            start,
            host: None,
            prepared,
            stage: Stage::Moving,
            redirects: 0,
            crossed: false,
            supplied: None,
            streamed: false,
            timer: Timer::default(),
            moved: 0,
            measurements,
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
        if let Err(failure) = usable_url(&load.start.request) {
            return self.fail(engine, key, failure);
        }
        if load.start.request.cache_policy == CachePolicy::ReturnCacheDontLoad {
            let failure = Failure::new(error_code::CANNOT_LOAD_FROM_NETWORK);
            return self.fail(engine, key, failure);
        }
        if load.start.request.method() == "GET" && load.start.request.body.is_some() {
            let failure = Failure::new(error_code::DATA_LENGTH_EXCEEDS_MAXIMUM);
            let failure = failure.detail("A GET request cannot have a body.");
            return self.fail(engine, key, failure);
        }
        let asks = match &load.start.request.body {
            Some(RequestBody::Asked) => true,
            Some(RequestBody::Stream(_)) => load.streamed,
            _ => false,
        };
        if asks && load.supplied.is_none() {
            return self.ask_for_body(engine, key);
        }
        let name = load
            .start
            .request
            .url
            .as_ref()
            .and_then(RequestUrl::host_key);
        let Some(name) = name else {
            let failure = Failure::new(error_code::BAD_URL);
            return self.fail(engine, key, failure.detail("The URL has no host."));
        };
        load.stage = Stage::Queued;
        let Some(session) = self.sessions.get_mut(load.session) else {
            return;
        };
        if load.start.control.priority().urgency != priority::DEFAULT {
            session.hosts.prioritise();
        }
        let (place, may_start) = session.hosts.enter(name, key);
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
        let prepared = load.prepared.take();
        let prepared = prepared.and_then(|prepared| prepared.arrive(engine));
        let supplied = load.supplied.take();
        load.streamed = true;
        let easy =
            prepared.or_else(|| prepare(&load.start, &load.start.request, load.crossed, supplied));
        let started = easy.and_then(|mut easy| {
            let exchange = easy.transfer();
            exchange.key = key;
            exchange.activity = engine.now();
            if let Some(probe) = &mut exchange.probe {
                probe.begins();
            }
            engine.add(multi, &mut easy, key).then_some(easy)
        });
        match started {
            Some(easy) => {
                load.stage = Stage::Transferring(easy);
                if let Some(host) = load.host
                    && let Some(session) = self.sessions.get_mut(load.session)
                    && let Some(socket) = session.hosts.shared_socket(host)
                    && !engine.starts_on(socket)
                {
                    session.hosts.shares_no_more(host);
                }
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
            let asking = |load: &Load| matches!(load.stage, Stage::AskingBody);
            if signals & BODY != 0
                && self.loads.get(key).is_some_and(asking)
                && let Some(answer) = control.take_body()
            {
                self.body_came(engine, key, answer);
            }
            if signals & PRIORITY != 0 {
                self.prioritise(key, control);
            }
            if signals & FED != 0
                && let Some(easy) = self.loads.get_mut(key).and_then(|load| load.stage.easy())
            {
                easy.transfer().hungry = false;
            }
            if signals & (SUSPENSION | ANSWERED) != 0 && !control.is_suspended() {
                self.resumed(engine, key);
            }
            self.apply_pause(engine, key);
        }
        self.current = None;
    }

    /// A load's priority was changed.
    fn prioritise(&mut self, key: usize, control: &LoadControl) {
        if let Some(session) = self.session_of(key) {
            session.hosts.prioritise();
        }
        if let Some(Stage::Transferring(easy)) = self.loads.get_mut(key).map(|load| &mut load.stage)
        {
            options::weigh(easy, control.priority());
        }
    }

    /// A load goes on that was suspended: the time until then was nobody's fault.
    fn resumed(&mut self, engine: &mut Engine, key: usize) {
        match self.loads.get_mut(key).map(|load| &mut load.stage) {
            Some(Stage::Transferring(easy)) => easy.transfer().activity = engine.now(),
            Some(Stage::Parked) => self.queue(engine, key),
            _ => {}
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
            self.ready.push(Arc::clone(&load.start.client).recipient());
        }
        let redirect = exchange.redirect.take();
        if std::mem::take(&mut exchange.multiplexed)
            && let Some(host) = load.host
            && let Some(session) = self.sessions.get_mut(load.session)
        {
            let (connection, socket) = (easy.connection(), || easy.socket());
            if let Some(socket) = session.hosts.shares(host, connection, socket) {
                engine.shares(session.multi, socket, (load.session, host));
            }
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
        load.measure_hop(false);
        load.start.control.slot.store(NO_SLOT, Ordering::Release);
        let (exchange, answer) = match load.stage {
            Stage::Transferring(easy) => (Some(easy.end(result.is_ok())), None),
            Stage::Redirecting(redirection) => (
                Some(redirection.easy.end(false)),
                redirection.answer.flatten(),
            ),
            Stage::Queued | Stage::Admitted | Stage::AskingBody | Stage::Parked | Stage::Moving => {
                (None, None)
            }
        };
        if let Some(stream) = load.supplied.take() {
            self.graveyard.push(Box::new(stream));
        }
        let result = result.map_err(|failure| failure.url(load.start.request.url_text()));
        let measurements = load.measurements.map(|measurements| *measurements);
        let spent = Spent {
            start: load.start,
            _answer: answer,
            exchange,
            _prepared: load.prepared,
            transactions: measurements.map_or_else(Vec::new, Measurements::into_transactions),
        };
        self.hand_over(result, spent);
        if let Some(session) = self.sessions.get_mut(load.session) {
            session.loads -= 1;
        }
        self.close_if_unused(engine, load.session);
    }

    /// Tells the client the end, and hands it what is left of the load.
    fn hand_over(&mut self, result: Result<Vec<u8>, Failure>, mut spent: Spent) {
        let client = Arc::clone(&spent.start.client);
        // What a callback announced since the last look must not be forgotten with the exchange.
        let announced = spent
            .exchange
            .as_mut()
            .is_some_and(|exchange| exchange.transfer().announce);
        let post = client.finished(result, spent);
        if post || announced {
            let recipient = Arc::clone(&client).recipient();
            let same = Arc::ptr_eq(&recipient, &client);
            self.ready.push(recipient);
            if same {
                return;
            }
        }
        self.graveyard.push(Box::new(client));
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
        let Some(session) = self.sessions.get_mut(load.session) else {
            return;
        };
        let loads = &self.loads;
        let urgency = |other: usize| {
            let control = loads.get(other).map(|load| &load.start.control);
            control.map_or(0.0, |control| control.priority().urgency)
        };
        if queued {
            session.hosts.give_up(host, key);
        } else if let Some(next) = session.hosts.leave(host, key, urgency) {
            self.admit(next);
        }
    }

    /// Posts what the turn brought: at once for each queue, so that it is woken once.
    fn post(&mut self) {
        let mut waiting = std::mem::take(&mut self.ready);
        let mut ready = waiting.drain(..).peekable();
        while let Some(client) = ready.peek() {
            // One reference for all of them: another thread counts there too.
            let queue = Arc::clone(client.queue());
            let same = |other: &Arc<dyn LoadClient>| Arc::ptr_eq(other.queue(), &queue);
            // Nothing is let go here, under the queue's lock.
            queue.post_all(std::iter::from_fn(|| {
                Some(ready.next_if(same)? as Arc<dyn Operation>)
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
