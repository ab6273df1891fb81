//! Parsing a request's head, strictly: what is not exactly RFC 9112 is refused with an explanation,
//! because this server also tests what the library sends.

use crate::exchange::{Failure, bad};
use crate::params::{Params, decode};

/// Enough for any header a test sends, small enough to stop one that never ends.
pub const LARGEST_HEAD: usize = 1024 * 1024;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Framing {
    None,
    Length(u64),
    Chunked,
}

pub struct Head {
    /// Request line, headers and blank line as they came in.
    pub raw: Vec<u8>,
    pub method: String,
    pub path: String,
    pub params: Params,
    pub framing: Framing,
    pub expects_continue: bool,
    /// Whether the connection may carry another request.
    pub persistent: bool,
}

impl Head {
    /// The value of a header.
    pub fn field_text(&self, name: &str) -> Option<String> {
        let lines = self.raw.split(|&b| b == b'\n').skip(1);
        let lines = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let mut fields = lines.filter_map(|line| field(line).ok());
        let (_, value) = fields.find(|(other, _)| other.eq_ignore_ascii_case(name.as_bytes()))?;
        Some(String::from_utf8_lossy(value).into_owned())
    }

    /// The target in the request line.
    pub fn target(&self) -> String {
        let target = self.raw.split(|&b| b == b' ').nth(1).unwrap_or_default();
        String::from_utf8_lossy(target).into_owned()
    }
}

/// The length of the head with its blank line, if all of it has arrived.
pub fn head_length(input: &[u8]) -> Result<Option<usize>, Failure> {
    let mut line_start = 0;
    for (at, _) in input.iter().enumerate().filter(|(_, b)| **b == b'\n') {
        if at == line_start || input[at - 1] != b'\r' {
            return Err(bad("a line ends with LF alone"));
        }
        if at == line_start + 1 {
            if line_start == 0 {
                return Err(bad("an empty line before the request line"));
            }
            return Ok(Some(at + 1));
        }
        line_start = at + 1;
    }
    if input.len() > LARGEST_HEAD {
        return Err(bad("the headers are too large"));
    }
    Ok(None)
}

pub fn parse(raw: Vec<u8>) -> Result<Head, Failure> {
    let mut lines = raw[..raw.len() - 4].split(|&b| b == b'\n').map(|line| {
        // All but the last line still have the CR of their CRLF.
        line.strip_suffix(b"\r").unwrap_or(line)
    });
    let (method, target, minor) = request_line(lines.next().unwrap_or_default())?;
    let (path, params) = parse_target(&method, target)?;

    let mut length = None;
    let mut chunked = false;
    let mut hosts = 0;
    let mut expects_continue = false;
    // The keep-alive of HTTP/1.0 is left out.
    let mut persistent = minor == 1;
    for line in lines {
        let (name, value) = field(line)?;
        match name.to_ascii_lowercase().as_slice() {
            b"host" => hosts += 1,
            b"content-length" => {
                let number = decimal(value).ok_or_else(|| bad("Content-Length is not a number"))?;
                if length.replace(number).is_some() {
                    return Err(bad("two Content-Length headers"));
                }
            }
            b"transfer-encoding" => {
                if chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(bad("a Transfer-Encoding other than chunked"));
                }
                chunked = true;
            }
            b"expect" => {
                if !value.eq_ignore_ascii_case(b"100-continue") {
                    return Err(bad("an Expect other than 100-continue"));
                }
                expects_continue = minor == 1;
            }
            b"connection" => {
                for option in value.split(|&b| b == b',') {
                    let option = option.trim_ascii();
                    if option.eq_ignore_ascii_case(b"close") {
                        persistent = false;
                    }
                }
            }
            _ => {}
        }
    }
    if hosts > 1 || (hosts == 0 && minor == 1) {
        return Err(bad(format!("{hosts} Host headers")));
    }
    let framing = match (length, chunked) {
        (Some(_), true) => return Err(bad("Content-Length and Transfer-Encoding")),
        (Some(0), false) | (None, false) => Framing::None,
        (Some(length), false) => Framing::Length(length),
        (None, true) => Framing::Chunked,
    };
    Ok(Head {
        raw,
        method,
        path,
        params,
        framing,
        expects_continue,
        persistent,
    })
}

/// Method, target and the minor version.
fn request_line(line: &[u8]) -> Result<(String, &[u8], u8), Failure> {
    let parts: Vec<&[u8]> = line.split(|&b| b == b' ').collect();
    let [method, target, version] = parts[..] else {
        return Err(bad("the request line has not three parts"));
    };
    if method.is_empty() || !method.iter().all(is_token) {
        return Err(bad("the method is no token"));
    }
    let minor = match version {
        b"HTTP/1.1" => 1,
        b"HTTP/1.0" => 0,
        _ => return Err(bad("neither HTTP/1.1 nor HTTP/1.0")),
    };
    let method = String::from_utf8_lossy(method).into_owned();
    Ok((method, target, minor))
}

fn parse_target(method: &str, target: &[u8]) -> Result<(String, Params), Failure> {
    if !target.iter().all(|b| b.is_ascii_graphic() && *b != b'#') {
        return Err(bad("a character in the target that must be escaped"));
    }
    // What a proxy is asked for.
    let absolute = target.strip_prefix(b"http://");
    let local = match absolute {
        Some(rest) => match rest.iter().position(|&b| b == b'/' || b == b'?') {
            Some(at) => &rest[at..],
            None => b"/",
        },
        None => target,
    };
    let starred = method == "OPTIONS" && local == b"*";
    if !starred && absolute.is_none() && !local.starts_with(b"/") {
        return Err(bad("the target is no path"));
    }
    let (path, query) = match local.iter().position(|&b| b == b'?') {
        Some(at) => (&local[..at], &local[at + 1..]),
        None => (local, &b""[..]),
    };
    let path = String::from_utf8(decode(path)?).map_err(|_| bad("the path is not UTF-8"))?;
    Ok((path, Params::parse(query)?))
}

/// A header line's name and value without the white space around it.
pub fn field(line: &[u8]) -> Result<(&[u8], &[u8]), Failure> {
    let colon = line.iter().position(|&b| b == b':');
    let Some(colon) = colon else {
        return Err(bad("a header without a colon"));
    };
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    if name.is_empty() || !name.iter().all(is_token) {
        return Err(bad("a header's name is no token"));
    }
    if value.iter().any(|&b| (b < 0x20 && b != b'\t') || b == 0x7f) {
        return Err(bad("a control character in a header"));
    }
    Ok((name, value.trim_ascii()))
}

/// `str::parse` alone would let a plus sign through.
fn decimal(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(text).ok().filter(|_| digits)?;
    text.parse().ok()
}

/// The size in a chunk's first line, after which extensions may follow.
pub fn chunk_size(line: &[u8]) -> Result<u64, Failure> {
    let digits = line.split(|&b| b == b';').next().unwrap_or_default();
    let digits = digits.trim_ascii_end();
    let wrong = || bad("a chunk's size is not hexadecimal");
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(wrong());
    }
    let text = std::str::from_utf8(digits).map_err(|_| wrong())?;
    u64::from_str_radix(text, 16).map_err(|_| wrong())
}

fn is_token(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte)
}
