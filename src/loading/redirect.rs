//! Makes the next request out of a redirect response.

use url::Url;

/// How many redirects a task follows; the next one fails with HTTPTooManyRedirects (-1007).
pub const LIMIT: usize = 20;

/// The request whose answer is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Hop<'a> {
    /// Where it was sent.
    pub url: &'a Url,
    /// Its method, as sent.
    pub method: &'a str,
    /// Whether it had a body.
    pub has_body: bool,
}

/// What to do with a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redirect {
    /// It is no redirect: deliver it.
    None,
    /// Propose this request.
    Follow(Follow),
    /// It is a redirect that leads nowhere: the task fails.
    Unusable(UnusableReason),
}

/// The request that a redirect leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Follow {
    /// Where to go; always http or https, with the fragment of the old URL when it names none.
    pub url: Url,
    /// The method.
    pub method: String,
    /// The body is to be sent again.
    pub keep_body: bool,
    /// The method turned into GET: the body goes, and with it the headers that describe it.
    pub became_get: bool,
    /// Scheme, host or port differ: what is secret to the old origin goes.
    pub cross_origin: bool,
}

/// Why a redirect cannot be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnusableReason {
    /// Location is not a URL: RedirectToNonExistentLocation (-1010).
    Unparsable,
    /// Location is neither http nor https, and a server must not send anyone to a file or the
    /// like: UnsupportedURL (-1002).
    UnsupportedScheme,
}

/// Looks at a response's status and Location field (as received, of any encoding).
///
/// An empty Location counts as none, as in browsers. Counting up to [`LIMIT`] is the caller's.
pub fn evaluate(status: u16, location: Option<&[u8]>, hop: Hop<'_>) -> Redirect {
    if !matches!(status, 301 | 302 | 303 | 307 | 308) {
        return Redirect::None;
    }
    let location = match location.map(<[u8]>::trim_ascii) {
        None | Some([]) => return Redirect::None,
        Some(location) => text(location),
    };
    let Ok(mut url) = hop.url.join(&location) else {
        return Redirect::Unusable(UnusableReason::Unparsable);
    };
    if !matches!(url.scheme(), "http" | "https") {
        return Redirect::Unusable(UnusableReason::UnsupportedScheme);
    }
    if url.fragment().is_none() {
        url.set_fragment(hop.url.fragment());
    }
    let is = |method: &str| hop.method.eq_ignore_ascii_case(method);
    let became_get = match status {
        301 | 302 => is("POST"),
        303 => !is("GET") && !is("HEAD"),
        _ => false,
    };
    Redirect::Follow(Follow {
        cross_origin: url.scheme() != hop.url.scheme()
            || url.host() != hop.url.host()
            || url.port_or_known_default() != hop.url.port_or_known_default(),
        method: if became_get { "GET" } else { hop.method }.to_owned(),
        keep_body: hop.has_body && !became_get,
        became_get,
        url,
    })
}

/// Whether a header of the old request goes into the proposed one. What does not survive is
/// computed anew, or put back by the delegate.
pub fn header_survives(name: &str, redirect: &Follow) -> bool {
    let is_any = |names: &[&str]| names.iter().any(|other| name.eq_ignore_ascii_case(other));
    // Authorization is dropped even for the same origin: the URL decides who may see it, and only
    // the delegate or a challenge knows whether the new one does.
    let never = is_any(&[
        "Authorization",
        "Host",
        "Content-Length",
        "Transfer-Encoding",
    ]);
    let secret = is_any(&["Proxy-Authorization", "Cookie", "Cookie2"]);
    let of_body = is_any(&[
        "Content-Type",
        "Content-Encoding",
        "Content-Language",
        "Content-Location",
        "Expect",
    ]);
    !(never || secret && redirect.cross_origin || of_body && redirect.became_get)
}

