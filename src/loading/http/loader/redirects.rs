//! The redirects of a load: proposed, decided on, and followed or not.

use std::sync::Arc;

use super::super::failure;
use super::load::{Load, Redirection, Stage};
use super::{Loader, unknown};
use crate::engine::reactor::Engine;
use crate::engine::transfer::Flow;
use crate::foundation::error::Failure;
use crate::foundation::error_code;
use crate::loading::client::Redirecting;
use crate::loading::redirect::{self, Redirect, UnusableReason};
use crate::loading::request::{RequestUrl, RequestValue};
use crate::loading::response::Response;

impl Loader {
    pub(super) fn redirected(&mut self, engine: &mut Engine, key: usize, response: Arc<Response>) {
        let Some(load) = self.loads.get_mut(key) else {
            return;
        };
        let next = load
            .stage
            .easy()
            .and_then(|easy| easy.transfer().next.take());
        if let Some(next) = next {
            return self.redirecting(engine, key, response, Some(next), false);
        }
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
        let (decision, announce) = load.start.client.redirected(&response, &proposed);
        if announce {
            self.ready.push(Arc::clone(&load.start.client).recipient());
        }
        let answer = (decision == Redirecting::Follow).then_some(proposed);
        self.redirecting(engine, key, response, answer, true);
    }

    /// Another request follows this exchange, or may follow it.
    fn redirecting(
        &mut self,
        engine: &mut Engine,
        key: usize,
        response: Arc<Response>,
        answer: Option<Arc<RequestValue>>,
        counts: bool,
    ) {
        let Some(load) = self.loads.get_mut(key) else {
            return;
        };
        let Stage::Transferring(easy) = std::mem::replace(&mut load.stage, Stage::Moving) else {
            return;
        };
        load.stage = Stage::Redirecting(Redirection {
            response,
            easy,
            done: None,
            answer: answer.map(Some),
            counts,
        });
        self.arm(engine, key);
    }

    /// Goes on after a redirect, if what to do is known and its own exchange is over.
    pub(super) fn proceed(&mut self, engine: &mut Engine, key: usize) {
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
    pub(super) fn hurry(&mut self, engine: &mut Engine, key: usize) {
        if let Some(load) = self.loads.get_mut(key)
            && let Stage::Redirecting(redirection) = &load.stage
            && matches!(redirection.answer, Some(Some(_)))
        {
            self.follow(engine, key);
        }
    }

    pub(super) fn follow(&mut self, engine: &mut Engine, key: usize) {
        self.stops_reading(key);
        let Some(load) = self.loads.get_mut(key) else {
            return;
        };
        if let Stage::Redirecting(redirection) = &load.stage {
            let redirected = redirection.counts;
            load.measure_hop(redirected);
        }
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
        load.redirects += usize::from(redirection.counts);
        let origin = |value: &RequestValue| {
            value
                .url
                .as_ref()
                .and_then(|url| Some(url.parsed()?.origin()))
        };
        load.crossed |= origin(&load.start.request) != origin(&request);
        if let Some(measurements) = &mut load.measurements {
            measurements.hop_begins();
        }
        let before = std::mem::replace(&mut load.start.request, request);
        let known = load.start.client.following(&load.start.request);
        for request in [before, known] {
            if let Some(request) = Arc::into_inner(request) {
                self.graveyard.push(Box::new(request));
            }
        }
        self.leave_host(key);
        self.queue(engine, key);
    }

    /// Takes the redirect's own response as the result.
    pub(super) fn take_response(&mut self, engine: &mut Engine, key: usize) {
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
}

/// The request that a redirect leads to; `None` when the response is no redirect.
fn propose(load: &Load, response: &Response) -> Result<Option<RequestValue>, Failure> {
    let Some(url) = load.start.request.url.as_ref().and_then(RequestUrl::parsed) else {
        return Ok(None);
    };
    let hop = redirect::Hop {
        url,
        method: load.start.request.method(),
        has_body: load.start.request.body.is_some(),
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
    let mut next = RequestValue::clone(&load.start.request);
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
