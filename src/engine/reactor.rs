//! The loop: commands in, events out, never blocked, never running the caller's code.

use std::any::Any;
use std::cell::RefCell;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TryRecvError, unbounded};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::eventfd::{EfdFlags, EventFd};
use slab::Slab;

use super::easy::Easy;
use super::multi::{Limits, Multi, Touched};
use super::shared_connections::Owner;
use super::sockets::{MultiId, NO_MULTI, Ready, Sockets};
use super::timers::{Timer, Timers};
use super::transfer::Transfer;
use super::{process, turn};
use crate::foundation::{log, pool};

/// What the loop works for. All methods run on the loop thread.
pub trait World: Sized + 'static {
    type Command: Send + 'static;

    fn new() -> Self;
    /// A command of another thread.
    fn command(&mut self, engine: &mut Engine, command: Self::Command);
    /// A transfer ended; `code` is libcurl's result.
    fn finished(&mut self, engine: &mut Engine, key: usize, code: u32);
    /// Something arrived at a socket that transfers share. True when one of them was told to read it
    /// (see `Easy::look`).
    fn arrived(&mut self, owner: Owner, socket: RawFd) -> bool;
    /// A timer that was armed for `token` came due.
    fn timer(&mut self, engine: &mut Engine, token: usize);
    /// Everything of this turn is done. True when something is left to be passed on with what the
    /// next turns bring.
    fn turn_ended(&mut self, engine: &mut Engine) -> bool;
    /// Nothing more comes at once: the time to pass on what is left.
    fn pass_on(&mut self);
    /// A panic was caught in one of the above.
    fn panicked(&mut self, engine: &mut Engine);
}

/// Commands and events of one turn before others have theirs.
const COMMANDS_A_TURN: usize = 256;
const EVENTS_A_TURN: usize = 64;
/// How long a socket that spins is not listened to.
const MUTED_FOR: Duration = Duration::from_millis(10);

struct Wake {
    event: EventFd,
    /// The loop may be asleep: a command must wake it.
    sleeping: AtomicBool,
}

impl Wake {
    fn wake(&self) {
        if self.sleeping.swap(false, Ordering::SeqCst) {
            let _ = self.event.write(1);
        }
    }
}

/// Sends commands to a loop from any thread.
pub struct Remote<C> {
    commands: Sender<C>,
    wake: Arc<Wake>,
}

impl<C> Clone for Remote<C> {
    fn clone(&self) -> Self {
        Remote {
            commands: self.commands.clone(),
            wake: Arc::clone(&self.wake),
        }
    }
}

impl<C> Remote<C> {
    /// Sends a command. Commands arrive in the order in which one thread sends them. Handed back
    /// when the loop is gone.
    pub fn send(&self, command: C) -> Result<(), C> {
        self.commands.send(command).map_err(|error| error.0)?;
        self.wake.wake();
        Ok(())
    }
}

/// Starts a loop on a thread of its own.
pub fn start<W: World>() -> std::io::Result<Remote<W::Command>> {
    process::initialise();
    let (sender, receiver) = unbounded();
    let wake = Arc::new(Wake {
        event: EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?,
        sleeping: AtomicBool::new(false),
    });
    // Made here, where the failure can be told.
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    let remote = Remote {
        commands: sender,
        wake: Arc::clone(&wake),
    };
    pool::spawn("nsurl-loop", move || {
        log::defer_on_this_thread();
        Reactor {
            engine: Engine::new(epoll),
            world: W::new(),
            commands: receiver,
            wake,
            spare: Vec::new(),
            finished: Vec::new(),
        }
        .run()
    })?;
    Ok(remote)
}

enum Token {
    Multi(MultiId),
    World(usize),
}

struct Entry {
    multi: Rc<Multi>,
    timer: Timer,
}

/// What a world can ask of its loop.
pub struct Engine {
    sockets: Rc<RefCell<Sockets>>,
    multis: Slab<Entry>,
    timers: Timers<Token>,
    now: Instant,
    touched: Rc<Touched>,
}

impl Engine {
    fn new(epoll: Epoll) -> Engine {
        Engine {
            sockets: Sockets::install(epoll),
            multis: Slab::new(),
            timers: Timers::default(),
            now: Instant::now(),
            touched: Rc::default(),
        }
    }

