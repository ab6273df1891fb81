//! NSURLRequest and NSMutableURLRequest: one type, whose value a task copies.

use std::sync::{Arc, OnceLock, RwLock};

use url::Url;

use super::file_body::FileBody;
use crate::engine::easy::Address;
use crate::foundation::data::Data;
use crate::foundation::headers::{HeaderFields, is_token};
use crate::foundation::object::{Class, Header, Object, begins_with_header, downcast, hash_of};
use crate::foundation::stream::InputStream;
use crate::foundation::sync::SharedLock;

/// `NSURLRequestCachePolicy`, as far as there is something to do without a cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CachePolicy {
    #[default]
    UseProtocol,
    ReloadIgnoringLocal,
    ReturnCacheElseLoad,
    ReturnCacheDontLoad,
    ReloadIgnoringLocalAndRemote,
    ReloadRevalidating,
}

impl CachePolicy {
    /// The policy with Apple's number.
    pub fn from_number(number: i32) -> Option<CachePolicy> {
        Some(match number {
            0 => CachePolicy::UseProtocol,
            1 => CachePolicy::ReloadIgnoringLocal,
            2 => CachePolicy::ReturnCacheElseLoad,
            3 => CachePolicy::ReturnCacheDontLoad,
            4 => CachePolicy::ReloadIgnoringLocalAndRemote,
            5 => CachePolicy::ReloadRevalidating,
            _ => return None,
        })
    }
}

/// A URL as it was given and as the URL standard reads it.
#[derive(Clone)]
pub struct RequestUrl {
    text: String,
    parsed: Option<Url>,
    /// Scheme, host and port, by which connections are counted.
    host: Option<Arc<str>>,
    /// The same for libcurl, once a transfer was made for it. Requests are often made more than
    /// once.
    address: OnceLock<Arc<Address>>,
}

impl RequestUrl {
    pub fn new(text: &str) -> RequestUrl {
        Url::parse(text).map_or_else(|_| RequestUrl::malformed(text.to_owned()), RequestUrl::from)
    }

    /// What cannot be text (invalid UTF-8) is kept as far as it is readable, and is no URL.
    pub fn malformed(text: String) -> RequestUrl {
        RequestUrl {
            text,
            parsed: None,
            host: None,
            address: OnceLock::new(),
        }
    }

    /// The absolute URL; what was given when that is not one.
    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn parsed(&self) -> Option<&Url> {
        self.parsed.as_ref()
    }

    /// The URL for libcurl, made at the first call.
    pub fn address(&self, make: impl FnOnce(&Url) -> Option<Address>) -> Option<Arc<Address>> {
        if let Some(address) = self.address.get() {
            return Some(Arc::clone(address));
        }
        let address = Arc::new(make(self.parsed.as_ref()?)?);
        Some(Arc::clone(self.address.get_or_init(|| address)))
    }

    /// What connections to the URL's host are counted under.
    pub fn host_key(&self) -> Option<&Arc<str>> {
        self.host.as_ref()
    }
}

impl From<Url> for RequestUrl {
    fn from(url: Url) -> Self {
        let host = url.host_str().map(|host| {
            let port = url.port_or_known_default().unwrap_or_default();
            format!("{}://{host}:{port}", url.scheme()).into()
        });
        RequestUrl {
            text: url.as_str().to_owned(),
            host,
            parsed: Some(url),
            address: OnceLock::new(),
        }
    }
}

/// A request's body.
#[derive(Clone)]
pub enum RequestBody {
    Data(Arc<Data>),
    /// Its bytes come once.
    Stream(Arc<InputStream>),
    /// A file, from that byte on.
    File(Arc<FileBody>, u64),
    /// Whoever loads the request is asked for a stream each time the body is to be sent.
    Asked,
}

impl RequestBody {
    /// How many bytes there are, where that is known beforehand.
    pub fn length(&self) -> Option<u64> {
        match self {
            RequestBody::Data(data) => Some(data.bytes().len() as u64),
            RequestBody::File(file, offset) => Some(file.length().saturating_sub(*offset)),
            RequestBody::Stream(_) | RequestBody::Asked => None,
        }
    }

    fn equals(&self, other: &RequestBody) -> bool {
        match (self, other) {
            (RequestBody::Data(a), RequestBody::Data(b)) => a.bytes() == b.bytes(),
            (RequestBody::Stream(a), RequestBody::Stream(b)) => Arc::ptr_eq(a, b),
            (RequestBody::File(a, from), RequestBody::File(b, there)) => {
                Arc::ptr_eq(a, b) && from == there
            }
            (RequestBody::Asked, RequestBody::Asked) => true,
            _ => false,
        }
    }
}

/// A request at one moment.
#[derive(Clone, Default)]
pub struct RequestValue {
    pub url: Option<RequestUrl>,
    method: Option<String>,
    pub headers: HeaderFields,
    pub body: Option<RequestBody>,
    /// Set by hand; otherwise the configuration's counts.
    pub timeout: Option<f64>,
    pub cache_policy: CachePolicy,
}

