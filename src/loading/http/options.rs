//! Turns a request into libcurl's options.

use std::ffi::{CStr, CString, c_long};
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::exchange::Exchange;
use crate::engine::curl;
use crate::engine::easy::{Address, Easy, List};
use crate::engine::handle::Handle;
use crate::engine::template::Template;
use crate::foundation::headers::HeaderFields;
use crate::foundation::process::PerProcess;
use crate::loading::coding::ACCEPT_ENCODING;
use crate::loading::priority::Priority;
use crate::loading::request::{CachePolicy, RequestUrl, RequestValue};
use crate::security::roots;

/// libcurl's receive buffer. One buffer serves all transfers of a session, but what one read brings
/// is what a slow delegate makes wait, for each transfer. A larger one makes long bodies slower, not
/// faster: it and the chunks that its bytes are copied to no longer fit into the processor's cache.
const RECEIVE_BUFFER: c_long = 64 * 1024;
/// libcurl's largest send buffer, also one for all transfers of a session.
const SEND_BUFFER: c_long = 2 * 1024 * 1024;
/// How long libcurl lets a connection take by default. The load's own timers end it, and may be set
/// to more; an option for it costs libcurl a timer for each request.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(300);
const NO_CONNECT_TIMEOUT: c_long = 7 * 24 * 3600 * 1000;

const USER_AGENT: &CStr = match CStr::from_bytes_with_nul(
    concat!("libnsurlsession/", env!("CARGO_PKG_VERSION"), "\0").as_bytes(),
) {
    Ok(agent) => agent,
    Err(_) => panic!("the version has a NUL in it"),
};

/// Fields that the loader makes itself: a caller's value would contradict what is sent.
const RESERVED: [&str; 6] = [
    "Connection",
    "Content-Length",
    "Transfer-Encoding",
    "Proxy-Connection",
    "Keep-Alive",
    "Upgrade",
];

/// Fields that must not follow a redirect to another origin, wherever they come from.
pub const SECRET: [&str; 4] = ["Authorization", "Proxy-Authorization", "Cookie", "Cookie2"];

pub fn is_any(name: &str, names: &[&str]) -> bool {
    names.iter().any(|other| name.eq_ignore_ascii_case(other))
}

/// Whether sending such a request twice does what sending it once does.
pub fn is_idempotent(method: &str) -> bool {
    is_any(
        method,
        &["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"],
    )
}

/// What all requests of a scheme have in common.
fn common(handle: &Handle, secure: bool) {
    handle.set_long(curl_sys::CURLOPT_NOSIGNAL, 1);
    // Without it, ending a transfer may wait for a resolver thread.
    handle.set_long(curl::OPTION_QUICK_EXIT, 1);
    handle.set_long(curl_sys::CURLOPT_PATH_AS_IS, 1);
    // Redirects are followed here. libcurl asks again, unasked, when the answer is 417; that is then
    // one redirect too many.
    handle.set_long(curl_sys::CURLOPT_MAXREDIRS, 0);
    handle.set_long(curl_sys::CURLOPT_BUFFERSIZE, RECEIVE_BUFFER);
    // No proxy: without this libcurl looks for one in the environment, which another thread of the
    // program may be changing.
    handle.set_string(curl_sys::CURLOPT_PROXY, c"");
    handle.set_string(curl_sys::CURLOPT_NOPROXY, c"");
    // Fields that libcurl has options for: those cost it less than lines of ours.
    handle.set_string(curl_sys::CURLOPT_USERAGENT, USER_AGENT);
    handle.set_string(curl_sys::CURLOPT_ACCEPT_ENCODING, ACCEPT_ENCODING);
    // The body is decoded where it is delivered.
    handle.set_long(curl_sys::CURLOPT_HTTP_CONTENT_DECODING, 0);
    if secure {
        // Only where HTTP/2 can happen: it makes transfers wait for the first one's connection.
        handle.set_long(curl_sys::CURLOPT_PIPEWAIT, 1);
        if let Some(file) = roots::file() {
            handle.set_string(curl_sys::CURLOPT_CAINFO, file);
        }
        if let Some(directory) = roots::directory() {
            handle.set_string(curl_sys::CURLOPT_CAPATH, directory);
        }
    }
}

