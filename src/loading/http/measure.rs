//! Measures exchanges for the metrics of a task, where somebody wants those. On the loop.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use url::{Host, Url};

use super::exchange::Exchange;
use crate::engine::curl;
use crate::engine::easy::Easy;
use crate::engine::handle::Handle;
use crate::engine::tls::Negotiated;
use crate::loading::metrics::{Clock, Counts, Dates, FetchType, Tls, Transaction};
use crate::loading::request::{RequestUrl, RequestValue};
use crate::loading::response::Response;

/// What libcurl has counted up to some moment; times in microseconds. When a request is sent once
/// more because its connection was lost, libcurl adds the times of the second attempt, each from
/// that one's beginning, to those of the first.
#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    /// When the last attempt began.
    began: i64,
    queued: i64,
    looked_up: i64,
    connected: i64,
    secured: i64,
    sent: i64,
    connections: i64,
    request: i64,
    body: i64,
}

impl Totals {
    fn read(handle: &Handle) -> Totals {
        Totals {
            began: handle.info_offset(curl::INFO_REDIRECT_TIME),
            queued: handle.info_offset(curl::INFO_QUEUE_TIME),
            looked_up: handle.info_offset(curl::INFO_NAMELOOKUP_TIME),
            connected: handle.info_offset(curl::INFO_CONNECT_TIME),
            secured: handle.info_offset(curl::INFO_APPCONNECT_TIME),
            sent: handle.info_offset(curl::INFO_POSTTRANSFER_TIME),
            connections: handle.info_long(curl_sys::CURLINFO_NUM_CONNECTS),
            request: handle.info_long(curl_sys::CURLINFO_REQUEST_SIZE),
            body: handle.info_offset(curl::INFO_SIZE_UPLOAD),
        }
    }

    fn since(&self, before: &Totals) -> Totals {
        Totals {
            began: self.began,
            queued: self.queued - before.queued,
            looked_up: self.looked_up - before.looked_up,
            connected: self.connected - before.connected,
            secured: self.secured - before.secured,
            sent: self.sent - before.sent,
            connections: self.connections - before.connections,
            request: self.request - before.request,
            // libcurl may begin to count anew.
            body: if self.body < before.body {
                self.body
            } else {
                self.body - before.body
            },
        }
    }
}

fn microseconds(count: i64) -> Duration {
    Duration::from_micros(u64::try_from(count).unwrap_or(0))
}

/// A connection as it was when a request began to be sent.
#[derive(Clone, Copy, Default)]
struct Connection {
    local: Option<SocketAddr>,
    remote: Option<SocketAddr>,
    tls: Option<Negotiated>,
}

impl Connection {
    fn read(handle: &Handle) -> Connection {
        let address = |ip: Option<IpAddr>, port| {
            let port = u16::try_from(handle.info_long(port)).ok()?;
            Some(SocketAddr::new(ip?, port))
        };
        Connection {
            local: address(
                handle.info_address(curl_sys::CURLINFO_LOCAL_IP),
                curl_sys::CURLINFO_LOCAL_PORT,
            ),
            remote: address(
                handle.info_address(curl_sys::CURLINFO_PRIMARY_IP),
                curl_sys::CURLINFO_PRIMARY_PORT,
            ),
            tls: handle.tls(),
        }
    }
}

/// An attempt at the request that came as far as sending it.
struct Sending {
    at: Instant,
    /// What was counted in this attempt until then.
    phases: Totals,
    /// What was counted altogether until then.
    totals: Totals,
    connection: Connection,
}

impl Sending {
    fn reused(&self) -> bool {
        self.phases.connections == 0
    }
}

/// Watches one exchange.
pub struct Probe {
    /// The exchange was handed to libcurl.
    handed_over: Instant,
    /// The moment from which libcurl counts in the last attempt that was sent.
    zero: Instant,
    /// That is known as exactly as it can be.
    aligned: bool,
    last: Option<Sending>,
    response_start: Option<Instant>,
    response_end: Option<Instant>,
}

impl Probe {
    pub fn new() -> Probe {
        let now = Instant::now();
        Probe {
            handed_over: now,
            zero: now,
            aligned: false,
            last: None,
            response_start: None,
            response_end: None,
        }
    }

    /// The exchange is handed to libcurl, which begins to count with its next turn.
    pub fn begins(&mut self) {
        self.handed_over = Instant::now();
        self.zero = self.handed_over;
    }

    /// The request is about to be sent, perhaps once more.
    pub fn sends(&mut self, handle: &Handle) {
        self.note_sending(Totals::read(handle), Connection::read(handle));
    }

