//! Makes handles ready for requests.

use std::sync::Arc;

use url::Url;

use super::exchange::{self, Body, Exchange};
use super::{options, remote};
use crate::engine::easy::Easy;
use crate::engine::template::Prepared;
use crate::foundation::error::Failure;
use crate::foundation::error_code;
use crate::foundation::headers::HeaderFields;
use crate::foundation::stream::InputStream;
use crate::loading::client::{FED, LoadStart};
use crate::loading::feed::{Feed, Origin};
use crate::loading::request::{RequestBody, RequestValue};

/// The URL, if it is one that this loader loads.
pub fn usable_url(request: &RequestValue) -> Result<&Url, Failure> {
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

/// The request's body, on its way if it has to be read from somewhere.
fn body(
    start: &LoadStart,
    request: &RequestValue,
    supplied: Option<Arc<InputStream>>,
) -> Option<Body> {
    let mut begin = 0;
    let origin = match (&request.body, supplied) {
        (None, _) => return Some(Body::None),
        (Some(RequestBody::Data(data)), _) => return Some(Body::Data(Arc::clone(data))),
        (Some(RequestBody::File(file, offset)), _) => {
            begin = *offset;
            Origin::File(Arc::clone(file))
        }
        (Some(RequestBody::Stream(_) | RequestBody::Asked), Some(stream)) => Origin::Stream(stream),
        (Some(RequestBody::Stream(stream)), None) => Origin::Stream(Arc::clone(stream)),
        (Some(RequestBody::Asked), None) => return None,
    };
    let control = Arc::clone(&start.control);
    let notify = Box::new(move || remote::signal(&control, FED));
    Some(Body::Feed(Feed::new(origin, begin, notify)))
}

/// The exchange that a request begins. `stream` is for a body that has to be asked for, or that was
/// sent before.
fn exchange(
    start: &LoadStart,
    request: &RequestValue,
    url: &Url,
    stream: Option<Arc<InputStream>>,
) -> Option<Exchange> {
    Some(Exchange::new(exchange::Start {
        client: Arc::clone(&start.client),
        control: Arc::clone(&start.control),
        url: url.as_str(),
        collect: start.collect,
        wants_metrics: start.wants_metrics,
        wants_informational: start.wants_informational,
        body: body(start, request, stream)?,
        length: u64::try_from(request.body_length()).ok(),
        repeatable: options::is_idempotent(request.method()),
    }))
}

/// Makes all ready for a load's first request, on the thread that begins it.
pub fn prepare_first(start: &LoadStart) -> Option<Prepared<Exchange>> {
    let request = &start.request;
    let additional = &start.additional_headers;
    let (timeout, priority) = (start.idle_timeout, start.control.priority());
    if !start.wants_metrics && options::is_plain(request, additional, timeout, priority) {
        let url = usable_url(request).ok()?;
        let spare = Prepared::with_spare(options::template(url)?, || {
            let address = options::address(request.url.as_ref()?)?;
            let headers = options::headers(request, additional, priority);
            Some((exchange(start, request, url, None)?, address, headers))
        });
        if spare.is_some() {
            return spare;
        }
    }
    prepare(start, request, false, None)?.prepared()
}

/// Makes a handle ready for a request. Any thread may do that; what is wrong with the request is
/// said on the loop.
pub fn prepare(
    start: &LoadStart,
    request: &RequestValue,
    crossed: bool,
    stream: Option<Arc<InputStream>>,
) -> Option<Easy<Exchange>> {
    let url = usable_url(request).ok()?;
    let exchange = exchange(start, request, url, stream)?;
    let mut without_secrets = None;
    let additional: &HeaderFields = if crossed {
        let mut fields = HeaderFields::clone(&start.additional_headers);
        fields.retain(|name| !options::is_any(name, &options::SECRET));
        without_secrets.insert(fields)
    } else {
        &start.additional_headers
    };
    let mut easy = Easy::new(options::template(url)?, exchange)?;
    if start.wants_metrics {
        easy.spoil();
        easy.ask_before_sending();
    }
    let url = request.url.as_ref()?;
    let (timeout, priority) = (start.idle_timeout, start.control.priority());
    options::apply(&mut easy, url, request, additional, timeout, priority).then_some(easy)
}
