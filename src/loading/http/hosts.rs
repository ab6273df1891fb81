//! Who may start: a session has so many connections to a host, and loads wait for one in order.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

#[derive(Debug, Default)]
struct Host {
    active: usize,
    waiting: VecDeque<usize>,
    /// It speaks HTTP/2: all loads share one connection.
    multiplexes: bool,
}

/// The hosts of one session.
#[derive(Debug)]
pub struct Hosts {
    limit: usize,
    hosts: HashMap<Arc<str>, Host>,
}

/// Hosts that are remembered to speak HTTP/2 while nothing is loading from them.
const REMEMBERED: usize = 1024;

impl Hosts {
    pub fn new(limit: usize) -> Hosts {
        Hosts {
            limit: limit.max(1),
            hosts: HashMap::new(),
        }
    }

    /// Whether the load may start now; otherwise it waits for its turn.
    pub fn enter(&mut self, key: &Arc<str>, load: usize) -> bool {
        if !self.hosts.contains_key(key) {
            self.hosts.insert(Arc::clone(key), Host::default());
        }
        let Some(host) = self.hosts.get_mut(key) else {
            return true;
        };
        if host.multiplexes || host.active < self.limit {
            host.active += 1;
            return true;
        }
        host.waiting.push_back(load);
        false
    }

    /// A load that had entered is done with the host. Returns the one whose turn it is.
    pub fn leave(&mut self, key: &str) -> Option<usize> {
        let host = self.hosts.get_mut(key)?;
        host.active = host.active.saturating_sub(1);
        let next = if host.multiplexes || host.active < self.limit {
            host.waiting.pop_front()
        } else {
            None
        };
        if next.is_some() {
            host.active += 1;
        } else if host.active == 0
            && host.waiting.is_empty()
            && (!host.multiplexes || self.hosts.len() > REMEMBERED)
        {
            self.hosts.remove(key);
        }
        next
    }

    /// A load gives up waiting.
    pub fn give_up(&mut self, key: &str, load: usize) {
        if let Some(host) = self.hosts.get_mut(key) {
            host.waiting.retain(|waiting| *waiting != load);
        }
    }

    /// The host turned out to speak HTTP/2: everybody may start.
    pub fn multiplexes(&mut self, key: &str) -> Vec<usize> {
        let Some(host) = self.hosts.get_mut(key) else {
            return Vec::new();
        };
        if std::mem::replace(&mut host.multiplexes, true) {
            return Vec::new();
        }
        let started: Vec<usize> = host.waiting.drain(..).collect();
        host.active += started.len();
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
        assert!(hosts.enter(&a, 1) && hosts.enter(&a, 2));
        assert!(!hosts.enter(&a, 3) && !hosts.enter(&a, 4) && !hosts.enter(&a, 5));
        assert!(hosts.enter(&b, 6));
        hosts.give_up("a", 3);
        assert_eq!(hosts.leave("a"), Some(4));
        assert_eq!(hosts.leave("a"), Some(5));
        assert_eq!(hosts.leave("a"), None);
        assert_eq!(hosts.leave("a"), None);
        assert_eq!(hosts.leave("b"), None);
        assert!(hosts.hosts.is_empty());
    }

    #[test]
    fn http2_lets_all_start() {
        let a: Arc<str> = "a".into();
        let mut hosts = Hosts::new(1);
        assert!(hosts.enter(&a, 1));
        assert!(!hosts.enter(&a, 2) && !hosts.enter(&a, 3));
        assert_eq!(hosts.multiplexes("a"), [2, 3]);
        assert!(hosts.enter(&a, 4));
        for _ in 0..4 {
            assert_eq!(hosts.leave("a"), None);
        }
        assert!(hosts.enter(&a, 5) && hosts.enter(&a, 6));
    }
}
