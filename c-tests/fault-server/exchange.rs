//! One request being answered: reading its body, writing the response, counting both.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::TcpStream;

use crate::pattern::Pattern;
use crate::request::{self, Framing, Head};
use crate::state::{State, Tag};

/// How a request ended that could not be answered as asked.
#[derive(Debug)]
pub enum Failure {
    /// The connection is gone.
    Io(io::Error),
    /// The request is wrong: 400, with this explanation.
    Bad(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

pub fn bad(why: impl Into<String>) -> Failure {
    Failure::Bad(why.into())
}

/// What becomes of the connection after the answer.
#[derive(Clone, Copy, PartialEq)]
pub enum After {
    /// The next request, unless client or server announced the end or the body was not read.
    Keep,
    /// Both directions at once. (The kernel sends RST instead of FIN if input is left unread.)
    Close,
    /// FIN, then wait for the client to close, without reading: closing at once would turn into a
    /// RST that can overtake the answer.
    Linger,
    /// RST.
    Reset,
}

pub type Outcome = Result<After, Failure>;

/// The status line and the headers of a response.
pub struct Answer {
    code: u16,
    reason: Option<Vec<u8>>,
    fields: Vec<u8>,
    chunked: bool,
}

impl Answer {
    pub fn new(code: u16) -> Self {
        Self {
            code,
            reason: None,
            fields: Vec::new(),
            chunked: false,
        }
    }

    pub fn reason(mut self, reason: &[u8]) -> Self {
        self.reason = Some(reason.to_vec());
        self
    }

    pub fn field(self, name: &str, value: &str) -> Self {
        self.line(format!("{name}: {value}").as_bytes())
    }

    /// A whole header line, verbatim.
    pub fn line(mut self, line: &[u8]) -> Self {
        self.fields.extend_from_slice(line);
        self.fields.extend_from_slice(b"\r\n");
        self
    }

    pub fn lines<'a>(self, lines: impl Iterator<Item = &'a [u8]>) -> Self {
        lines.fold(self, Self::line)
    }

    pub fn has(&self, name: &str) -> bool {
        let mut lines = self.fields.split(|&b| b == b'\n');
        lines.any(|line| {
            let start = line.split(|&b| b == b':').next().unwrap_or_default();
            start.eq_ignore_ascii_case(name.as_bytes())
        })
    }

    /// Adds the header unless a test has given its own.
    pub fn default_field(self, name: &str, value: &str) -> Self {
        if self.has(name) {
            self
        } else {
            self.field(name, value)
        }
    }

    pub fn length(self, length: u64) -> Self {
        self.default_field("Content-Length", &length.to_string())
    }

    pub fn chunked(mut self) -> Self {
        self.chunked = true;
        self.default_field("Transfer-Encoding", "chunked")
    }

    /// `chunked` or `length`.
    pub fn framed(self, chunked: bool, length: u64) -> Self {
        if chunked {
            self.chunked()
        } else {
            self.length(length)
        }
    }

    fn has_body(&self) -> bool {
        !matches!(self.code, 100..=199 | 204 | 304)
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = format!("HTTP/1.1 {} ", self.code).into_bytes();
        match &self.reason {
            Some(given) => bytes.extend_from_slice(given),
            None => bytes.extend_from_slice(reason(self.code).as_bytes()),
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.fields);
        bytes.extend_from_slice(b"\r\n");
        bytes
    }
}

fn reason(code: u16) -> &'static str {
    match code {
        100 => "Continue",
        101 => "Switching Protocols",
        102 => "Processing",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        407 => "Proxy Authentication Required",
        413 => "Content Too Large",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Something",
    }
}

/// Reads whatever has arrived behind `input`; 0 is the end.
pub async fn fill(stream: &TcpStream, input: &mut Vec<u8>, most: usize) -> io::Result<usize> {
    loop {
        stream.readable().await?;
        // Only once there is something to read: thousands of idle connections keep no buffer.
        input.reserve(most);
        match stream.try_read_buf(input) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => return result,
        }
    }
}

