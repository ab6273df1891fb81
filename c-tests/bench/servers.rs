//! The servers: nginx for what it serves well, and a small one that discards uploads and holds
//! requests.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, IntoRawFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509NameBuilder};

pub const SMALL_BODY: [u8; 40] = *b"forty bytes: an answer as small as many\n";
pub const LARGE_BODY: u64 = 1 << 30;
pub const LARGE_FILE: u64 = 2 << 30;

/// Both servers. Dropping it ends them and removes their files.
pub struct Servers {
    nginx: Child,
    sink: Child,
    // The sink ends when this closes.
    _sink_stdin: ChildStdin,
    directory: PathBuf,
    pub ca: PathBuf,
    pub http: String,
    pub https: String,
    pub sink_url: String,
}

const PREFIX: &str = "nsurlsession-bench-";

/// Removes the files of runs that were killed.
fn remove_leftovers() {
    for entry in fs::read_dir(std::env::temp_dir())
        .into_iter()
        .flatten()
        .flatten()
    {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        if owner.is_some_and(|owner| !Path::new("/proc").join(owner).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

impl Servers {
    pub fn start() -> io::Result<Self> {
        remove_leftovers();
        let directory = std::env::temp_dir().join(format!("{PREFIX}{}", std::process::id()));
        fs::create_dir_all(directory.join("root"))?;
        fs::write(directory.join("root/40"), SMALL_BODY)?;
        fs::File::create(directory.join("root/1g"))?.set_len(LARGE_BODY)?;
        fs::File::create(directory.join("root/2g"))?.set_len(LARGE_FILE)?;
        let ca = directory.join("cert.pem");
        make_certificate(&ca, &directory.join("key.pem")).map_err(io::Error::other)?;

        let (sink, sink_stdin, sink_port) = start_sink()?;
        let (nginx, http_port, https_port) = match start_nginx(&directory) {
            Ok(started) => started,
            Err(error) => {
                drop(sink_stdin);
                return Err(error);
            }
        };
        Ok(Self {
            nginx,
            sink,
            _sink_stdin: sink_stdin,
            directory,
            ca,
            http: format!("http://127.0.0.1:{http_port}"),
            https: format!("https://127.0.0.1:{https_port}"),
            sink_url: format!("http://127.0.0.1:{sink_port}"),
        })
    }
}

impl Servers {
    /// Reads the large files: the first transfer is not to pay for their way into the page cache.
    pub fn warm(&self) -> io::Result<()> {
        for path in [self.directory.join("root/1g"), self.large_file()] {
            io::copy(&mut fs::File::open(path)?, &mut io::sink())?;
        }
        Ok(())
    }

    /// What nginx serves as `/2g`.
    pub fn large_file(&self) -> PathBuf {
        self.directory.join("root/2g")
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for child in [&mut self.nginx, &mut self.sink] {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// A self-signed certificate for 127.0.0.1 that serves as its own authority.
fn make_certificate(
    certificate: &Path,
    key: &Path,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    let pair = PKey::from_ec_key(EcKey::generate(&group)?)?;
    let mut name = X509NameBuilder::new()?;
    name.append_entry_by_text("CN", "nsurlsession bench")?;
    let name = name.build();
    let mut builder = X509::builder()?;
    builder.set_version(2)?;
    let serial = BigNum::from_u32(std::process::id())?.to_asn1_integer()?;
    builder.set_serial_number(&serial)?;
    builder.set_subject_name(&name)?;
    builder.set_issuer_name(&name)?;
    builder.set_pubkey(&pair)?;
    let (from, until) = (Asn1Time::days_from_now(0)?, Asn1Time::days_from_now(2)?);
    builder.set_not_before(&from)?;
    builder.set_not_after(&until)?;
    builder.append_extension(BasicConstraints::new().critical().ca().build()?)?;
    let names = SubjectAlternativeName::new()
        .ip("127.0.0.1")
        .dns("localhost")
        .build(&builder.x509v3_context(None, None))?;
    builder.append_extension(names)?;
    builder.sign(&pair, MessageDigest::sha256())?;
    fs::write(certificate, builder.build().to_pem()?)?;
    fs::write(key, pair.private_key_to_pem_pkcs8()?)?;
    Ok(())
}

/// Makes the child die with this process.
fn tie(command: &mut Command) -> &mut Command {
    // SAFETY: prctl is async-signal-safe.
    unsafe {
        command.pre_exec(|| {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            Ok(())
        })
    }
}

fn start_nginx(directory: &Path) -> io::Result<(Child, u16, u16)> {
    for _ in 0..5 {
        // Both are bound at once, so that they differ.
        let (a, b) = (
            TcpListener::bind("127.0.0.1:0")?,
            TcpListener::bind("127.0.0.1:0")?,
        );
        let (http, https) = (a.local_addr()?.port(), b.local_addr()?.port());
        drop((a, b));
        let path = directory.display();
        let mut temporary = String::new();
        for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
            // Writing to a String cannot fail.
            let _ = writeln!(temporary, "  {kind}_temp_path {path}/{kind};");
        }
        let configuration = format!(
            "daemon off;
master_process off;
worker_processes 1;
pid {path}/pid;
error_log {path}/error.log crit;
events {{ worker_connections 16384; multi_accept on; }}
http {{
{temporary}  access_log off;
  default_type application/octet-stream;
  sendfile on;
  tcp_nodelay on;
  keepalive_timeout 3600s;
  keepalive_requests 1000000000;
  open_file_cache max=16 inactive=3600s;
  open_file_cache_valid 3600s;
  ssl_certificate {path}/cert.pem;
  ssl_certificate_key {path}/key.pem;
  ssl_session_cache shared:bench:1m;
  server {{
    listen 127.0.0.1:{http} backlog=16384;
    listen 127.0.0.1:{https} ssl http2 backlog=16384;
    root {path}/root;
  }}
}}
"
        );
        fs::write(directory.join("nginx.conf"), configuration)?;
        let mut child = tie(Command::new("nginx")
            .arg("-p")
            .arg(directory)
            .arg("-e")
            .arg(directory.join("error.log"))
            .arg("-c")
            .arg(directory.join("nginx.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null()))
        .spawn()
        .map_err(|error| io::Error::other(format!("nginx: {error}")))?;
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline && child.try_wait()?.is_none() {
            if [http, https]
                .iter()
                .all(|port| TcpStream::connect(("127.0.0.1", *port)).is_ok())
            {
                return Ok((child, http, https));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = child.kill();
        let _ = child.wait();
    }
    let log = fs::read_to_string(directory.join("error.log")).unwrap_or_default();
    Err(io::Error::other(format!("nginx does not start: {log}")))
}

fn start_sink() -> io::Result<(Child, ChildStdin, u16)> {
    let mut child = tie(Command::new(std::env::current_exe()?)
        .arg("sink")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped()))
    .spawn()?;
    let stdin = child.stdin.take().expect("stdin is piped");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("stdout is piped")).read_line(&mut line)?;
    let port = line
        .strip_prefix("PORT ")
        .and_then(|port| port.trim().parse().ok())
        .ok_or_else(|| io::Error::other("the sink does not start"))?;
    Ok((child, stdin, port))
}

/// The sink, a process of its own: what is sent by `POST` is discarded by the kernel, `GET /hold`
/// is answered when `GET /release` comes, `GET /count` tells how many are held. Ends when its
/// standard input does.
pub fn sink() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    // SAFETY: calls on descriptors that live until the end of the process.
    let epoll = unsafe {
        // A longer queue than the standard library's.
        libc::listen(listener.as_raw_fd(), 16384);
        libc::epoll_create1(libc::EPOLL_CLOEXEC)
    };
    watch(epoll, listener.as_raw_fd());
    watch(epoll, 0);
    println!("PORT {}", listener.local_addr()?.port());
    let mut sink = Sink::default();
    // SAFETY: epoll_event is plain data.
    let mut events: [libc::epoll_event; 256] = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: the array has room for as many events as are asked for.
        let count = unsafe { libc::epoll_wait(epoll, events.as_mut_ptr(), 256, -1) };
        for event in &events[..usize::try_from(count).unwrap_or(0)] {
            let fd = event.u64 as RawFd;
            if fd == 0 {
                if io::stdin().read(&mut [0; 64])? == 0 {
                    return Ok(());
                }
            } else if fd == listener.as_raw_fd() {
                while let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(true)?;
                    stream.set_nodelay(true)?;
                    let fd = stream.into_raw_fd();
                    sink.connections.insert(fd, Connection::default());
                    watch(epoll, fd);
                }
            } else if !sink.read(fd) {
                sink.connections.remove(&fd);
                sink.held.retain(|held| *held != fd);
                // SAFETY: the descriptor is this connection's and is not used again.
                unsafe { libc::close(fd) };
            }
        }
    }
}

fn watch(epoll: RawFd, fd: RawFd) {
    let mut event = libc::epoll_event {
        events: libc::EPOLLIN as u32,
        u64: fd as u64,
    };
    // SAFETY: both descriptors are open.
    unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd, &mut event) };
}

#[derive(Default)]
struct Connection {
    head: Vec<u8>,
    /// Of the request being read: the body's length, and how much is missing.
    length: u64,
    missing: u64,
}

#[derive(Default)]
struct Sink {
    connections: HashMap<RawFd, Connection>,
    held: Vec<RawFd>,
}

impl Sink {
    /// Reads what there is. False: the connection has ended.
    fn read(&mut self, fd: RawFd) -> bool {
        let mut buffer = [0u8; 16 << 10];
        loop {
            let Some(connection) = self.connections.get_mut(&fd) else {
                return true;
            };
            let (target, room, flags) = if connection.missing > 0 {
                // MSG_TRUNC makes the kernel throw the bytes away without copying them.
                let room = connection.missing.min(64 << 20) as usize;
                (std::ptr::null_mut(), room, libc::MSG_TRUNC)
            } else {
                (buffer.as_mut_ptr().cast(), buffer.len(), 0)
            };
            // SAFETY: the target has the room, or the kernel does not write to it.
            let got = unsafe { libc::recv(fd, target, room, flags) };
            let Ok(got) = usize::try_from(got) else {
                return io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock;
            };
            if got == 0 {
                return false;
            }
            if connection.missing > 0 {
                connection.missing -= got as u64;
                if connection.missing == 0 {
                    respond(fd, &connection.length.to_string());
                }
            } else {
                connection.head.extend_from_slice(&buffer[..got]);
                self.requests(fd);
            }
        }
    }

    /// Handles the requests whose heads are complete.
    fn requests(&mut self, fd: RawFd) {
        while let Some(connection) = self.connections.get_mut(&fd) {
            let Some(end) = connection.head.windows(4).position(|w| w == b"\r\n\r\n") else {
                return;
            };
            let head = String::from_utf8_lossy(&connection.head[..end]).to_ascii_lowercase();
            let field = |name: &str| {
                head.lines()
                    .filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
                    .map(str::trim)
                    .next()
            };
            let rest = connection.head.split_off(end + 4);
            let path = head.split(' ').nth(1).unwrap_or_default();
            if head.starts_with("post ") {
                connection.length = field("content-length")
                    .and_then(|length| length.parse().ok())
                    .unwrap_or(0);
                let here = connection.length.min(rest.len() as u64);
                connection.missing = connection.length - here;
                connection.head = rest[here as usize..].to_vec();
                if field("expect").is_some() {
                    send(fd, "HTTP/1.1 100 Continue\r\n\r\n");
                }
                if connection.missing > 0 {
                    return;
                }
                respond(fd, &connection.length.to_string());
                continue;
            }
            connection.head = rest;
            if path.starts_with("/hold") {
                self.held.push(fd);
            } else if path.starts_with("/release") {
                for held in self.held.drain(..) {
                    respond(held, "released\n");
                }
                respond(fd, "ok\n");
            } else {
                respond(fd, &format!("{}\n", self.held.len()));
            }
            if field("connection") == Some("close") {
                // SAFETY: the connection is open.
                unsafe { libc::shutdown(fd, libc::SHUT_WR) };
            }
        }
    }
}

fn respond(fd: RawFd, body: &str) {
    send(
        fd,
        &format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ),
    );
}

/// Answers are so short that they always fit the socket's buffer.
fn send(fd: RawFd, text: &str) {
    // SAFETY: the pointer and the length are the text's.
    unsafe { libc::send(fd, text.as_ptr().cast(), text.len(), libc::MSG_NOSIGNAL) };
}
