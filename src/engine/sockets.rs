//! Which sockets epoll watches, and for what.
//!
//! libcurl drops its interest in a connection after every HTTP/1.1 exchange and takes it up again
//! with the next one. Telling epoll each time would cost two system calls a request, so wishes are
//! noted and carried out once a turn, and a watch that nobody wants is left until it fires.

use std::cell::RefCell;
use std::os::fd::{BorrowedFd, RawFd};
use std::rc::Rc;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};

use super::shared_connections::SharedConnections;

/// Identifies a multi handle on the loop.
pub type MultiId = usize;

/// No multi handle: the loop's own descriptors.
pub const NO_MULTI: MultiId = MultiId::MAX;

/// A descriptor that wakes the loop this often without anything happening is muted for a while.
const SPIN_LIMIT: u32 = 2000;

#[derive(Clone, Copy)]
struct Slot {
    multi: MultiId,
    wanted: EpollFlags,
    registered: EpollFlags,
    /// Tells events of this descriptor from those of an earlier one with the same number.
    generation: u32,
    /// Its closing is reported to `closed`, so a watch can be left in place until then.
    tracked: bool,
    dirty: bool,
    /// Wake-ups in a row that moved nothing.
    fruitless: u32,
    muted: bool,
}

const VACANT: Slot = Slot {
    multi: NO_MULTI,
    wanted: EpollFlags::empty(),
    registered: EpollFlags::empty(),
    generation: 0,
    tracked: false,
    dirty: false,
    fruitless: 0,
    muted: false,
};

pub struct Sockets {
    epoll: Epoll,
    /// By descriptor number.
    slots: Vec<Slot>,
    dirty: Vec<RawFd>,
    muted: Vec<RawFd>,
    pub shared: SharedConnections,
}

/// An event that concerns a socket of a multi handle.
#[derive(Clone, Copy, Debug)]
pub struct Ready {
    pub multi: MultiId,
    pub fd: RawFd,
    pub flags: EpollFlags,
}

thread_local! {
    /// The sockets of the loop that runs on this thread. Connections may be closed on another
    /// thread, once their multi handle was taken off the loop.
    static HERE: RefCell<Option<Rc<RefCell<Sockets>>>> = const { RefCell::new(None) };
}

/// The sockets of the loop on this thread, if there is a loop.
pub fn here() -> Option<Rc<RefCell<Sockets>>> {
    HERE.with_borrow(Clone::clone)
}

impl Sockets {
    /// Makes the sockets of the loop on this thread.
    pub fn install(epoll: Epoll) -> Rc<RefCell<Sockets>> {
        let sockets = Rc::new(RefCell::new(Sockets {
            epoll,
            slots: Vec::new(),
            dirty: Vec::new(),
            muted: Vec::new(),
            shared: SharedConnections::default(),
        }));
        HERE.set(Some(Rc::clone(&sockets)));
        sockets
    }

    fn slot(&mut self, fd: RawFd) -> Option<&mut Slot> {
        let index = usize::try_from(fd).ok()?;
        if index >= self.slots.len() {
            self.slots.resize(index + 1, VACANT);
        }
        self.slots.get_mut(index)
    }

    /// Notes what a multi handle wants to know of a socket; nothing wanted: no longer.
    pub fn want(&mut self, multi: MultiId, fd: RawFd, wanted: EpollFlags) {
        let Some(slot) = self.slot(fd) else { return };
        slot.multi = multi;
        slot.wanted = wanted;
        slot.fruitless = 0;
        // A descriptor that libcurl closes by itself must not stay watched: its number may return.
        let untracked = wanted.is_empty() && !slot.tracked;
        if !std::mem::replace(&mut slot.dirty, true) {
            self.dirty.push(fd);
        }
        if untracked {
            self.unregister(fd);
        }
    }

    /// A connection's socket was made; `closed` will be called for it.
    pub fn opened(&mut self, fd: RawFd) {
        if let Some(slot) = self.slot(fd) {
            let generation = slot.generation.wrapping_add(1);
            *slot = Slot {
                generation,
                tracked: true,
                dirty: slot.dirty,
                ..VACANT
            };
        }
    }

    /// A connection's socket is about to be closed: the kernel forgets the watch with it.
    pub fn closed(&mut self, fd: RawFd) {
        self.unregister(fd);
        self.shared.closed(fd);
        if let Some(slot) = self.slot(fd) {
            let generation = slot.generation.wrapping_add(1);
            *slot = Slot {
                generation,
                dirty: slot.dirty,
                ..VACANT
            };
        }
    }

    /// Forgets all sockets of a multi handle that leaves the loop.
    pub fn forget(&mut self, multi: MultiId) {
        for fd in 0..self.slots.len() {
            if self.slots[fd].multi == multi {
                self.closed(fd as RawFd);
            }
        }
    }

