//! Time and order: answers that come late, and what a test needs to know when something has
//! happened without sleeping.

use std::time::Duration;

use crate::exchange::{After, Answer, Exchange, Outcome};
use crate::normal::Sum;
use crate::pattern::Pattern;
use crate::state::Counter;

pub async fn delay(x: &mut Exchange<'_>) -> Outcome {
    let delay = Duration::from_millis(x.head.params.required_number("ms")?);
    let size = x.head.params.number("size", 0)?;
    tokio::time::sleep(delay).await;
    let answer = Answer::new(200)
        .field("Content-Type", "application/octet-stream")
        .length(size);
    if x.send_head(answer).await? {
        x.send_pattern(Pattern::Seeded(0), 0, size).await?;
    }
    Ok(After::Keep)
}

pub async fn drip(x: &mut Exchange<'_>) -> Outcome {
    let params = &x.head.params;
    let size = params.required_number("size")?;
    let pause = Duration::from_millis(params.required_number("every")?);
    let step = params.number("chunk", 1)?.max(1);
    let answer = Answer::new(200)
        .field("Content-Type", "application/octet-stream")
        .framed(params.flag("chunked"), size);
    if x.send_head(answer).await? {
        let mut at = 0;
        while at < size {
            tokio::time::sleep(pause).await;
            let next = size.min(at.saturating_add(step));
            x.send_pattern(Pattern::Seeded(0), at, next).await?;
            at = next;
        }
        x.end_body(b"").await?;
    }
    Ok(After::Keep)
}

pub async fn hold(x: &mut Exchange<'_>) -> Outcome {
    let latch = x.state.latch(x.head.params.required("name")?);
    latch.pass().await;
    x.reply_text("released\n").await
}

pub async fn hold_body(x: &mut Exchange<'_>) -> Outcome {
    let params = &x.head.params;
    let latch = x.state.latch(params.required("name")?);
    let size = params.required_number("size")?;
    let answer = Answer::new(200)
        .field("Content-Type", "application/octet-stream")
        .framed(params.flag("chunked"), size);
    if x.send_head(answer).await? {
        x.send_pattern(Pattern::Seeded(0), 0, size / 2).await?;
        latch.pass().await;
        x.send_pattern(Pattern::Seeded(0), size / 2, size).await?;
        x.end_body(b"").await?;
    }
    Ok(After::Keep)
}

pub async fn hold_sink(x: &mut Exchange<'_>) -> Outcome {
    let latch = x.state.latch(x.head.params.required("name")?);
    let mut before = x.head.params.number("after", 0)?;
    let mut sum = Sum::default();
    while before > 0
        && let Some(piece) = x.body_piece().await?
    {
        before = before.saturating_sub(piece.len() as u64);
        sum.add(&piece);
    }
    latch.pass().await;
    sum.add_body(x).await?;
    x.reply_text(&sum.to_string()).await
}

pub async fn release(x: &mut Exchange<'_>) -> Outcome {
    let params = &x.head.params;
    let latch = x.state.latch(params.required("name")?);
    latch.release(params.number_if_any("count")?);
    x.reply_text("ok\n").await
}

pub async fn waiting(x: &mut Exchange<'_>) -> Outcome {
    let latch = x.state.latch(x.head.params.required("name")?);
    let held = latch.wait_for(x.head.params.number("n", 1)?).await;
    x.reply_text(&held.to_string()).await
}

pub async fn wait_arrived(x: &mut Exchange<'_>) -> Outcome {
    let tag = x.state.tag(x.head.params.required("tag")?);
    wait(x, &tag.arrived, 1).await
}

pub async fn wait_closed(x: &mut Exchange<'_>) -> Outcome {
    let tag = x.state.tag(x.head.params.required("tag")?);
    wait(x, &tag.closed, 1).await
}

pub async fn wait_finished(x: &mut Exchange<'_>) -> Outcome {
    let tag = x.state.tag(x.head.params.required("tag")?);
    wait(x, &tag.finished, 1).await
}

pub async fn closed(x: &mut Exchange<'_>) -> Outcome {
    let tag = x.state.tag(x.head.params.required("tag")?);
    wait(x, &tag.closed, 0).await
}

pub async fn sent(x: &mut Exchange<'_>) -> Outcome {
    let tag = x.state.tag(x.head.params.required("tag")?);
    wait(x, &tag.sent, 0).await
}

pub async fn received(x: &mut Exchange<'_>) -> Outcome {
    let tag = x.state.tag(x.head.params.required("tag")?);
    wait(x, &tag.received, 0).await
}

/// Answers with the counter once it is `n` at least and, if asked, has come to rest.
async fn wait(x: &mut Exchange<'_>, counter: &Counter, default: u64) -> Outcome {
    counter.at_least(x.head.params.number("n", default)?).await;
    if let Some(rest) = x.head.params.number_if_any("settle")? {
        let rest = Duration::from_millis(rest);
        let more = || counter.at_least(counter.get() + 1);
        while tokio::time::timeout(rest, more()).await.is_ok() {}
    }
    x.reply_text(&counter.get().to_string()).await
}
