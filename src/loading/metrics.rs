//! NSURLSessionTaskMetrics and NSURLSessionTaskTransactionMetrics.

use std::ffi::{CStr, CString};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::request::{Request, RequestValue};
use super::response::Response;
use crate::foundation::array::Array;
use crate::foundation::date_interval::DateInterval;
use crate::foundation::object::{Class, Header, Object, begins_with_header};
use crate::foundation::string::c_string;

/// The time now, in seconds since 1970.
pub fn date_now() -> f64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_secs_f64(),
        Err(before) => -before.duration().as_secs_f64(),
    }
}

/// Turns moments into dates. All dates of a load come from one reading of the wall clock, so that
/// they keep their order and distances when that is set in between.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    date: f64,
    at: Instant,
}

impl Clock {
    pub fn now() -> Clock {
        Clock {
            date: date_now(),
            at: Instant::now(),
        }
    }

    pub fn date(&self, moment: Instant) -> f64 {
        match moment.checked_duration_since(self.at) {
            Some(later) => self.date + later.as_secs_f64(),
            None => self.date - self.at.duration_since(moment).as_secs_f64(),
        }
    }
}

/// `NSURLSessionTaskMetricsResourceFetchType`, as far as there is a way to get something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FetchType {
    /// It never began.
    #[default]
    Unknown = 0,
    NetworkLoad = 1,
}

/// Dates of a transaction in seconds since 1970; not a number for what did not happen.
#[derive(Clone, Copy, Debug)]
pub struct Dates {
    pub fetch_start: f64,
    pub domain_lookup_start: f64,
    pub domain_lookup_end: f64,
    pub connect_start: f64,
    pub secure_connection_start: f64,
    pub secure_connection_end: f64,
    pub connect_end: f64,
    pub request_start: f64,
    pub request_end: f64,
    pub response_start: f64,
    pub response_end: f64,
}

impl Dates {
    /// Nothing happened, other than that it was to begin.
    pub fn of_start(fetch_start: f64) -> Dates {
        Dates {
            fetch_start,
            domain_lookup_start: f64::NAN,
            domain_lookup_end: f64::NAN,
            connect_start: f64::NAN,
            secure_connection_start: f64::NAN,
            secure_connection_end: f64::NAN,
            connect_end: f64::NAN,
            request_start: f64::NAN,
            request_end: f64::NAN,
            response_start: f64::NAN,
            response_end: f64::NAN,
        }
    }
}

/// Bytes of a transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub request_header: i64,
    pub request_body: i64,
    pub request_body_before_encoding: i64,
    pub response_header: i64,
    pub response_body: i64,
}

/// TLS as it was agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tls {
    pub version: u16,
    pub cipher: u16,
}

/// One request and what came of it, as a loader notes it down.
pub struct Transaction {
    pub request: Arc<RequestValue>,
    pub response: Option<Arc<Response>>,
    pub fetch_type: FetchType,
    pub dates: Dates,
    pub counts: Counts,
    /// The ALPN name.
    pub protocol: Option<&'static CStr>,
    pub proxy: bool,
    pub reused: bool,
    pub local: Option<SocketAddr>,
    pub remote: Option<SocketAddr>,
    pub tls: Option<Tls>,
    /// The response was a redirect, which was followed.
    pub redirected: bool,
}

impl Transaction {
    /// One that was to begin at a date and did not come to it.
    pub fn unbegun(request: Arc<RequestValue>, fetch_start: f64) -> Transaction {
        Transaction {
            request,
            response: None,
            fetch_type: FetchType::Unknown,
            dates: Dates::of_start(fetch_start),
            counts: Counts::default(),
            protocol: None,
            proxy: false,
            reused: false,
            local: None,
            remote: None,
            tls: None,
            redirected: false,
        }
    }
}

#[repr(C)]
pub struct TransactionMetrics {
    header: Header,
    transaction: Transaction,
    local_address: Option<CString>,
    remote_address: Option<CString>,
    /// Body bytes that the program was given.
    delivered: i64,
}

begins_with_header!(TransactionMetrics);

impl TransactionMetrics {
    fn new(transaction: Transaction, delivered: i64) -> Arc<TransactionMetrics> {
        let text = |address: Option<SocketAddr>| Some(c_string(&address?.ip().to_string()));
        Arc::new(TransactionMetrics {
            header: Header::new(Class::TransactionMetrics),
            local_address: text(transaction.local),
            remote_address: text(transaction.remote),
            transaction,
            delivered,
        })
    }

    pub fn facts(&self) -> &Transaction {
        &self.transaction
    }

    /// A request can be changed, so that each caller gets one of its own.
    pub fn request(&self) -> Arc<Request> {
        Request::new(Arc::clone(&self.transaction.request))
    }

    pub fn local_address(&self) -> Option<&CStr> {
        self.local_address.as_deref()
    }

    pub fn remote_address(&self) -> Option<&CStr> {
        self.remote_address.as_deref()
    }

    pub fn delivered(&self) -> i64 {
        self.delivered
    }
}

impl Object for TransactionMetrics {
    fn header(&self) -> &Header {
        &self.header
    }

