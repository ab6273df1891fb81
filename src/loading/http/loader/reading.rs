//! Whether libcurl reads and sends: suspension, backpressure, and connections that loads share.

use std::os::fd::RawFd;

use slab::Slab;

use super::super::exchange::Exchange;
use super::super::hosts::{Hosts, Place};
use super::Loader;
use super::load::Load;
use crate::engine::easy::Easy;
use crate::engine::reactor::Engine;
use crate::engine::shared_connections::Owner;

impl Loader {
    /// Makes libcurl read and send, or not, as things stand now.
    pub(super) fn apply_pause(&mut self, engine: &mut Engine, key: usize) {
        let Some(load) = self.loads.get_mut(key) else {
            return;
        };
        let suspended = load.start.control.is_suspended();
        let Some(easy) = load.stage.working() else {
            return self.arm(engine, key);
        };
        let exchange = easy.transfer();
        let wanted = (!exchange.wants_receiving(), suspended || exchange.hungry);
        if wanted != exchange.paused {
            exchange.paused = wanted;
            exchange.activity = engine.now();
            easy.pause(wanted.0, wanted.1);
            if wanted.0 {
                self.stops_reading(key);
            }
        }
        self.arm(engine, key);
    }

    /// A load stops reading: notes that others that share its connection may have to look what there
    /// is to read.
    pub(super) fn stops_reading(&mut self, key: usize) {
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
    pub(super) fn hand_reading_on(&mut self, engine: &mut Engine) {
        for (session, host, connection) in self.stopped.drain(..) {
            if let Some(session) = self.sessions.get(session)
                && let Some(easy) = reader(&mut self.loads, &session.hosts, host, connection)
                && easy.has_buffered_input()
            {
                let sending = easy.transfer().paused.1;
                easy.look(sending);
                engine.nudge(session.multi);
            }
        }
    }

    /// Lets one load read what arrived for several. False when there are not several, or none that
    /// reads, and when bodies are being sent: what arrived may be leave to send more, of which
    /// libcurl tells nobody.
    pub(super) fn read_for_all(&mut self, (session, host): Owner, socket: RawFd) -> bool {
        let Some(session) = self.sessions.get(session) else {
            return false;
        };
        let sharing = session.hosts.sharing(host);
        let loads = &mut self.loads;
        let mut has_body = |key: &usize| {
            let easy = loads.get_mut(*key).and_then(|load| load.stage.working());
            easy.is_some_and(|easy| easy.transfer().has_body())
        };
        if sharing.len() < 2 || sharing.iter().any(&mut has_body) {
            return false;
        }
        let Some(connection) = session.hosts.shared_connection(host, socket) else {
            return false;
        };
        let Some(easy) = reader(&mut self.loads, &session.hosts, host, connection) else {
            return false;
        };
        let sending = easy.transfer().paused.1;
        easy.look(sending);
        true
    }
}

/// A load that reads from a connection.
fn reader<'a>(
    loads: &'a mut Slab<Load>,
    hosts: &Hosts,
    host: Place,
    connection: i64,
) -> Option<&'a mut Easy<Exchange>> {
    let mut reads = |key: &usize| {
        let easy = loads.get_mut(*key).and_then(|load| load.stage.working());
        easy.is_some_and(|easy| !easy.transfer().paused.0 && easy.connection() == connection)
    };
    let key = *hosts.sharing(host).iter().find(|key| reads(key))?;
    loads.get_mut(key)?.stage.working()
}
