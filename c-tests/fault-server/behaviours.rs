//! The table of all behaviours. A path, the parameters it knows, what happens to the request's
//! body, and the function: whoever adds a behaviour adds a line here and its description at the
//! top of `main.rs`.

use std::fmt::Write;
use std::future::Future;
use std::pin::Pin;

use crate::exchange::{Answer, Exchange, Failure, Outcome, bad};
use crate::{faults, normal, ports, ranges, rendezvous, resumable};

struct Behaviour {
    path: &'static str,
    /// Their names; `*` admits any.
    params: &'static [&'static str],
    body: Body,
    run: Run,
}

/// Who reads the request's body.
#[derive(PartialEq)]
enum Body {
    /// It is read and thrown away before the behaviour runs, unless `read=0`.
    Discarded,
    /// The behaviour reads it, or does not.
    Own,
}

type Run = for<'a, 'b> fn(&'a mut Exchange<'b>) -> Pin<Box<dyn Future<Output = Outcome> + 'a>>;

/// What every path takes.
const COMMON: &[&str] = &["tag", "read", "close", "_"];

macro_rules! table {
    ($($path:literal [$($param:literal)*] $body:ident $function:path;)*) => {
        &[$(Behaviour {
            path: $path,
            params: &[$($param),*],
            body: Body::$body,
            run: |exchange| Box::pin($function(exchange)),
        }),*]
    };
}

const TABLE: &[Behaviour] = table! {
    "/" [] Discarded index;

    "/echo" ["*"] Own normal::echo;
    "/body" ["size" "type" "chunked" "seed" "zeros" "noise"] Discarded normal::body;
    "/sink" ["*"] Own normal::sink;
    "/status" ["code" "reason" "location" "body" "header"] Discarded normal::status;
    "/set-cookie" ["value"] Discarded normal::set_cookie;
    "/redirect" ["code" "to" "name" "body" "header"] Discarded normal::redirect;
    "/redirect-loop" ["code"] Discarded normal::redirect_loop;
    "/redirect-chain" ["n" "code"] Discarded normal::redirect_chain;
    "/informational" ["codes" "header" "every"] Discarded normal::informational;
    "/trailers" ["size" "trailer"] Discarded normal::trailers;
    "/headers" ["count" "size"] Discarded normal::headers;
    "/encoded" ["coding" "size" "zeros" "noise" "seed" "chunked" "truncate" "corrupt" "corrupt_at"
        "as"] Discarded normal::encoded;

    "/range" ["size" "seed" "etag" "modified" "mode" "name" "cut" "cut_times" "hold" "after"
        "header" "to"] Discarded ranges::range;
    "/range-log" ["name"] Discarded ranges::range_log;

    "/resumable" ["name" "cut" "cut_times" "silent" "location" "head" "offset"] Own
        resumable::create;
    "/resumable-upload" ["name" "cut" "cut_times" "silent" "location" "head" "offset"] Own
        resumable::upload;
    "/resumable-log" ["name"] Discarded resumable::log;

    "/delay" ["ms" "size"] Discarded rendezvous::delay;
    "/drip" ["size" "every" "chunk" "chunked"] Discarded rendezvous::drip;
    "/hold" ["name"] Discarded rendezvous::hold;
    "/holdbody" ["name" "size" "chunked"] Discarded rendezvous::hold_body;
    "/holdsink" ["name" "after"] Own rendezvous::hold_sink;
    "/release" ["name" "count"] Discarded rendezvous::release;
    "/waiting" ["name" "n"] Discarded rendezvous::waiting;
    "/wait-arrived" ["tag" "n"] Discarded rendezvous::wait_arrived;
    "/wait-closed" ["tag" "n"] Discarded rendezvous::wait_closed;
    "/wait-finished" ["tag" "n"] Discarded rendezvous::wait_finished;
    "/closed" ["tag"] Discarded rendezvous::closed;
    "/sent" ["tag" "n" "settle"] Discarded rendezvous::sent;
    "/received" ["tag" "n" "settle"] Discarded rendezvous::received;

    "/cut" ["after" "size" "from" "reset" "chunked" "midchunk"] Discarded faults::cut;
    "/long" ["announce" "send" "keep"] Discarded faults::long;
    "/stall" ["at" "sends" "size" "chunked"] Discarded faults::stall;
    "/raw" ["bytes" "keep"] Discarded faults::raw;
    "/turns" ["name" "bytes"] Discarded faults::turns;
    "/early" ["code" "keep" "reset"] Own faults::early;
    "/no-continue" [] Own faults::no_continue;
    "/close-after" ["idle"] Discarded faults::close_after;
    "/reuse-reset" ["name" "on" "times" "reset"] Discarded faults::reuse_reset;
    "/attempts" ["name"] Discarded faults::attempts;

    "/closed-port" [] Discarded ports::closed;
    "/blackhole-port" [] Discarded ports::blackhole;
    "/silent-port" [] Discarded ports::silent;
    "/reset-port" [] Discarded ports::reset;
    "/garbage-port" ["size"] Discarded ports::garbage;
    "/tls-garbage" ["size"] Discarded ports::tls_garbage;

    "/connections" [] Discarded normal::connections;
    "/reset-counters" [] Discarded normal::reset_counters;
    "/connection-id" [] Discarded normal::connection_id;
};

pub async fn answer(x: &mut Exchange<'_>) -> Outcome {
    let found = TABLE.iter().find(|entry| entry.path == x.head.path);
    let Some(entry) = found else {
        x.discard_body().await?;
        let body = format!("fault-server: no such path: {}\n", x.head.path);
        return x.reply(Answer::new(404), body.as_bytes()).await;
    };
    check_names(entry, x)?;

    // Those that ask about a tag are not tagged themselves.
    if !entry.params.contains(&"tag")
        && let Some(name) = x.head.params.text("tag")?
    {
        let tag = x.state.tag(name);
        tag.arrived.add(1);
        x.tag = Some(tag);
    }
    if x.head.params.flag("close") {
        x.head.persistent = false;
    }
    let unread = x.head.params.get("read") == Some(b"0");
    if entry.body == Body::Discarded && !unread {
        x.discard_body().await?;
    }
    (entry.run)(x).await
}

fn check_names(entry: &Behaviour, x: &Exchange<'_>) -> Result<(), Failure> {
    if entry.params.contains(&"*") {
        return Ok(());
    }
    let mut names = x.head.params.names();
    match names.find(|name| !entry.params.contains(name) && !COMMON.contains(name)) {
        Some(unknown) => Err(bad(format!(
            "{} has no parameter {unknown:?}, only {:?} and {COMMON:?}",
            entry.path, entry.params
        ))),
        None => Ok(()),
    }
}

async fn index(x: &mut Exchange<'_>) -> Outcome {
    let mut text = String::new();
    for entry in TABLE {
        let _ = writeln!(text, "{} {}", entry.path, entry.params.join(" "));
    }
    let _ = writeln!(text, "every path: {}", COMMON.join(" "));
    x.reply_text(&text).await
}