/// The template of this process for a scheme. `None` when there is no memory.
pub fn template(url: &Url) -> Option<&'static Template<Exchange>> {
    static PLAIN: PerProcess<Template<Exchange>> = PerProcess::new();
    static SECURE: PerProcess<Template<Exchange>> = PerProcess::new();
    let secure = url.scheme() == "https";
    let template = if secure { &SECURE } else { &PLAIN };
    let make = || Template::new(|handle| common(handle, secure)).ok_or(());
    template.get_or_try(make).ok()
}

/// Sets up what a request has of its own. False when libcurl refuses the URL's text.
pub fn apply(
    easy: &mut Easy<Exchange>,
    url: &RequestUrl,
    request: &RequestValue,
    additional: &HeaderFields,
    idle_timeout: Duration,
    priority: Priority,
) -> bool {
    if !is_plain(request, additional, idle_timeout, priority) {
        easy.spoil();
    }
    if idle_timeout >= CONNECT_TIMEOUT {
        easy.set_long(curl_sys::CURLOPT_CONNECTTIMEOUT_MS, NO_CONNECT_TIMEOUT);
    }
    if is_set(request, additional, "User-Agent") {
        easy.unset_string(curl_sys::CURLOPT_USERAGENT);
    }
    if is_set(request, additional, "Accept-Encoding") {
        easy.unset_string(curl_sys::CURLOPT_ACCEPT_ENCODING);
    }
    if priority != Priority::default() {
        weigh(easy, priority);
    }
    method(easy, request);
    easy.set_headers(headers(request, additional, priority));
    let Some(address) = address(url) else {
        return false;
    };
    easy.set_url(address);
    true
}

/// Whether a request needs no options but its URL and its header lines.
pub fn is_plain(
    request: &RequestValue,
    additional: &HeaderFields,
    idle_timeout: Duration,
    priority: Priority,
) -> bool {
    idle_timeout < CONNECT_TIMEOUT
        && priority == Priority::default()
        && request.method() == "GET"
        && request.body.is_none()
        && !is_set(request, additional, "User-Agent")
        && !is_set(request, additional, "Accept-Encoding")
}

/// The request's header lines.
pub fn headers(request: &RequestValue, additional: &HeaderFields, priority: Priority) -> List {
    let mut lines = header_lines(request, additional);
    if let Some(field) = priority.field()
        && !is_set(request, additional, "Priority")
    {
        lines.extend(CString::new(format!("Priority: {field}")));
    }
    List::new(lines.into_iter())
}

/// The URL as libcurl takes it. `None` when it refuses the text.
pub fn address(url: &RequestUrl) -> Option<Arc<Address>> {
    url.address(|url| Address::parse(&wire_url(url)))
}

/// Gives an HTTP/2 stream its weight, also in the middle of a transfer.
pub fn weigh(easy: &mut Easy<Exchange>, priority: Priority) {
    easy.spoil();
    easy.set_long(curl::OPTION_STREAM_WEIGHT, priority.weight() as c_long);
}

/// The URL without what is not sent: user, password and fragment.
fn wire_url(url: &Url) -> CString {
    let end = url.fragment().map_or(url.as_str().len(), |fragment| {
        url.as_str().len() - fragment.len() - 1
    });
    let text = &url.as_str()[..end];
    if url.username().is_empty() && url.password().is_none() {
        return CString::new(text).unwrap_or_default();
    }
    let authority = text.find("://").map_or(0, |at| at + 3);
    let host = text[authority..]
        .find('@')
        .map_or(authority, |at| authority + at + 1);
    CString::new(format!("{}{}", &text[..authority], &text[host..])).unwrap_or_default()
}

fn method(easy: &Easy<Exchange>, request: &RequestValue) {
    let method = request.method();
    let custom = || CString::new(method).unwrap_or_default();
    if !is_idempotent(method) {
        easy.ask_before_sending();
    }
    if method == "HEAD" {
        // libcurl sends no body with it.
        return easy.set_long(curl_sys::CURLOPT_NOBODY, 1);
    }
    if let Some(body) = &request.body {
        let length = body.length().or_else(|| request.announced_length());
        let length = length.map_or(-1, |length| i64::try_from(length).unwrap_or(i64::MAX));
        easy.set_long(curl_sys::CURLOPT_UPLOAD, 1);
        easy.set_string(curl_sys::CURLOPT_CUSTOMREQUEST, &custom());
        easy.set_offset(curl_sys::CURLOPT_INFILESIZE_LARGE, length);
        easy.enable_reading();
        if !(0..=64 * 1024).contains(&length) {
            // Of what is not known to be long, little is taken at a time.
            let expected = if length < 0 { 64 * 1024 } else { length };
            let size = c_long::try_from(expected)
                .unwrap_or(c_long::MAX)
                .min(SEND_BUFFER);
            easy.set_long(curl_sys::CURLOPT_UPLOAD_BUFFERSIZE, size);
        }
        return;
    }
    match method {
        "GET" => {}
        "POST" | "PUT" | "PATCH" => {
            // These announce a body even when it is empty.
            easy.set_long(curl_sys::CURLOPT_UPLOAD, 1);
            easy.set_string(curl_sys::CURLOPT_CUSTOMREQUEST, &custom());
            easy.set_offset(curl_sys::CURLOPT_INFILESIZE_LARGE, 0);
            easy.enable_reading();
        }
        _ => {
            easy.set_string(curl_sys::CURLOPT_CUSTOMREQUEST, &custom());
        }
    }
}