    fn unregister(&mut self, fd: RawFd) {
        if let Some(slot) = self.slot(fd)
            && !slot.registered.is_empty()
        {
            slot.registered = EpollFlags::empty();
            // A descriptor that is closed already is gone from epoll: nothing to do about errors.
            let _ = self.epoll.delete(borrow(fd));
        }
    }

    /// Carries out what was noted since the last turn.
    pub fn flush(&mut self) {
        while let Some(fd) = self.dirty.pop() {
            let Some(slot) = self.slot(fd) else { continue };
            slot.dirty = false;
            let slot = *slot;
            if slot.muted || slot.wanted.is_empty() {
                continue;
            }
            // More than is wanted may stay watched for reading, never for writing: a socket is
            // nearly always writable.
            let settled = slot.registered.contains(slot.wanted)
                && (slot.wanted.contains(EpollFlags::EPOLLOUT)
                    || !slot.registered.contains(EpollFlags::EPOLLOUT));
            if !settled {
                self.register(fd, slot.wanted);
            }
        }
    }

    fn register(&mut self, fd: RawFd, flags: EpollFlags) {
        let Some(slot) = self.slot(fd) else { return };
        let fresh = slot.registered.is_empty();
        if fresh {
            slot.generation = slot.generation.wrapping_add(1);
        }
        slot.registered = flags;
        let data = u64::from(slot.generation) << 32 | fd as u64;
        let mut event = EpollEvent::new(flags, data);
        let add = move |epoll: &Epoll| epoll.add(borrow(fd), event);
        let result = if fresh {
            match add(&self.epoll) {
                // The kernel still knows the number from before.
                Err(Errno::EEXIST) => self.epoll.modify(borrow(fd), &mut event),
                other => other,
            }
        } else {
            match self.epoll.modify(borrow(fd), &mut event) {
                Err(Errno::ENOENT) => add(&self.epoll),
                other => other,
            }
        };
        if let Err(error) = result {
            tracing::warn!(target: "engine", fd, %error, "cannot watch a socket");
            if let Some(slot) = self.slot(fd) {
                slot.registered = EpollFlags::empty();
            }
        }
    }

    /// Watches a descriptor of the loop's own.
    pub fn watch_own(&mut self, fd: RawFd) {
        if let Some(slot) = self.slot(fd) {
            // By its edges: every write to it is one, so that it need not be read.
            slot.wanted = EpollFlags::EPOLLIN | EpollFlags::EPOLLET;
            slot.tracked = true;
            self.register(fd, EpollFlags::EPOLLIN | EpollFlags::EPOLLET);
        }
    }

    /// Whether an event still concerns what is open under that number, and which multi handle.
    pub fn resolve(&mut self, event: &EpollEvent) -> Option<Ready> {
        let fd = (event.data() & 0xffff_ffff) as RawFd;
        let generation = (event.data() >> 32) as u32;
        let flags = event.events();
        let slot = self.slot(fd)?;
        if slot.generation != generation || slot.registered.is_empty() {
            return None;
        }
        let multi = slot.multi;
        let always = EpollFlags::EPOLLERR | EpollFlags::EPOLLHUP;
        if slot.wanted.is_empty()
            || !(flags & !always).is_empty() && !flags.intersects(slot.wanted | always)
        {
            // Nobody waits for this any more: now is the time to stop watching.
            let wanted = slot.wanted;
            if wanted.is_empty() {
                self.unregister(fd);
            } else {
                self.register(fd, wanted);
            }
            return None;
        }
        slot.fruitless += 1;
        if slot.fruitless >= SPIN_LIMIT && multi != NO_MULTI {
            slot.muted = true;
            slot.fruitless = 0;
            self.unregister(fd);
            self.muted.push(fd);
            tracing::warn!(target: "engine", fd, "a socket keeps waking the loop without moving anything: muted for 10 ms");
        }
        Some(Ready { multi, fd, flags })
    }

    /// Something moved on a socket.
    pub fn progressed(&mut self, fd: RawFd) {
        if let Some(slot) = self.slot(fd) {
            slot.fruitless = 0;
        }
    }

    pub fn has_muted(&self) -> bool {
        !self.muted.is_empty()
    }

    /// Listens to muted sockets again.
    pub fn unmute(&mut self) {
        for fd in std::mem::take(&mut self.muted) {
            if let Some(slot) = self.slot(fd) {
                slot.muted = false;
                if !std::mem::replace(&mut slot.dirty, true) {
                    self.dirty.push(fd);
                }
            }
        }
    }

    /// Waits for events. The loop must not hold the sockets borrowed in between.
    pub fn wait(&self, events: &mut [EpollEvent], milliseconds: u16) -> usize {
        // An interruption is a wake-up without events.
        self.epoll.wait(events, milliseconds).unwrap_or(0)
    }
}

fn borrow<'a>(fd: RawFd) -> BorrowedFd<'a> {
    // SAFETY: used for one epoll_ctl call, for which a closed descriptor is an error like any other.
    unsafe { BorrowedFd::borrow_raw(fd) }
}
