//! One connection: request after request, and noticing when the peer goes away meanwhile.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::TcpStream;

use crate::behaviours;
use crate::exchange::{After, Answer, Exchange, Failure, fill};
use crate::request;
use crate::state::{Counted, State, add};

/// How long a connection whose answer has ended waits for its client to close.
const LINGER: Duration = Duration::from_secs(30);

pub async fn serve(mut stream: TcpStream, state: Rc<State>) {
    let counted = Counted::new(state.clone());
    // What a behaviour writes separately shall leave separately.
    let _ = stream.set_nodelay(true);

    let mut input = Vec::new();
    let mut reuse_resets = 0;
    let after = loop {
        let raw = match next_head(&stream, &mut input).await {
            Ok(Some(raw)) => raw,
            // The client has closed, in whatever state.
            Ok(None) | Err(Failure::Io(_)) => break After::Close,
            Err(Failure::Bad(why)) => break refuse(&state, &stream, &why).await,
        };
        add(&state.requests, 1);
        if state.verbose {
            let line = raw.split(|&b| b == b'\r').next().unwrap_or_default();
            eprintln!("#{} {}", counted.id, line.escape_ascii());
        }
        let head = match request::parse(raw) {
            Ok(head) => head,
            Err(Failure::Io(_)) => break After::Close,
            Err(Failure::Bad(why)) => break refuse(&state, &stream, &why).await,
        };
        let mut exchange = Exchange::new(
            &state,
            counted.id,
            &mut reuse_resets,
            &stream,
            &mut input,
            head,
        );
        match answer(&mut exchange, &stream).await {
            After::Keep => {}
            other => break other,
        }
        if input.is_empty() {
            // An idle connection keeps no buffer.
            input = Vec::new();
        }
    };

    match after {
        After::Keep | After::Close => {}
        After::Linger => {
            let _ = stream.shutdown().await;
            let _ = tokio::time::timeout(LINGER, peer_closed(&stream)).await;
        }
        After::Reset => {
            let _ = stream.set_zero_linger();
        }
    }
}

async fn next_head(stream: &TcpStream, input: &mut Vec<u8>) -> Result<Option<Vec<u8>>, Failure> {
    loop {
        if let Some(length) = request::head_length(input)? {
            return Ok(Some(input.drain(..length).collect()));
        }
        if fill(stream, input, 4096).await? == 0 {
            return Ok(None);
        }
    }
}

/// Runs the behaviour, but drops it if the peer closes before it is through.
async fn answer(exchange: &mut Exchange<'_>, stream: &TcpStream) -> After {
    let outcome = tokio::select! {
        // In this order a behaviour that does not have to wait always gets to its end.
        biased;
        outcome = behaviours::answer(exchange) => outcome,
        () = peer_closed(stream) => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
    };
    let after = match outcome {
        Ok(after) => {
            if let Some(tag) = &exchange.tag {
                tag.finished.add(1);
            }
            after
        }
        Err(Failure::Bad(why)) => {
            if exchange.started {
                // Too late to say so in the response: at least the client must not wait.
                eprintln!("fault-server: {}: {why}", exchange.head.path);
                return After::Reset;
            }
            return refuse(exchange.state, stream, &why).await;
        }
        Err(Failure::Io(error)) => {
            if exchange.state.verbose {
                eprintln!("  gone: {}: {error}", exchange.head.path);
            }
            if let Some(tag) = &exchange.tag {
                tag.closed.add(1);
            }
            return After::Close;
        }
    };
    match after {
        After::Keep if !exchange.head.persistent || !exchange.body_was_read() => After::Linger,
        after => after,
    }
}

/// Returns when the peer has closed its side. Readiness for urgent data, which tokio never
/// registers for, is how it reports the end of the stream without also reporting the data before.
pub async fn peer_closed(stream: &TcpStream) {
    let _ = stream.ready(Interest::PRIORITY).await;
}

async fn refuse(state: &State, stream: &TcpStream, why: &str) -> After {
    if state.verbose {
        eprintln!("  400 {why}");
    }
    let body = format!("fault-server: {why}\n");
    let answer = Answer::new(400)
        .field("Content-Type", "text/plain")
        .field("Connection", "close")
        .length(body.len() as u64);
    let bytes = [answer.bytes(), body.into_bytes()].concat();
    // It fits into the empty buffer of the socket; if not, the client has done worse.
    let _ = stream.writable().await;
    let _ = stream.try_write(&bytes);
    After::Linger
}