    fn note_sending(&mut self, totals: Totals, connection: Connection) {
        let before = self.last.as_ref().map(|sending| sending.totals);
        self.zero = self.handed_over + microseconds(totals.began);
        self.aligned = false;
        self.response_start = None;
        self.last = Some(Sending {
            at: Instant::now(),
            phases: totals.since(&before.unwrap_or_default()),
            totals,
            connection,
        });
    }

    /// A line of a head came. With the first one libcurl notes the time: from what that is, and the
    /// clock, follows where it counts from.
    pub fn reads_line(&mut self, handle: &Handle) {
        if std::mem::replace(&mut self.aligned, true) {
            return;
        }
        let started = handle.info_offset(curl::INFO_STARTTRANSFER_TIME);
        self.align(Instant::now(), started);
    }

    fn align(&mut self, now: Instant, started: i64) {
        let Some(sending) = &self.last else {
            return;
        };
        // What came before the sending was over by then.
        let over = sending.phases.connected.max(sending.phases.secured);
        let over = over.max(sending.phases.looked_up);
        let latest = sending.at.checked_sub(microseconds(over));
        let exact = now.checked_sub(microseconds(started));
        if let (Some(exact), Some(latest)) = (exact, latest) {
            self.zero = self.zero.max(exact.min(latest));
        }
    }

    /// The head of the final response is coming.
    pub fn response_starts(&mut self) {
        self.response_start.get_or_insert_with(Instant::now);
    }

    /// All of the response is here.
    pub fn response_ends(&mut self) {
        self.response_end = Some(Instant::now());
    }

    /// The last sending, unless a later attempt did not come so far.
    fn sending(&self, totals: &Totals) -> Option<&Sending> {
        let last = self.last.as_ref();
        last.filter(|sending| sending.totals.began == totals.began)
    }

    /// Of what did not happen, or began and did not succeed, there is no end, nor of what follows.
    fn dates(&self, clock: &Clock, fetch_start: Instant, totals: &Totals, url: &Url) -> Dates {
        let mut dates = Dates::of_start(clock.date(fetch_start));
        let sending = self.sending(totals);
        let (zero, phases) = match (sending, &self.last) {
            (Some(sending), _) => (self.zero, sending.phases),
            (None, last) => {
                let before = last.as_ref().map(|sending| sending.totals);
                let zero = self.handed_over + microseconds(totals.began);
                (zero, totals.since(&before.unwrap_or_default()))
            }
        };
        let date = |count: i64| match count {
            ..=0 => f64::NAN,
            _ => clock.date(zero + microseconds(count)),
        };
        if !sending.is_some_and(Sending::reused) {
            let named = matches!(url.host(), Some(Host::Domain(_)));
            if named && (phases.queued > 0 || phases.looked_up > 0) {
                dates.domain_lookup_start = clock.date(zero + microseconds(phases.queued));
                dates.domain_lookup_end = date(phases.looked_up);
            }
            dates.connect_start = date(phases.looked_up);
            if url.scheme() == "https" {
                dates.secure_connection_start = date(phases.connected);
                dates.secure_connection_end = date(phases.secured);
                dates.connect_end = dates.secure_connection_end;
            } else {
                dates.connect_end = date(phases.connected);
            }
        }
        if let Some(sending) = sending {
            dates.request_start = clock.date(sending.at);
            let since = totals.since(&sending.totals);
            // libcurl notes that time also when nothing could be sent.
            if since.request > 0 && since.sent > 0 {
                let end = zero + microseconds(since.sent);
                dates.request_end = clock.date(end.max(sending.at));
            }
            let date = |moment: Option<Instant>| moment.map_or(f64::NAN, |at| clock.date(at));
            dates.response_start = date(self.response_start);
            dates.response_end = date(self.response_end);
        }
        dates
    }
}

/// The transactions of a load.
pub struct Measurements {
    clock: Clock,
    /// The hop that is under way was to begin.
    fetch_start: Instant,
    transactions: Vec<Transaction>,
}

impl Measurements {
    pub fn new() -> Measurements {
        Measurements {
            clock: Clock::now(),
            fetch_start: Instant::now(),
            transactions: Vec::new(),
        }
    }

    pub fn hop_begins(&mut self) {
        self.fetch_start = Instant::now();
    }

    /// Takes down a hop: with its handle, if it came to libcurl.
    pub fn hop_ended(
        &mut self,
        request: &Arc<RequestValue>,
        easy: Option<&mut Easy<Exchange>>,
        redirected: bool,
    ) {
        let begun = easy.and_then(|easy| self.begun(request, easy));
        let mut transaction = begun.unwrap_or_else(|| {
            let fetch_start = self.clock.date(self.fetch_start);
            Transaction::unbegun(Arc::clone(request), fetch_start)
        });
        transaction.redirected = redirected;
        self.transactions.push(transaction);
    }

