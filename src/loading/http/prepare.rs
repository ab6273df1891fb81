//! Makes handles ready for requests.

use std::sync::Arc;

use url::Url;

use super::exchange::{self, Exchange};
use super::options;
use crate::engine::easy::Easy;
use crate::foundation::error::Failure;
use crate::foundation::error_code;
use crate::foundation::headers::HeaderFields;
use crate::loading::client::LoadStart;
use crate::loading::request::RequestValue;

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

/// Makes a handle ready for a request. Any thread may do that; what is wrong with the request is
/// said on the loop.
pub fn prepare(start: &LoadStart, request: &RequestValue, crossed: bool) -> Option<Easy<Exchange>> {
    let url = usable_url(request).ok()?;
    let exchange = Exchange::new(exchange::Start {
        client: Arc::clone(&start.client),
        control: Arc::clone(&start.control),
        url: url.as_str(),
        collect: start.collect,
        wants_metrics: start.wants_metrics,
        wants_informational: start.wants_informational,
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
    let mut easy = Easy::new(options::template(url)?, exchange)?;
    if start.wants_metrics {
        easy.ask_before_sending();
    }
    let url = request.url.as_ref()?;
    options::apply(&mut easy, url, request, additional, start.idle_timeout).then_some(easy)
}
