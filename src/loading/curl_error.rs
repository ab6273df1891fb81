//! Errors of the layers below, as codes of NSURLErrorDomain.

use crate::foundation::error_code::*;

/// By CURLcode: what it means to the program. Where one code of libcurl's has several causes, it
/// is the one that remains after what the loader checks by itself.
#[rustfmt::skip]
const BY_CURL_CODE: &[(u32, i64)] = &[
    (0, UNKNOWN),                          // CURLE_OK: not an error, so nobody should ask
    (1, UNSUPPORTED_URL),                  // CURLE_UNSUPPORTED_PROTOCOL
    (2, UNKNOWN),                          // CURLE_FAILED_INIT
    (3, BAD_URL),                          // CURLE_URL_MALFORMAT
    (4, UNSUPPORTED_URL),                  // CURLE_NOT_BUILT_IN
    (5, CANNOT_CONNECT_TO_HOST),           // CURLE_COULDNT_RESOLVE_PROXY: the host itself may exist
    (6, CANNOT_FIND_HOST),                 // CURLE_COULDNT_RESOLVE_HOST
    (7, CANNOT_CONNECT_TO_HOST),           // CURLE_COULDNT_CONNECT
    (8, CANNOT_PARSE_RESPONSE),            // CURLE_WEIRD_SERVER_REPLY
    (9, NO_PERMISSIONS_TO_READ_FILE),      // CURLE_REMOTE_ACCESS_DENIED
    (10, CANNOT_CONNECT_TO_HOST),          // CURLE_FTP_ACCEPT_FAILED
    (11, BAD_SERVER_RESPONSE),             // CURLE_FTP_WEIRD_PASS_REPLY
    (12, TIMED_OUT),                       // CURLE_FTP_ACCEPT_TIMEOUT
    (13, BAD_SERVER_RESPONSE),             // CURLE_FTP_WEIRD_PASV_REPLY
    (14, BAD_SERVER_RESPONSE),             // CURLE_FTP_WEIRD_227_FORMAT
    (15, CANNOT_FIND_HOST),                // CURLE_FTP_CANT_GET_HOST
    (16, NETWORK_CONNECTION_LOST),         // CURLE_HTTP2
    (17, BAD_SERVER_RESPONSE),             // CURLE_FTP_COULDNT_SET_TYPE
    (18, NETWORK_CONNECTION_LOST),         // CURLE_PARTIAL_FILE
    (19, RESOURCE_UNAVAILABLE),            // CURLE_FTP_COULDNT_RETR_FILE
    (20, UNKNOWN),                         // CURLE_OBSOLETE20
    (21, BAD_SERVER_RESPONSE),             // CURLE_QUOTE_ERROR
    (22, BAD_SERVER_RESPONSE),             // CURLE_HTTP_RETURNED_ERROR
    (23, UNKNOWN),                         // CURLE_WRITE_ERROR: our own callback, which knows better
    (24, UNKNOWN),                         // CURLE_OBSOLETE24
    (25, RESOURCE_UNAVAILABLE),            // CURLE_UPLOAD_FAILED
    (26, UNKNOWN),                         // CURLE_READ_ERROR: our own callback, which knows better
    (27, UNKNOWN),                         // CURLE_OUT_OF_MEMORY
    (28, TIMED_OUT),                       // CURLE_OPERATION_TIMEDOUT
    (29, UNKNOWN),                         // CURLE_OBSOLETE29
    (30, CANNOT_CONNECT_TO_HOST),          // CURLE_FTP_PORT_FAILED
    (31, BAD_SERVER_RESPONSE),             // CURLE_FTP_COULDNT_USE_REST
    (32, UNKNOWN),                         // CURLE_OBSOLETE32
    (33, BAD_SERVER_RESPONSE),             // CURLE_RANGE_ERROR
    (34, UNKNOWN),                         // CURLE_OBSOLETE34
    (35, SECURE_CONNECTION_FAILED),        // CURLE_SSL_CONNECT_ERROR
    (36, BAD_SERVER_RESPONSE),             // CURLE_BAD_DOWNLOAD_RESUME
    (37, FILE_DOES_NOT_EXIST),             // CURLE_FILE_COULDNT_READ_FILE
    (38, CANNOT_CONNECT_TO_HOST),          // CURLE_LDAP_CANNOT_BIND
    (39, RESOURCE_UNAVAILABLE),            // CURLE_LDAP_SEARCH_FAILED
    (40, UNKNOWN),                         // CURLE_OBSOLETE40
    (41, UNKNOWN),                         // CURLE_OBSOLETE41
    (42, CANCELLED),                       // CURLE_ABORTED_BY_CALLBACK
    (43, UNKNOWN),                         // CURLE_BAD_FUNCTION_ARGUMENT
    (44, UNKNOWN),                         // CURLE_OBSOLETE44
    (45, CANNOT_CONNECT_TO_HOST),          // CURLE_INTERFACE_FAILED
    (46, UNKNOWN),                         // CURLE_OBSOLETE46
    (47, HTTP_TOO_MANY_REDIRECTS),         // CURLE_TOO_MANY_REDIRECTS
    (48, UNKNOWN),                         // CURLE_UNKNOWN_OPTION
    (49, UNKNOWN),                         // CURLE_SETOPT_OPTION_SYNTAX
    (50, UNKNOWN),                         // CURLE_OBSOLETE50
    (51, UNKNOWN),                         // CURLE_OBSOLETE51
    (52, NETWORK_CONNECTION_LOST),         // CURLE_GOT_NOTHING
    (53, SECURE_CONNECTION_FAILED),        // CURLE_SSL_ENGINE_NOTFOUND
    (54, SECURE_CONNECTION_FAILED),        // CURLE_SSL_ENGINE_SETFAILED
    (55, NETWORK_CONNECTION_LOST),         // CURLE_SEND_ERROR
    (56, NETWORK_CONNECTION_LOST),         // CURLE_RECV_ERROR
    (57, UNKNOWN),                         // CURLE_OBSOLETE57
    (58, CLIENT_CERTIFICATE_REQUIRED),     // CURLE_SSL_CERTPROBLEM: ours cannot be used
    (59, SECURE_CONNECTION_FAILED),        // CURLE_SSL_CIPHER
    (60, SERVER_CERTIFICATE_UNTRUSTED),    // CURLE_PEER_FAILED_VERIFICATION
    (61, CANNOT_DECODE_RAW_DATA),          // CURLE_BAD_CONTENT_ENCODING
    (62, UNKNOWN),                         // CURLE_OBSOLETE62
    (63, DATA_LENGTH_EXCEEDS_MAXIMUM),     // CURLE_FILESIZE_EXCEEDED
    (64, SECURE_CONNECTION_FAILED),        // CURLE_USE_SSL_FAILED
    (65, REQUEST_BODY_STREAM_EXHAUSTED),   // CURLE_SEND_FAIL_REWIND
    (66, SECURE_CONNECTION_FAILED),        // CURLE_SSL_ENGINE_INITFAILED
    (67, USER_AUTHENTICATION_REQUIRED),    // CURLE_LOGIN_DENIED
    (68, FILE_DOES_NOT_EXIST),             // CURLE_TFTP_NOTFOUND
    (69, NO_PERMISSIONS_TO_READ_FILE),     // CURLE_TFTP_PERM
    (70, RESOURCE_UNAVAILABLE),            // CURLE_REMOTE_DISK_FULL
    (71, BAD_SERVER_RESPONSE),             // CURLE_TFTP_ILLEGAL
    (72, BAD_SERVER_RESPONSE),             // CURLE_TFTP_UNKNOWNID
    (73, RESOURCE_UNAVAILABLE),            // CURLE_REMOTE_FILE_EXISTS
    (74, USER_AUTHENTICATION_REQUIRED),    // CURLE_TFTP_NOSUCHUSER
    (75, UNKNOWN),                         // CURLE_OBSOLETE75
    (76, UNKNOWN),                         // CURLE_OBSOLETE76
    (77, SECURE_CONNECTION_FAILED),        // CURLE_SSL_CACERT_BADFILE
    (78, FILE_DOES_NOT_EXIST),             // CURLE_REMOTE_FILE_NOT_FOUND
    (79, BAD_SERVER_RESPONSE),             // CURLE_SSH
    (80, SECURE_CONNECTION_FAILED),        // CURLE_SSL_SHUTDOWN_FAILED
    (81, UNKNOWN),                         // CURLE_AGAIN
    (82, SECURE_CONNECTION_FAILED),        // CURLE_SSL_CRL_BADFILE
    (83, SERVER_CERTIFICATE_UNTRUSTED),    // CURLE_SSL_ISSUER_ERROR
    (84, BAD_SERVER_RESPONSE),             // CURLE_FTP_PRET_FAILED
    (85, BAD_SERVER_RESPONSE),             // CURLE_RTSP_CSEQ_ERROR
    (86, BAD_SERVER_RESPONSE),             // CURLE_RTSP_SESSION_ERROR
    (87, CANNOT_PARSE_RESPONSE),           // CURLE_FTP_BAD_FILE_LIST
    (88, UNKNOWN),                         // CURLE_CHUNK_FAILED
    (89, CANNOT_CONNECT_TO_HOST),          // CURLE_NO_CONNECTION_AVAILABLE
    (90, SERVER_CERTIFICATE_UNTRUSTED),    // CURLE_SSL_PINNEDPUBKEYNOTMATCH
    (91, SERVER_CERTIFICATE_UNTRUSTED),    // CURLE_SSL_INVALIDCERTSTATUS
    (92, NETWORK_CONNECTION_LOST),         // CURLE_HTTP2_STREAM
    (93, UNKNOWN),                         // CURLE_RECURSIVE_API_CALL
    (94, USER_AUTHENTICATION_REQUIRED),    // CURLE_AUTH_ERROR
    (95, NETWORK_CONNECTION_LOST),         // CURLE_HTTP3
    (96, CANNOT_CONNECT_TO_HOST),          // CURLE_QUIC_CONNECT_ERROR
    (97, CANNOT_CONNECT_TO_HOST),          // CURLE_PROXY
    (98, CLIENT_CERTIFICATE_REQUIRED),     // CURLE_SSL_CLIENTCERT
    (99, UNKNOWN),                         // CURLE_UNRECOVERABLE_POLL
    (100, DATA_LENGTH_EXCEEDS_MAXIMUM),    // CURLE_TOO_LARGE
    (101, SECURE_CONNECTION_FAILED),       // CURLE_ECH_REQUIRED
    (102, UNKNOWN),                        // CURL_LAST: never returned
];

