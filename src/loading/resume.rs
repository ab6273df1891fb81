//! Resume data of a download: what is needed to go on where an earlier one was, and what the
//! server's answer to that means.

use super::record::{Reader, Unreadable, Writer};
use super::request::{RequestUrl, RequestValue};
use super::response::{ReceivedFields, Response};
use crate::foundation::headers::is_value;

/// What tells that a resource is still the same, as `If-Range` takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Validator {
    /// A strong one, with its quotes.
    EntityTag(String),
    /// A Last-Modified date, as the server wrote it.
    Date(String),
}

impl Validator {
    /// The validator of a response that a download can be resumed with.
    pub fn of(fields: &ReceivedFields) -> Option<Validator> {
        let tag = single(fields, "ETag").map(Validator::EntityTag);
        if let Some(tag) = tag.filter(Validator::is_sound) {
            return Some(tag);
        }
        let modified = single(fields, "Last-Modified")?;
        let when = httpdate::parse_http_date(&modified).ok()?;
        // Changed twice within a second, a resource may have one date for both.
        let date = single(fields, "Date").and_then(|date| httpdate::parse_http_date(&date).ok());
        let settled =
            date.is_some_and(|date| date.duration_since(when).is_ok_and(|age| !age.is_zero()));
        settled.then_some(Validator::Date(modified))
    }

    fn text(&self) -> &str {
        match self {
            Validator::EntityTag(text) | Validator::Date(text) => text,
        }
    }

    /// Whether a part of the resource says that it belongs to another version.
    fn is_contradicted_by(&self, fields: &ReceivedFields) -> bool {
        let name = match self {
            Validator::EntityTag(_) => "ETag",
            Validator::Date(_) => "Last-Modified",
        };
        fields.get(name).is_some() && single(fields, name).as_deref() != Some(self.text())
    }

    /// Whether it can be the condition of a request: a strong tag (quoted, without the mark of a
    /// weak one), or a date.
    fn is_sound(&self) -> bool {
        match self {
            Validator::EntityTag(tag) => tag
                .strip_prefix('"')
                .and_then(|tag| tag.strip_suffix('"'))
                .is_some_and(|tag| !tag.contains(|c: char| c == '"' || c.is_control())),
            Validator::Date(date) => is_value(date) && httpdate::parse_http_date(date).is_ok(),
        }
    }
}

/// The value of a field that came once and is text.
fn single(fields: &ReceivedFields, name: &str) -> Option<String> {
    let first = fields.get(name)?;
    fields
        .joined(name)
        .filter(|joined| joined.as_bytes() == first)
}

/// Everything that a later task needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResumeData {
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub validator: Validator,
    /// So many bytes are in the file.
    pub received: u64,
    /// All there are, where the server said.
    pub total: Option<u64>,
    /// A digest of the bytes in the file.
    pub digest: u64,
    /// What the file is found by.
    pub file: String,
}

const MAGIC: &[u8] = b"nsurlsession download\n";
const VERSION: u8 = 1;

/// Fields by their numbers. Readers pass over numbers that they do not know.
mod field {
    pub const URL: u8 = 1;
    pub const HEADER_NAME: u8 = 2;
    pub const HEADER_VALUE: u8 = 3;
    pub const ENTITY_TAG: u8 = 4;
    pub const DATE: u8 = 5;
    pub const RECEIVED: u8 = 6;
    pub const TOTAL: u8 = 7;
    pub const DIGEST: u8 = 8;
    pub const FILE: u8 = 9;
}

