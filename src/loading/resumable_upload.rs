//! Uploads that go on where an earlier one was: the IETF's draft of resumable uploads, in the version
//! that Apple's systems speak.
//!
//! A server that can do that answers an upload with 104 and the URL of the upload. Later, that URL
//! tells by HEAD how much has arrived, and takes the rest by PATCH.

use url::Url;

use super::record::{Reader, Unreadable, Writer};
use super::request::{RequestUrl, RequestValue};
use super::response::Response;
use crate::foundation::error::Failure;
use crate::foundation::error_code;

/// `Upload-Draft-Interop-Version`
const INTEROP_VERSION: &str = "3";
/// `Upload Resumption Supported`
const RESUMPTION_SUPPORTED: i64 = 104;

const MAGIC: &[u8] = b"nsurlsession upload\n";
const VERSION: u8 = 1;

mod field {
    pub const URL: u8 = 1;
    pub const METHOD: u8 = 2;
    pub const HEADER_NAME: u8 = 3;
    pub const HEADER_VALUE: u8 = 4;
    pub const LOCATION: u8 = 5;
    pub const FILE: u8 = 6;
    pub const LENGTH: u8 = 7;
    pub const SECONDS: u8 = 8;
    pub const NANOSECONDS: u8 = 9;
}

/// The file that was being sent, and what tells that it is still the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub path: String,
    pub length: u64,
    pub modified: (i64, i64),
}

/// Everything that a later task needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadResumeData {
    pub url: String,
    pub method: String,
    pub headers: Vec<(String, String)>,
    /// The upload's own URL.
    pub location: String,
    /// `None`: the body comes from a stream.
    pub source: Option<Source>,
}

impl UploadResumeData {
    pub fn new(request: &RequestValue, location: &Url, source: Option<Source>) -> UploadResumeData {
        UploadResumeData {
            url: request.url_text().to_owned(),
            method: request.method().to_owned(),
            headers: request
                .headers
                .iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            location: location.as_str().to_owned(),
            source,
        }
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut record = Writer::new(MAGIC, VERSION);
        record.put(field::URL, self.url.as_bytes());
        record.put(field::METHOD, self.method.as_bytes());
        for (name, value) in &self.headers {
            record.put(field::HEADER_NAME, name.as_bytes());
            record.put(field::HEADER_VALUE, value.as_bytes());
        }
        record.put(field::LOCATION, self.location.as_bytes());
        if let Some(source) = &self.source {
            record.put(field::FILE, source.path.as_bytes());
            record.put_integer(field::LENGTH, source.length);
            record.put_integer(field::SECONDS, source.modified.0.cast_unsigned());
            record.put_integer(field::NANOSECONDS, source.modified.1.cast_unsigned());
        }
        record.seal()
    }

    pub fn decode(bytes: &[u8]) -> Result<UploadResumeData, Unreadable> {
        let mut record = Reader::open(bytes, MAGIC, VERSION)?;
        let (mut url, mut method, mut location, mut path) = (None, None, None, None);
        let (mut length, mut seconds, mut nanoseconds) = (None, None, None);
        let mut headers = Vec::new();
        let mut name = None;
        while let Some((number, value)) = record.next()? {
            match number {
                field::URL => url = Some(value.text()?),
                field::METHOD => method = Some(value.text()?),
                field::HEADER_NAME => name = Some(value.text()?),
                field::HEADER_VALUE => {
                    headers.push((name.take().ok_or(Unreadable::Damaged)?, value.text()?));
                }
                field::LOCATION => location = Some(value.text()?),
                field::FILE => path = Some(value.text()?),
                field::LENGTH => length = Some(value.integer()?),
                field::SECONDS => seconds = Some(value.integer()?.cast_signed()),
                field::NANOSECONDS => nanoseconds = Some(value.integer()?.cast_signed()),
                _ => {}
            }
        }
        let source = match path {
            Some(path) => {
                let source = || {
                    Some(Source {
                        path,
                        length: length?,
                        modified: (seconds?, nanoseconds?),
                    })
                };
                Some(source().ok_or(Unreadable::Damaged)?)
            }
            None => None,
        };
        let data = || {
            Some(UploadResumeData {
                url: url?,
                method: method?,
                headers,
                location: location?,
                source,
            })
        };
        data().ok_or(Unreadable::Damaged)
    }

    /// The request that the upload began with, without its body.
    pub fn request(&self) -> RequestValue {
        let mut request = RequestValue::with_url(RequestUrl::new(&self.url));
        // They were a method and fields once.
        let _ = request.set_method(Some(&self.method));
        for (name, value) in &self.headers {
            let _ = request.headers.set(name, value);
        }
        request
    }

    /// Asks how much has arrived.
    pub fn offset_request(&self) -> RequestValue {
        let mut request = self.request();
        request.url = Some(RequestUrl::new(&self.location));
        let _ = request.set_method(Some("HEAD"));
        set(
            &mut request,
            &[("Upload-Draft-Interop-Version", INTEROP_VERSION)],
        );
        request
    }