const COULDNT_CONNECT: u32 = 7;
const SSL_CONNECT_ERROR: u32 = 35;

/// The code for a CURLcode; UNKNOWN for one that this table does not have.
pub fn from_curl(code: u32) -> i64 {
    let row = usize::try_from(code)
        .ok()
        .and_then(|index| BY_CURL_CODE.get(index));
    row.map_or(UNKNOWN, |&(_, ours)| ours)
}

/// The code for a CURLcode whose cause the system named (CURLINFO_OS_ERRNO; 0 for none).
///
/// libcurl keeps the errno of an attempt that another address then made good, so it counts only
/// where it can be the cause.
pub fn from_errno(os_errno: i32, curl: u32) -> i64 {
    match (curl, os_errno) {
        (COULDNT_CONNECT, libc::ENETUNREACH | libc::ENETDOWN) => NOT_CONNECTED_TO_INTERNET,
        (COULDNT_CONNECT, libc::ETIMEDOUT) => TIMED_OUT,
        (COULDNT_CONNECT | SSL_CONNECT_ERROR, libc::ECONNRESET | libc::EPIPE) => {
            NETWORK_CONNECTION_LOST
        }
        _ => from_curl(curl),
    }
}

/// The code for OpenSSL's verdict on a server's certificate (X509_V_ERR_*), `None` for X509_V_OK.
pub fn from_verify_result(code: i64) -> Option<i64> {
    Some(match code {
        0 => return None,
        // CERT_NOT_YET_VALID
        9 => SERVER_CERTIFICATE_NOT_YET_VALID,
        // CERT_HAS_EXPIRED, ERROR_IN_CERT_NOT_BEFORE_FIELD, ERROR_IN_CERT_NOT_AFTER_FIELD
        10 | 13 | 14 => SERVER_CERTIFICATE_HAS_BAD_DATE,
        // UNABLE_TO_GET_ISSUER_CERT, SELF_SIGNED_CERT_IN_CHAIN, UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
        // UNABLE_TO_VERIFY_LEAF_SIGNATURE (the chain is the leaf only): no path to a known root
        2 | 19..=21 => SERVER_CERTIFICATE_HAS_UNKNOWN_ROOT,
        // DEPTH_ZERO_SELF_SIGNED_CERT (18): no authority at all, so none that is unknown;
        // CERT_REVOKED (23), HOSTNAME_MISMATCH (62), IP_ADDRESS_MISMATCH (64), and all others
        _ => SERVER_CERTIFICATE_UNTRUSTED,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_curl_code_has_its_row() {
        assert_eq!(BY_CURL_CODE.len(), 103);
        for (index, &(code, ours)) in BY_CURL_CODE.iter().enumerate() {
            assert_eq!(code as usize, index);
            assert!(entry(ours).is_some(), "{code}: {ours}");
            assert_eq!(from_curl(code), ours);
        }
        for code in [103, 1000, u32::MAX] {
            assert_eq!(from_curl(code), UNKNOWN);
        }
    }

    #[test]
    fn curl_codes() {
        for (code, ours) in [
            (1, -1002),
            (3, -1000),
            (5, -1004),
            (6, -1003),
            (7, -1004),
            (8, -1017),
            (16, -1005),
            (18, -1005),
            (28, -1001),
            (35, -1200),
            (37, -1100),
            (42, -999),
            (47, -1007),
            (52, -1005),
            (55, -1005),
            (56, -1005),
            (58, -1206),
            (60, -1202),
            (61, -1015),
            (65, -1021),
            (67, -1013),
            (78, -1100),
            (92, -1005),
            (97, -1004),
            (98, -1206),
        ] {
            assert_eq!(from_curl(code), ours, "{code}");
        }
    }

    #[test]
    fn errno_refines_only_what_it_can_have_caused() {
        for (os_errno, curl, ours) in [
            (libc::ENETUNREACH, 7, -1009),
            (libc::ENETDOWN, 7, -1009),
            (libc::EHOSTUNREACH, 7, -1004),
            (libc::ECONNREFUSED, 7, -1004),
            (libc::EACCES, 7, -1004),
            (libc::ETIMEDOUT, 7, -1001),
            (libc::ECONNRESET, 7, -1005),
            (libc::ECONNRESET, 35, -1005),
            (libc::EPIPE, 35, -1005),
            (libc::ECONNREFUSED, 35, -1200),
            (libc::ECONNRESET, 56, -1005),
            (libc::EPIPE, 55, -1005),
            // left over from an address that could not be reached
            (libc::ENETUNREACH, 28, -1001),
            (libc::ENETUNREACH, 56, -1005),
            (libc::ENETUNREACH, 60, -1202),
            (libc::ECONNRESET, 47, -1007),
        ] {
            assert_eq!(
                from_errno(os_errno, curl),
                ours,
                "errno {os_errno}, curl {curl}"
            );
        }
        for code in 0..=102 {
            assert_eq!(from_errno(0, code), from_curl(code));
            assert_eq!(from_errno(-1, code), from_curl(code));
        }
    }

    #[test]
    fn verify_results() {
        for (code, ours) in [
            (0, None),
            (1, Some(-1202)),
            (2, Some(-1203)),
            (7, Some(-1202)),
            (9, Some(-1204)),
            (10, Some(-1201)),
            (12, Some(-1202)),
            (13, Some(-1201)),
            (14, Some(-1201)),
            (18, Some(-1202)),
            (19, Some(-1203)),
            (20, Some(-1203)),
            (21, Some(-1203)),
            (22, Some(-1202)),
            (23, Some(-1202)),
            (27, Some(-1202)),
            (62, Some(-1202)),
            (63, Some(-1202)),
            (64, Some(-1202)),
            (101, Some(-1202)),
            (i64::MAX, Some(-1202)),
            (-1, Some(-1202)),
        ] {
            assert_eq!(from_verify_result(code), ours, "{code}");
        }
    }
}