impl ResumeData {
    pub fn encode(&self) -> Vec<u8> {
        let mut record = Writer::new(MAGIC, VERSION);
        record.put(field::URL, self.url.as_bytes());
        for (name, value) in &self.headers {
            record.put(field::HEADER_NAME, name.as_bytes());
            record.put(field::HEADER_VALUE, value.as_bytes());
        }
        match &self.validator {
            Validator::EntityTag(tag) => record.put(field::ENTITY_TAG, tag.as_bytes()),
            Validator::Date(date) => record.put(field::DATE, date.as_bytes()),
        }
        record.put_integer(field::RECEIVED, self.received);
        if let Some(total) = self.total {
            record.put_integer(field::TOTAL, total);
        }
        record.put_integer(field::DIGEST, self.digest);
        record.put(field::FILE, self.file.as_bytes());
        record.seal()
    }

    pub fn decode(bytes: &[u8]) -> Result<ResumeData, Unreadable> {
        let mut record = Reader::open(bytes, MAGIC, VERSION)?;
        let (mut url, mut validator, mut file) = (None, None, None);
        let (mut received, mut total, mut digest) = (None, None, None);
        let mut headers = Vec::new();
        let mut name = None;
        while let Some((number, value)) = record.next()? {
            match number {
                field::URL => url = Some(value.text()?),
                field::HEADER_NAME => name = Some(value.text()?),
                field::HEADER_VALUE => {
                    headers.push((name.take().ok_or(Unreadable::Damaged)?, value.text()?));
                }
                field::ENTITY_TAG => validator = Some(Validator::EntityTag(value.text()?)),
                field::DATE => validator = Some(Validator::Date(value.text()?)),
                field::RECEIVED => received = Some(value.integer()?),
                field::TOTAL => total = Some(value.integer()?),
                field::DIGEST => digest = Some(value.integer()?),
                field::FILE => file = Some(value.text()?),
                _ => {}
            }
        }
        let data = || {
            Some(ResumeData {
                url: url?,
                headers,
                // Refused by the request's fields, it would leave the range without its condition.
                validator: validator.filter(Validator::is_sound)?,
                received: received?,
                total,
                digest: digest?,
                file: file?,
            })
        };
        data().ok_or(Unreadable::Damaged)
    }

    /// The request that asks for the whole resource.
    pub fn request(&self) -> RequestValue {
        let mut request = RequestValue::with_url(RequestUrl::new(&self.url));
        for (name, value) in &self.headers {
            // They were fields once.
            let _ = request.headers.set(name, value);
        }
        request
    }

    /// The request that asks for the rest, on condition that it is the rest of the same.
    pub fn range_request(&self, whole: &RequestValue) -> RequestValue {
        let mut request = whole.clone();
        let range = format!("bytes={}-", self.received);
        for (name, value) in [
            ("Range", range.as_str()),
            ("If-Range", self.validator.text()),
            // A range of what was not encoded can only go on unencoded.
            ("Accept-Encoding", "identity"),
        ] {
            let _ = request.headers.set(name, value);
        }
        request
    }
}

/// Whether a download that began with this request, and got this response in the end, can be resumed
/// later, and by what. `proven`: what
/// the server has agreed to when it sent this part; it need not repeat it.
pub fn resumability(
    request: &RequestValue,
    response: &Response,
    proven: Option<&Validator>,
) -> Option<Validator> {
    let fields = response.fields();
    let plain = fields
        .get("Content-Encoding")
        .is_none_or(|coding| coding.eq_ignore_ascii_case(b"identity"));
    let ranges = !fields
        .get("Accept-Ranges")
        .is_some_and(|units| units.eq_ignore_ascii_case(b"none"));
    // Who asked for a range of his own would get a range of that.
    let own_range = request.headers.get("Range").is_some();
    let suits = request.method() == "GET" && matches!(response.status(), 200 | 206) && !own_range;
    if !suits || !plain || !ranges {
        return None;
    }
    proven.cloned().or_else(|| Validator::of(fields))
}

/// What the answer to the request for the rest comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// What comes belongs behind what is there.
    Append { total: Option<u64> },
    /// The whole resource comes.
    StartOver,
    /// Neither the rest nor the whole comes: the whole is to be requested.
    RequestAgain,
    /// Something else comes, which is no part of the resource.
    SomethingElse,
}