/// The part of the body that has not been read yet.
#[derive(Clone, Copy, PartialEq)]
enum Unread {
    Nothing,
    Bytes(u64),
    /// Within the data of a chunk.
    Chunk(u64),
    /// Before a chunk's first line.
    ChunkLine,
}

pub struct Exchange<'a> {
    pub state: &'a Rc<State>,
    pub head: Head,
    pub connection: u64,
    /// How many requests for `/reuse-reset` this connection has carried.
    pub reuse_resets: &'a mut u64,
    pub tag: Option<Rc<Tag>>,
    stream: &'a TcpStream,
    input: &'a mut Vec<u8>,
    unread: Unread,
    continue_due: bool,
    /// Whether the answer has started, and with it the possibility of a 400 ended.
    pub started: bool,
    /// Whether it is cut into chunks.
    chunked: bool,
}

impl<'a> Exchange<'a> {
    pub fn new(
        state: &'a Rc<State>,
        connection: u64,
        reuse_resets: &'a mut u64,
        stream: &'a TcpStream,
        input: &'a mut Vec<u8>,
        head: Head,
    ) -> Self {
        let unread = match head.framing {
            Framing::None => Unread::Nothing,
            Framing::Length(length) => Unread::Bytes(length),
            Framing::Chunked => Unread::ChunkLine,
        };
        Self {
            state,
            continue_due: head.expects_continue && unread != Unread::Nothing,
            head,
            connection,
            reuse_resets,
            tag: None,
            stream,
            input,
            unread,
            started: false,
            chunked: false,
        }
    }

    // Reading.

    pub fn body_was_read(&self) -> bool {
        self.unread == Unread::Nothing
    }

    /// Never sends the `100 Continue` the client may have asked for.
    pub fn withhold_continue(&mut self) {
        self.continue_due = false;
    }

    /// The next bytes of the request's body, or `None` at its end.
    pub async fn body_piece(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        loop {
            let most = match self.unread {
                Unread::Nothing => return Ok(None),
                Unread::Bytes(most) | Unread::Chunk(most) => most,
                Unread::ChunkLine => {
                    let line = self.body_line().await?;
                    match request::chunk_size(&line)? {
                        0 => {
                            // The trailer fields.
                            while let line = self.body_line().await?
                                && !line.is_empty()
                            {
                                request::field(&line)?;
                            }
                            self.unread = Unread::Nothing;
                        }
                        size => self.unread = Unread::Chunk(size),
                    }
                    continue;
                }
            };
            if self.input.is_empty() {
                self.more_input().await?;
            }
            let piece = if self.input.len() as u64 <= most {
                std::mem::take(self.input)
            } else {
                self.input.drain(..most as usize).collect()
            };
            let left = most - piece.len() as u64;
            self.unread = match self.unread {
                Unread::Chunk(_) if left == 0 => {
                    if !self.body_line().await?.is_empty() {
                        return Err(bad("a chunk is longer than its size"));
                    }
                    Unread::ChunkLine
                }
                Unread::Chunk(_) => Unread::Chunk(left),
                _ if left == 0 => Unread::Nothing,
                _ => Unread::Bytes(left),
            };
            if let Some(tag) = &self.tag {
                tag.received.add(piece.len() as u64);
            }
            return Ok(Some(piece));
        }
    }

    /// A line of the chunked coding without its CRLF.
    async fn body_line(&mut self) -> Result<Vec<u8>, Failure> {
        loop {
            if let Some(at) = self.input.iter().position(|&b| b == b'\n') {
                let mut line: Vec<u8> = self.input.drain(..=at).collect();
                line.pop();
                if line.pop() != Some(b'\r') {
                    return Err(bad("a line of a chunked body ends with LF alone"));
                }
                return Ok(line);
            }
            if self.input.len() > 16 * 1024 {
                return Err(bad("a line of a chunked body is too long"));
            }
            self.more_input().await?;
        }
    }

