//! How handles are made: copies of a template, or those that have served other transfers.

use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crossbeam_utils::CachePadded;

use super::easy::{Address, Easy, List, Seat};
use super::handle::Handle;
use super::process;
use super::reactor::Engine;
use super::transfer::{self, Transfer};
use crate::foundation::sync::Lock;

/// So many handles that have ended their transfers are kept for others.
const MOST_SPARES: usize = 64;

/// The options that all handles of a kind share. A copy of a handle costs less than a new one and a
/// dozen options, and one that has served another transfer costs nothing.
pub struct Template<T> {
    handle: Mutex<Handle>,
    /// Handles with these options that have ended their transfers. Used on the loop alone, where they
    /// have to be freed (see `Prepared`).
    spares: Mutex<Vec<Seat<T>>>,
    /// How many of them nobody has reserved. Apart from the others, which are the loop's.
    free: CachePadded<AtomicUsize>,
    transfers: PhantomData<fn(T)>,
}

impl<T: Transfer> Template<T> {
    /// `None` without memory, and when the process is ending. Lives as long as the process.
    pub fn new(options: impl FnOnce(&Handle)) -> Option<Template<T>> {
        process::initialise();
        // libcurl takes a lock of its own in this call. The loop has its turn already; one thread
        // may have several.
        let turn = process::Turn::begin()?;
        // SAFETY: libcurl is initialised; NULL is checked.
        let handle = Handle(NonNull::new(unsafe { curl_sys::curl_easy_init() })?);
        drop(turn);
        transfer::set_callbacks::<T>(&handle);
        options(&handle);
        Some(Template {
            handle: Mutex::new(handle),
            spares: Mutex::default(),
            free: CachePadded::new(AtomicUsize::new(0)),
            transfers: PhantomData,
        })
    }

    /// Reserves one of the spares.
    fn reserve(&self) -> bool {
        let take = |free: usize| free.checked_sub(1);
        let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        self.free.fetch_update(set, fetch, take).is_ok()
    }

    fn give_back(&self) {
        self.free.fetch_add(1, Ordering::Relaxed);
    }

    /// Keeps a handle for another transfer, or frees it when there are enough.
    pub(super) fn keep(&self, seat: Seat<T>) {
        let mut spares = self.spares.locked();
        if spares.len() < MOST_SPARES {
            spares.push(seat);
            self.give_back();
        }
    }

    pub(super) fn copy(&self) -> Option<Seat<T>> {
        let handle = self.handle.locked();
        // SAFETY: the handle is live and used by this thread alone; NULL is checked.
        let copy = NonNull::new(unsafe { curl_sys::curl_easy_duphandle(handle.0.as_ptr()) });
        copy.map(|copy| Seat::new(Handle(copy)))
    }
}

/// A handle that was made ready and never used, on its way to the loop: making one costs enough
/// to be done by whoever wants the transfer.
pub struct Prepared<T: Transfer>(Preparation<T>);

enum Preparation<T: Transfer> {
    Handle(Easy<T>),
    Draft(Draft<T>),
}

/// A transfer that is to have one of the template's spares, which are on the loop.
struct Draft<T: Transfer> {
    template: &'static Template<T>,
    /// Taken when it has its handle.
    parts: Option<(Box<T>, Arc<Address>, List)>,
}

impl<T: Transfer> Draft<T> {
    fn arrive(mut self) -> Option<Easy<T>> {
        let (transfer, url, headers) = self.parts.take()?;
        let spare = self.template.spares.locked().pop();
        let seat = spare.or_else(|| self.template.copy())?;
        let mut easy = Easy::attach(seat, self.template, transfer);
        easy.set_url(url);
        easy.set_headers(headers);
        Some(easy)
    }
}

impl<T: Transfer> Drop for Draft<T> {
    fn drop(&mut self) {
        if self.parts.is_some() {
            self.template.give_back();
        }
    }
}

// SAFETY: libcurl lets a handle be used by any thread, one at a time, and one that was in no multi
// handle yet (see `Easy::prepared`) shares nothing with others. One that was used does: libcurl
// counts references to what it shares with connections, and not atomically, so that such a handle
// must be freed on the loop. A draft has no handle, and nothing else in it belongs to a thread.
unsafe impl<T: Transfer + Send> Send for Prepared<T> {}

impl<T: Transfer> Prepared<T> {
    /// Of a handle that was never used.
    pub(super) fn with_handle(easy: Easy<T>) -> Prepared<T> {
        Prepared(Preparation::Handle(easy))
    }

    /// What a transfer needs but a handle, when there is a spare one for it: it has the template's
    /// options and no others.
    pub fn with_spare(
        template: &'static Template<T>,
        make: impl FnOnce() -> Option<(T, Arc<Address>, List)>,
    ) -> Option<Prepared<T>> {
        if !template.reserve() {
            return None;
        }
        let Some((transfer, url, headers)) = make() else {
            template.give_back();
            return None;
        };
        let parts = Some((Box::new(transfer), url, headers));
        Some(Prepared(Preparation::Draft(Draft { template, parts })))
    }

    /// Takes the handle to the loop's thread, which alone has an engine. `None` without memory.
    pub fn arrive(self, _engine: &Engine) -> Option<Easy<T>> {
        match self.0 {
            Preparation::Handle(easy) => Some(easy),
            Preparation::Draft(draft) => draft.arrive(),
        }
    }
}