    fn begun(&self, request: &Arc<RequestValue>, easy: &mut Easy<Exchange>) -> Option<Transaction> {
        let url = request.url.as_ref().and_then(RequestUrl::parsed)?;
        let totals = Totals::read(easy);
        let proxy = easy.info_long(curl::INFO_USED_PROXY) != 0;
        let response_header = easy.info_long(curl_sys::CURLINFO_HEADER_SIZE);
        let exchange = easy.transfer();
        let probe = exchange.probe.as_ref()?;
        let sending = probe.sending(&totals);
        let response = exchange.response.clone();
        let connection = sending.map_or_else(Connection::default, |sending| sending.connection);
        Some(Transaction {
            request: Arc::clone(request),
            fetch_type: if sending.is_some() || totals.queued > 0 || totals.looked_up > 0 {
                FetchType::NetworkLoad
            } else {
                // It waited for a connection of another's.
                FetchType::Unknown
            },
            dates: probe.dates(&self.clock, self.fetch_start, &totals, url),
            counts: sending.map_or_else(Counts::default, |sending| {
                let since = totals.since(&sending.totals);
                Counts {
                    request_header: (since.request - since.body).max(0),
                    request_body: since.body,
                    request_body_before_encoding: match request.body_length() {
                        // A stream of which only that is known.
                        ..0 => i64::try_from(exchange.sent).unwrap_or(i64::MAX),
                        length => length,
                    },
                    response_header,
                    response_body: i64::try_from(exchange.received).unwrap_or(i64::MAX),
                }
            }),
            protocol: match (&response, sending) {
                (Some(response), _) => protocol_of(response),
                (None, Some(Sending { connection, .. })) => match connection.tls {
                    Some(tls) if tls.http2 => Some(c"h2"),
                    _ => Some(c"http/1.1"),
                },
                (None, None) => None,
            },
            proxy,
            reused: sending.is_some_and(Sending::reused),
            local: connection.local,
            remote: connection.remote,
            tls: connection.tls.map(|tls| Tls {
                version: tls.version,
                cipher: tls.cipher,
            }),
            response,
            redirected: false,
        })
    }

    pub fn into_transactions(self) -> Vec<Transaction> {
        self.transactions
    }
}