    async fn more_input(&mut self) -> Result<(), Failure> {
        if std::mem::take(&mut self.continue_due) {
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        match fill(self.stream, self.input, 64 * 1024).await? {
            0 => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            _ => Ok(()),
        }
    }

    pub async fn discard_body(&mut self) -> Result<(), Failure> {
        while self.body_piece().await?.is_some() {}
        Ok(())
    }

    // Writing.

    async fn write_counting(&self, mut bytes: &[u8], tag: Option<&Tag>) -> io::Result<()> {
        while !bytes.is_empty() {
            self.stream.writable().await?;
            match self.stream.try_write(bytes) {
                Ok(count) => {
                    bytes = &bytes[count..];
                    if let Some(tag) = tag {
                        tag.sent.add(count as u64);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Bytes that are not counted as body.
    pub async fn write(&self, bytes: &[u8]) -> io::Result<()> {
        self.write_counting(bytes, None).await
    }

    /// Sends the head and says whether a body belongs behind it. Announces the end of
    /// the connection if it comes.
    pub async fn send_head(&mut self, answer: Answer) -> io::Result<bool> {
        let answer = self.finished(answer);
        self.started = true;
        self.chunked = answer.chunked;
        self.write(&answer.bytes()).await?;
        Ok(answer.has_body() && self.head.method != "HEAD")
    }

    fn finished(&self, answer: Answer) -> Answer {
        if self.head.persistent && self.body_was_read() {
            answer
        } else {
            answer.default_field("Connection", "close")
        }
    }

    /// The head for those that send only a part of it.
    pub fn head_bytes(&mut self, answer: Answer) -> Vec<u8> {
        self.started = true;
        self.chunked = answer.chunked;
        self.finished(answer).bytes()
    }

    /// A piece of the body, as one chunk if the answer is chunked.
    pub async fn send_body(&self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        if self.chunked {
            self.write(format!("{:x}\r\n", bytes.len()).as_bytes())
                .await?;
        }
        self.write_counting(bytes, self.tag.as_deref()).await?;
        if self.chunked {
            self.write(b"\r\n").await?;
        }
        // A client that reads as fast as this must not keep the others waiting.
        tokio::task::yield_now().await;
        Ok(())
    }

    /// The end of a chunked body, with trailer fields if any; nothing otherwise.
    pub async fn end_body(&self, trailers: &[u8]) -> io::Result<()> {
        if self.chunked {
            let end = [b"0\r\n", trailers, b"\r\n"].concat();
            self.write(&end).await?;
        }
        Ok(())
    }

    /// Bytes `from` to `to` of the pattern.
    pub async fn send_pattern(&self, pattern: Pattern, from: u64, to: u64) -> io::Result<()> {
        let mut scratch = Vec::new();
        let mut at = from;
        while at < to {
            let piece = pattern.piece(at, to - at, &mut scratch);
            self.send_body(piece).await?;
            at += piece.len() as u64;
        }
        Ok(())
    }

    /// The first bytes of the pattern without any chunk around them.
    pub async fn send_unchunked(&mut self, pattern: Pattern, to: u64) -> io::Result<()> {
        self.chunked = false;
        self.send_pattern(pattern, 0, to).await
    }

    /// A whole small answer.
    pub async fn reply(&mut self, answer: Answer, body: &[u8]) -> Outcome {
        let answer = answer.default_field("Content-Type", "text/plain");
        let answer = if answer.has_body() {
            answer.length(body.len() as u64)
        } else {
            answer
        };
        if self.send_head(answer).await? {
            self.send_body(body).await?;
        }
        Ok(After::Keep)
    }

    pub async fn reply_text(&mut self, text: &str) -> Outcome {
        self.reply(Answer::new(200), text.as_bytes()).await
    }

    /// A RST makes the kernel drop what it has not delivered yet, which is rarely anything on the
    /// loopback interface; the pause makes it never, unless the client does not read.
    pub async fn before_reset(&self) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
