//! Words for HTTP status codes.

use std::ffi::CStr;

/// `+[NSHTTPURLResponse localizedStringForStatusCode:]`, in English.
///
/// Apple has words of its own for the codes of RFC 2616 only; every later code (103, 308, 422,
/// 429, ...) gets those of its class, and what is no status code at all counts as a server's error.
pub fn localized_string(code: i64) -> &'static CStr {
    match code {
        100 => c"continue",
        101 => c"switching protocols",
        102..=199 => c"informational",
        200 => c"no error",
        201 => c"created",
        202 => c"accepted",
        203 => c"non-authoritative information",
        204 => c"no content",
        205 => c"reset content",
        206 => c"partial content",
        207..=299 => c"success",
        300 => c"multiple choices",
        301 => c"moved permanently",
        302 => c"found",
        303 => c"see other",
        304 => c"not modified",
        305 => c"needs proxy",
        307 => c"temporarily redirected",
        306 | 308..=399 => c"redirected",
        400 => c"bad request",
        401 => c"unauthorized",
        402 => c"payment required",
        403 => c"forbidden",
        404 => c"not found",
        405 => c"method not allowed",
        406 => c"unacceptable",
        407 => c"proxy authentication required",
        408 => c"request timed out",
        409 => c"conflict",
        410 => c"no longer exists",
        411 => c"length required",
        412 => c"precondition failed",
        413 => c"request too large",
        414 => c"requested URL too long",
        415 => c"unsupported media type",
        416 => c"requested range not satisfiable",
        417 => c"expectation failed",
        418..=499 => c"client error",
        500 => c"internal server error",
        501 => c"unimplemented",
        502 => c"bad gateway",
        503 => c"service unavailable",
        504 => c"gateway timed out",
        505 => c"unsupported version",
        _ => c"server error",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    /// The text as Rust's.
    fn localized_string(code: i64) -> &'static str {
        super::localized_string(code).to_str().unwrap()
    }

    #[test]
    fn well_known_codes() {
        for (code, words) in [
            (100, "continue"),
            (200, "no error"),
            (206, "partial content"),
            (302, "found"),
            (307, "temporarily redirected"),
            (404, "not found"),
            (410, "no longer exists"),
            (500, "internal server error"),
            (504, "gateway timed out"),
        ] {
            assert_eq!(localized_string(code), words, "{code}");
        }
    }

    #[test]
    fn codes_without_words_of_their_own_get_those_of_their_class() {
        for (codes, words) in [
            (&[102, 103, 104, 199][..], "informational"),
            (&[207, 208, 226, 299][..], "success"),
            (&[306, 308, 399][..], "redirected"),
            (
                &[418, 421, 422, 425, 426, 428, 429, 431, 451, 499][..],
                "client error",
            ),
            (&[506, 507, 508, 510, 511, 599][..], "server error"),
        ] {
            for &code in codes {
                assert_eq!(localized_string(code), words, "{code}");
            }
        }
    }

    #[test]
    fn anything_else_is_a_server_error() {
        for code in [i64::MIN, -1, 0, 1, 99, 600, 999, 1000, i64::MAX] {
            assert_eq!(localized_string(code), "server error", "{code}");
        }
    }

    #[test]
    fn no_two_codes_with_words_of_their_own_share_them() {
        let classes = [
            "informational",
            "success",
            "redirected",
            "client error",
            "server error",
        ];
        let mut seen = HashSet::new();
        for code in 0..1000 {
            let words = localized_string(code);
            assert!(
                classes.contains(&words) || seen.insert(words),
                "{code}: {words}"
            );
        }
        assert_eq!(seen.len(), 40);
    }
}
