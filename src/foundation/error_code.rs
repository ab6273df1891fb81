//! The codes of NSURLErrorDomain and the sentences that go with them.

use std::borrow::Cow;

/// What is known about a code.
#[derive(Debug)]
pub struct Entry {
    /// The number.
    pub code: i64,
    /// What went wrong: localizedDescription.
    pub description: &'static str,
    /// Why, where there is more to say: localizedFailureReason.
    pub failure_reason: Option<&'static str>,
    /// What a person can do about it: localizedRecoverySuggestion.
    pub recovery_suggestion: Option<&'static str>,
}

/// Stands in a description where Apple names the host.
const ANY_HOST: &str = "the one you asked for";

impl Entry {
    /// The description with the host's name, in those sentences that have a place for it.
    pub fn description_for_host(&self, host: Option<&str>) -> Cow<'static, str> {
        match host {
            Some(host) if self.description.contains(ANY_HOST) => {
                Cow::Owned(self.description.replacen(ANY_HOST, &format!("“{host}”"), 1))
            }
            _ => Cow::Borrowed(self.description),
        }
    }
}

/// The entry of a code.
pub fn entry(code: i64) -> Option<&'static Entry> {
    let index = TABLE.binary_search_by_key(&code, |entry| entry.code).ok()?;
    TABLE.get(index)
}