/// Judges the answer to a request for a range.
pub fn judge(data: &ResumeData, status: i64, fields: &ReceivedFields) -> Verdict {
    match status {
        206 => part(data, fields).map_or(Verdict::RequestAgain, |total| Verdict::Append {
            total: Some(total),
        }),
        200 => Verdict::StartOver,
        304 | 412 | 416 => Verdict::RequestAgain,
        _ => Verdict::SomethingElse,
    }
}

/// The total that a part's fields tell, if it is the part that was asked for: all of the rest. A
/// part whose end cannot be told from the resource's would end the file too early.
fn part(data: &ResumeData, fields: &ReceivedFields) -> Option<u64> {
    let coded = fields
        .get("Content-Encoding")
        .is_some_and(|coding| !coding.eq_ignore_ascii_case(b"identity"));
    const MULTIPART: &[u8] = b"multipart/byteranges";
    let several = fields
        .get("Content-Type")
        .and_then(|kind| kind.get(..MULTIPART.len()))
        .is_some_and(|kind| kind.eq_ignore_ascii_case(MULTIPART));
    // What is there is then a range of the program's own, whose bytes are counted otherwise.
    let own_range = data
        .headers
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("Range"));
    // Two fields come joined with a comma, and are none then.
    let range = ContentRange::parse(&fields.joined("Content-Range")?)?;
    let total = range.total.or(data.total)?;
    let length = fields
        .get("Content-Length")
        .map(|length| number(std::str::from_utf8(length).ok()?));
    let fits = range.first == data.received
        && range.last + 1 == total
        && data.total.is_none_or(|known| known == total)
        && length.is_none_or(|length| length == Some(total - range.first));
    let same = !data.validator.is_contradicted_by(fields);
    (fits && same && !coded && !several && !own_range).then_some(total)
}

/// Digits and nothing else.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// `Content-Range: bytes 5-9/10`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ContentRange {
    first: u64,
    last: u64,
    total: Option<u64>,
}

impl ContentRange {
    fn parse(value: &str) -> Option<ContentRange> {
        let (unit, rest) = value.trim().split_once(' ')?;
        let (range, total) = rest.trim().split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let total = match total {
            "*" => None,
            total => Some(number(total)?),
        };
        let range = ContentRange {
            first: number(first)?,
            last: number(last)?,
            total,
        };
        let sound = unit.eq_ignore_ascii_case("bytes")
            && range.first <= range.last
            && range.last < u64::MAX
            && total.is_none_or(|total| range.last < total);
        sound.then_some(range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loading::record::CHECKSUM;
    use crate::loading::response::Head;
    use xxhash_rust::xxh3::xxh3_64;

    fn data() -> ResumeData {
        ResumeData {
            url: "http://a/old".to_owned(),
            headers: vec![("X-A".to_owned(), "1".to_owned())],
            validator: Validator::EntityTag("\"v1\"".to_owned()),
            received: 100,
            total: Some(300),
            digest: 7,
            file: "nsurlsession-aaaaaaaaaaaaaaaa.partial".to_owned(),
        }
    }

    fn fields(lines: &[&str]) -> ReceivedFields {
        let mut fields = ReceivedFields::default();
        lines.iter().for_each(|line| fields.push(line.as_bytes()));
        fields
    }

    #[test]
    fn resume_data_survive() {
        for data in [
            data(),
            ResumeData {
                total: None,
                validator: Validator::Date("Mon, 01 Jan 2024 00:00:00 GMT".to_owned()),
                headers: Vec::new(),
                ..data()
            },
        ] {
            assert_eq!(ResumeData::decode(&data.encode()), Ok(data));
        }
    }

    #[test]
    fn damage_is_found() {
        let good = data().encode();
        for length in 0..good.len() {
            assert!(ResumeData::decode(&good[..length]).is_err(), "{length}");
        }
        for place in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[place] ^= 1 << bit;
                assert!(ResumeData::decode(&bad).is_err(), "{place} {bit}");
            }
        }
        let mut newer = good.clone();
        newer[MAGIC.len()] = VERSION + 1;
        assert_eq!(ResumeData::decode(&newer), Err(Unreadable::Newer));
        assert_eq!(ResumeData::decode(b"<plist>"), Err(Unreadable::Foreign));
        assert!(ResumeData::decode(&[&good[..], b"x"].concat()).is_err());
    }

