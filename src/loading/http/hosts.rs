//! Who may start: a session has so many connections to a host, and loads wait for one in order.

use std::collections::{HashMap, VecDeque};
use std::os::fd::RawFd;
use std::sync::Arc;

use slab::Slab;

/// Whether loads share connections to a host, as HTTP/2 lets them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sharing {
    /// No response has come yet.
    Unknown,
    No,
    Yes,
}

#[derive(Debug)]
struct Host {
    name: Arc<str>,
    /// Those that have started.
    active: Vec<usize>,
    waiting: VecDeque<usize>,
    sharing: Sharing,
    /// The connection that loads share: libcurl's number, and its socket.
    shared: Option<(i64, RawFd)>,
}

impl Host {
    fn take_next(&mut self, prioritised: bool, urgency: impl Fn(usize) -> f32) -> Option<usize> {
        if !prioritised {
            return self.waiting.pop_front();
        }
        let mut best: Option<(usize, f32)> = None;
        for (index, load) in self.waiting.iter().enumerate() {
            let urgency = urgency(*load);
            if best.is_none_or(|(_, before)| urgency > before) {
                best = Some((index, urgency));
            }
        }
        self.waiting.remove(best?.0)
    }
}

/// Where a host is kept; good for as long as a load has entered there.
pub type Place = usize;

/// The hosts of one session.
#[derive(Debug)]
pub struct Hosts {
    limit: usize,
    hosts: Slab<Host>,
    places: HashMap<Arc<str>, Place>,
    /// Where the last load entered: most often the next one does so too.
    last: Option<Place>,
    /// Some load was more or less urgent than others: until then nobody has to look.
    prioritised: bool,
}

/// Hosts that are remembered while nothing is loading from them, and with them who speaks HTTP/2.
const REMEMBERED: usize = 64;

impl Hosts {
    pub fn new(limit: usize) -> Hosts {
        Hosts {
            limit: limit.max(1),
            hosts: Slab::new(),
            places: HashMap::new(),
            last: None,
            prioritised: false,
        }
    }

    /// Notes that not all loads are equally urgent.
    pub fn prioritise(&mut self) {
        self.prioritised = true;
    }

    fn place(&mut self, name: &Arc<str>) -> Place {
        let is_it = |host: &Host| Arc::ptr_eq(&host.name, name);
        if let Some(last) = self
            .last
            .filter(|last| self.hosts.get(*last).is_some_and(is_it))
        {
            return last;
        }
        let place = match self.places.get(name) {
            Some(place) => *place,
            None => {
                let place = self.hosts.insert(Host {
                    name: Arc::clone(name),
                    active: Vec::new(),
                    waiting: VecDeque::new(),
                    // libcurl speaks HTTP/2 where TLS negotiated it.
                    sharing: if name.starts_with("https") {
                        Sharing::Unknown
                    } else {
                        Sharing::No
                    },
                    shared: None,
                });
                self.places.insert(Arc::clone(name), place);
                place
            }
        };
        self.last = Some(place);
        place
    }

    /// Enters a host by its name. Whether the load may start now; otherwise it waits for its turn.
    pub fn enter(&mut self, name: &Arc<str>, load: usize) -> (Place, bool) {
        let place = self.place(name);
        let host = &mut self.hosts[place];
        let may_start = host.sharing == Sharing::Yes || host.active.len() < self.limit;
        if may_start {
            host.active.push(load);
        } else {
            host.waiting.push_back(load);
        }
        (place, may_start)
    }

    /// A load that had started is done with the host. Returns the one whose turn it is.
    ///
    /// `urgency` tells who of those that wait goes first; among equals it is who came first.
    pub fn leave(
        &mut self,
        place: Place,
        load: usize,
        urgency: impl Fn(usize) -> f32,
    ) -> Option<usize> {
        let host = self.hosts.get_mut(place)?;
        if let Some(index) = host.active.iter().position(|active| *active == load) {
            host.active.swap_remove(index);
        }
        if (host.sharing == Sharing::Yes || host.active.len() < self.limit)
            && let Some(next) = host.take_next(self.prioritised, urgency)
        {
            host.active.push(next);
            return Some(next);
        }
        self.forget_if_unused(place);
        None
    }

    /// Loads that may be sharing a connection.
    pub fn sharing(&self, place: Place) -> &[usize] {
        match self.hosts.get(place) {
            Some(host) if host.sharing != Sharing::No => &host.active,
            _ => &[],
        }
    }

    /// A response came on a connection that loads share, `connection` by libcurl's number. Returns
    /// its socket when that was not known.
    pub fn shares(
        &mut self,
        place: Place,
        connection: i64,
        socket: impl FnOnce() -> Option<RawFd>,
    ) -> Option<RawFd> {
        let host = self.hosts.get_mut(place)?;
        if host.shared.is_some_and(|(known, _)| known == connection) {
            return None;
        }
        let socket = socket();
        host.shared = socket.map(|socket| (connection, socket));
        socket
    }

    /// The socket of the connection that loads shared last; it may have been closed since.
    pub fn shared_socket(&self, place: Place) -> Option<RawFd> {
        let (_, socket) = self.hosts.get(place)?.shared?;
        Some(socket)
    }

