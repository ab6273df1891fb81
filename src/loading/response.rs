//! NSURLResponse and NSHTTPURLResponse: one immutable type.

use std::borrow::Cow;
use std::ffi::{CStr, CString};
use std::sync::Arc;

use once_cell::sync::OnceCell;
use url::Url;

use crate::foundation::dictionary::{Dictionary, Keys};
use crate::foundation::headers::HeaderFields;
use crate::foundation::media;
use crate::foundation::object::{Class, Header, Object, begins_with_header, downcast, hash_of};
use crate::foundation::string::{Text, c_string};

/// Header fields as they came: their lines in one buffer, and where each ends. They are taken apart
/// when somebody looks.
#[derive(Clone, Debug, Default)]
pub struct ReceivedFields {
    bytes: Vec<u8>,
    ends: Vec<u32>,
    /// The first line with each name in `LOOKED_FOR`.
    known: [Option<u32>; LOOKED_FOR.len()],
}

/// Fields that every response is asked for.
const LOOKED_FOR: [&str; 4] = [
    "Content-Length",
    "Content-Encoding",
    "Transfer-Encoding",
    "Location",
];

impl ReceivedFields {
    /// Room for an ordinary head, so that it need not be moved while it grows.
    pub fn with_room() -> ReceivedFields {
        ReceivedFields {
            bytes: Vec::with_capacity(512),
            ends: Vec::with_capacity(16),
            known: Default::default(),
        }
    }

    /// Takes one line without its line break. Lines that are no field are passed over later.
    pub fn push(&mut self, line: &[u8]) {
        for (place, known) in self.known.iter_mut().zip(LOOKED_FOR) {
            if line.get(known.len()) == Some(&b':')
                && place.is_none()
                && line[..known.len()].eq_ignore_ascii_case(known.as_bytes())
            {
                *place = Some(self.ends.len() as u32);
            }
        }
        self.bytes.extend_from_slice(line);
        // libcurl refuses heads of more than a few hundred kilobytes long before this overflows.
        self.ends.push(self.bytes.len() as u32);
    }

    /// How many bytes the lines have.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.known = [None; LOOKED_FOR.len()];
    }

    fn line(&self, index: usize) -> Option<&[u8]> {
        let start = match index.checked_sub(1) {
            Some(before) => *self.ends.get(before)?,
            None => 0,
        };
        let end = *self.ends.get(index)?;
        self.bytes.get(start as usize..end as usize)
    }

    /// The name and the value in a line.
    fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
        let colon = line.iter().position(|byte| *byte == b':')?;
        Some((&line[..colon], line[colon + 1..].trim_ascii()))
    }

    fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        (0..self.ends.len()).filter_map(|index| Self::field(self.line(index)?))
    }

    /// All fields, in order, with the usual spelling; repeated ones joined with a comma.
    fn dictionary(&self) -> Dictionary {
        let dictionary = Dictionary::new(Keys::IgnoringCase);
        for (name, value) in self.iter() {
            let (name, value) = (usual_spelling(&text(name)), text(value));
            match dictionary.string(&name) {
                Some(before) => dictionary.set_string(&name, &format!("{before}, {value}")),
                None => dictionary.set_string(&name, &value),
            }
        }
        dictionary
    }

    /// The first field of that name.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        if let Some(known) = LOOKED_FOR.iter().position(|known| *known == name) {
            let line = self.line(self.known[known]? as usize)?;
            return Self::field(line).map(|(_, value)| value);
        }
        self.iter()
            .find(|(other, _)| other.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value)
    }

    /// All fields of that name, joined with commas.
    pub fn joined(&self, name: &str) -> Option<String> {
        let mut joined: Option<String> = None;
        for (other, value) in self.iter() {
            if other.eq_ignore_ascii_case(name.as_bytes()) {
                let value = text(value);
                joined = Some(match joined {
                    Some(before) => format!("{before}, {value}"),
                    None => value,
                });
            }
        }
        joined
    }
}

impl From<&HeaderFields> for ReceivedFields {
    fn from(fields: &HeaderFields) -> Self {
        let mut received = ReceivedFields::default();
        for (name, value) in fields.iter() {
            received.push(format!("{name}:{value}").as_bytes());
        }
        received
    }
}

/// Field values are UTF-8 where they are valid as that, and Latin-1 otherwise.
fn text(bytes: &[u8]) -> String {
    std::str::from_utf8(bytes).map_or_else(
        |_| bytes.iter().map(|byte| char::from(*byte)).collect(),
        str::to_owned,
    )
}

/// A Content-Length: digits and nothing else.
fn length(value: &[u8]) -> Option<i64> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(value)
        .ok()
        .filter(|_| digits)?
        .parse()
        .ok()
}

