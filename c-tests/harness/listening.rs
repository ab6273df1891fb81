//! Ports for servers that are told theirs, and waiting until they listen.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Child;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a server may take until it listens.
const START_LIMIT: Duration = Duration::from_secs(20);

pub fn has_ipv6() -> bool {
    TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

/// A port that is free on 127.0.0.1 and, where there is IPv6, on ::1.
pub fn free_port(has_ipv6: bool) -> io::Result<(u16, Vec<TcpListener>)> {
    loop {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        if !has_ipv6 {
            return Ok((port, vec![listener]));
        }
        if let Ok(second) = TcpListener::bind((Ipv6Addr::LOCALHOST, port)) {
            return Ok((port, vec![listener, second]));
        }
    }
}

pub fn wait_until_listening(child: &mut Child, ports: &[u16]) -> Result<(), String> {
    let start = Instant::now();
    for &port in ports {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        while TcpStream::connect_timeout(&address, START_LIMIT).is_err() {
            if let Ok(Some(status)) = child.try_wait() {
                return Err(format!("it ended at once: {status}"));
            }
            if start.elapsed() > START_LIMIT {
                return Err(format!("port {port} does not answer"));
            }
            sleep(Duration::from_millis(5));
        }
    }
    // Another process may have answered on a port that this one could not get.
    match child.try_wait() {
        Ok(None) => Ok(()),
        ended => Err(format!("it ended at once: {ended:?}")),
    }
}
