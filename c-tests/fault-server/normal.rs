//! Answers a real server could give.

use std::fmt;

use crate::coding::Encoded;
use crate::exchange::{After, Answer, Exchange, Failure, Outcome, bad};
use crate::params::Params;
use crate::pattern::Pattern;

/// `/echo` has to hold the body, because it may be chunked and the answer's length comes first.
const LARGEST_ECHO: usize = 64 * 1024 * 1024;

pub async fn echo(x: &mut Exchange<'_>) -> Outcome {
    let mut echo = x.head.raw.clone();
    while let Some(piece) = x.body_piece().await? {
        echo.extend_from_slice(&piece);
        if echo.len() > LARGEST_ECHO {
            return Err(bad("the body is too large for an echo"));
        }
    }
    x.reply(Answer::new(200), &echo).await
}

fn pattern(params: &Params) -> Result<Pattern, Failure> {
    let seed = params.number("seed", 0)?;
    Ok(if params.flag("zeros") {
        Pattern::Zeros
    } else if params.flag("noise") {
        Pattern::Noise(seed)
    } else {
        Pattern::Seeded(seed)
    })
}

pub async fn body(x: &mut Exchange<'_>) -> Outcome {
    let params = &x.head.params;
    let size = params.required_number("size")?;
    let pattern = pattern(params)?;
    let kind = params.text("type")?.unwrap_or("application/octet-stream");
    let answer = Answer::new(200)
        .field("Content-Type", kind)
        .framed(params.flag("chunked"), size);
    if x.send_head(answer).await? {
        x.send_pattern(pattern, 0, size).await?;
        x.end_body(b"").await?;
    }
    Ok(After::Keep)
}

pub async fn sink(x: &mut Exchange<'_>) -> Outcome {
    let mut sum = Sum::default();
    sum.add_body(x).await?;
    x.reply_text(&sum.to_string()).await
}

/// What remains of a body that is not kept.
#[derive(Default)]
pub struct Sum {
    length: u64,
    sum: u32,
}

impl Sum {
    pub fn length(&self) -> u64 {
        self.length
    }

    pub fn add(&mut self, piece: &[u8]) {
        self.length += piece.len() as u64;
        // A piece is far too small for its own sum to overflow.
        let piece: u32 = piece.iter().map(|&b| u32::from(b)).sum();
        self.sum = self.sum.wrapping_add(piece);
    }

    pub async fn add_body(&mut self, x: &mut Exchange<'_>) -> Result<(), Failure> {
        while let Some(piece) = x.body_piece().await? {
            self.add(&piece);
        }
        Ok(())
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} bytes sum {}", self.length, self.sum)
    }
}

pub async fn status(x: &mut Exchange<'_>) -> Outcome {
    let params = &x.head.params;
    let code = params.code(200)?;
    let mut answer = Answer::new(code);
    if let Some(reason) = params.get("reason") {
        answer = answer.reason(reason);
    }
    for url in params.all("location") {
        answer = answer.line(&[b"Location: ", url].concat());
    }
    answer = answer.lines(params.all("header"));
    let body = match params.get("body") {
        Some(body) => body.to_vec(),
        None => format!("status {code}\n").into_bytes(),
    };
    x.reply(answer, &body).await
}

pub async fn set_cookie(x: &mut Exchange<'_>) -> Outcome {
    let values = x.head.params.all("value");
    let answer = values.fold(Answer::new(200), |answer, value| {
        answer.line(&[b"Set-Cookie: ", value].concat())
    });
    x.reply(answer, b"ok\n").await
}

pub async fn redirect(x: &mut Exchange<'_>) -> Outcome {
    let params = &x.head.params;
    let name = params.get("name").unwrap_or(b"Location");
    let mut answer = Answer::new(params.code(302)?);
    for to in params.all("to") {
        answer = answer.line(&[name, b": ", to].concat());
    }
    answer = answer.lines(params.all("header"));
    let body = params.get("body").unwrap_or(b"redirecting\n").to_vec();
    x.reply(answer, &body).await
}

pub async fn redirect_loop(x: &mut Exchange<'_>) -> Outcome {
    let code = x.head.params.code(302)?;
    let to = format!("/redirect-loop?code={code}");
    let answer = Answer::new(code).field("Location", &to);
    x.reply(answer, b"redirecting\n").await
}

pub async fn redirect_chain(x: &mut Exchange<'_>) -> Outcome {
    let code = x.head.params.code(302)?;
    let hops = x.head.params.required_number("n")?;
    let Some(left) = hops.checked_sub(1) else {
        return x.reply_text("end").await;
    };
    let to = format!("/redirect-chain?n={left}&code={code}");
    let answer = Answer::new(code).field("Location", &to);
    x.reply(answer, b"redirecting\n").await
}

