//! The fault server: a small HTTP/1.1 server with which the tests produce what no real server
//! will do.
//!
//! ```text
//! fault-server [--port N] [--verbose]
//! ```
//!
//! It listens on 127.0.0.1 and, where IPv6 exists, on ::1 at the same port (0, the default, picks
//! a free one), prints `PORT n` on its standard output when it is ready, and exits as soon as its
//! standard input reaches the end, so that it never outlives the test that started it.
//! `--verbose` writes every request line to standard error.
//!
//! Everything is asked for by the path and the query of a request. Values are percent-decoded
//! (`+` stays a plus). Numbers may end in `k`, `m` or `g` (1024, 1024², 1024³). A parameter the
//! path does not know is answered with 400 and an explanation, so that a typing error in a test
//! never passes as a behaviour; so are requests that break RFC 9112 in any way the parser sees.
//! `/` answers with the table of all paths.
//!
//! # Parameters every path takes
//!
//! - `tag=X` the server keeps the events of all requests tagged X, see "Events". (The paths under
//!   "Events" take `tag` as the tag they ask about instead.)
//! - `read=0` answer without reading the request's body, then close. Without it the body is read
//!   to its end before the answer starts, after a `100 Continue` if the client expects one.
//! - `close=1` `Connection: close`, and the connection is closed after the answer.
//! - `_=anything` ignored, to make a URL unique.
//!
//! # Well-behaved answers
//!
//! - `/echo` (any parameters) the request itself: request line and headers as received, byte for
//!   byte, the blank line, the decoded body (up to 64 MiB). `text/plain`.
//! - `/body?size=N[&type=T][&chunked=1][&seed=S][&zeros=1][&noise=1]` N bytes that are never all
//!   in memory. Byte i is `(i * 31 + S) mod 251`; with `zeros` 0; with `noise` incompressible, see
//!   `pattern.rs`. `HEAD` is answered with the headers alone, here and everywhere.
//! - `/sink` (any parameters) reads a body of any size, answers `N bytes sum S\n`, S being the sum
//!   of all bytes mod 2^32.
//! - `/status?code=N[&reason=TEXT][&location=URL][&body=TEXT][&header=Name:Value]...` `header` may
//!   be repeated and is sent verbatim; one that names `Content-Type` or `Content-Length` replaces
//!   the server's own. 1xx, 204 and 304 have no body.
//! - `/set-cookie?value=V[&value=V]...` one `Set-Cookie` per value, body `ok\n`.
//! - `/redirect?[code=302][&to=URL]...[&name=Location][&body=TEXT][&header=Name:Value]...`
//!   the values are sent verbatim; without `to` there is no location at all, with several there
//!   are several; `name` is how the header's name is spelled.
//! - `/redirect-loop?[code=302]` redirects to itself.
//! - `/redirect-chain?n=N[&code=302]` N hops, then 200 with the body `end`.
//! - `/informational?codes=100,103[&header=Name:Value]...[&every=MS]` these 1xx first (the headers
//!   go on all of them), then 200 with the body `final\n`.
//! - `/trailers?[size=N][&trailer=Name:Value]...` chunked, with trailer fields.
//! - `/headers?count=N&size=M` N headers `X-Filler-i` of M bytes each.
//! - `/encoded?coding=C[&size=N][&zeros=1][&noise=1][&seed=S][&chunked=1][&truncate=K][&corrupt=1]
//!   [&corrupt_at=K][&as=TEXT]` the body of `/body`, compressed. C is one of `gzip`, `x-gzip`,
//!   `deflate` (zlib), `raw-deflate` (announced as `deflate`), `br`, `zstd`, `identity`, any other
//!   name (announced, not applied), or several with commas, applied in that order. `truncate`
//!   drops the last K compressed bytes, `corrupt` inverts all compressed bytes from `corrupt_at`
//!   (4) on; the HTTP framing stays right. `as` is the announced value.
//!
//! # Ranges
//!
//! - `/range?size=N[&seed=S][&etag=T][&modified=D][&header=Name:Value]...[&name=X][&mode=M]` the body
//!   of `/body` with these validators, and parts of it for `Range: bytes=N-`, on the condition that
//!   `If-Range` makes. `mode` is how such a request is answered: `honest`; `ignore` (the whole);
//!   `changed` (other bytes with another ETag); `early-start`, `late-start`, `wrong-total`,
//!   `no-content-range`, `garbage-content-range`, `other-etag`, `gzip` (a 206 that is wrong there);
//!   `no-validator` (a 206 without ETag); `multipart`; `redirect` (302 to the honest one, or to
//!   `to`); `short` (half of the part, then the connection closes); or a status. `cut=K` closes the connection after K bytes of the body, for
//!   the first `cut_times` (1) requests with this name. `hold=Y&after=K` waits after K bytes of the
//!   whole until Y has been released.
//! - `/range-log?name=X` one line a request: method, Range, If-Range, Accept-Encoding.
//!
//! # Resumable uploads (the IETF's draft, interoperability version 3)
//!
//! - `/resumable?name=X[&cut=N][&cut_times=K][&silent=1][&location=URL][&head=CODE][&offset=TEXT]`
//!   takes an upload. To a client that speaks the draft it says 104 with the upload's own URL
//!   (`location`), unless `silent`. After N bytes of a request it resets the connection, K (1) times
//!   in all. The answer is that of `/sink`, for all that has arrived under this name.
//! - `/resumable-upload` that URL: HEAD tells how much has arrived (`head` and `offset` are what it
//!   says instead), PATCH takes the rest, or says 409 when it does not begin there.
//! - `/resumable-log?name=X` one line a request: method, version, incomplete, offset, length.
//!
//! # Time
//!
//! - `/delay?ms=N[&size=M]` answers after N ms.
//! - `/drip?size=N&every=MS[&chunk=K][&chunked=1]` K bytes (1) every MS milliseconds.
//! - `/hold?name=X` answers `released\n` once X has been released.
//! - `/holdbody?name=X&size=N[&chunked=1]` headers and the first half, the other half on release.
//! - `/holdsink?name=X[&after=N]` reads N bytes (0) of the request's body, waits for the release,
//!   reads the rest, answers like `/sink`.
//! - `/release?name=X[&count=K]` releases K requests held at X, now or later; without `count`
//!   everything that is or ever will be held there.
//! - `/waiting?name=X[&n=K]` answers with their number when K requests (1) are held at X.
//!
//! # Events
//!
//! A peer that closes, half-closes or resets its connection while its request is being answered
//! counts as closed; the server then drops the request. One thing it cannot see: the end of a
//! connection behind body bytes it does not read (`read=0`, `/holdsink`, `/early`), because TCP
//! delivers the FIN after them.
//!
//! - `/wait-arrived?tag=X[&n=K]` answers when K requests (1) with the tag have arrived.
//! - `/wait-closed?tag=X[&n=K]` answers when the peer has closed K of them (1) unanswered.
//! - `/wait-finished?tag=X[&n=K]` answers when K of them (1) have been answered to the end.
//! - `/closed?tag=X` how many have been closed so far, at once.
//! - `/sent?tag=X[&n=K][&settle=MS]` how many body bytes the kernel has taken for the tag; once it
//!   is at least K; once it has not changed for MS milliseconds.
//! - `/received?tag=X[&n=K][&settle=MS]` the same for request body bytes read.
//!
//! The server's socket buffers are small (256 KiB), so that both stop soon after a peer stops.
//!
//! # Faults
//!
//! - `/cut?after=N&size=M[&from=start|body][&reset=1][&chunked=1][&midchunk=1]` announces M bytes,
//!   closes after N of the body or, with `from=start`, N of the whole response. `chunked`: N bytes
//!   in whole chunks without the terminating one; `midchunk`: in one chunk that promises M.
//!   `reset` closes with RST 50 ms after the last byte.
//! - `/long?announce=N&send=M[&keep=1]` announces N bytes, sends M, then closes; with `keep` the
//!   connection stays open and is served.
//! - `/stall?at=accept|headers|body[&sends=N][&size=M][&chunked=1]` stops for ever before the first
//!   byte, in the middle of the headers, or after N bytes (0) of a body of M (N + 1000).
//! - `/raw?bytes=PERCENT-ENCODED[&keep=1]` exactly these bytes, then closes; with `keep` the
//!   connection stays open and is served.
//! - `/turns?name=X&bytes=B[&bytes=B]...` the first request for it gets exactly the first of these,
//!   the second the second, and so on; the connection is closed behind each.
//! - `/early?code=N[&keep=1][&reset=1]` answers at once, without `100 Continue`. It does not read the
//!   body: the server's side is closed (FIN), and all of it once the client has closed (at most
//!   30 s); with `reset` RST at once. `keep` reads the body after the answer and goes on.
//! - `/no-continue` never sends `100 Continue`, waits for the body, then answers like `/sink`.
//! - `/close-after?[idle=MS]` promises `Connection: keep-alive`, closes after MS (0) idle.
//! - `/reuse-reset?name=X[&on=K][&times=N][&reset=1]` the Kth (2nd) and later requests for it on one
//!   connection are read and the connection closed without an answer (N times altogether at most).
//!   The others are answered with `attempt A\n`.
//! - `/attempts?name=X` how often `/reuse-reset` has been asked for with this name.
//!
//! # Ports: each answers with a new port of 127.0.0.1 as decimal text
//!
//! - `/closed-port` nothing listens there.
//! - `/blackhole-port` connecting hangs, the SYN is dropped.
//! - `/silent-port` accepts, never reads, never sends.
//! - `/reset-port` accepts and resets.
//! - `/garbage-port?[size=N]` accepts, sends N random bytes (4096), closes when the peer has.
//! - `/tls-garbage?[size=N]` waits for the first bytes (the ClientHello), then sends bytes that are
//!   no TLS; the same otherwise.
//!
//! # Counters
//!
//! - `/connections` `accepted N\nopen N\nmax_open N\nrequests N\n`, this request included.
//! - `/reset-counters` accepted and requests become 0, max_open becomes open. Names and tags stay.
//! - `/connection-id` the number, counted from 1, of the connection that carried the request.

