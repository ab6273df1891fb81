//! Whether libcurl reads and sends: suspension, backpressure, and connections that loads share.

use super::Loader;
use super::load::Stage;
use crate::engine::reactor::Engine;

impl Loader {
    /// Makes libcurl read and send, or not, as things stand now.
    pub(super) fn apply_pause(&mut self, engine: &mut Engine, key: usize) {
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
}