pub async fn informational(x: &mut Exchange<'_>) -> Outcome {
    let params = &x.head.params;
    let pause = std::time::Duration::from_millis(params.number("every", 0)?);
    for code in params.required("codes")?.split(',') {
        let code: u16 = code.parse().map_err(|_| bad("codes: not numbers"))?;
        let answer = Answer::new(code).lines(params.all("header"));
        x.write(&answer.bytes()).await?;
        tokio::time::sleep(pause).await;
    }
    x.reply_text("final\n").await
}

pub async fn trailers(x: &mut Exchange<'_>) -> Outcome {
    let params = &x.head.params;
    let size = params.number("size", 1000)?;
    let mut fields = Vec::new();
    let mut names = Vec::new();
    for line in params.all("trailer") {
        let name = line.split(|&b| b == b':').next().unwrap_or_default();
        names.push(String::from_utf8_lossy(name).into_owned());
        fields.extend_from_slice(line);
        fields.extend_from_slice(b"\r\n");
    }
    if names.is_empty() {
        names.push("X-Trailer".to_owned());
        fields.extend_from_slice(b"X-Trailer: the end\r\n");
    }
    let answer = Answer::new(200)
        .field("Content-Type", "application/octet-stream")
        .field("Trailer", &names.join(", "))
        .chunked();
    if x.send_head(answer).await? {
        x.send_pattern(Pattern::Seeded(0), 0, size).await?;
        x.end_body(&fields).await?;
    }
    Ok(After::Keep)
}

pub async fn headers(x: &mut Exchange<'_>) -> Outcome {
    let count = x.head.params.required_number("count")?;
    let size = x.head.params.required_number("size")?;
    if count.saturating_mul(size) > 256 << 20 {
        return Err(bad("more than 256 MiB of headers"));
    }
    let value = "h".repeat(size as usize);
    let answer = (0..count).fold(Answer::new(200), |answer, i| {
        answer.field(&format!("X-Filler-{i}"), &value)
    });
    x.reply(answer, b"ok\n").await
}

/// Up to here a compressed body is kept in memory; a larger one that needs a Content-Length is
/// compressed twice, first to count and then to send.
const KEPT_ENCODED: u64 = 16 * 1024 * 1024;

pub async fn encoded(x: &mut Exchange<'_>) -> Outcome {
    let params = &x.head.params;
    let codings = params.required("coding")?;
    let encoded = Encoded::new(codings, pattern(params)?, params.number("size", 10_000)?)?
        .truncated(params.number("truncate", 0)? as usize)
        .corrupted(
            params
                .flag("corrupt")
                .then_some(params.number("corrupt_at", 4)?),
        );
    let announced = match params.text("as")? {
        Some(given) => given.to_owned(),
        None => Encoded::header(codings),
    };
    let chunked = params.flag("chunked");
    let answer = Answer::new(200)
        .field("Content-Type", "application/octet-stream")
        .field("Content-Encoding", &announced);

    let mut piece = Vec::new();
    if !chunked {
        let mut kept = Vec::new();
        let mut length = 0;
        let mut counting = encoded.start()?;
        while counting.next(&mut piece)? {
            length += piece.len() as u64;
            if length <= KEPT_ENCODED {
                kept.extend_from_slice(&piece);
            }
            // Compressing gigabytes must not keep the others waiting.
            tokio::task::yield_now().await;
        }
        if length <= KEPT_ENCODED {
            if x.send_head(answer.length(length)).await? {
                x.send_body(&kept).await?;
            }
            return Ok(After::Keep);
        }
        drop(kept);
        if !x.send_head(answer.length(length)).await? {
            return Ok(After::Keep);
        }
    } else if !x.send_head(answer.chunked()).await? {
        return Ok(After::Keep);
    }
    let mut sending = encoded.start()?;
    while sending.next(&mut piece)? {
        x.send_body(&piece).await?;
        tokio::task::yield_now().await;
    }
    x.end_body(b"").await?;
    Ok(After::Keep)
}

pub async fn connections(x: &mut Exchange<'_>) -> Outcome {
    let state = x.state;
    let text = format!(
        "accepted {}\nopen {}\nmax_open {}\nrequests {}\n",
        state.accepted.get(),
        state.open.get(),
        state.max_open.get(),
        state.requests.get()
    );
    x.reply_text(&text).await
}

pub async fn reset_counters(x: &mut Exchange<'_>) -> Outcome {
    x.state.accepted.set(0);
    x.state.requests.set(0);
    x.state.max_open.set(x.state.open.get());
    x.reply_text("ok\n").await
}

pub async fn connection_id(x: &mut Exchange<'_>) -> Outcome {
    let id = x.connection.to_string();
    x.reply_text(&id).await
}
