//! One load: where it stands, and when something is to be done about it.

use std::sync::Arc;
use std::time::Instant;

use super::super::exchange::Exchange;
use super::super::hosts;
use super::super::measure::Measurements;
use crate::engine::curl;
use crate::engine::easy::Easy;
use crate::engine::template::Prepared;
use crate::engine::timers::Timer;
use crate::foundation::stream::InputStream;
use crate::loading::client::LoadStart;
use crate::loading::request::RequestValue;
use crate::loading::response::Response;

/// Where a load stands. It moves forward through these, and back to `Queued` with every redirect.
pub(super) enum Stage {
    /// Waits for its turn to connect to the host.
    Queued,
    /// Its turn has come; it begins with the next turn of the loop.
    Admitted,
    /// Somebody is asked for the request's body.
    AskingBody,
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
    pub(super) fn easy(&mut self) -> Option<&mut Easy<Exchange>> {
        match self {
            Stage::Transferring(easy) => Some(easy),
            Stage::Redirecting(redirection) => Some(&mut redirection.easy),
            _ => None,
        }
    }

    /// The handle, while libcurl is at work with it.
    pub(super) fn working(&mut self) -> Option<&mut Easy<Exchange>> {
        match self {
            Stage::Redirecting(redirection) if redirection.done.is_some() => None,
            stage => stage.easy(),
        }
    }
}

pub(super) struct Redirection {
    pub(super) response: Arc<Response>,
    /// The exchange with the redirect's own body; libcurl may be done with it.
    pub(super) easy: Easy<Exchange>,
    pub(super) done: Option<u32>,
    /// What to do, once that is known: another request, or none to take this response.
    pub(super) answer: Option<Option<Arc<RequestValue>>>,
    /// A server asked for it: such requests are limited.
    pub(super) counts: bool,
}

pub(super) struct Load {
    pub(super) start: Box<LoadStart>,
    /// Its session's place.
    pub(super) session: usize,
    /// What limits on connections count this hop under; set while it has entered there.
    pub(super) host: Option<hosts::Place>,
    /// The handle for this hop, if it was made beforehand.
    pub(super) prepared: Option<Prepared<Exchange>>,
    pub(super) stage: Stage,
    pub(super) redirects: usize,
    /// A redirect led to another origin: what is secret to the first stays behind.
    pub(super) crossed: bool,
    /// What somebody gave when asked for the body.
    pub(super) supplied: Option<Arc<InputStream>>,
    /// The body's stream was used.
    pub(super) streamed: bool,
    pub(super) timer: Timer,
    /// What libcurl had sent of the body when that was last looked at.
    pub(super) moved: i64,
    /// What happened when, where that is wanted.
    pub(super) measurements: Option<Box<Measurements>>,
}

/// How often the sending of a body is looked at within an idle timeout.
const SAMPLES: u32 = 8;

impl Load {
    /// Takes down the hop that ends.
    pub(super) fn measure_hop(&mut self, redirected: bool) {
        if let Some(measurements) = &mut self.measurements {
            measurements.hop_ended(&self.start.request, self.stage.easy(), redirected);
        }
    }

    /// When the load fails if nothing moves until then. `None` while it is not the network that is
    /// waited for.
    pub(super) fn idle_deadline(&mut self) -> Option<Instant> {
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
    pub(super) fn note_sending(&mut self, now: Instant) {
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
    pub(super) fn next_look(&mut self, now: Instant) -> Option<Instant> {
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