    /// The time at which this turn began to work.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Makes a multi handle. `None` when there is no memory.
    pub fn open_multi(&mut self, limits: Limits) -> Option<MultiId> {
        let place = self.multis.vacant_entry();
        let id = place.key();
        let (sockets, touched) = (Rc::clone(&self.sockets), Rc::clone(&self.touched));
        let multi = Multi::new(id, sockets, touched, limits)?;
        place.insert(Entry {
            multi: Rc::new(multi),
            timer: Timer::default(),
        });
        Some(id)
    }

    /// Closes a multi handle and its connections.
    pub fn close_multi(&mut self, id: MultiId) {
        if let Some(mut entry) = self.multis.try_remove(id) {
            self.timers.disarm(&mut entry.timer);
        }
    }

    /// Starts a transfer.
    pub fn add<T: Transfer>(&mut self, id: MultiId, easy: &mut Easy<T>, key: usize) -> bool {
        let Some(entry) = self.multis.get(id) else {
            return false;
        };
        easy.add_to(&entry.multi, key)
    }

    /// Transfers turned out to send side by side on a connection.
    pub fn shares(&mut self, id: MultiId, socket: RawFd, owner: Owner) {
        self.sockets.borrow_mut().shared.shares(id, socket, owner);
    }

    /// A transfer that was added will send its request on a connection that is shared. False when
    /// that was closed.
    pub fn starts_on(&mut self, socket: RawFd) -> bool {
        self.sockets.borrow_mut().shared.starts(socket)
    }

    /// Lets libcurl look at the transfers that it knows to have work, though no event says so.
    pub fn nudge(&mut self, id: MultiId) {
        if let Some(entry) = self.multis.get(id) {
            entry.multi.nudge();
        }
    }

    pub fn arm(&mut self, timer: &mut Timer, at: Instant, token: usize) {
        self.timers.arm(timer, at, Token::World(token));
    }

    pub fn disarm(&mut self, timer: &mut Timer) {
        self.timers.disarm(timer);
    }

    fn begin_turn(&mut self) {
        self.now = Instant::now();
        turn::set_turn_time(self.now);
    }

    /// Carries libcurl's wishes for a call without an event over to the timers. True when one is
    /// due now.
    fn sync_deadline(&mut self, id: MultiId) -> bool {
        let Some(entry) = self.multis.get_mut(id) else {
            return false;
        };
        let Some(moved) = entry.multi.take_moved_deadline() else {
            return false;
        };
        match moved {
            Some(deadline) if deadline <= self.now => {
                self.timers.disarm(&mut entry.timer);
                true
            }
            Some(deadline) => {
                self.timers
                    .arm(&mut entry.timer, deadline, Token::Multi(id));
                false
            }
            None => {
                self.timers.disarm(&mut entry.timer);
                false
            }
        }
    }
}

struct Reactor<W: World> {
    engine: Engine,
    world: W,
    commands: Receiver<W::Command>,
    wake: Arc<Wake>,
    /// Kept to be filled again.
    spare: Vec<MultiId>,
    finished: Vec<(usize, u32)>,
}

impl<W: World> Reactor<W> {
    fn run(mut self) -> ! {
        let own = self.wake.event.as_fd().as_raw_fd();
        self.engine.sockets.borrow_mut().watch_own(own);
        let mut events = [EpollEvent::empty(); EVENTS_A_TURN];
        let begin = || process::Turn::begin().unwrap_or_else(|| process::park_for_ever());
        let mut turn = begin();
        self.engine.begin_turn();
        loop {
            let more = self.take_commands();
            self.fire_timers();
            self.work();
            // Also after a panic there may be something left.
            let mut holds = true;
            self.guarded(|world, engine| holds = world.turn_ended(engine));
            let busy = more || !self.engine.touched.is_empty();
            self.engine.sockets.borrow_mut().flush();
            drop(turn);
            let mut count = self.sleep(&mut events, busy || holds);
            if holds && count == 0 && !busy && self.commands.is_empty() {
                self.guarded(|world, _| world.pass_on());
                count = self.sleep(&mut events, false);
            }
            turn = begin();
            self.engine.begin_turn();
            self.handle(&events[..count]);
        }
    }

    /// Runs a part of the world's work. A panic in it must not end the loop for all others.
    fn guarded(&mut self, body: impl FnOnce(&mut W, &mut Engine)) {
        let result = catch_unwind(AssertUnwindSafe(|| body(&mut self.world, &mut self.engine)));
        if let Err(panic) = result {
            tracing::error!(target: "engine", panic = panic_text(&*panic), "a panic on the loop was caught");
            let again = catch_unwind(AssertUnwindSafe(|| self.world.panicked(&mut self.engine)));
            if again.is_err() {
                tracing::error!(target: "engine", "failing the transfer that panicked panicked as well");
            }
        }
    }

