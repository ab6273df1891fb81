//! Bodies that somebody has to be asked for.

use std::sync::Arc;

use super::Loader;
use super::load::Stage;
use crate::engine::reactor::Engine;
use crate::foundation::error::Failure;
use crate::foundation::error_code;
use crate::foundation::stream::InputStream;

impl Loader {
    /// Asks for the request's body; the load goes on once that is answered.
    pub(super) fn ask_for_body(&mut self, engine: &mut Engine, key: usize) {
        let Some(load) = self.loads.get_mut(key) else {
            return;
        };
        let Some(announce) = load.start.client.needs_body() else {
            let reason = "The body has to be sent, and nobody gives a stream for it.";
            let failure = Failure::new(error_code::REQUEST_BODY_STREAM_EXHAUSTED);
            return self.fail(engine, key, failure.detail(reason));
        };
        load.stage = Stage::AskingBody;
        if announce {
            self.ready.push(Arc::clone(&load.start.client).recipient());
        }
        self.arm(engine, key);
    }

    /// The question for the body was answered.
    pub(super) fn body_came(
        &mut self,
        engine: &mut Engine,
        key: usize,
        stream: Option<Arc<InputStream>>,
    ) {
        let Some(load) = self.loads.get_mut(key) else {
            return;
        };
        if stream.is_none() {
            let reason = "There is no stream for the body.";
            let failure = Failure::new(error_code::REQUEST_BODY_STREAM_EXHAUSTED);
            return self.fail(engine, key, failure.detail(reason));
        }
        load.supplied = stream;
        self.queue(engine, key);
    }

    /// The connection was lost before an answer came, and the body came from a stream.
    pub(super) fn send_again(&mut self, engine: &mut Engine, key: usize) {
        self.stops_reading(key);
        let Some(load) = self.loads.get_mut(key) else {
            return;
        };
        // Nothing of the program's goes with it, but the feed, which sees to that itself.
        load.measure_hop(false);
        load.stage = Stage::Moving;
        if let Some(measurements) = &mut load.measurements {
            measurements.hop_begins();
        }
        self.leave_host(key);
        self.queue(engine, key);
    }
}