/// What a server said before the body.
#[derive(Debug, Default)]
pub struct Head {
    /// 0 for a response that is not HTTP.
    pub status: i64,
    pub http_version: Cow<'static, str>,
    pub fields: ReceivedFields,
}

#[repr(C)]
pub struct Response {
    header: Header,
    url: CString,
    head: Head,
    expected_length: i64,
    /// Given by hand; otherwise they are read from the fields.
    given_type: Option<(Option<CString>, Option<CString>)>,
    media: OnceCell<(Option<CString>, Option<CString>)>,
    dictionary: OnceCell<Arc<Dictionary>>,
    filename: OnceCell<CString>,
    trailers: OnceCell<Box<ReceivedFields>>,
}

begins_with_header!(Response);

/// The place for a response that is yet to come. It is made with the request, by the thread that
/// will let the response go: memory that one thread takes and another gives back makes them wait
/// for each other.
pub struct Blank(Arc<Response>);

impl Blank {
    pub fn new(url: &str) -> Blank {
        Blank(Response::make(url, Head::default(), -1, None))
    }

    /// An informational response to the same request.
    pub fn informational(&self, head: Head) -> Arc<Response> {
        let mut response = Response::make("", Head::default(), -1, None);
        if let Some(response) = Arc::get_mut(&mut response) {
            response.url.clone_from(&self.0.url);
            response.head = head;
        }
        response
    }

    pub fn fill(mut self, head: Head) -> Arc<Response> {
        let coded = head
            .fields
            .get("Content-Encoding")
            .is_some_and(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity"));
        let length = head
            .fields
            .get("Content-Length")
            .filter(|_| !coded && head.fields.get("Transfer-Encoding").is_none())
            .and_then(length);
        // Nobody else refers to it before this.
        if let Some(response) = Arc::get_mut(&mut self.0) {
            response.expected_length = length.unwrap_or(-1);
            response.head = head;
        }
        self.0
    }
}

impl Response {
    /// A response of any scheme.
    pub fn plain(
        url: &str,
        mime_type: Option<&str>,
        length: i64,
        encoding: Option<&str>,
    ) -> Arc<Response> {
        let kind = mime_type.and_then(|kind| media::parse_content_type(kind).0);
        Self::make(
            url,
            Head::default(),
            length,
            Some((kind.as_deref().map(c_string), encoding.map(c_string))),
        )
    }

    /// A response of HTTP.
    pub fn http(url: &str, head: Head) -> Arc<Response> {
        Blank::new(url).fill(head)
    }

    fn make(
        url: &str,
        head: Head,
        expected_length: i64,
        given_type: Option<(Option<CString>, Option<CString>)>,
    ) -> Arc<Response> {
        Arc::new(Response {
            header: Header::new(Class::Response),
            url: c_string(url),
            head,
            expected_length,
            given_type,
            media: OnceCell::new(),
            dictionary: OnceCell::new(),
            filename: OnceCell::new(),
            trailers: OnceCell::new(),
        })
    }
    pub fn url(&self) -> &CStr {
        &self.url
    }

    pub fn is_http(&self) -> bool {
        self.head.status != 0
    }

    pub fn status(&self) -> i64 {
        self.head.status
    }

    pub fn http_version(&self) -> &str {
        &self.head.http_version
    }

    pub fn expected_length(&self) -> i64 {
        self.expected_length
    }

    pub fn fields(&self) -> &ReceivedFields {
        &self.head.fields
    }

    fn parsed_url(&self) -> Option<Url> {
        Url::parse(self.url.to_str().ok()?).ok()
    }

    fn media(&self) -> &(Option<CString>, Option<CString>) {
        if let Some(given) = &self.given_type {
            return given;
        }
        self.media.get_or_init(|| {
            let (kind, charset) = match self.head.fields.get("Content-Type") {
                Some(value) => media::parse_content_type(&text(value)),
                None => (None, None),
            };
            let kind = kind.or_else(|| {
                self.parsed_url()
                    .and_then(|url| media::guess_type(&url))
                    .map(str::to_owned)
            });
            (
                kind.as_deref().map(c_string),
                charset.as_deref().map(c_string),
            )
        })
    }

    pub fn mime_type(&self) -> Option<&CStr> {
        self.media().0.as_deref()
    }

    pub fn text_encoding_name(&self) -> Option<&CStr> {
        self.media().1.as_deref()
    }

    pub fn suggested_filename(&self) -> &CStr {
        self.filename.get_or_init(|| {
            let disposition = self.head.fields.get("Content-Disposition").map(text);
            let kind = self
                .mime_type()
                .map(|kind| kind.to_string_lossy().into_owned());
            c_string(&media::suggested_filename(
                disposition.as_deref(),
                self.parsed_url().as_ref(),
                kind.as_deref(),
            ))
        })
    }

