//! Resumable uploads, as the IETF's draft describes them for interoperability version 3.

use crate::exchange::{After, Answer, Exchange, Outcome, bad};
use crate::normal::Sum;

/// What has arrived under one name.
#[derive(Default)]
pub struct Upload {
    sum: Sum,
    /// How often the connection was closed in the middle.
    cuts: u64,
    /// One line a request.
    log: Vec<String>,
}

/// Begins an upload.
pub async fn create(x: &mut Exchange<'_>) -> Outcome {
    let params = &x.head.params;
    let name = params.required("name")?.to_owned();
    let silent = params.flag("silent");
    let location = params.text("location")?.map(str::to_owned);
    note(x, &name);
    x.state
        .uploads
        .borrow_mut()
        .entry(name.clone())
        .or_default()
        .sum = Sum::default();
    let resumable = x.head.field_text("Upload-Draft-Interop-Version").as_deref() == Some("3");
    if resumable && !silent {
        let target = x.head.target();
        let (_, query) = target.split_once('?').unwrap_or_default();
        let own = format!("/resumable-upload?{query}");
        let answer = Answer::new(104)
            .field("Upload-Draft-Interop-Version", "3")
            .field("Location", location.as_deref().unwrap_or(&own));
        x.write(&answer.bytes()).await?;
    }
    append(x, &name).await
}

/// Tells how much has arrived, and takes the rest.
pub async fn upload(x: &mut Exchange<'_>) -> Outcome {
    let params = &x.head.params;
    let name = params.required("name")?.to_owned();
    let status = params.number_if_any("head")?;
    let lie = params.text("offset")?.map(str::to_owned);
    note(x, &name);
    let arrived = {
        let uploads = x.state.uploads.borrow();
        let upload = uploads
            .get(&name)
            .ok_or_else(|| bad("name: no such upload"))?;
        upload.sum.length()
    };
    match x.head.method.as_str() {
        "HEAD" => {
            let code = status.unwrap_or(204) as u16;
            let offset = lie.unwrap_or_else(|| arrived.to_string());
            let answer = Answer::new(code)
                .field("Upload-Draft-Interop-Version", "3")
                .field("Upload-Offset", &offset)
                .field("Upload-Incomplete", "?1")
                .field("Cache-Control", "no-store");
            x.reply(answer, b"").await
        }
        "PATCH" => {
            let offset = x.head.field_text("Upload-Offset");
            if offset != Some(arrived.to_string()) {
                x.discard_body().await?;
                return x.reply(Answer::new(409), b"not that offset").await;
            }
            append(x, &name).await
        }
        _ => x.reply(Answer::new(405), b"neither HEAD nor PATCH").await,
    }
}

async fn append(x: &mut Exchange<'_>, name: &str) -> Outcome {
    let cut = x.head.params.number("cut", u64::MAX)?;
    let times = x.head.params.number("cut_times", 1)?;
    let mut here = 0;
    while let Some(piece) = x.body_piece().await? {
        let mut uploads = x.state.uploads.borrow_mut();
        let upload = uploads.entry(name.to_owned()).or_default();
        let cuts = upload.cuts < times;
        let room = if cuts {
            cut.saturating_sub(here)
        } else {
            u64::MAX
        };
        let taken = usize::try_from(room).unwrap_or(usize::MAX).min(piece.len());
        upload.sum.add(&piece[..taken]);
        here += taken as u64;
        if cuts && here >= cut {
            upload.cuts += 1;
            return Ok(After::Reset);
        }
    }
    let text = {
        let uploads = x.state.uploads.borrow();
        uploads.get(name).map(|upload| upload.sum.to_string())
    };
    x.reply_text(&text.unwrap_or_default()).await
}

fn note(x: &Exchange<'_>, name: &str) {
    let field = |name: &str| x.head.field_text(name).unwrap_or_default();
    let line = format!(
        "{} version [{}] incomplete [{}] offset [{}] length [{}]",
        x.head.method,
        field("Upload-Draft-Interop-Version"),
        field("Upload-Incomplete"),
        field("Upload-Offset"),
        field("Content-Length"),
    );
    let mut uploads = x.state.uploads.borrow_mut();
    uploads.entry(name.to_owned()).or_default().log.push(line);
}

pub async fn log(x: &mut Exchange<'_>) -> Outcome {
    let name = x.head.params.required("name")?;
    let log = x
        .state
        .uploads
        .borrow()
        .get(name)
        .map(|upload| upload.log.join("\n"));
    x.reply_text(&log.unwrap_or_default()).await
}
