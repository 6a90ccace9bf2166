//! Where log lines go: standard error, written by a thread of its own.
//!
//! A worker never waits for a terminal: lines go into a bounded queue, and
//! are dropped (and counted by the writer) when it is full. No line has a
//! body, a token, a password or, at `info` and above, a name. That is why sled
//! says nothing below `info`, whatever the level: it would log the bytes that
//! it stores.

use tracing::{Level, Metadata};
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::{Builder, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, reload};

use crate::config::LogFormat;

/// Keeps the writer running; the last lines are written when it is dropped.
pub struct LogGuard {
    filter: reload::Handle<EnvFilter, Registry>,
    _writer: WorkerGuard,
}

/// Lines that may wait for the writer.
const LINES_MAX: usize = 16_384;

/// Starts logging for the process. `None` when somebody else already does.
pub fn start(format: LogFormat, level: &str) -> Option<LogGuard> {
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(LINES_MAX)
        .finish(std::io::stderr());
    let (filter, handle) = reload::Layer::new(level_parser().parse_lossy(level));
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_target(true);
    let registry = tracing_subscriber::registry().with(filter).with(filter_fn(is_discreet));
    let started = match format {
        LogFormat::Pretty => registry.with(lines.with_ansi(false)).try_init(),
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init(),
    };
    started.ok().map(|()| LogGuard { filter: handle, _writer: guard })
}

/// What reads a level. Values of fields are texts to it: as regular
/// expressions, a short one could take seconds to build.
pub(crate) fn level_parser() -> Builder {
    EnvFilter::builder().with_regex(false)
}

/// False for lines that could have what people say in them.
fn is_discreet(metadata: &Metadata<'_>) -> bool {
    let of_sled = metadata.target() == "sled" || metadata.target().starts_with("sled::");
    !of_sled || *metadata.level() <= Level::INFO
}

impl LogGuard {
    /// Sets another level. A level that cannot be read changes nothing and is
    /// logged.
    pub fn set_level(&self, level: &str) {
        match level_parser().parse(level) {
            Ok(filter) => {
                if let Err(error) = self.filter.reload(filter) {
                    tracing::warn!(%error, "the log level stays as it is");
                }
            }
            Err(error) => tracing::warn!(%error, "the log level stays as it is"),
        }
    }
}