    /// All fields, in order, with the usual spelling; repeated ones joined with a comma.
    pub fn dictionary(&self) -> &Arc<Dictionary> {
        self.dictionary
            .get_or_init(|| Arc::new(self.head.fields.dictionary()))
    }

    /// Keeps the fields that came after the body. Whoever holds the response may look at any time.
    pub fn set_trailers(&self, fields: ReceivedFields) {
        // A response ends once.
        let _ = self.trailers.set(Box::new(fields));
    }

    /// A dictionary of its own for each caller; `None` while there are none.
    pub fn trailers(&self) -> Option<Dictionary> {
        let trailers = self.trailers.get()?.dictionary();
        (trailers.len() > 0).then_some(trailers)
    }

    /// A field's value, which stays where it is while the response lives.
    pub fn value(&self, name: &str) -> Option<Arc<dyn Object>> {
        self.dictionary()
            .get(name)
            .filter(|object| downcast::<Text>(&**object).is_some())
    }
}

/// HTTP/2 sends names in lower case; people write and compare them as `Content-Type`.
fn usual_spelling(name: &str) -> String {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return name.to_owned();
    }
    const SPECIAL: [&str; 8] = [
        "ETag",
        "WWW-Authenticate",
        "TE",
        "DNT",
        "Content-MD5",
        "X-XSS-Protection",
        "SourceMap",
        "NEL",
    ];
    if let Some(special) = SPECIAL
        .into_iter()
        .find(|special| special.eq_ignore_ascii_case(name))
    {
        return special.to_owned();
    }
    let mut spelled = String::with_capacity(name.len());
    let mut start = true;
    for character in name.chars() {
        spelled.push(if start {
            character.to_ascii_uppercase()
        } else {
            character
        });
        start = character == '-';
    }
    spelled
}

impl Object for Response {
    fn header(&self) -> &Header {
        &self.header
    }

    fn description(&self) -> String {
        let url = self.url.to_string_lossy();
        if self.is_http() {
            format!(
                "<response: {} {} {url}, {}>",
                self.head.http_version,
                self.head.status,
                self.dictionary().description()
            )
        } else {
            let kind = self
                .mime_type()
                .map_or("no type".into(), CStr::to_string_lossy);
            format!(
                "<response: {url}, {kind}, {} bytes expected>",
                self.expected_length
            )
        }
    }

    fn equals(&self, other: &dyn Object) -> bool {
        downcast::<Response>(other).is_some_and(|other| {
            self.url == other.url
                && self.status() == other.status()
                && self.expected_length == other.expected_length
                && self.mime_type() == other.mime_type()
                && self.text_encoding_name() == other.text_encoding_name()
                && self.dictionary().equals(&**other.dictionary())
        })
    }

    fn hash_value(&self) -> u64 {
        hash_of(&(&self.url, self.status()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(lines: &[&str]) -> Arc<Response> {
        let mut head = Head {
            status: 200,
            http_version: "HTTP/2".into(),
            ..Head::default()
        };
        for line in lines {
            head.fields.push(line.as_bytes());
        }
        Response::http("http://host/a.html", head)
    }

    #[test]
    fn fields_are_joined_and_spelled_as_usual() {
        let response = response(&[
            "content-type: Text/HTML; charset=\"utf-8\"",
            "set-cookie: a=1",
            "etag: x",
            "Set-Cookie:b=2",
        ]);
        assert_eq!(
            response.dictionary().description(),
            "{Content-Type = Text/HTML; charset=\"utf-8\"; Set-Cookie = a=1, b=2; ETag = x}"
        );
        assert_eq!(response.mime_type(), Some(c"text/html"));
        assert_eq!(response.text_encoding_name(), Some(c"utf-8"));
        assert_eq!(response.expected_length(), -1);
    }

    #[test]
    fn trailers_come_after_all_else() {
        let response = response(&["A: 1"]);
        assert!(response.trailers().is_none());
        let mut fields = ReceivedFields::default();
        fields.push(b"x-sum: 1");
        fields.push(b"X-Sum: 2");
        response.set_trailers(fields);
        let trailers = response.trailers().unwrap();
        assert_eq!(trailers.description(), "{X-Sum = 1, 2}");
        assert_eq!(response.dictionary().description(), "{A = 1}");
    }

    #[test]
    fn a_length_is_believed_only_when_it_is_the_body_s() {
        assert_eq!(response(&["Content-Length: 5"]).expected_length(), 5);
        assert_eq!(
            response(&["Content-Length: 5", "Content-Encoding: gzip"]).expected_length(),
            -1
        );
        assert_eq!(
            response(&["Content-Length: 5", "Content-Encoding: identity"]).expected_length(),
            5
        );
        assert_eq!(
            response(&["Content-Length: 5", "Transfer-Encoding: chunked"]).expected_length(),
            -1
        );
        assert_eq!(response(&["Content-Length: -5"]).expected_length(), -1);
    }
}