/// Whether a field was set by the program.
fn is_set(request: &RequestValue, additional: &HeaderFields, name: &str) -> bool {
    request.headers.get(name).is_some() || additional.get(name).is_some()
}

fn header_lines(request: &RequestValue, additional: &HeaderFields) -> Vec<CString> {
    let fields = &request.headers;
    let mut lines = Vec::with_capacity(8);
    let mut add = |name: &str, value: &str| {
        // libcurl reads "Name:" as a wish to leave the field out, and "Name;" as an empty one.
        let line = if value.is_empty() {
            format!("{name};")
        } else {
            format!("{name}: {value}")
        };
        lines.extend(CString::new(line));
    };
    for (name, value) in fields.iter() {
        if !is_any(name, &RESERVED) {
            add(name, value);
        }
    }
    for (name, value) in additional.iter() {
        if fields.get(name).is_none() && !is_any(name, &RESERVED) {
            add(name, value);
        }
    }
    let has = |name: &str| is_set(request, additional, name);
    let mut add_default = |name: &str, value: &str| {
        if !has(name) {
            add(name, value);
        }
    };
    match request.cache_policy {
        CachePolicy::ReloadIgnoringLocal | CachePolicy::ReloadIgnoringLocalAndRemote => {
            add_default("Cache-Control", "no-cache");
            add_default("Pragma", "no-cache");
        }
        CachePolicy::ReloadRevalidating => add_default("Cache-Control", "max-age=0"),
        CachePolicy::UseProtocol
        | CachePolicy::ReturnCacheElseLoad
        | CachePolicy::ReturnCacheDontLoad => {}
    }
    if request.body.is_some() && !has("Content-Type") && request.method() == "POST" {
        add("Content-Type", "application/x-www-form-urlencoded");
    }
    if request.body.is_some() && !has("Expect") {
        // libcurl would ask for permission before it sends a large body.
        lines.push(EXPECT.to_owned());
    }
    lines
}

const EXPECT: &CStr = c"Expect:";

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(change: impl FnOnce(&mut RequestValue), additional: &[(&str, &str)]) -> Vec<String> {
        let mut request = RequestValue::with_url(RequestUrl::new("http://a/"));
        change(&mut request);
        let mut fields = HeaderFields::default();
        for (name, value) in additional {
            fields.set(name, value).unwrap();
        }
        let lines = header_lines(&request, &fields);
        lines
            .into_iter()
            .map(|line| line.into_string().unwrap())
            .filter(|line| !line.starts_with("User-Agent: lib"))
            .collect()
    }

    #[test]
    fn the_request_wins_over_the_configuration_and_the_loader_over_both() {
        let lines = lines(
            |request| {
                request.headers.set("X-A", "1").unwrap();
                request.headers.set("content-length", "9").unwrap();
                request.headers.set("X-Empty", "").unwrap();
            },
            &[
                ("x-a", "2"),
                ("X-B", "3"),
                ("accept-encoding", "br"),
                ("Transfer-Encoding", "chunked"),
            ],
        );
        assert_eq!(
            lines,
            ["X-A: 1", "X-Empty;", "X-B: 3", "accept-encoding: br"]
        );
    }

    #[test]
    fn what_is_private_stays_out_of_the_url_on_the_wire() {
        for (url, wire) in [
            (
                "http://user:pass@host:81/p@th?q=@#frag",
                "http://host:81/p@th?q=@",
            ),
            ("http://host/#", "http://host/"),
            ("http://@host/", "http://host/"),
        ] {
            assert_eq!(wire_url(&Url::parse(url).unwrap()).to_str().unwrap(), wire);
        }
    }
}