/// Declares a constant for each code, and the table. Columns: number, description, failure reason,
/// recovery suggestion ("" for none).
macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal: $description:literal, $reason:literal, $suggestion:literal;)*) => {
        $($(#[$doc])* pub const $name: i64 = $code;)*

        /// Every code, in ascending order.
        pub static TABLE: &[Entry] = &[$(Entry {
            code: $name,
            description: $description,
            failure_reason: unless_empty($reason),
            recovery_suggestion: unless_empty($suggestion),
        }),*];

        #[cfg(test)]
        const NAMES: &[(&str, i64)] = &[$((stringify!($name), $code)),*];
    };
}

const fn unless_empty(text: &'static str) -> Option<&'static str> {
    if text.is_empty() { None } else { Some(text) }
}

codes! {
    /// NSURLErrorDownloadDecodingFailedToComplete.
    DOWNLOAD_DECODING_FAILED_TO_COMPLETE = -3007:
        "The downloaded file could not be decoded completely.",
        "The encoded data ended too early or its checksum is wrong.",
        "Try the download again.";
    /// NSURLErrorDownloadDecodingFailedMidStream.
    DOWNLOAD_DECODING_FAILED_MID_STREAM = -3006:
        "The downloaded file could not be decoded.",
        "The encoded data is damaged.",
        "Try the download again.";
    /// NSURLErrorCannotMoveFile.
    CANNOT_MOVE_FILE = -3005:
        "Could not move the downloaded file.", "", "Check that the folder exists and can be written to.";
    /// NSURLErrorCannotRemoveFile.
    CANNOT_REMOVE_FILE = -3004:
        "Could not remove the file.", "", "Check that the folder can be written to.";
    /// NSURLErrorCannotWriteToFile.
    CANNOT_WRITE_TO_FILE = -3003:
        "Could not write to the file.", "", "Check that the disk is not full.";
    /// NSURLErrorCannotCloseFile.
    CANNOT_CLOSE_FILE = -3002:
        "Could not close the file.", "", "Check that the disk is not full.";
    /// NSURLErrorCannotOpenFile.
    CANNOT_OPEN_FILE = -3001:
        "Could not open the file.", "", "Check that the file exists and can be read and written.";
    /// NSURLErrorCannotCreateFile.
    CANNOT_CREATE_FILE = -3000:
        "Could not create the file.", "", "Check that the folder exists and can be written to.";
    /// NSURLErrorCannotLoadFromNetwork.
    CANNOT_LOAD_FROM_NETWORK = -2000:
        "The resource is not in the cache and may not be loaded from the network.",
        "The request’s cache policy allows cached data only.",
        "";
    /// NSURLErrorClientCertificateRequired.
    CLIENT_CERTIFICATE_REQUIRED = -1206:
        "The server requires a client certificate.",
        "",
        "Answer the client certificate challenge with an identity that the server accepts.";
    /// NSURLErrorClientCertificateRejected.
    CLIENT_CERTIFICATE_REJECTED = -1205:
        "The server did not accept the certificate.",
        "The server refused the client certificate.",
        "Use a client certificate that the server accepts and that has not expired.";
    /// NSURLErrorServerCertificateNotYetValid.
    SERVER_CERTIFICATE_NOT_YET_VALID = -1204:
        "The certificate for this server is not yet valid. You might be connecting to a server that is pretending to be the one you asked for which could put your confidential information at risk.",
        "The certificate’s validity begins later.",
        "Check that date and time are set correctly.";
    /// NSURLErrorServerCertificateHasUnknownRoot.
    SERVER_CERTIFICATE_HAS_UNKNOWN_ROOT = -1203:
        "The certificate for this server was signed by an unknown certifying authority. You might be connecting to a server that is pretending to be the one you asked for which could put your confidential information at risk.",
        "The certificate chain does not lead to a trusted root.",
        "Check that the authority’s certificate is installed and that the server sends its whole chain.";
    /// NSURLErrorServerCertificateUntrusted.
    SERVER_CERTIFICATE_UNTRUSTED = -1202:
        "The certificate for this server is invalid. You might be connecting to a server that is pretending to be the one you asked for which could put your confidential information at risk.",
        "The certificate is not trusted or was issued for another host.",
        "Check that the host name is right.";
    /// NSURLErrorServerCertificateHasBadDate.
    SERVER_CERTIFICATE_HAS_BAD_DATE = -1201:
        "The certificate for this server has expired. You might be connecting to a server that is pretending to be the one you asked for which could put your confidential information at risk.",
        "The certificate’s validity has ended, or its dates cannot be read.",
        "Check that date and time are set correctly.";
    /// NSURLErrorSecureConnectionFailed.
    SECURE_CONNECTION_FAILED = -1200:
        "An SSL error has occurred and a secure connection to the server cannot be made.",
        "",
        "Check that the server speaks TLS on this port, in a version and with ciphers that are allowed.";
    /// NSURLErrorFileOutsideSafeArea.
    FILE_OUTSIDE_SAFE_AREA = -1104:
        "The file is outside the area that may be read.", "", "";
    /// NSURLErrorDataLengthExceedsMaximum.
    DATA_LENGTH_EXCEEDS_MAXIMUM = -1103:
        "The resource exceeds the maximum size.", "", "";
    /// NSURLErrorNoPermissionsToReadFile.
    NO_PERMISSIONS_TO_READ_FILE = -1102:
        "You do not have permission to access the requested resource.",
        "",
        "Check the permissions of the file and of the folders that it is in.";
    /// NSURLErrorFileIsDirectory.
    FILE_IS_DIRECTORY = -1101:
        "The requested URL is a directory.", "", "";
    /// NSURLErrorFileDoesNotExist.
    FILE_DOES_NOT_EXIST = -1100:
        "The requested URL was not found on this server.",
        "The file does not exist.",
        "Check the path for mistakes.";
    /// NSURLErrorAppTransportSecurityRequiresSecureConnection.
    APP_TRANSPORT_SECURITY_REQUIRES_SECURE_CONNECTION = -1022:
        "The resource could not be loaded because the App Transport Security policy requires the use of a secure connection.",
        "The URL, or the one that it redirects to, is not https.",
        "Use https, or make an exception for the host.";
    /// NSURLErrorRequestBodyStreamExhausted.
    REQUEST_BODY_STREAM_EXHAUSTED = -1021:
        "The request body stream is exhausted.",
        "The body had to be sent again and no new stream was supplied.",
        "Implement the delegate’s need_new_body_stream, or send the body as data or from a file.";
    /// NSURLErrorDataNotAllowed.
    DATA_NOT_ALLOWED = -1020:
        "A data connection is not currently allowed.",
        "",
        "Allow the use of this network, or connect to another one.";
    /// NSURLErrorCallIsActive.
    CALL_IS_ACTIVE = -1019:
        "A data connection cannot be established since a call is currently active.",
        "",
        "Try again after the call.";
    /// NSURLErrorInternationalRoamingOff.
    INTERNATIONAL_ROAMING_OFF = -1018:
        "International roaming is currently off.",
        "",
        "Turn roaming on, or connect to another network.";
    /// NSURLErrorCannotParseResponse.
    CANNOT_PARSE_RESPONSE = -1017:
        "The response from the server could not be understood.",
        "The answer is not valid HTTP.",
        "Check that the URL names the right port.";
    /// NSURLErrorCannotDecodeContentData.
    CANNOT_DECODE_CONTENT_DATA = -1016:
        "The content of the response could not be decoded.",
        "The server used a content coding that is not supported.",
        "";
    /// NSURLErrorCannotDecodeRawData.
    CANNOT_DECODE_RAW_DATA = -1015:
        "The data of the response could not be decoded.",
        "The data is damaged, or not in the content coding that the server named.",
        "";
    /// NSURLErrorZeroByteResource.
    ZERO_BYTE_RESOURCE = -1014:
        "The server sent an empty resource.",
        "Data was announced and none was sent.",
        "";
    /// NSURLErrorUserAuthenticationRequired.
    USER_AUTHENTICATION_REQUIRED = -1013:
        "Authentication is required to access this resource.",
        "",
        "Supply a user name and a password that the server accepts.";
    /// NSURLErrorUserCancelledAuthentication.
    USER_CANCELLED_AUTHENTICATION = -1012:
        "Authentication was cancelled.", "", "";
    /// NSURLErrorBadServerResponse.
    BAD_SERVER_RESPONSE = -1011:
        "There was a bad response from the server.", "", "";
    /// NSURLErrorRedirectToNonExistentLocation.
    REDIRECT_TO_NON_EXISTENT_LOCATION = -1010:
        "The server redirected to a location that does not exist.",
        "The redirect’s Location is not a valid URL.",
        "";
    /// NSURLErrorNotConnectedToInternet.
    NOT_CONNECTED_TO_INTERNET = -1009:
        "The Internet connection appears to be offline.",
        "",
        "Check the network connection.";
    /// NSURLErrorResourceUnavailable.
    RESOURCE_UNAVAILABLE = -1008:
        "The requested resource is unavailable.", "", "";
    /// NSURLErrorHTTPTooManyRedirects.
    HTTP_TOO_MANY_REDIRECTS = -1007:
        "There were too many HTTP redirects.",
        "The server may be redirecting in a circle.",
        "";
    /// NSURLErrorDNSLookupFailed.
    DNS_LOOKUP_FAILED = -1006:
        "The server’s address could not be looked up.",
        "",
        "Check the host name and the network’s name servers.";
    /// NSURLErrorNetworkConnectionLost.
    NETWORK_CONNECTION_LOST = -1005:
        "The network connection was lost.",
        "The connection broke before the transfer was complete.",
        "Try again.";
    /// NSURLErrorCannotConnectToHost.
    CANNOT_CONNECT_TO_HOST = -1004:
        "Could not connect to the server.",
        "",
        "Check that the server is running and that the port is right.";
    /// NSURLErrorCannotFindHost.
    CANNOT_FIND_HOST = -1003:
        "A server with the specified hostname could not be found.",
        "",
        "Check the host name for mistakes.";
    /// NSURLErrorUnsupportedURL.
    UNSUPPORTED_URL = -1002:
        "The URL is not supported.", "Nothing handles its scheme.", "";
    /// NSURLErrorTimedOut.
    TIMED_OUT = -1001:
        "The request timed out.", "", "Try again, or allow more time.";
    /// NSURLErrorBadURL.
    BAD_URL = -1000:
        "The URL is not valid.", "", "Check the URL for mistakes.";
    /// NSURLErrorCancelled.
    CANCELLED = -999:
        "cancelled", "", "";
    /// NSURLErrorBackgroundSessionWasDisconnected.
    BACKGROUND_SESSION_WAS_DISCONNECTED = -997:
        "Lost connection to the background transfer service.", "", "Try again.";
    /// NSURLErrorBackgroundSessionInUseByAnotherProcess.
    BACKGROUND_SESSION_IN_USE_BY_ANOTHER_PROCESS = -996:
        "The background session is in use by another process.",
        "A background session’s identifier can be used by one process at a time.",
        "Use another identifier, or end the other process.";
    /// NSURLErrorBackgroundSessionRequiresSharedContainer.
    BACKGROUND_SESSION_REQUIRES_SHARED_CONTAINER = -995:
        "The background session requires a shared container.",
        "",
        "Set the configuration’s shared container identifier.";
    /// NSURLErrorUnknown.
    UNKNOWN = -1:
        "An unknown error occurred.", "", "";
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// The constants of nsurlsession_error_code_t in the public header.
    fn header() -> BTreeMap<String, i64> {
        let text = include_str!("../../include/nsurlsession/nsurlsession_base.h");
        let start = text
            .find("NSURLSESSION_ENUM(nsurlsession_error_code_t)")
            .expect("the enum");
        let body = &text[start..];
        let body = &body[..body.find("};").expect("the enum's end")];
        body.lines()
            .filter_map(|line| line.trim().strip_prefix("NSURLSESSION_ERROR_"))
            .map(|line| {
                let (name, value) = line.split_once(" = ").expect("a value");
                (
                    name.to_owned(),
                    value.trim_end_matches(',').parse().expect("a number"),
                )
            })
            .collect()
    }

    #[test]
    fn header_and_table_agree() {
        let ours: BTreeMap<_, _> = NAMES
            .iter()
            .map(|&(name, code)| (name.to_owned(), code))
            .collect();
        assert!(ours.len() >= 48);
        assert_eq!(ours, header());
        assert_eq!(ours.len(), TABLE.len());
    }

    #[test]
    fn sorted_and_found() {
        assert!(TABLE.is_sorted_by(|a, b| a.code < b.code));
        for row in TABLE {
            assert!(std::ptr::eq(entry(row.code).unwrap(), row));
        }
        for code in [i64::MIN, -3008, -998, -994, 0, 1, 404, i64::MAX] {
            assert!(entry(code).is_none(), "{code}");
        }
    }

    #[test]
    fn sentences() {
        for row in TABLE {
            for text in [
                Some(row.description),
                row.failure_reason,
                row.recovery_suggestion,
            ] {
                let Some(text) = text else { continue };
                assert!(
                    text.ends_with('.') || row.code == CANCELLED,
                    "{}: {text}",
                    row.code
                );
                assert!(
                    !text.contains(['\n', '\'', '"', '{']),
                    "{}: {text}",
                    row.code
                );
                assert_eq!(text, text.trim());
            }
        }
        assert_eq!(entry(CANCELLED).unwrap().description, "cancelled");
        assert_eq!(
            entry(TIMED_OUT).unwrap().description,
            "The request timed out."
        );
        assert_eq!(
            entry(CANNOT_FIND_HOST).unwrap().description,
            "A server with the specified hostname could not be found."
        );
        let mut descriptions: Vec<_> = TABLE.iter().map(|row| row.description).collect();
        descriptions.sort_unstable();
        descriptions.dedup();
        assert_eq!(descriptions.len(), TABLE.len());
    }

    #[test]
    fn certificate_sentences_name_the_host() {
        assert_eq!(
            entry(SERVER_CERTIFICATE_UNTRUSTED)
                .unwrap()
                .description_for_host(Some("a.example")),
            "The certificate for this server is invalid. You might be connecting to a server that \
             is pretending to be “a.example” which could put your confidential information at risk."
        );
        for row in TABLE {
            assert_eq!(row.description_for_host(None), row.description);
            let names_host = row
                .description_for_host(Some("a.example"))
                .contains("“a.example”");
            assert_eq!(
                names_host,
                (-1204..=-1201).contains(&row.code),
                "{}",
                row.code
            );
        }
    }
}