    /// libcurl's number of that connection, if this is its socket.
    pub fn shared_connection(&self, place: Place, socket: RawFd) -> Option<i64> {
        let (connection, shared) = self.hosts.get(place)?.shared?;
        (shared == socket).then_some(connection)
    }

    /// That connection was closed.
    pub fn shares_no_more(&mut self, place: Place) {
        if let Some(host) = self.hosts.get_mut(place) {
            host.shared = None;
        }
    }

    /// A response came by HTTP/1.
    pub fn does_not_multiplex(&mut self, place: Place) {
        if let Some(host) = self.hosts.get_mut(place)
            && host.sharing == Sharing::Unknown
        {
            host.sharing = Sharing::No;
        }
    }

    /// A load gives up waiting.
    pub fn give_up(&mut self, place: Place, load: usize) {
        if let Some(host) = self.hosts.get_mut(place) {
            host.waiting.retain(|waiting| *waiting != load);
            self.forget_if_unused(place);
        }
    }

    fn forget_if_unused(&mut self, place: Place) {
        let remembers = self.hosts.len() <= REMEMBERED;
        let host = &self.hosts[place];
        if host.active.is_empty() && host.waiting.is_empty() && !remembers {
            let host = self.hosts.remove(place);
            self.places.remove(&host.name);
        }
    }

    /// The host turned out to speak HTTP/2: everybody may start.
    pub fn multiplexes(&mut self, place: Place) -> Vec<usize> {
        let Some(host) = self.hosts.get_mut(place) else {
            return Vec::new();
        };
        if std::mem::replace(&mut host.sharing, Sharing::Yes) == Sharing::Yes {
            return Vec::new();
        }
        let started: Vec<usize> = host.waiting.drain(..).collect();
        host.active.extend(&started);
        started
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loads_wait_in_order() {
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        let mut hosts = Hosts::new(2);
        let place = hosts.enter(&a, 1).0;
        assert_eq!(hosts.enter(&a, 2), (place, true));
        for load in [3, 4, 5] {
            assert_eq!(hosts.enter(&"a".into(), load), (place, false));
        }
        let (other, may_start) = hosts.enter(&b, 6);
        assert!(may_start && other != place);
        hosts.give_up(place, 3);
        assert_eq!(hosts.leave(place, 1, |_| 0.5), Some(4));
        assert_eq!(hosts.leave(place, 2, |_| 0.5), Some(5));
        assert_eq!(hosts.leave(place, 4, |_| 0.5), None);
        assert_eq!(hosts.leave(place, 5, |_| 0.5), None);
        assert_eq!(hosts.leave(other, 6, |_| 0.5), None);
    }

    #[test]
    fn the_most_urgent_goes_first() {
        let a: Arc<str> = "a".into();
        let mut hosts = Hosts::new(1);
        let place = hosts.enter(&a, 0).0;
        for load in 1..=4 {
            hosts.enter(&a, load);
        }
        hosts.prioritise();
        let urgency = |load: usize| [0.5, 0.2, 0.9, 0.5, 0.9][load];
        let mut order = Vec::new();
        let mut current = 0;
        while let Some(next) = hosts.leave(place, current, urgency) {
            order.push(next);
            current = next;
        }
        assert_eq!(order, [2, 4, 3, 1]);
    }

    #[test]
    fn few_idle_hosts_are_remembered() {
        let mut hosts = Hosts::new(1);
        for number in 0..10 * REMEMBERED {
            let (place, _) = hosts.enter(&format!("{number}").into(), number);
            hosts.leave(place, number, |_| 0.5);
        }
        assert_eq!(
            (hosts.hosts.len(), hosts.places.len()),
            (REMEMBERED, REMEMBERED)
        );
    }

    #[test]
    fn a_shared_connection_is_learnt_once() {
        let mut hosts = Hosts::new(1);
        let place = hosts.enter(&"https://a".into(), 1).0;
        assert_eq!(hosts.shared_socket(place), None);
        assert_eq!(hosts.shares(place, 5, || None), None);
        assert_eq!(hosts.shares(place, 5, || Some(12)), Some(12));
        assert_eq!(hosts.shares(place, 5, || unreachable!()), None);
        assert_eq!(hosts.shared_socket(place), Some(12));
        assert_eq!(hosts.shared_connection(place, 12), Some(5));
        assert_eq!(hosts.shared_connection(place, 13), None);
        // Another connection, and one whose number libcurl does not tell.
        assert_eq!(hosts.shares(place, 6, || Some(13)), Some(13));
        hosts.shares_no_more(place);
        assert_eq!(hosts.shared_socket(place), None);
        assert_eq!(hosts.shares(place, 6, || Some(12)), Some(12));
    }

    #[test]
    fn http2_lets_all_start() {
        let a: Arc<str> = "https://a".into();
        let mut hosts = Hosts::new(1);
        let (place, _) = hosts.enter(&a, 1);
        assert!(!hosts.enter(&a, 2).1 && !hosts.enter(&a, 3).1);
        assert_eq!(hosts.multiplexes(place), [2, 3]);
        assert!(hosts.enter(&a, 4).1);
        assert_eq!(hosts.sharing(place), [1, 2, 3, 4]);
        for load in 1..=4 {
            assert_eq!(hosts.leave(place, load, |_| 0.5), None);
        }
        assert!(hosts.sharing(place).is_empty());
        assert!(hosts.enter(&a, 5).1 && hosts.enter(&a, 6).1);
    }
}
