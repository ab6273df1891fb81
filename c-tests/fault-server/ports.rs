//! Further ports, for what goes wrong before HTTP begins. Each request opens its own, which lives
//! as long as the server.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::connection::peer_closed;
use crate::exchange::{Exchange, Outcome};
use crate::listen;
use crate::pattern::Pattern;

fn open(backlog: u32) -> io::Result<(TcpListener, u16)> {
    let listener = listen(IpAddr::V4(Ipv4Addr::LOCALHOST), 0, backlog)?;
    let port = listener.local_addr()?.port();
    Ok((listener, port))
}

async fn reply_port(x: &mut Exchange<'_>, port: u16) -> Outcome {
    x.reply_text(&port.to_string()).await
}

/// Opens a port whose connections all get the same treatment.
async fn treat<F>(x: &mut Exchange<'_>, treatment: impl Fn(TcpStream) -> F + 'static) -> Outcome
where
    F: Future<Output = ()> + 'static,
{
    let (listener, port) = open(128)?;
    tokio::task::spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::task::spawn_local(treatment(stream));
        }
    });
    reply_port(x, port).await
}

pub async fn closed(x: &mut Exchange<'_>) -> Outcome {
    let (listener, port) = open(1)?;
    drop(listener);
    reply_port(x, port).await
}

/// Once the queue of a listening socket is full, Linux drops further SYNs: fills it until a
/// connection does not come about any more.
pub async fn blackhole(x: &mut Exchange<'_>) -> Outcome {
    let (listener, port) = open(0)?;
    let patience = Duration::from_millis(200);
    let attempt = || TcpStream::connect((Ipv4Addr::LOCALHOST, port));
    while let Ok(stream) = tokio::time::timeout(patience, attempt()).await {
        x.state.kept.borrow_mut().push(Box::new(stream?));
    }
    x.state.kept.borrow_mut().push(Box::new(listener));
    reply_port(x, port).await
}

pub async fn silent(x: &mut Exchange<'_>) -> Outcome {
    treat(x, |stream| async move { peer_closed(&stream).await }).await
}

pub async fn reset(x: &mut Exchange<'_>) -> Outcome {
    treat(x, |stream| async move {
        let _ = stream.set_zero_linger();
    })
    .await
}

pub async fn garbage(x: &mut Exchange<'_>) -> Outcome {
    let bytes = garbage_bytes(x.head.params.number("size", 4096)?);
    treat(x, move |stream| send_and_drain(stream, bytes.clone())).await
}

pub async fn tls_garbage(x: &mut Exchange<'_>) -> Outcome {
    let bytes = garbage_bytes(x.head.params.number("size", 4096)?);
    treat(x, move |mut stream| {
        let bytes = bytes.clone();
        async move {
            let mut hello = [0; 4096];
            if matches!(stream.read(&mut hello).await, Ok(1..)) {
                send_and_drain(stream, bytes).await;
            }
        }
    })
    .await
}

/// Always the same noise. Its first byte, 0xaf with this seed, is neither the start of `HTTP/` nor
/// the type of a TLS record.
fn garbage_bytes(size: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut scratch = Vec::new();
    while (bytes.len() as u64) < size {
        let at = bytes.len() as u64;
        let piece = Pattern::Noise(0).piece(at, size - at, &mut scratch);
        bytes.extend_from_slice(piece);
    }
    bytes
}

/// Reads to the end before it closes, because unread input would turn the FIN into a RST.
async fn send_and_drain(mut stream: TcpStream, bytes: Vec<u8>) {
    let mut buffer = [0; 4096];
    if stream.write_all(&bytes).await.is_ok() && stream.shutdown().await.is_ok() {
        while matches!(stream.read(&mut buffer).await, Ok(1..)) {}
    }
}