mod behaviours;
mod coding;
mod connection;
mod exchange;
mod faults;
mod normal;
mod params;
mod pattern;
mod ports;
mod ranges;
mod rendezvous;
mod request;
mod resumable;
mod state;

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::LocalSet;

use crate::state::State;

/// Large enough that of 10,000 clients that connect at once few have their SYN dropped, which costs
/// them a second; the kernel caps it at `net.core.somaxconn`.
const BACKLOG: u32 = 16_384;

/// Fixes the kernel's buffers of every accepted connection, which inherits it. Left to itself
/// Linux grows them to megabytes, and a test of backpressure would have to send that much first.
const SOCKET_BUFFER: u32 = 256 * 1024;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fault-server: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> io::Result<()> {
    let mut port = 0;
    let mut verbose = false;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--port" => {
                let value = arguments.next().unwrap_or_default();
                port = value
                    .parse()
                    .map_err(|_| io::Error::other(format!("--port: not a port: {value:?}")))?;
            }
            "--verbose" => verbose = true,
            other => return Err(io::Error::other(format!("unknown argument {other:?}"))),
        }
    }

    raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    LocalSet::new().block_on(&runtime, serve(port, verbose))
}

/// Ten thousand connections need as many descriptors; the usual soft limit is 1024.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        eprintln!("fault-server: cannot raise the descriptor limit: {error}");
    }
}

