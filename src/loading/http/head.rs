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

/// A status line that is none.
#[derive(Debug)]
pub struct Malformed;

#[derive(Debug)]
pub struct HeadReader {
    place: Place,
    head: Head,
}

impl HeadReader {
    pub fn new() -> HeadReader {
        let fields = ReceivedFields::with_room();
        HeadReader {
            place: Place::Start,
            head: Head {
                fields,
                ..Head::default()
            },
        }
    }

    /// Takes a line with its line break. The final response's head, when this line ends it.
    pub fn line(&mut self, line: &[u8]) -> Result<Option<Head>, Malformed> {
        // What a connection that closed left of a line is no line.
        let Some(line) = line.strip_suffix(b"\n") else {
            return Ok(None);
        };
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match self.place {
            Place::Done => return Ok(None),
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
        // The end of an informational response.
        self.place = Place::Start;
        Ok(None)
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

    fn read(lines: &[&str]) -> Vec<Head> {
        let mut reader = HeadReader::new();
        lines
            .iter()
            .filter_map(|line| reader.line(format!("{line}\r\n").as_bytes()).unwrap())
            .collect()
    }

    #[test]
    fn informational_responses_and_trailers_are_not_the_response() {
        let heads = read(&[
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
        ]);
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