    /// True when there are more commands than one turn takes.
    fn take_commands(&mut self) -> bool {
        for _ in 0..COMMANDS_A_TURN {
            match self.commands.try_recv() {
                Ok(command) => self.guarded(|world, engine| world.command(engine, command)),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return false,
            }
        }
        !self.commands.is_empty()
    }

    fn fire_timers(&mut self) {
        while let Some(token) = self.engine.timers.pop_due(self.engine.now) {
            match token {
                Token::World(token) => self.guarded(|world, engine| world.timer(engine, token)),
                Token::Multi(id) => {
                    if let Some(entry) = self.engine.multis.get_mut(id) {
                        entry.timer.fired();
                        entry.multi.timeout_action();
                    }
                }
            }
        }
    }

    /// Lets libcurl work on what is due, and passes on results.
    fn work(&mut self) {
        // Twice, for what comes of it at once; then sockets and commands have their turn too.
        for _ in 0..2 {
            let mut touched = std::mem::take(&mut self.spare);
            self.engine.touched.take(&mut touched);
            for id in touched.drain(..) {
                if self.engine.sync_deadline(id)
                    && let Some(entry) = self.engine.multis.get(id)
                {
                    Rc::clone(&entry.multi).timeout_action();
                }
                self.take_finished(id);
            }
            self.spare = touched;
        }
    }

    fn take_finished(&mut self, id: MultiId) {
        let Some(multi) = self
            .engine
            .multis
            .get(id)
            .map(|entry| Rc::clone(&entry.multi))
        else {
            return;
        };
        // Collected first: handling a result removes handles from what is being read.
        let mut finished = std::mem::take(&mut self.finished);
        multi.take_finished(|key, code| finished.push((key, code)));
        for (key, code) in finished.drain(..) {
            turn::note_activity();
            self.guarded(|world, engine| world.finished(engine, key, code));
        }
        self.finished = finished;
    }

    fn sleep(&mut self, events: &mut [EpollEvent], busy: bool) -> usize {
        let mut deadline = self.engine.timers.earliest();
        if self.engine.sockets.borrow().has_muted() {
            let unmuted = self.engine.now + MUTED_FOR;
            deadline = Some(deadline.map_or(unmuted, |deadline| deadline.min(unmuted)));
        }
        let milliseconds = match deadline {
            _ if busy => 0,
            // Rounded up: waking a moment early would mean turning round for nothing.
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                u16::try_from(left.as_micros().div_ceil(1000)).unwrap_or(u16::MAX)
            }
            None => u16::MAX,
        };
        self.wake.sleeping.store(true, Ordering::SeqCst);
        // A command that came before that store woke nobody.
        let milliseconds = if self.commands.is_empty() {
            milliseconds
        } else {
            0
        };
        let count = self.engine.sockets.borrow().wait(events, milliseconds);
        self.wake.sleeping.store(false, Ordering::SeqCst);
        if self.engine.sockets.borrow().has_muted() {
            self.engine.sockets.borrow_mut().unmute();
        }
        count
    }

    fn handle(&mut self, events: &[EpollEvent]) {
        for event in events {
            let ready = self.engine.sockets.borrow_mut().resolve(event);
            let Some(ready) = ready else { continue };
            if ready.multi == NO_MULTI {
                // The loop's own event, watched for its edges: it need not be read.
                continue;
            }
            let Some(multi) = self
                .engine
                .multis
                .get(ready.multi)
                .map(|entry| Rc::clone(&entry.multi))
            else {
                continue;
            };
            let before = turn::activity();
            if !self.read_for_all(&multi, &ready) {
                multi.socket_action(ready.fd, ready.flags);
            }
            if turn::activity() != before {
                self.engine.sockets.borrow_mut().progressed(ready.fd);
            }
        }
    }

    /// Lets one transfer read what arrived on a shared connection; libcurl then runs those for whom there
    /// was something. False when nothing came of it: then all of them have to look, as they do
    /// for everything but what can be read.
    fn read_for_all(&mut self, multi: &Multi, ready: &Ready) -> bool {
        if ready.flags != EpollFlags::EPOLLIN {
            return false;
        }
        let owner = self.engine.sockets.borrow().shared.owner(ready.fd);
        let Some(owner) = owner else { return false };
        let mut told = false;
        self.guarded(|world, _| told = world.arrived(owner, ready.fd));
        if !told {
            return false;
        }
        let before = turn::transferred();
        multi.timeout_action();
        turn::transferred() != before
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
