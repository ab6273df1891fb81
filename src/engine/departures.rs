//! Requests that leave together. libcurl sends each request of an HTTP/2 connection by itself, as a
//! packet of its own; where several start in one turn of the loop the kernel keeps them until all
//! are written, so that they share packets and the server is woken once.

use std::os::fd::{BorrowedFd, RawFd};

use rustix::net::sockopt::set_tcp_cork;

/// So many requests are worth two system calls.
const WORTH_HOLDING: u32 = 4;

/// A connection on which transfers send side by side.
#[derive(Debug)]
struct Connection {
    fd: RawFd,
    /// Requests that libcurl was given for it and has not written.
    starts: u32,
    held: bool,
}

/// The shared connections of a loop.
#[derive(Debug, Default)]
pub struct Departures {
    connections: Vec<Connection>,
    /// Some connection has starts.
    starting: bool,
    /// Some connection is held.
    holding: bool,
}

impl Departures {
    fn find(&mut self, fd: RawFd) -> Option<&mut Connection> {
        self.connections
            .iter_mut()
            .find(|connection| connection.fd == fd)
    }

    /// An open connection turned out to be shared.
    pub fn shares(&mut self, fd: RawFd) {
        if self.find(fd).is_none() {
            self.connections.push(Connection {
                fd,
                starts: 0,
                held: false,
            });
        }
    }

    /// A request was given to libcurl, which will send it there. Nothing happens if the connection
    /// is no longer known.
    pub fn starts(&mut self, fd: RawFd) {
        if let Some(connection) = self.find(fd) {
            connection.starts += 1;
            self.starting = true;
        }
    }

    /// The connection is about to be closed: its number may come back as anything.
    pub fn closed(&mut self, fd: RawFd) {
        self.connections.retain(|connection| connection.fd != fd);
    }

    /// Before libcurl writes: what many requests are about to go out on keeps them.
    pub fn hold(&mut self) {
        if !std::mem::take(&mut self.starting) {
            return;
        }
        for connection in &mut self.connections {
            if std::mem::take(&mut connection.starts) >= WORTH_HOLDING {
                // What is not TCP sends at once.
                connection.held = set_tcp_cork(borrow(connection.fd), true).is_ok();
                self.holding |= connection.held;
            }
        }
    }

    /// After libcurl wrote: what was kept goes out.
    pub fn release(&mut self) {
        if !std::mem::take(&mut self.holding) {
            return;
        }
        for connection in &mut self.connections {
            if std::mem::take(&mut connection.held) {
                // It cannot fail where it was set.
                let _ = set_tcp_cork(borrow(connection.fd), false);
            }
        }
    }
}

fn borrow<'a>(fd: RawFd) -> BorrowedFd<'a> {
    // SAFETY: used for one setsockopt call, on a socket that is taken out before it is closed.
    unsafe { BorrowedFd::borrow_raw(fd) }
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;

    use super::*;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let far = listener.accept().unwrap().0;
        // As libcurl does: without it the kernel gathers by itself.
        near.set_nodelay(true).unwrap();
        (near, far)
    }

    /// As many requests as are worth holding.
    fn start(departures: &mut Departures, fd: RawFd) {
        for _ in 0..WORTH_HOLDING {
            departures.starts(fd);
        }
    }

    /// On loopback what is sent has arrived when the call returns.
    fn arrived(far: &mut TcpStream) -> Vec<u8> {
        far.set_nonblocking(true).unwrap();
        let mut bytes = vec![0; 1000];
        match far.read(&mut bytes) {
            Ok(count) => bytes.truncate(count),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                bytes.clear();
            }
        }
        bytes
    }

    #[test]
    fn many_requests_leave_when_all_are_written() {
        let (mut near, mut far) = pair();
        let mut departures = Departures::default();
        departures.shares(near.as_raw_fd());
        for _ in 0..2 {
            start(&mut departures, near.as_raw_fd());
            departures.hold();
            near.write_all(b"one").unwrap();
            near.write_all(b"two").unwrap();
            assert_eq!(arrived(&mut far), b"");
            departures.release();
            assert_eq!(arrived(&mut far), b"onetwo");
            // The next turn starts from nothing.
            departures.starts(near.as_raw_fd());
            departures.hold();
            near.write_all(b"three").unwrap();
            assert_eq!(arrived(&mut far), b"three");
            departures.release();
        }
    }

    #[test]
    fn what_starts_while_others_are_written_is_held_next_time() {
        let (mut near, mut far) = pair();
        let mut departures = Departures::default();
        departures.shares(near.as_raw_fd());
        start(&mut departures, near.as_raw_fd());
        departures.hold();
        start(&mut departures, near.as_raw_fd());
        departures.release();
        departures.hold();
        near.write_all(b"later").unwrap();
        assert_eq!(arrived(&mut far), b"");
        departures.release();
        assert_eq!(arrived(&mut far), b"later");
    }

    #[test]
    fn a_connection_that_is_not_known_sends_at_once() {
        let (mut near, mut far) = pair();
        let mut departures = Departures::default();
        let fd = near.as_raw_fd();
        start(&mut departures, fd);
        departures.hold();
        near.write_all(b"unknown").unwrap();
        assert_eq!(arrived(&mut far), b"unknown");
        departures.release();

        departures.shares(fd);
        start(&mut departures, fd);
        departures.closed(fd);
        departures.hold();
        near.write_all(b"closed").unwrap();
        assert_eq!(arrived(&mut far), b"closed");
        departures.release();
    }

    #[test]
    fn a_number_that_came_back_is_left_alone() {
        let (mut near, mut far) = pair();
        let mut departures = Departures::default();
        departures.shares(near.as_raw_fd());
        start(&mut departures, near.as_raw_fd());
        departures.hold();
        departures.closed(near.as_raw_fd());
        // Somebody else holds back what is sent under this number.
        near.write_all(b"kept").unwrap();
        departures.release();
        assert_eq!(arrived(&mut far), b"");
        set_tcp_cork(&near, false).unwrap();
        assert_eq!(arrived(&mut far), b"kept");
    }
}
