//! Reads the lines of a response's head as libcurl hands them over.

use std::borrow::Cow;

use crate::loading::response::{Head, ReceivedFields};

/// Where in a response the next header line belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Before the status line of the first or the next response.
    Start,
    Fields,
    /// After the final response's head: what comes now are trailers.
    Done,
}

/// Trailers are kept up to this size. libcurl has no limit for them.
const TRAILERS: usize = 64 * 1024;

/// A status line that is none.
#[derive(Debug)]
pub struct Malformed;

#[derive(Debug)]
pub struct HeadReader {
    place: Place,
    /// In its fields, the trailers once the head was handed out.
    head: Head,
    /// Heads of informational responses are wanted.
    informational: bool,
}

impl HeadReader {
    pub fn new(informational: bool) -> HeadReader {
        let fields = ReceivedFields::with_room();
        HeadReader {
            place: Place::Start,
            informational,
            head: Head {
                fields,
                ..Head::default()
            },
        }
    }

    /// Whether the head that is coming, or came, is the final response's.
    pub fn is_final(&self) -> bool {
        match self.place {
            Place::Start => false,
            Place::Fields => self.head.status >= 200,
            Place::Done => true,
        }
    }

    /// The fields that came after the body, if any did.
    pub fn take_trailers(&mut self) -> Option<ReceivedFields> {
        let there = self.place == Place::Done && !self.head.fields.is_empty();
        there.then(|| std::mem::take(&mut self.head.fields))
    }

    /// Takes a line with its line break. The head of the final response when this line ends it, and
    /// those of informational ones (1xx) where they are wanted.
    pub fn line(&mut self, line: &[u8]) -> Result<Option<Head>, Malformed> {
        // What a connection that closed left of a line is no line.
        let Some(line) = line.strip_suffix(b"\n") else {
            return Ok(None);
        };
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match self.place {
            Place::Done => {
                if self.head.fields.len() + line.len() <= TRAILERS && !line.is_empty() {
                    self.head.fields.push(line);
                }
                return Ok(None);
            }
            Place::Fields if !line.is_empty() && !line.starts_with(b"HTTP/") => {
                self.head.fields.push(line);
                return Ok(None);
            }
            _ => {}
        }
        let line = line.trim_ascii_end();
        if let Some(status) = line.strip_prefix(b"HTTP/") {
            self.start(status)?;
            return Ok(None);
        }
        if !line.is_empty() {
            return Ok(None);
        }
        if self.place == Place::Fields && self.head.status >= 200 {
            self.place = Place::Done;
            return Ok(Some(std::mem::take(&mut self.head)));
        }
        // The end of an informational response. 101 is none: it begins another protocol.
        let informs = self.place == Place::Fields && self.head.status != 101;
        self.place = Place::Start;
        Ok((informs && self.informational).then(|| std::mem::take(&mut self.head)))
    }

    fn start(&mut self, status: &[u8]) -> Result<(), Malformed> {
        let mut words = status
            .split(|byte| *byte == b' ')
            .filter(|word| !word.is_empty());
        let version = words.next().unwrap_or_default();
        // Three digits; some servers say nothing after them.
        let code = words.next().filter(|word| word.len() == 3);
        let code = code.and_then(|word| std::str::from_utf8(word).ok()?.parse::<u16>().ok());
        self.head.status = code.map(i64::from).ok_or(Malformed)?;
        self.place = Place::Fields;
        self.head.fields.clear();
        self.head.http_version = match version {
            b"1.1" => Cow::Borrowed("HTTP/1.1"),
            b"2" => Cow::Borrowed("HTTP/2"),
            b"1.0" => Cow::Borrowed("HTTP/1.0"),
            other => Cow::Owned(format!("HTTP/{}", String::from_utf8_lossy(other))),
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn give(reader: &mut HeadReader, lines: &[&str]) -> Vec<Head> {
        lines
            .iter()
            .filter_map(|line| reader.line(format!("{line}\r\n").as_bytes()).unwrap())
            .collect()
    }

    fn read(lines: &[&str]) -> Vec<Head> {
        give(&mut HeadReader::new(false), lines)
    }

    const LINES: [&str; 11] = [
        "HTTP/1.1 103 Early Hints",
        "Link: <a>",
        "",
        "HTTP/1.1 100 Continue",
        "",
        "HTTP/1.1 200 OK",
        "A: 1",
        "B:2",
        "",
        "Trailer-Field: x",
        "",
    ];

    #[test]
    fn informational_responses_are_handed_out_to_who_wants_them() {
        let mut reader = HeadReader::new(true);
        let heads = give(&mut reader, &LINES[..5]);
        assert!(!reader.is_final());
        assert_eq!(heads.len(), 2);
        assert_eq!((heads[0].status, heads[1].status), (103, 100));
        assert_eq!(heads[0].fields.get("link"), Some(&b"<a>"[..]));
        assert_eq!(heads[1].fields.get("link"), None);
        assert!(give(&mut reader, &["HTTP/1.1 200 OK"]).is_empty());
        assert!(reader.is_final());
        let heads = give(&mut reader, &LINES[6..]);
        assert_eq!((heads.len(), heads[0].status), (1, 200));
        assert_eq!(heads[0].fields.get("link"), None);
        let mut reader = HeadReader::new(true);
        assert!(give(&mut reader, &["HTTP/1.1 101 Switching Protocols", ""]).is_empty());
    }

    #[test]
    fn trailers_are_kept_apart() {
        let mut reader = HeadReader::new(false);
        give(&mut reader, &LINES[..9]);
        assert!(reader.take_trailers().is_none());
        give(&mut reader, &LINES[9..]);
        let trailers = reader.take_trailers().unwrap();
        assert_eq!(trailers.get("trailer-field"), Some(&b"x"[..]));
        assert_eq!(trailers.get("a"), None);
        assert!(reader.take_trailers().is_none());
    }

    #[test]
    fn endless_trailers_do_not_grow() {
        let mut reader = HeadReader::new(false);
        give(&mut reader, &["HTTP/1.1 200 OK", ""]);
        let line = format!("X: {}", "x".repeat(997));
        for _ in 0..1000 {
            give(&mut reader, &[&line]);
        }
        assert_eq!(reader.take_trailers().unwrap().len(), 65_000);
    }

    #[test]
    fn informational_responses_and_trailers_are_not_the_response() {
        let heads = read(&LINES);
        assert_eq!(heads.len(), 1);
        assert_eq!(
            (heads[0].status, &*heads[0].http_version),
            (200, "HTTP/1.1")
        );
        assert_eq!(heads[0].fields.get("a"), Some(&b"1"[..]));
        assert_eq!(heads[0].fields.get("link"), None);
        assert_eq!(heads[0].fields.get("trailer-field"), None);
    }

    #[test]
    fn a_status_without_a_reason_is_read() {
        assert_eq!(read(&["HTTP/2 204 ", ""])[0].status, 204);
        assert_eq!(read(&["HTTP/1.1 404 Not Found Here", ""])[0].status, 404);
    }
}