/// Location as text. Bytes that are not UTF-8 are some one-byte encoding such as Latin-1: escaped
/// one by one they go back to the server as it sent them.
fn text(location: &[u8]) -> String {
    if let Ok(location) = std::str::from_utf8(location) {
        return location.to_owned();
    }
    let mut text = String::with_capacity(location.len() + 16);
    for &byte in location {
        if byte.is_ascii() {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: &str = "http://a.example/dir/page?q=1#old";

    fn from(base: &str, location: &[u8]) -> Redirect {
        let url = Url::parse(base).unwrap();
        let hop = Hop {
            url: &url,
            method: "GET",
            has_body: false,
        };
        evaluate(302, Some(location), hop)
    }

    fn target(location: impl AsRef<[u8]>) -> String {
        match from(FROM, location.as_ref()) {
            Redirect::Follow(follow) => follow.url.into(),
            other => panic!("{other:?}"),
        }
    }

    fn follow(status: u16, method: &str, has_body: bool) -> Follow {
        let url = Url::parse(FROM).unwrap();
        match evaluate(
            status,
            Some(b"/next"),
            Hop {
                url: &url,
                method,
                has_body,
            },
        ) {
            Redirect::Follow(follow) => follow,
            other => panic!("{status} {method}: {other:?}"),
        }
    }

    #[test]
    fn method_and_body_by_status() {
        // status, method, method of the next request
        let table = [
            (301, "GET", "GET"),
            (301, "HEAD", "HEAD"),
            (301, "POST", "GET"),
            (301, "post", "GET"),
            (301, "PUT", "PUT"),
            (301, "PATCH", "PATCH"),
            (301, "DELETE", "DELETE"),
            (301, "OPTIONS", "OPTIONS"),
            (301, "PROPFIND", "PROPFIND"),
            (302, "GET", "GET"),
            (302, "HEAD", "HEAD"),
            (302, "POST", "GET"),
            (302, "PUT", "PUT"),
            (302, "PATCH", "PATCH"),
            (302, "DELETE", "DELETE"),
            (303, "GET", "GET"),
            (303, "HEAD", "HEAD"),
            (303, "head", "head"),
            (303, "POST", "GET"),
            (303, "PUT", "GET"),
            (303, "PATCH", "GET"),
            (303, "DELETE", "GET"),
            (303, "OPTIONS", "GET"),
            (303, "PROPFIND", "GET"),
            (307, "GET", "GET"),
            (307, "HEAD", "HEAD"),
            (307, "POST", "POST"),
            (307, "PUT", "PUT"),
            (307, "DELETE", "DELETE"),
            (308, "GET", "GET"),
            (308, "HEAD", "HEAD"),
            (308, "POST", "POST"),
            (308, "PUT", "PUT"),
            (308, "PATCH", "PATCH"),
        ];
        for (status, method, expected) in table {
            for has_body in [false, true] {
                let next = follow(status, method, has_body);
                assert_eq!(next.method, expected, "{status} {method}");
                assert_eq!(next.became_get, method != expected, "{status} {method}");
                assert_eq!(
                    next.keep_body,
                    has_body && method == expected,
                    "{status} {method}"
                );
                assert_eq!(next.url.as_str(), "http://a.example/next#old");
                assert!(!next.cross_origin);
            }
        }
    }

    #[test]
    fn other_responses_are_delivered() {
        let url = Url::parse(FROM).unwrap();
        for method in ["GET", "HEAD", "POST"] {
            let hop = Hop {
                url: &url,
                method,
                has_body: method == "POST",
            };
            for status in [
                0,
                100,
                200,
                201,
                300,
                304,
                305,
                306,
                309,
                399,
                404,
                500,
                u16::MAX,
            ] {
                assert_eq!(
                    evaluate(status, Some(b"/x"), hop),
                    Redirect::None,
                    "{status}"
                );
                assert_eq!(evaluate(status, None, hop), Redirect::None, "{status}");
            }
            for status in [301, 302, 303, 307, 308] {
                assert_eq!(evaluate(status, None, hop), Redirect::None, "{status}");
                assert_eq!(evaluate(status, Some(b""), hop), Redirect::None, "{status}");
                assert_eq!(
                    evaluate(status, Some(b" \t"), hop),
                    Redirect::None,
                    "{status}"
                );
            }
        }
    }

    #[test]
    fn location_is_resolved() {
        for (location, expected) in [
            ("http://b.example/x", "http://b.example/x#old"),
            ("//b.example/x", "http://b.example/x#old"),
            ("HTTPS://B.Example:443/x", "https://b.example/x#old"),
            ("/x", "http://a.example/x#old"),
            ("x", "http://a.example/dir/x#old"),
            ("../x/./y", "http://a.example/x/y#old"),
            ("../../../x", "http://a.example/x#old"),
            ("?r=2", "http://a.example/dir/page?r=2#old"),
            ("  /x  ", "http://a.example/x#old"),
            ("/a b", "http://a.example/a%20b#old"),
            ("/%7Ex", "http://a.example/%7Ex#old"),
            ("http:x", "http://a.example/dir/x#old"),
            ("\\\\b.example\\x", "http://b.example/x#old"),
            ("http://user:pw@b.example/", "http://user:pw@b.example/#old"),
        ] {
            assert_eq!(target(location), expected, "{location}");
        }
    }

    #[test]
    fn fragment_is_inherited_only_when_there_is_none() {
        assert_eq!(target("#new"), "http://a.example/dir/page?q=1#new");
        assert_eq!(target("/x#new"), "http://a.example/x#new");
        assert_eq!(target("/x#"), "http://a.example/x#");
        let Redirect::Follow(next) = from("http://a.example/", b"/x") else {
            panic!()
        };
        assert_eq!(next.url.as_str(), "http://a.example/x");
    }

    #[test]
    fn bytes_beyond_ascii() {
        assert_eq!(target("/é?é"), "http://a.example/%C3%A9?%C3%A9#old");
        assert_eq!(target(b"/caf\xe9?\xff"), "http://a.example/caf%E9?%FF#old");
        assert_eq!(
            target("http://bücher.example/"),
            "http://xn--bcher-kva.example/#old"
        );
        assert_eq!(
            from(FROM, b"http://b\xfccher.example/"),
            Redirect::Unusable(UnusableReason::Unparsable)
        );
    }

    #[test]
    fn unusable_targets() {
        for location in [
            "file:///etc/passwd",
            "ftp://a.example/x",
            "data:text/plain,x",
            "javascript:alert(1)",
            "about:blank",
            "ws://a.example/",
            "itms-apps://x/y",
            "mailto:a@a.example",
        ] {
            let reason = UnusableReason::UnsupportedScheme;
            assert_eq!(
                from(FROM, location.as_bytes()),
                Redirect::Unusable(reason),
                "{location}"
            );
        }
        for location in [
            "http://",
            "http://[::1",
            "http://a b/",
            "http://a:99999/",
            "//",
            "https:",
        ] {
            let reason = UnusableReason::Unparsable;
            assert_eq!(
                from(FROM, location.as_bytes()),
                Redirect::Unusable(reason),
                "{location}"
            );
        }
    }

    #[test]
    fn origins() {
        for (base, location, crossing) in [
            ("http://a.example/", "/x", false),
            ("http://a.example/", "http://A.EXAMPLE:80/x", false),
            ("http://a.example/", "http://u:p@a.example/x", false),
            ("http://a.example:8080/", "//a.example:8080/", false),
            ("http://a.example/", "http://a.example:8080/", true),
            ("http://a.example/", "https://a.example/", true),
            ("https://a.example/", "http://a.example/", true),
            ("http://a.example/", "http://b.a.example/", true),
            ("http://a.example/", "http://example/", true),
            ("http://[::1]/", "http://127.0.0.1/", true),
        ] {
            let Redirect::Follow(next) = from(base, location.as_bytes()) else {
                panic!()
            };
            assert_eq!(next.cross_origin, crossing, "{base} {location}");
        }
    }

    #[test]
    fn headers() {
        let dropped = |became_get: bool, cross_origin: bool| -> Vec<&'static str> {
            let redirect = Follow {
                url: Url::parse(FROM).unwrap(),
                method: "GET".into(),
                keep_body: !became_get,
                became_get,
                cross_origin,
            };
            [
                "authorization",
                "HOST",
                "Content-Length",
                "transfer-encoding",
                "Proxy-Authorization",
                "cookie",
                "Cookie2",
                "content-type",
                "Content-Encoding",
                "Content-Language",
                "Content-Location",
                "Expect",
                "Accept",
                "Accept-Encoding",
                "If-None-Match",
                "Range",
                "Referer",
                "User-Agent",
                "X-Authorization",
                "",
            ]
            .into_iter()
            .filter(|name| !header_survives(name, &redirect))
            .collect()
        };
        let never = [
            "authorization",
            "HOST",
            "Content-Length",
            "transfer-encoding",
        ];
        let secret = ["Proxy-Authorization", "cookie", "Cookie2"];
        let body = [
            "content-type",
            "Content-Encoding",
            "Content-Language",
            "Content-Location",
            "Expect",
        ];
        assert_eq!(dropped(false, false), never);
        assert_eq!(dropped(false, true), [&never[..], &secret].concat());
        assert_eq!(dropped(true, false), [&never[..], &body].concat());
        assert_eq!(dropped(true, true), [&never[..], &secret, &body].concat());
    }
}