/// A method was refused because it is not a token.
#[derive(Debug, PartialEq, Eq)]
pub struct NotAToken;

impl RequestValue {
    pub fn with_url(url: RequestUrl) -> RequestValue {
        RequestValue {
            url: Some(url),
            ..RequestValue::default()
        }
    }

    pub fn method(&self) -> &str {
        self.method.as_deref().unwrap_or("GET")
    }

    /// Sets the method; `None` means GET.
    pub fn set_method(&mut self, method: Option<&str>) -> Result<(), NotAToken> {
        if method.is_some_and(|method| !is_token(method)) {
            return Err(NotAToken);
        }
        self.method = method.filter(|method| *method != "GET").map(str::to_owned);
        Ok(())
    }

    pub fn url_text(&self) -> &str {
        self.url.as_ref().map_or("", |url| url.text())
    }

    /// How many body bytes there are to send; -1 when that is not known.
    pub fn body_length(&self) -> i64 {
        let Some(body) = &self.body else { return 0 };
        let length = body.length().or_else(|| self.announced_length());
        length.map_or(-1, |length| i64::try_from(length).unwrap_or(i64::MAX))
    }

    /// The length that the program says the body has.
    pub fn announced_length(&self) -> Option<u64> {
        self.headers.get("Content-Length")?.parse().ok()
    }
}

#[repr(C)]
pub struct Request {
    header: Header,
    value: RwLock<Arc<RequestValue>>,
}

begins_with_header!(Request);

impl Request {
    pub fn new(value: Arc<RequestValue>) -> Arc<Request> {
        Arc::new(Request {
            header: Header::new(Class::Request),
            value: RwLock::new(value),
        })
    }

    pub fn value(&self) -> Arc<RequestValue> {
        Arc::clone(&self.value.reading())
    }

    /// Changes the request; values that were taken from it before stay as they are.
    pub fn change<R>(&self, change: impl FnOnce(&mut RequestValue) -> R) -> R {
        change(Arc::make_mut(&mut self.value.writing()))
    }
}

impl Object for Request {
    fn header(&self) -> &Header {
        &self.header
    }

    fn description(&self) -> String {
        let value = self.value();
        let url = value.url.as_ref().map_or("no URL", |url| url.text());
        let mut text = format!("<request: {} {url}", value.method());
        if !value.headers.is_empty() {
            let fields: Vec<String> = value
                .headers
                .iter()
                .map(|(name, value)| format!("{name}: {value}"))
                .collect();
            text.push_str(&format!(", {{{}}}", fields.join("; ")));
        }
        if let Some(body) = &value.body {
            match body.length() {
                Some(length) => text.push_str(&format!(", {length} body bytes")),
                None => text.push_str(", a body from a stream"),
            }
        }
        text.push('>');
        text
    }

    fn equals(&self, other: &dyn Object) -> bool {
        downcast::<Request>(other).is_some_and(|other| {
            let (a, b) = (self.value(), other.value());
            a.url_text() == b.url_text()
                && a.url.is_some() == b.url.is_some()
                && a.method() == b.method()
                && a.headers == b.headers
                && a.cache_policy == b.cache_policy
                && a.timeout == b.timeout
                && match (&a.body, &b.body) {
                    (Some(a), Some(b)) => a.equals(b),
                    (a, b) => a.is_none() && b.is_none(),
                }
        })
    }

    fn hash_value(&self) -> u64 {
        let value = self.value();
        hash_of(&(value.url_text(), value.method()))
    }

    fn copied(&self) -> Option<Arc<dyn Object>> {
        Some(Request::new(self.value()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_independent() {
        let request = Request::new(Arc::new(RequestValue::with_url(RequestUrl::new(
            "http://a/",
        ))));
        let copy = request.copied().unwrap();
        assert!(request.equals(&*copy));
        request
            .change(|value| value.set_method(Some("PUT")))
            .unwrap();
        assert!(!request.equals(&*copy));
        assert_eq!(
            request.change(|value| value.set_method(Some("A B"))),
            Err(NotAToken)
        );
        assert_eq!(request.value().method(), "PUT");
    }

    #[test]
    fn urls_are_read_by_the_standard() {
        for (given, read) in [
            ("HTTP://EXAMPLE.com", "http://example.com/"),
            (
                "http://bücher.example/ü?ß#x",
                "http://xn--bcher-kva.example/%C3%BC?%C3%9F#x",
            ),
            ("http://[::1]:80/a/../b", "http://[::1]/b"),
        ] {
            assert_eq!(RequestUrl::new(given).text(), read);
        }
        let malformed = RequestUrl::new("http://[::1/");
        assert_eq!(
            (malformed.text(), malformed.parsed()),
            ("http://[::1/", None)
        );
    }
}