    fn description(&self) -> String {
        let facts = &self.transaction;
        let mut text = format!(
            "<transaction metrics: {} {}",
            facts.request.method(),
            facts.request.url_text()
        );
        match &facts.response {
            Some(response) => text.push_str(&format!(", status {}", response.status())),
            None => text.push_str(", no response"),
        }
        if let Some(protocol) = facts.protocol {
            text.push_str(&format!(", {}", protocol.to_string_lossy()));
        }
        if let Some(remote) = facts.remote {
            let kept = if facts.reused { "kept" } else { "new" };
            text.push_str(&format!(" over a {kept} connection to {remote}"));
        }
        if let Some(tls) = facts.tls {
            text.push_str(&format!(
                ", TLS {:#06x} with {:#06x}",
                tls.version, tls.cipher
            ));
        }
        let (dates, counts) = (&facts.dates, &facts.counts);
        for (name, start, end) in [
            ("waited", dates.fetch_start, dates.request_start),
            ("lookup", dates.domain_lookup_start, dates.domain_lookup_end),
            ("connect", dates.connect_start, dates.connect_end),
            ("request", dates.request_start, dates.request_end),
            ("answer", dates.request_end, dates.response_start),
            ("response", dates.response_start, dates.response_end),
        ] {
            let milliseconds = (end - start) * 1000.0;
            if !milliseconds.is_nan() {
                text.push_str(&format!(", {name} {milliseconds:.3} ms"));
            }
        }
        text.push_str(&format!(
            ", sent {} + {}, received {} + {} bytes>",
            counts.request_header,
            counts.request_body,
            counts.response_header,
            counts.response_body,
        ));
        text
    }
}

#[repr(C)]
pub struct TaskMetrics {
    header: Header,
    transactions: Arc<Array>,
    interval: Arc<DateInterval>,
    redirects: usize,
}

begins_with_header!(TaskMetrics);

impl TaskMetrics {
    /// The metrics of a task that lasted so long. `delivered` is how many body bytes the program was
    /// given, after decoding: those of the last response.
    pub fn new(
        transactions: Vec<Transaction>,
        interval: Arc<DateInterval>,
        delivered: i64,
    ) -> Arc<TaskMetrics> {
        let redirects = transactions
            .iter()
            .filter(|transaction| transaction.redirected)
            .count();
        let last = transactions.len();
        let objects = (1..)
            .zip(transactions)
            .map(|(number, transaction)| {
                let delivered = if number == last { delivered } else { 0 };
                TransactionMetrics::new(transaction, delivered) as Arc<dyn Object>
            })
            .collect();
        Arc::new(TaskMetrics {
            header: Header::new(Class::TaskMetrics),
            transactions: Array::new(objects),
            interval,
            redirects,
        })
    }

    pub fn transactions(&self) -> &Arc<Array> {
        &self.transactions
    }

    pub fn interval(&self) -> &Arc<DateInterval> {
        &self.interval
    }

    pub fn redirects(&self) -> usize {
        self.redirects
    }
}

impl Object for TaskMetrics {
    fn header(&self) -> &Header {
        &self.header
    }

    fn description(&self) -> String {
        format!(
            "<task metrics: {} transactions, {} redirects, {:.6} s>",
            self.transactions.objects().len(),
            self.redirects,
            self.interval.duration()
        )
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::foundation::object::downcast;
    use crate::loading::request::RequestUrl;

    fn transaction(url: &str) -> Transaction {
        let request = RequestValue::with_url(RequestUrl::new(url));
        Transaction::unbegun(Arc::new(request), 1000.0)
    }

    #[test]
    fn dates_lie_as_far_apart_as_their_moments() {
        let clock = Clock::now();
        let before = clock.at - Duration::from_millis(250);
        let after = clock.at + Duration::from_millis(500);
        assert_eq!(clock.date(clock.at), clock.date);
        assert!((clock.date(after) - clock.date - 0.5).abs() < 1e-6);
        assert!((clock.date - clock.date(before) - 0.25).abs() < 1e-6);
    }

    #[test]
    fn what_was_delivered_is_of_the_last_transaction() {
        let mut redirect = transaction("http://a/");
        redirect.redirected = true;
        redirect.local = Some("[::1]:80".parse().unwrap());
        let interval = DateInterval::between(999.0, 1001.0);
        let metrics = TaskMetrics::new(vec![redirect, transaction("http://b/")], interval, 7);
        assert_eq!(metrics.redirects(), 1);
        let transactions = metrics.transactions().objects();
        let facts: Vec<_> = transactions
            .iter()
            .map(|object| downcast::<TransactionMetrics>(&**object).unwrap())
            .collect();
        assert_eq!((facts[0].delivered(), facts[1].delivered()), (0, 7));
        assert_eq!(facts[0].local_address(), Some(c"::1"));
        assert_eq!(facts[1].local_address(), None);
        assert_eq!(facts[1].request().value().url_text(), "http://b/");
        assert_eq!(
            facts[1].description(),
            "<transaction metrics: GET http://b/, no response, sent 0 + 0, received 0 + 0 bytes>"
        );
    }

    #[test]
    fn a_task_that_was_never_begun_has_metrics_too() {
        let metrics = TaskMetrics::new(Vec::new(), DateInterval::between(1.0, 2.0), 0);
        assert!(metrics.transactions().objects().is_empty());
        assert_eq!(
            metrics.description(),
            "<task metrics: 0 transactions, 0 redirects, 1.000000 s>"
        );
    }
}
