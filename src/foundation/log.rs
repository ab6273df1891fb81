//! Log records: to a handler of the program's, else to standard error.

use std::cell::Cell;
use std::fmt::Write;
use std::sync::{Arc, Once, RwLock};

use once_cell::sync::Lazy;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, span};
use tracing_subscriber::filter::Targets;

use super::process::PerProcess;
use super::queue::Queue;
use super::sync::SharedLock;

/// Receives log records.
pub trait Handler: Send + Sync {
    fn log(&self, level: Level, target: &str, message: &str);
}

static HANDLER: Lazy<RwLock<Option<Arc<dyn Handler>>>> = Lazy::new(RwLock::default);
static STARTED: Once = Once::new();

/// Carries records of threads that may not run code of the program's.
static RECORDS: PerProcess<Arc<Queue>> = PerProcess::new();

thread_local! {
    static DEFERRED: Cell<bool> = const { Cell::new(false) };
}

/// From now on this thread hands its records over instead of calling the handler itself.
pub fn defer_on_this_thread() {
    DEFERRED.set(true);
}

/// Whether this is such a thread: one that may not run code of the program's.
pub fn is_deferred_on_this_thread() -> bool {
    DEFERRED.get()
}

/// Takes records from now on, if the program's own code has not installed a subscriber.
pub fn start() {
    STARTED.call_once(|| {
        let wanted = std::env::var("NSURLSESSION_LOG");
        let filter: Targets = match &wanted {
            Ok(directives) => directives.parse().unwrap_or_else(|error| {
                eprintln!(
                    "nsurlsession: NSURLSESSION_LOG is not understood ({error}): errors are shown"
                );
                Targets::new().with_default(Level::ERROR)
            }),
            Err(_) => Targets::new().with_default(Level::ERROR),
        };
        let _ = tracing::subscriber::set_global_default(Records {
            filter,
            explicit: wanted.is_ok(),
        });
    });
}

/// Replaces the handler and returns the one before, to be dropped where no lock is held. With a
/// handler and without NSURLSESSION_LOG, records up to the level `info` are handed over.
pub fn set_handler(handler: Option<Arc<dyn Handler>>) -> Option<Arc<dyn Handler>> {
    start();
    let before = std::mem::replace(&mut *HANDLER.writing(), handler);
    tracing::callsite::rebuild_interest_cache();
    before
}

struct Records {
    filter: Targets,
    /// The environment says what is wanted.
    explicit: bool,
}

impl Records {
    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        // Other crates of the program share this subscriber; their records are not ours to show.
        const TARGETS: [&str; 8] = [
            "engine", "loading", "task", "session", "queue", "security", "storage", "ffi",
        ];
        let area = metadata.target().split("::").next().unwrap_or_default();
        TARGETS.contains(&area)
            && (self
                .filter
                .would_enable(metadata.target(), metadata.level())
                || (!self.explicit
                    && *metadata.level() <= Level::INFO
                    && HANDLER.reading().is_some()))
    }
}

impl tracing::Subscriber for Records {
    fn register_callsite(
        &self,
        _metadata: &'static Metadata<'static>,
    ) -> tracing::subscriber::Interest {
        tracing::subscriber::Interest::sometimes()
    }

    fn max_level_hint(&self) -> Option<tracing::level_filters::LevelFilter> {
        let most = self.filter.max_level_hint_of();
        Some(if self.explicit {
            most
        } else {
            most.max(tracing::level_filters::LevelFilter::INFO)
        })
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.wants(metadata)
    }

    fn new_span(&self, _attributes: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _span: &span::Id, _values: &span::Record<'_>) {}

    fn record_follows_from(&self, _span: &span::Id, _follows: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text::default();
        event.record(&mut text);
        let message = text.message + &text.fields;
        let metadata = event.metadata();
        let handler = HANDLER.reading().clone();
        match handler {
            Some(handler) if DEFERRED.get() => {
                let (level, target) = (*metadata.level(), metadata.target());
                let body = move || handler.log(level, target, &message);
                RECORDS.get_or(|| Queue::library("log")).post_internal(body);
            }
            Some(handler) => handler.log(*metadata.level(), metadata.target(), &message),
            None => eprintln!(
                "nsurlsession {} {}: {message}",
                metadata.level(),
                metadata.target()
            ),
        }
    }

    fn enter(&self, _span: &span::Id) {}

    fn exit(&self, _span: &span::Id) {}
}

/// The most verbose level that a filter lets through.
trait MaxLevel {
    fn max_level_hint_of(&self) -> tracing::level_filters::LevelFilter;
}

impl MaxLevel for Targets {
    fn max_level_hint_of(&self) -> tracing::level_filters::LevelFilter {
        self.iter()
            .map(|(_, level)| level)
            .chain(self.default_level())
            .max()
            .unwrap_or(tracing::level_filters::LevelFilter::OFF)
    }
}

/// Renders an event: the message, then `name=value` for each field.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = if field.name() == "message" {
            write!(self.message, "{value:?}")
        } else {
            write!(self.fields, " {}={value:?}", field.name())
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_layer_is_heard_and_nobody_else() {
        let records = Records {
            filter: Targets::new().with_default(Level::INFO),
            explicit: true,
        };
        tracing::subscriber::with_default(records, || {
            assert!(tracing::enabled!(target: "storage", Level::INFO));
            assert!(tracing::enabled!(target: "engine", Level::INFO));
            assert!(!tracing::enabled!(target: "engine", Level::DEBUG));
            assert!(!tracing::enabled!(target: "h2", Level::INFO));
        });
    }
}