    /// With a checksum that is right: only the fields are wrong.
    fn sealed(fields: &[u8]) -> Vec<u8> {
        let mut bytes = [MAGIC, &[VERSION], fields].concat();
        let checksum = xxh3_64(&bytes).to_le_bytes();
        bytes.extend_from_slice(&checksum);
        bytes
    }

    #[test]
    fn lengths_are_not_believed() {
        let good = data().encode();
        let good = &good[MAGIC.len() + 1..good.len() - CHECKSUM];
        assert_eq!(ResumeData::decode(&sealed(good)), Ok(data()));
        // A field of a later version.
        let later = [good, &[99, 2, 0, 0, 0, 1, 2]].concat();
        assert_eq!(ResumeData::decode(&sealed(&later)), Ok(data()));
        for length in 0..good.len() {
            assert!(ResumeData::decode(&sealed(&good[..length])).is_err());
        }
        for forged in [
            &[1, 255, 255, 255, 255][..],
            &[3, 0, 0, 0, 0],
            &[6, 1, 0, 0, 0, 9],
        ] {
            assert_eq!(
                ResumeData::decode(&sealed(forged)),
                Err(Unreadable::Damaged)
            );
        }
    }

    /// Without a condition the rest of another version would be appended.
    #[test]
    fn the_condition_cannot_be_forged_away() {
        for validator in [
            Validator::EntityTag(String::new()),
            Validator::EntityTag("W/\"v1\"".to_owned()),
            Validator::EntityTag("\"v1\r\nX: y\"".to_owned()),
            Validator::Date("yesterday".to_owned()),
            Validator::Date("Mon, 01 Jan 2024 00:00:00 GMT\n".to_owned()),
        ] {
            let forged = ResumeData {
                validator,
                ..data()
            }
            .encode();
            assert_eq!(ResumeData::decode(&forged), Err(Unreadable::Damaged));
        }
        let mut bytes = [MAGIC, &[0]].concat();
        bytes.extend_from_slice(&data().encode()[MAGIC.len() + 1..]);
        bytes.truncate(bytes.len() - CHECKSUM);
        let checksum = xxh3_64(&bytes).to_le_bytes();
        bytes.extend_from_slice(&checksum);
        assert_eq!(
            ResumeData::decode(&bytes),
            Err(Unreadable::Damaged),
            "no version was 0"
        );
    }