/// The ALPN name of what the response came by.
fn protocol_of(response: &Response) -> Option<&'static std::ffi::CStr> {
    Some(match response.http_version() {
        "HTTP/1.1" => c"http/1.1",
        "HTTP/2" => c"h2",
        "HTTP/3" => c"h3",
        "HTTP/1.0" => c"http/1.0",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: Totals = Totals {
        began: 0,
        queued: 10,
        looked_up: 1_000,
        connected: 3_000,
        secured: 9_000,
        sent: 0,
        connections: 1,
        request: 0,
        body: 0,
    };

    /// Milliseconds after the exchange was handed over, rounded.
    fn after(probe: &Probe, clock: &Clock, date: f64) -> Option<i64> {
        let milliseconds = (date - clock.date(probe.handed_over)) * 1000.0;
        (!milliseconds.is_nan()).then(|| milliseconds.round() as i64)
    }

    /// Lookup start and end, connection start, secure start and end, connection end.
    fn connection_dates(probe: &Probe, totals: &Totals, url: &str) -> [Option<i64>; 6] {
        let clock = Clock::now();
        let url = Url::parse(url).unwrap();
        let dates = probe.dates(&clock, probe.handed_over, totals, &url);
        [
            dates.domain_lookup_start,
            dates.domain_lookup_end,
            dates.connect_start,
            dates.secure_connection_start,
            dates.secure_connection_end,
            dates.connect_end,
        ]
        .map(|date| after(probe, &clock, date))
    }

    #[test]
    fn a_new_connection_is_looked_up_made_and_secured() {
        let mut probe = Probe::new();
        probe.note_sending(NEW, Connection::default());
        assert_eq!(
            connection_dates(&probe, &NEW, "https://host/"),
            [Some(0), Some(1), Some(1), Some(3), Some(9), Some(9)]
        );
        let plain = Totals { secured: 0, ..NEW };
        let mut probe = Probe::new();
        probe.note_sending(plain, Connection::default());
        assert_eq!(
            connection_dates(&probe, &plain, "http://host/"),
            [Some(0), Some(1), Some(1), None, None, Some(3)]
        );
    }

    #[test]
    fn an_address_is_not_looked_up() {
        let mut probe = Probe::new();
        probe.note_sending(NEW, Connection::default());
        for url in ["https://127.0.0.1/", "https://[::1]/"] {
            assert_eq!(
                connection_dates(&probe, &NEW, url),
                [None, None, Some(1), Some(3), Some(9), Some(9)]
            );
        }
    }

    #[test]
    fn a_kept_connection_was_made_before() {
        let kept = Totals {
            queued: 20,
            ..Totals::default()
        };
        let mut probe = Probe::new();
        probe.note_sending(kept, Connection::default());
        assert_eq!(connection_dates(&probe, &kept, "https://host/"), [None; 6]);
    }

    #[test]
    fn what_failed_has_no_end_and_nothing_after_it() {
        let probe = Probe::new();
        let url = "https://host/";
        let waiting = Totals::default();
        assert_eq!(connection_dates(&probe, &waiting, url), [None; 6]);
        let unresolved = Totals {
            queued: 10,
            ..Totals::default()
        };
        assert_eq!(
            connection_dates(&probe, &unresolved, url),
            [Some(0), None, None, None, None, None]
        );
        let unconnected = Totals {
            looked_up: 1_000,
            ..unresolved
        };
        assert_eq!(
            connection_dates(&probe, &unconnected, url),
            [Some(0), Some(1), Some(1), None, None, None]
        );
        let insecure = Totals {
            connected: 3_000,
            connections: 1,
            ..unconnected
        };
        assert_eq!(
            connection_dates(&probe, &insecure, url),
            [Some(0), Some(1), Some(1), Some(3), None, None]
        );
    }

    /// The first attempt is on a kept connection, which turns out to be closed after 50 ms.
    #[test]
    fn what_is_sent_once_more_counts_from_its_own_beginning() {
        let first = Totals {
            queued: 20,
            ..Totals::default()
        };
        let mut probe = Probe::new();
        probe.note_sending(first, Connection::default());
        let second = Totals {
            began: 50_000,
            queued: 50,
            looked_up: 1_000,
            connected: 3_000,
            sent: 100,
            connections: 1,
            request: 80,
            ..Totals::default()
        };
        let dates = [Some(50), Some(51), Some(51), None, None, Some(53)];
        // Also while it has not come to be sent.
        assert!(probe.sending(&second).is_none());
        assert_eq!(connection_dates(&probe, &second, "http://host/"), dates);
        probe.note_sending(second, Connection::default());
        assert!(
            probe
                .sending(&second)
                .is_some_and(|sending| !sending.reused())
        );
        assert_eq!(connection_dates(&probe, &second, "http://host/"), dates);
        let now = Totals {
            sent: 4_100,
            request: 180,
            body: 20,
            ..second
        };
        let since = now.since(&probe.last.as_ref().unwrap().totals);
        assert_eq!((since.request, since.body, since.sent), (100, 20, 4_000));
    }

    #[test]
    fn the_request_and_the_response_keep_their_order() {
        let clock = Clock::now();
        let url = Url::parse("http://127.0.0.1/").unwrap();
        let mut probe = Probe::new();
        // Long enough ago for a connection to be made.
        probe.handed_over -= Duration::from_millis(10);
        let totals = Totals {
            looked_up: 1,
            connected: 2,
            connections: 1,
            ..Totals::default()
        };
        probe.note_sending(totals, Connection::default());
        let dates = probe.dates(&clock, probe.handed_over, &totals, &url);
        assert!(!dates.request_start.is_nan() && dates.request_end.is_nan());
        // A time that libcurl notes although nothing was sent.
        let failed = Totals { sent: 3, ..totals };
        let dates = probe.dates(&clock, probe.handed_over, &failed, &url);
        assert!(dates.request_end.is_nan() && dates.response_start.is_nan());
        let sent = Totals {
            request: 10,
            ..failed
        };
        probe.response_starts();
        probe.response_ends();
        let dates = probe.dates(&clock, probe.handed_over, &sent, &url);
        let order = [
            dates.fetch_start,
            dates.connect_start,
            dates.connect_end,
            dates.request_start,
            dates.request_end,
            dates.response_start,
            dates.response_end,
        ];
        assert!(order.is_sorted(), "{order:?}");
    }

    #[test]
    fn libcurl_begins_to_count_after_the_exchange_was_handed_over() {
        for (now, started, zero) in [
            (40, 30_000, 10),
            // Not before it was handed over,
            (40, 50_000, 0),
            // nor so late that the connection was made after the sending.
            (90, 30_000, 31),
        ] {
            let mut probe = Probe::new();
            let handed_over = probe.handed_over;
            let at = |milliseconds| handed_over + Duration::from_millis(milliseconds);
            probe.note_sending(NEW, Connection::default());
            probe.last.as_mut().unwrap().at = at(40);
            probe.align(at(now), started);
            assert_eq!(probe.zero, at(zero));
        }
    }
}
