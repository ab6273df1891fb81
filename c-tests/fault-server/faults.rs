//! Answers no decent server would give.

use std::future::pending;
use std::time::Duration;

use crate::exchange::{After, Answer, Exchange, Outcome, bad};
use crate::normal;
use crate::pattern::Pattern;

const PATTERN: Pattern = Pattern::Seeded(0);

fn octets() -> Answer {
    Answer::new(200).field("Content-Type", "application/octet-stream")
}

pub async fn cut(x: &mut Exchange<'_>) -> Outcome {
    let params = &x.head.params;
    let after = params.required_number("after")?;
    let size = params.required_number("size")?;
    let midchunk = params.flag("midchunk");
    let chunked = params.flag("chunked") || midchunk;
    let reset = params.flag("reset");
    let from_start = match params.text("from")? {
        None | Some("body") => false,
        Some("start") => true,
        Some(_) => return Err(bad("from: neither start nor body")),
    };

    let mut head = x.head_bytes(octets().framed(chunked, size));
    if midchunk {
        head.extend(format!("{size:x}\r\n").into_bytes());
    }
    let mut in_body = after;
    if from_start {
        in_body = after.saturating_sub(head.len() as u64);
        head.truncate(after.min(head.len() as u64) as usize);
    }
    x.write(&head).await?;
    if midchunk {
        x.send_unchunked(PATTERN, in_body.min(size)).await?;
    } else {
        x.send_pattern(PATTERN, 0, in_body.min(size)).await?;
    }
    if reset {
        x.before_reset().await;
        return Ok(After::Reset);
    }
    Ok(After::Close)
}

pub async fn long(x: &mut Exchange<'_>) -> Outcome {
    let announced = x.head.params.required_number("announce")?;
    let sent = x.head.params.required_number("send")?;
    let keep = x.head.params.flag("keep");
    x.send_head(octets().length(announced)).await?;
    x.send_pattern(PATTERN, 0, sent).await?;
    Ok(if keep { After::Keep } else { After::Close })
}

/// The connection watches its peer and ends these when it closes.
pub async fn stall(x: &mut Exchange<'_>) -> Outcome {
    let params = &x.head.params;
    let at = params.required("at")?.to_owned();
    let sends = params.number("sends", 0)?;
    let size = params.number("size", sends + 1000)?;
    let answer = octets().framed(params.flag("chunked"), size);
    match at.as_str() {
        "accept" => {}
        "headers" => {
            // Up to the middle of a header's name.
            let head = x.head_bytes(answer);
            let until = head.len().saturating_sub(12);
            x.write(&head[..until]).await?;
        }
        "body" => {
            x.send_head(answer).await?;
            x.send_pattern(PATTERN, 0, sends.min(size)).await?;
        }
        _ => return Err(bad("at: neither accept nor headers nor body")),
    }
    pending().await
}

pub async fn raw(x: &mut Exchange<'_>) -> Outcome {
    let bytes = x.head.params.get("bytes");
    let bytes = bytes.ok_or_else(|| bad("the parameter bytes is missing"))?;
    x.write(bytes).await?;
    x.started = true;
    Ok(if x.head.params.flag("keep") {
        After::Keep
    } else {
        After::Close
    })
}

pub async fn turns(x: &mut Exchange<'_>) -> Outcome {
    let params = &x.head.params;
    let name = params.required("name")?.to_owned();
    let all: Vec<Vec<u8>> = params.all("bytes").map(<[u8]>::to_vec).collect();
    let turn = {
        let mut attempts = x.state.attempts.borrow_mut();
        let attempts = attempts.entry(name).or_default();
        attempts.requests += 1;
        attempts.requests as usize
    };
    let bytes = all
        .get(turn - 1)
        .ok_or_else(|| bad("bytes: there are no more"))?;
    x.write(bytes).await?;
    x.started = true;
    Ok(After::Close)
}

pub async fn early(x: &mut Exchange<'_>) -> Outcome {
    let answer = Answer::new(x.head.params.code(200)?);
    let keep = x.head.params.flag("keep");
    let reset = x.head.params.flag("reset");
    x.withhold_continue();
    let body = b"early\n";
    if keep {
        // Only `reply` would announce the end of the connection, the body not having been read.
        let answer = answer
            .field("Content-Type", "text/plain")
            .field("Connection", "keep-alive")
            .length(body.len() as u64);
        if x.send_head(answer).await? {
            x.send_body(body).await?;
        }
        x.discard_body().await?;
        return Ok(After::Keep);
    }
    x.reply(answer.field("Connection", "close"), body).await?;
    if reset {
        x.before_reset().await;
        return Ok(After::Reset);
    }
    Ok(After::Linger)
}

pub async fn no_continue(x: &mut Exchange<'_>) -> Outcome {
    x.withhold_continue();
    normal::sink(x).await
}

pub async fn close_after(x: &mut Exchange<'_>) -> Outcome {
    let idle = Duration::from_millis(x.head.params.number("idle", 0)?);
    let answer = Answer::new(200).field("Connection", "keep-alive");
    x.reply(answer, b"closing soon\n").await?;
    tokio::time::sleep(idle).await;
    Ok(After::Close)
}

pub async fn reuse_reset(x: &mut Exchange<'_>) -> Outcome {
    let params = &x.head.params;
    let name = params.required("name")?.to_owned();
    let on = params.number("on", 2)?;
    let times = params.number("times", u64::MAX)?;
    let reset = params.flag("reset");
    *x.reuse_resets += 1;
    let attempt = {
        let mut attempts = x.state.attempts.borrow_mut();
        let attempts = attempts.entry(name).or_default();
        attempts.requests += 1;
        if *x.reuse_resets >= on && attempts.dropped < times {
            attempts.dropped += 1;
            return Ok(if reset { After::Reset } else { After::Close });
        }
        attempts.requests
    };
    x.reply_text(&format!("attempt {attempt}\n")).await
}

pub async fn attempts(x: &mut Exchange<'_>) -> Outcome {
    let name = x.head.params.required("name")?;
    let attempts = x.state.attempts.borrow().get(name).map(|a| a.requests);
    x.reply_text(&attempts.unwrap_or(0).to_string()).await
}