async fn serve(port: u16, verbose: bool) -> io::Result<()> {
    let (v4, v6) = listen_on_both(port)?;
    let port = v4.local_addr()?.port();
    let state = Rc::new(State::new(verbose));
    if let Some(listener) = v6 {
        tokio::task::spawn_local(accept(listener, state.clone()));
    }

    let mut stdout = io::stdout();
    writeln!(stdout, "PORT {port}")?;
    stdout.flush()?;
    std::thread::spawn(exit_with_parent);

    accept(v4, state).await;
    Ok(())
}

/// The read ends when the parent closes the pipe, be it by dying.
fn exit_with_parent() {
    let mut buffer = [0; 256];
    let mut stdin = io::stdin().lock();
    loop {
        match stdin.read(&mut buffer) {
            Ok(0) => std::process::exit(0),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => std::process::exit(0),
        }
    }
}

/// Both families share one port number, so that `localhost` works whatever it resolves to. A port
/// the kernel picked for IPv4 may be taken on IPv6: then another one is tried.
fn listen_on_both(port: u16) -> io::Result<(TcpListener, Option<TcpListener>)> {
    let mut attempts = 0;
    loop {
        let v4 = listen(IpAddr::V4(Ipv4Addr::LOCALHOST), port, BACKLOG)?;
        let chosen = v4.local_addr()?.port();
        match listen(IpAddr::V6(Ipv6Addr::LOCALHOST), chosen, BACKLOG) {
            Ok(v6) => return Ok((v4, Some(v6))),
            Err(error)
                if error.kind() == io::ErrorKind::AddrInUse && port == 0 && attempts < 20 =>
            {
                attempts += 1;
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(error),
            // No IPv6 on this machine.
            Err(_) => return Ok((v4, None)),
        }
    }
}

/// A listening socket on a loopback address.
pub fn listen(address: IpAddr, port: u16, backlog: u32) -> io::Result<TcpListener> {
    let socket = match address {
        IpAddr::V4(_) => TcpSocket::new_v4()?,
        IpAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // A test that wants the same port again must not wait for TIME_WAIT; the kernel looks at the
    // option of both sockets.
    socket.set_reuseaddr(true)?;
    socket.set_send_buffer_size(SOCKET_BUFFER)?;
    socket.set_recv_buffer_size(SOCKET_BUFFER)?;
    socket.bind(SocketAddr::new(address, port))?;
    socket.listen(backlog)
}

async fn accept(listener: TcpListener, state: Rc<State>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::task::spawn_local(connection::serve(stream, state.clone()));
            }
            Err(error) => {
                // Out of descriptors, most likely: wait until some have been given back.
                eprintln!("fault-server: accept: {error}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}