    /// Takes up the upload where the server says that it is, without the body yet.
    pub fn append_request(&self, offset: u64) -> RequestValue {
        let mut request = self.offset_request();
        let _ = request.set_method(Some("PATCH"));
        let offset = offset.to_string();
        set(
            &mut request,
            &[("Upload-Offset", &offset), ("Upload-Incomplete", "?0")],
        );
        request
    }
}

fn set(request: &mut RequestValue, fields: &[(&str, &str)]) {
    for (name, value) in fields {
        let _ = request.headers.set(name, value);
    }
}

/// Makes an upload one that can be resumed, if the server knows how to do that.
pub fn announce(request: &mut RequestValue) {
    let version = ("Upload-Draft-Interop-Version", INTEROP_VERSION);
    set(request, &[version, ("Upload-Incomplete", "?0")]);
}

/// The upload's own URL, in an informational response that tells it. Only one of the same origin: it
/// gets what the first request was given.
pub fn location(response: &Response, request: &RequestValue) -> Option<Url> {
    let base = request.url.as_ref().and_then(RequestUrl::parsed)?;
    let location = std::str::from_utf8(response.fields().get("Location")?).ok()?;
    let location = base.join(location).ok()?;
    let told = response.status() == RESUMPTION_SUPPORTED && location.origin() == base.origin();
    told.then_some(location)
}

/// How much of the body has arrived, as the answer to HEAD tells it.
pub fn offset(response: &Response, length: Option<u64>) -> Result<u64, Failure> {
    let failed = |reason: &str| {
        let failure = Failure::new(error_code::RESOURCE_UNAVAILABLE);
        Err(failure.detail(format!("The upload cannot be resumed: {reason}")))
    };
    if !(200..300).contains(&response.status()) {
        return failed(&format!(
            "the server answered with status {}.",
            response.status()
        ));
    }
    let value = response.fields().get("Upload-Offset");
    let digits = value.filter(|value| value.iter().all(u8::is_ascii_digit));
    let offset = digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    match offset {
        None => failed("the server does not say how much has arrived."),
        Some(offset) if length.is_some_and(|length| offset > length) => {
            failed("the server says that more has arrived than there is.")
        }
        Some(offset) => Ok(offset),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loading::response::{Head, ReceivedFields};

    fn data(source: Option<Source>) -> UploadResumeData {
        UploadResumeData {
            url: "http://a/up".to_owned(),
            method: "PUT".to_owned(),
            headers: vec![("X-A".to_owned(), "1".to_owned())],
            location: "http://a/up/1".to_owned(),
            source,
        }
    }

    fn response(status: i64, lines: &[&str]) -> std::sync::Arc<Response> {
        let mut fields = ReceivedFields::default();
        lines.iter().for_each(|line| fields.push(line.as_bytes()));
        let head = Head {
            status,
            fields,
            ..Head::default()
        };
        Response::http("http://a/up", head)
    }

    #[test]
    fn resume_data_survive_and_damage_is_found() {
        let source = Source {
            path: "/tmp/x".to_owned(),
            length: 9,
            modified: (-5, 7),
        };
        for data in [data(None), data(Some(source))] {
            let bytes = data.encode();
            assert_eq!(UploadResumeData::decode(&bytes), Ok(data));
            for place in 0..bytes.len() {
                let mut bad = bytes.clone();
                bad[place] ^= 4;
                assert!(UploadResumeData::decode(&bad).is_err());
                assert!(UploadResumeData::decode(&bytes[..place]).is_err());
            }
        }
    }

    #[test]
    fn offsets_are_not_believed_blindly() {
        for (status, lines, expected) in [
            (204, &["Upload-Offset: 5"][..], Some(5)),
            (200, &["Upload-Offset: 0"], Some(0)),
            (204, &["Upload-Offset: 10"], Some(10)),
            (204, &["Upload-Offset: 11"], None),
            (204, &["Upload-Offset: -1"], None),
            (204, &["Upload-Offset: 5x"], None),
            (204, &["Upload-Offset:"], None),
            (204, &[], None),
            (404, &["Upload-Offset: 5"], None),
        ] {
            assert_eq!(
                offset(&response(status, lines), Some(10)).ok(),
                expected,
                "{lines:?}"
            );
        }
    }

    #[test]
    fn an_upload_stays_with_its_server() {
        let request = data(None).request();
        for (status, target, told) in [
            (104, "Location: /up/1", true),
            (104, "Location: http://a/up/1", true),
            (104, "Location: http://b/up/1", false),
            (104, "Location: https://a/up/1", false),
            (103, "Location: /up/1", false),
        ] {
            let told_now = location(&response(status, &[target]), &request).is_some();
            assert_eq!(told_now, told, "{status} {target}");
        }
    }
}
