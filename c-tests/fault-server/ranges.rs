//! A resource that answers requests for ranges in all the ways that servers have, right and wrong.

use crate::exchange::{After, Answer, Exchange, Outcome, bad};
use crate::pattern::Pattern;

/// How a request with a Range field is answered.
enum Mode {
    Honest,
    /// The whole, as if there were no Range field.
    Ignore,
    /// The resource has changed since: other bytes, another ETag.
    Changed,
    /// A part that begins one byte too early or too late, or whose total is another one.
    Shifted {
        first: i64,
        total: i64,
    },
    ContentRange(Option<&'static str>),
    OtherEntityTag,
    /// The right part, without what tells which version it is of.
    NoValidator,
    Gzip,
    Multipart,
    Status(u16),
    Redirect,
    /// The right part, but only half of it: the connection is closed.
    Short,
}

fn mode(name: &str) -> Option<Mode> {
    let shifted = |first, total| Mode::Shifted { first, total };
    Some(match name {
        "honest" => Mode::Honest,
        "ignore" => Mode::Ignore,
        "changed" => Mode::Changed,
        "early-start" => shifted(-1, 0),
        "late-start" => shifted(1, 0),
        "wrong-total" => shifted(0, 7),
        "no-content-range" => Mode::ContentRange(None),
        "garbage-content-range" => Mode::ContentRange(Some("bytes all/of it")),
        "other-etag" => Mode::OtherEntityTag,
        "no-validator" => Mode::NoValidator,
        "gzip" => Mode::Gzip,
        "multipart" => Mode::Multipart,
        "redirect" => Mode::Redirect,
        "short" => Mode::Short,
        other => Mode::Status(other.parse().ok()?),
    })
}

/// The first byte of a `Range: bytes=N-`.
fn first_of(range: &str) -> Option<u64> {
    range
        .strip_prefix("bytes=")?
        .strip_suffix('-')?
        .parse()
        .ok()
}

pub async fn range(x: &mut Exchange<'_>) -> Outcome {
    let params = &x.head.params;
    let size = params.required_number("size")?;
    let mut seed = params.number("seed", 0)?;
    let mut tag = params.text("etag")?.map(str::to_owned);
    let modified = params.text("modified")?.map(str::to_owned);
    let name = params.text("name")?.unwrap_or_default().to_owned();
    let mode = params.text("mode")?.unwrap_or("honest");
    let mode = self::mode(mode).ok_or_else(|| bad("mode: unknown"))?;
    let cut = params.number_if_any("cut")?;
    let cut_times = params.number("cut_times", 1)?;
    let held = params.text("hold")?.map(str::to_owned);
    let after = params.number("after", 0)?;
    let extra: Vec<Vec<u8>> = params.all("header").map(<[u8]>::to_vec).collect();

    let field = |name: &str| x.head.field_text(name).unwrap_or_default();
    let (range, if_range) = (field("Range"), field("If-Range"));
    let asked = format!(
        "{} range [{range}] if-range [{if_range}] accept-encoding [{}]",
        x.head.method,
        field("Accept-Encoding"),
    );
    let is_cut = {
        let mut logs = x.state.ranges.borrow_mut();
        let log = logs.entry(name).or_default();
        log.push(asked);
        cut.filter(|_| log.len() as u64 <= cut_times)
    };

    let mut first = first_of(&range);
    if first.is_some() && matches!(mode, Mode::Changed) {
        seed += 1;
        tag = Some("\"changed\"".to_owned());
    }
    let same = if_range.is_empty()
        || Some(if_range.as_str()) == tag.as_deref()
        || Some(if_range.as_str()) == modified.as_deref();
    if !same || matches!(mode, Mode::Ignore) {
        first = None;
    }
    let described = |mut answer: Answer, tag: Option<&str>| {
        answer = answer.field("Content-Type", "application/octet-stream");
        if let Some(tag) = tag {
            answer = answer.field("ETag", tag);
        }
        if let Some(modified) = &modified {
            answer = answer.field("Last-Modified", modified);
        }
        answer.lines(extra.iter().map(Vec::as_slice))
    };
    let Some(start) = first else {
        let answer = described(Answer::new(200), tag.as_deref()).length(size);
        if !x.send_head(answer).await? {
            return Ok(After::Keep);
        }
        let pattern = Pattern::Seeded(seed);
        if let Some(cut) = is_cut {
            x.send_pattern(pattern, 0, cut.min(size)).await?;
            return Ok(After::Close);
        }
        if let Some(held) = held {
            x.send_pattern(pattern, 0, after.min(size)).await?;
            x.state.latch(&held).pass().await;
            x.send_pattern(pattern, after.min(size), size).await?;
        } else {
            x.send_pattern(pattern, 0, size).await?;
        }
        return Ok(After::Keep);
    };

    let end = is_cut.map_or(size, |cut| (start + cut).min(size));
    let (mut from, mut total) = (start, size);
    let mut content_range = true;
    let mut given = None;
    let mut answered_tag = tag.clone();
    let mut answer = Answer::new(206);
    match mode {
        Mode::Shifted { first, total: more } => {
            from = start.saturating_add_signed(first);
            total = size.saturating_add_signed(more);
        }
        Mode::ContentRange(value) => (content_range, given) = (false, value),
        Mode::OtherEntityTag => answered_tag = Some("\"other\"".to_owned()),
        Mode::NoValidator => answered_tag = None,
        Mode::Gzip => answer = answer.field("Content-Encoding", "gzip"),
        Mode::Multipart => {
            let part =
                format!("--x\r\nContent-Range: bytes {start}-{start}/{size}\r\n\r\nx\r\n--x--\r\n");
            let answer = answer.field("Content-Type", "multipart/byteranges; boundary=x");
            return x.reply(answer, part.as_bytes()).await;
        }
        Mode::Status(code) => {
            let answer = described(Answer::new(code), tag.as_deref());
            return x.reply(answer, b"no part of it").await;
        }
        Mode::Redirect => {
            let honest = x.head.target().replace("mode=redirect", "mode=honest");
            let target = params.text("to")?.unwrap_or(&honest).to_owned();
            let answer = Answer::new(302).field("Location", &target);
            return x.reply(answer, b"elsewhere").await;
        }
        Mode::Honest if start >= size => {
            let answer = Answer::new(416).field("Content-Range", &format!("bytes */{size}"));
            return x.reply(answer, b"beyond the end").await;
        }
        Mode::Honest | Mode::Short | Mode::Ignore | Mode::Changed => {}
    }
    if content_range {
        let value = format!("bytes {from}-{}/{total}", size - 1);
        answer = answer.field("Content-Range", &value);
    } else if let Some(value) = given {
        answer = answer.field("Content-Range", value);
    }
    let answer = described(answer, answered_tag.as_deref()).length(size - from);
    if !x.send_head(answer).await? {
        return Ok(After::Keep);
    }
    let pattern = Pattern::Seeded(seed);
    if matches!(mode, Mode::Short) {
        x.send_pattern(pattern, from, from + (size - from) / 2)
            .await?;
        return Ok(After::Close);
    }
    x.send_pattern(pattern, from, end.max(from)).await?;
    Ok(if end < size {
        After::Close
    } else {
        After::Keep
    })
}

pub async fn range_log(x: &mut Exchange<'_>) -> Outcome {
    let name = x.head.params.required("name")?;
    let log = x.state.ranges.borrow().get(name).map(|log| log.join("\n"));
    x.reply_text(&log.unwrap_or_default()).await
}