    /// Whatever is read, it is read the same after it is written again.
    #[test]
    fn forged_fields_are_read_or_refused() {
        let good = data().encode();
        let good = &good[MAGIC.len() + 1..good.len() - CHECKSUM];
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % below as u64) as usize
        };
        let (mut read, mut refused) = (0, 0);
        for _ in 0..20_000 {
            let mut fields = good.to_vec();
            for _ in 0..=random(3) {
                let place = random(fields.len());
                match random(3) {
                    0 => fields[place] = random(256) as u8,
                    1 => fields.insert(place, random(256) as u8),
                    _ => drop(fields.remove(place)),
                }
            }
            match ResumeData::decode(&sealed(&fields)) {
                Ok(data) => {
                    read += 1;
                    assert_eq!(ResumeData::decode(&data.encode()), Ok(data));
                }
                Err(why) => {
                    refused += 1;
                    assert_eq!(why, Unreadable::Damaged);
                }
            }
        }
        assert!(read > 100 && refused > 100, "{read} {refused}");
    }

    #[test]
    fn answers_are_judged() {
        let append = |total| Verdict::Append { total };
        for (status, lines, verdict) in [
            (
                206,
                &["Content-Range: bytes 100-299/300"][..],
                append(Some(300)),
            ),
            (206, &["Content-Range: bytes 100-299/*"], append(Some(300))),
            (
                206,
                &[
                    "Content-Range: bytes 100-299/300",
                    "Content-Length: 200",
                    "ETag: \"v1\"",
                ],
                append(Some(300)),
            ),
            (
                206,
                &["content-range: BYTES 100-299/300"],
                append(Some(300)),
            ),
            (
                206,
                &[
                    "Content-Range: bytes 100-299/300",
                    "Content-Encoding: identity",
                ],
                append(Some(300)),
            ),
            (
                206,
                &["Content-Range: bytes 99-299/300"],
                Verdict::RequestAgain,
            ),
            (
                206,
                &["Content-Range: bytes 101-299/300"],
                Verdict::RequestAgain,
            ),
            (
                206,
                &["Content-Range: bytes 100-250/300"],
                Verdict::RequestAgain,
            ),
            (
                206,
                &["Content-Range: bytes 100-399/400"],
                Verdict::RequestAgain,
            ),
            (
                206,
                &["Content-Range: bytes 100-299/200"],
                Verdict::RequestAgain,
            ),
            (
                206,
                &["Content-Range: bytes 100-299/300", "Content-Length: 199"],
                Verdict::RequestAgain,
            ),
            (
                206,
                &["Content-Range: bytes 100-299/300", "ETag: \"v2\""],
                Verdict::RequestAgain,
            ),
            (
                206,
                &["Content-Range: bytes 100-299/300", "ETag: W/\"v1\""],
                Verdict::RequestAgain,
            ),
            (
                206,
                &["Content-Range: bytes 100-299/300", "Content-Encoding: gzip"],
                Verdict::RequestAgain,
            ),
            (
                206,
                &[
                    "Content-Range: bytes 100-299/300",
                    "Content-Range: bytes 100-299/300",
                ],
                Verdict::RequestAgain,
            ),
            (
                206,
                &["Content-Range: lines 100-299/300"],
                Verdict::RequestAgain,
            ),
            (206, &["Content-Range: bytes */300"], Verdict::RequestAgain),
            (
                206,
                &["Content-Range: bytes 299-100/300"],
                Verdict::RequestAgain,
            ),
            (
                206,
                &["Content-Range: bytes 100-18446744073709551615/*"],
                Verdict::RequestAgain,
            ),
            (206, &["Content-Range: nonsense"], Verdict::RequestAgain),
            // Less than the rest, however true about itself: the file would end too early.
            (
                206,
                &["Content-Range: bytes 100-199/*"],
                Verdict::RequestAgain,
            ),
            (
                206,
                &["Content-Range: bytes 100-199/*", "Content-Length: 100"],
                Verdict::RequestAgain,
            ),
            (
                206,
                &["Content-Range: bytes 100-299/300", "Content-Length: +200"],
                Verdict::RequestAgain,
            ),
            (
                206,
                &[
                    "Content-Range: bytes 100-299/300",
                    "Content-Type: Multipart/ByteRanges; boundary=x",
                ],
                Verdict::RequestAgain,
            ),
            (
                206,
                &[
                    "Content-Range: bytes 100-299/300",
                    "ETag: \"v1\"",
                    "ETag: \"v2\"",
                ],
                Verdict::RequestAgain,
            ),
            (
                206,
                &["Content-Type: multipart/byteranges; boundary=x"],
                Verdict::RequestAgain,
            ),
            (206, &[], Verdict::RequestAgain),
            (200, &["ETag: \"v2\""], Verdict::StartOver),
            (304, &[], Verdict::RequestAgain),
            (412, &[], Verdict::RequestAgain),
            (416, &["Content-Range: bytes */300"], Verdict::RequestAgain),
            (404, &[], Verdict::SomethingElse),
            (503, &[], Verdict::SomethingElse),
        ] {
            assert_eq!(
                judge(&data(), status, &fields(lines)),
                verdict,
                "{status} {lines:?}"
            );
        }
        let unknown = ResumeData {
            total: None,
            ..data()
        };
        let lines = fields(&["Content-Range: bytes 100-399/400"]);
        assert_eq!(judge(&unknown, 206, &lines), append(Some(400)));
        // Nobody knows where the end is.
        let lines = fields(&["Content-Range: bytes 100-399/*", "Content-Length: 300"]);
        assert_eq!(judge(&unknown, 206, &lines), Verdict::RequestAgain);
        // What is there is itself a part, from wherever the program asked for.
        let part_of_part = ResumeData {
            headers: vec![("range".to_owned(), "bytes=50-".to_owned())],
            ..data()
        };
        let lines = fields(&["Content-Range: bytes 100-299/300"]);
        assert_eq!(judge(&part_of_part, 206, &lines), Verdict::RequestAgain);
        let dated = ResumeData {
            validator: Validator::Date("Mon, 01 Jan 2024 00:00:00 GMT".to_owned()),
            ..data()
        };
        let lines = fields(&[
            "Content-Range: bytes 100-299/300",
            "ETag: \"v2\"",
            "Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT",
        ]);
        assert_eq!(judge(&dated, 206, &lines), append(Some(300)));
        let lines = fields(&[
            "Content-Range: bytes 100-299/300",
            "Last-Modified: Tue, 02 Jan 2024 00:00:00 GMT",
        ]);
        assert_eq!(judge(&dated, 206, &lines), Verdict::RequestAgain);
    }

    #[test]
    fn only_what_can_be_told_from_another_version_is_resumed() {
        const OLD: &str = "Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT";
        const NOW: &str = "Date: Tue, 02 Jan 2024 00:00:00 GMT";
        for (status, lines, resumable) in [
            (200, &["ETag: \"a\""][..], true),
            (206, &["ETag: \"a\""], true),
            (200, &["ETag: W/\"a\""], false),
            (200, &["ETag: W/\"a\"", OLD, NOW], true),
            (200, &["ETag: a"], false),
            (200, &["ETag: \"a\"b\""], false),
            (200, &["ETag: \"a\rb\""], false),
            (200, &["ETag: \"a\"", "ETag: \"b\""], false),
            (200, &[OLD, NOW], true),
            (200, &[OLD], false),
            (200, &[OLD, "Date: Mon, 01 Jan 2024 00:00:00 GMT"], false),
            (200, &["Last-Modified: yesterday"], false),
            (200, &[], false),
            (200, &["ETag: \"a\"", "Content-Encoding: gzip"], false),
            (200, &["ETag: \"a\"", "Accept-Ranges: none"], false),
            (200, &["ETag: \"a\"", "Accept-Ranges: bytes"], true),
            (404, &["ETag: \"a\""], false),
        ] {
            let head = Head {
                status,
                fields: fields(lines),
                ..Head::default()
            };
            let response = Response::http("http://a/", head);
            let request = RequestValue::with_url(RequestUrl::new("http://a/"));
            assert_eq!(
                resumability(&request, &response, None).is_some(),
                resumable,
                "{status} {lines:?}"
            );
            let mut post = request.clone();
            post.set_method(Some("POST")).unwrap();
            assert!(resumability(&post, &response, None).is_none());
        }
    }

    #[test]
    fn the_rest_is_asked_for_on_condition() {
        let request = data().range_request(&data().request());
        let field = |name| request.headers.get(name).unwrap().to_owned();
        assert_eq!(request.url_text(), "http://a/old");
        assert_eq!(
            [
                field("Range"),
                field("If-Range"),
                field("Accept-Encoding"),
                field("X-A")
            ],
            ["bytes=100-", "\"v1\"", "identity", "1"]
        );
    }
}
