//! Connections on which transfers send and receive side by side, as HTTP/2 lets them.
//!
//! Requests leave together. libcurl sends each by itself, as a packet of its own; where it has several
//! to write the kernel keeps them until all are written, so that they share packets and the server is
//! woken once.
//!
//! What arrives is read once. When a socket has something, libcurl lets every transfer of that connection
//! look for it, and each that waits for its answer asks the kernel again and tells the server how
//! much it may send. One transfer reads for all: so the loop knows whom to ask for one.

use std::os::fd::{BorrowedFd, RawFd};

use rustix::net::sockopt::set_tcp_cork;

use super::sockets::MultiId;

/// So many requests are worth two system calls.
const WORTH_HOLDING: u32 = 4;

/// What the world calls the place of a shared connection.
pub type Owner = (usize, usize);

#[derive(Debug)]
struct Connection {
    multi: MultiId,
    fd: RawFd,
    owner: Owner,
    /// Requests that libcurl was given for it and has not written.
    starts: u32,
    held: bool,
}

/// The shared connections of a loop.
#[derive(Debug, Default)]
pub struct SharedConnections(Vec<Connection>);

impl SharedConnections {
    fn find(&mut self, fd: RawFd) -> Option<&mut Connection> {
        self.0.iter_mut().find(|connection| connection.fd == fd)
    }

    /// An open connection of a multi handle turned out to be shared.
    pub fn shares(&mut self, multi: MultiId, fd: RawFd, owner: Owner) {
        if self.find(fd).is_none() {
            self.0.push(Connection {
                multi,
                fd,
                owner,
                starts: 0,
                held: false,
            });
        }
    }

    /// Whose connection that is, if it is a shared one.
    pub fn owner(&self, fd: RawFd) -> Option<Owner> {
        let connection = self.0.iter().find(|connection| connection.fd == fd);
        connection.map(|connection| connection.owner)
    }

    /// A request was given to libcurl, which will send it there. False when no such connection is
    /// known: it was closed.
    pub fn starts(&mut self, fd: RawFd) -> bool {
        let connection = self.find(fd);
        connection
            .map(|connection| connection.starts += 1)
            .is_some()
    }

    /// The connection is about to be closed: its number may come back as anything.
    pub fn closed(&mut self, fd: RawFd) {
        self.0.retain(|connection| connection.fd != fd);
    }

    /// Before a multi handle writes: what many requests are about to go out on keeps them.
    pub fn hold(&mut self, multi: MultiId) {
        for connection in &mut self.0 {
            if connection.multi == multi && std::mem::take(&mut connection.starts) >= WORTH_HOLDING
            {
                // What is not TCP sends at once.
                connection.held = set_tcp_cork(borrow(connection.fd), true).is_ok();
            }
        }
    }

    /// After it wrote: what was kept goes out.
    pub fn release(&mut self, multi: MultiId) {
        for connection in &mut self.0 {
            if connection.multi == multi && std::mem::take(&mut connection.held) {
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

    const MULTI: MultiId = 7;

    /// The ends of a shared connection.
    fn connection() -> (TcpStream, TcpStream, SharedConnections) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let far = listener.accept().unwrap().0;
        // As libcurl does: without it the kernel gathers by itself.
        near.set_nodelay(true).unwrap();
        let mut shared = SharedConnections::default();
        shared.shares(MULTI, near.as_raw_fd(), (0, 0));
        (near, far, shared)
    }

    /// As many requests as are worth holding. Whether they are on a known connection.
    fn start(shared: &mut SharedConnections, near: &TcpStream) -> bool {
        (0..WORTH_HOLDING).all(|_| shared.starts(near.as_raw_fd()))
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
        let (mut near, mut far, mut shared) = connection();
        for _ in 0..2 {
            assert!(start(&mut shared, &near));
            shared.hold(MULTI);
            near.write_all(b"one").unwrap();
            near.write_all(b"two").unwrap();
            assert_eq!(arrived(&mut far), b"");
            shared.release(MULTI);
            assert_eq!(arrived(&mut far), b"onetwo");
            // The next time starts from nothing.
            assert!(shared.starts(near.as_raw_fd()));
            shared.hold(MULTI);
            near.write_all(b"three").unwrap();
            assert_eq!(arrived(&mut far), b"three");
            shared.release(MULTI);
        }
    }

    #[test]
    fn multi_handles_hold_their_own() {
        let (mut near, mut far, mut shared) = connection();
        assert!(start(&mut shared, &near));
        shared.hold(MULTI + 1);
        near.write_all(b"at once").unwrap();
        assert_eq!(arrived(&mut far), b"at once");
        shared.hold(MULTI);
        shared.release(MULTI + 1);
        near.write_all(b"later").unwrap();
        assert_eq!(arrived(&mut far), b"");
        shared.release(MULTI);
        assert_eq!(arrived(&mut far), b"later");
    }

    #[test]
    fn a_number_that_came_back_is_left_alone() {
        let (mut near, mut far, mut shared) = connection();
        assert!(start(&mut shared, &near));
        shared.hold(MULTI);
        assert_eq!(shared.owner(near.as_raw_fd()), Some((0, 0)));
        shared.closed(near.as_raw_fd());
        assert_eq!(shared.owner(near.as_raw_fd()), None);
        assert!(!start(&mut shared, &near));
        // Somebody else holds back what is sent under this number.
        near.write_all(b"kept").unwrap();
        shared.release(MULTI);
        assert_eq!(arrived(&mut far), b"");
        set_tcp_cork(&near, false).unwrap();
        // Nor is it held.
        shared.hold(MULTI);
        near.write_all(b", sent").unwrap();
        assert_eq!(arrived(&mut far), b"kept, sent");
    }
}
