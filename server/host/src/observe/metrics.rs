//! Counters of the threads, and their text for Prometheus.
//!
//! A thread writes only its own; a reader adds them up. No labels but the
//! worker and the reason of a close, and never anything of a user.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use hongyan_core::ShardStats;

use super::names::{self, Name};

/// A count that one thread adds to and any may read.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds `more`. Only for the one thread that owns it: a plain load and
    /// store, no locked instruction.
    pub(crate) fn add(&self, more: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
    }

    /// Adds `more`, from any thread.
    pub(crate) fn add_shared(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Why a connection was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Close {
    Broken,
    ByPeer,
    ByRules,
    Drained,
    FrameTooLarge,
    Idle,
    LoginTimeout,
    Poisoned,
    Preface,
    Slow,
    SlowConsumer,
    Stalled,
    TlsFailed,
    TooManyErrors,
    WebSocket,
}

impl Close {
    const ALL: [Self; 15] = [
        Self::Broken,
        Self::ByPeer,
        Self::ByRules,
        Self::Drained,
        Self::FrameTooLarge,
        Self::Idle,
        Self::LoginTimeout,
        Self::Poisoned,
        Self::Preface,
        Self::Slow,
        Self::SlowConsumer,
        Self::Stalled,
        Self::TlsFailed,
        Self::TooManyErrors,
        Self::WebSocket,
    ];

    const fn label(self) -> &'static str {
        match self {
            Self::Broken => "broken",
            Self::ByPeer => "peer",
            Self::ByRules => "rules",
            Self::Drained => "drained",
            Self::FrameTooLarge => "frame_too_large",
            Self::Idle => "idle",
            Self::LoginTimeout => "login_timeout",
            Self::Poisoned => "store_failed",
            Self::Preface => "preface",
            Self::Slow => "slow_frame",
            Self::SlowConsumer => "slow_consumer",
            Self::Stalled => "stalled",
            Self::TlsFailed => "tls_failed",
            Self::TooManyErrors => "too_many_errors",
            Self::WebSocket => "websocket",
        }
    }
}

/// Of one worker.
#[derive(Debug, Default)]
pub(crate) struct WorkerMetrics {
    pub(crate) accepted: Counter,
    pub(crate) adopted: Counter,
    pub(crate) bytes_in: Counter,
    pub(crate) bytes_out: Counter,
    pub(crate) fell_behind: Counter,
    pub(crate) frames_in: Counter,
    pub(crate) frames_out: Counter,
    pub(crate) malformed: Counter,
    pub(crate) offload_refused: Counter,
    pub(crate) pushes_dropped: Counter,
    pub(crate) upgraded: Counter,
    pub(crate) writes_refused: Counter,
    closes: [Counter; Close::ALL.len()],
    pub(crate) connections: AtomicU64,
    pub(crate) in_flight_bytes: AtomicU64,
    pub(crate) mailbox_len: AtomicU64,
    sessions: AtomicU64,
    users_online: AtomicU64,
    entities: AtomicU64,
    dirty: AtomicU64,
    parked: AtomicU64,
    messages: AtomicU64,
    pushes: AtomicU64,
    refusals: AtomicU64,
}

impl WorkerMetrics {
    pub(crate) fn closed(&self, why: Close) {
        self.closes[why as usize].add(1);
    }

    /// Copies the shard's own numbers.
    pub(crate) fn publish(&self, stats: &ShardStats) {
        let set = |to: &AtomicU64, value: u64| to.store(value, Ordering::Relaxed);
        set(&self.sessions, stats.sessions as u64);
        set(&self.users_online, stats.users_online as u64);
        set(&self.entities, stats.entities as u64);
        set(&self.dirty, stats.dirty as u64);
        set(&self.parked, stats.parked as u64);
        set(&self.messages, stats.messages);
        set(&self.pushes, stats.pushes);
        set(&self.refusals, stats.refusals);
    }
}

/// Upper bounds of the sync histogram, in microseconds.
const SYNC_BUCKETS_US: [u64; 12] =
    [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 500_000, 1_000_000];

/// Of the committer, the settler and the loaders.
#[derive(Debug, Default)]
pub(crate) struct StoreMetrics {
    pub(crate) appends: Counter,
    pub(crate) records: Counter,
    pub(crate) bytes: Counter,
    pub(crate) syncs: Counter,
    sync_buckets: [Counter; SYNC_BUCKETS_US.len()],
    sync_us: Counter,
    pub(crate) loads: Counter,
    pub(crate) settle_rounds: Counter,
    pub(crate) settle_bytes: Counter,
}

impl StoreMetrics {
    pub(crate) fn synced(&self, micros: u64) {
        self.syncs.add(1);
        self.sync_us.add(micros);
        if let Some(at) = SYNC_BUCKETS_US.iter().position(|bound| micros <= *bound) {
            self.sync_buckets[at].add(1);
        }
    }
}

/// Of a node.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) workers: Vec<WorkerMetrics>,
    pub(crate) store: StoreMetrics,
    pub(crate) accept_exhausted: Counter,
    pub(crate) accept_full: Counter,
    pub(crate) accept_rate_limited: Counter,
}

impl Metrics {
    pub(crate) fn new(workers: u16) -> Self {
        Self {
            workers: (0..workers).map(|_| WorkerMetrics::default()).collect(),
            ..Self::default()
        }
    }

    /// The Prometheus text; its arguments come from elsewhere.
    pub(crate) fn render(&self, health: u8, free_bytes: u64, unsettled_bytes: u64) -> String {
        let mut text = Text(String::with_capacity(16 * 1024));
        type Of = fn(&WorkerMetrics) -> u64;
        let load = |of: &AtomicU64| of.load(Ordering::Relaxed);
        let per_worker: [(Name, Of); 22] = [
            (names::ACCEPTED, |w| w.accepted.read()),
            (names::ADOPTED, |w| w.adopted.read()),
            (names::BYTES_IN, |w| w.bytes_in.read()),
            (names::BYTES_OUT, |w| w.bytes_out.read()),
            (names::CONNECTIONS, |w| w.connections.load(Ordering::Relaxed)),
            (names::ENTITIES, |w| w.entities.load(Ordering::Relaxed)),
            (names::ENTITIES_DIRTY, |w| w.dirty.load(Ordering::Relaxed)),
            (names::FELL_BEHIND, |w| w.fell_behind.read()),
            (names::FRAMES_IN, |w| w.frames_in.read()),
            (names::FRAMES_OUT, |w| w.frames_out.read()),
            (names::IN_FLIGHT, |w| w.in_flight_bytes.load(Ordering::Relaxed)),
            (names::MAILBOX_LEN, |w| w.mailbox_len.load(Ordering::Relaxed)),
            (names::MALFORMED, |w| w.malformed.read()),
            (names::MESSAGES, |w| w.messages.load(Ordering::Relaxed)),
            (names::OFFLOAD_REFUSED, |w| w.offload_refused.read()),
            (names::PARKED, |w| w.parked.load(Ordering::Relaxed)),
            (names::PUSHES, |w| w.pushes.load(Ordering::Relaxed)),
            (names::PUSHES_DROPPED, |w| w.pushes_dropped.read()),
            (names::UPGRADED, |w| w.upgraded.read()),
            (names::REFUSALS, |w| w.refusals.load(Ordering::Relaxed)),
            (names::SESSIONS, |w| w.sessions.load(Ordering::Relaxed)),
            (names::WRITES_REFUSED, |w| w.writes_refused.read()),
        ];
        for (name, of) in per_worker {
            text.head(name);
            for (worker, metrics) in self.workers.iter().enumerate() {
                text.line(name.0, &format!("{{worker=\"{worker}\"}}"), of(metrics));
            }
        }
        text.head(names::CLOSED);
        for why in Close::ALL {
            let sum = self.workers.iter().map(|worker| worker.closes[why as usize].read()).sum();
            text.line(names::CLOSED.0, &format!("{{reason=\"{}\"}}", why.label()), sum);
        }
        let users = self.workers.iter().map(|worker| load(&worker.users_online)).sum();
        for (name, value) in [
            (names::USERS_ONLINE, users),
            (names::ACCEPT_EXHAUSTED, self.accept_exhausted.read()),
            (names::ACCEPT_FULL, self.accept_full.read()),
            (names::ACCEPT_RATE_LIMITED, self.accept_rate_limited.read()),
            (names::COMMIT_APPENDS, self.store.appends.read()),
            (names::COMMIT_BYTES, self.store.bytes.read()),
            (names::COMMIT_RECORDS, self.store.records.read()),
            (names::COMMIT_SYNCS, self.store.syncs.read()),
            (names::DISK_FREE, free_bytes),
            (names::UNSETTLED, unsettled_bytes),
            (names::HEALTH, health.into()),
            (names::LOADS, self.store.loads.read()),
            (names::SETTLE_BYTES, self.store.settle_bytes.read()),
            (names::SETTLE_ROUNDS, self.store.settle_rounds.read()),
        ] {
            text.head(name);
            text.line(name.0, "", value);
        }
        self.render_syncs(&mut text);
        text.0
    }

    fn render_syncs(&self, text: &mut Text) {
        let name = names::COMMIT_SYNC_SECONDS;
        text.head(name);
        let mut sum = 0;
        for (bound, bucket) in SYNC_BUCKETS_US.iter().zip(&self.store.sync_buckets) {
            sum += bucket.read();
            let bound = *bound as f64 / 1e6;
            let _ = writeln!(text.0, "{}_bucket{{le=\"{bound}\"}} {sum}", name.0);
        }
        let count = self.store.syncs.read();
        let seconds = self.store.sync_us.read() as f64 / 1e6;
        let _ = writeln!(text.0, "{}_bucket{{le=\"+Inf\"}} {count}", name.0);
        let _ = writeln!(text.0, "{}_sum {seconds}\n{}_count {count}", name.0, name.0);
    }
}

/// Writing to a `String` cannot fail.
struct Text(String);

impl Text {
    fn head(&mut self, (name, kind, help): Name) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn line(&mut self, name: &str, labels: &str, value: u64) {
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_has_every_series_once() {
        let metrics = Metrics::new(2);
        metrics.workers[1].frames_in.add(3);
        metrics.workers[0].closed(Close::Idle);
        metrics.store.synced(300);
        metrics.store.synced(2_000_000);
        let text = metrics.render(1, 77, 0);
        assert!(text.contains("hongyan_frames_in_total{worker=\"1\"} 3\n"));
        assert!(text.contains("hongyan_connections_closed_total{reason=\"idle\"} 1\n"));
        assert!(text.contains("hongyan_log_sync_seconds_bucket{le=\"0.0005\"} 1\n"));
        assert!(text.contains("hongyan_log_sync_seconds_bucket{le=\"+Inf\"} 2\n"));
        assert!(text.contains("hongyan_store_free_bytes 77\n"));
        let mut series: Vec<&str> = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.rsplit_once(' ').map(|(series, _)| series))
            .collect();
        let count = series.len();
        series.sort_unstable();
        series.dedup();
        assert_eq!(series.len(), count);
    }

    #[test]
    fn reasons_are_in_the_order_of_their_numbers() {
        for (place, why) in Close::ALL.into_iter().enumerate() {
            assert_eq!(why as usize, place);
        }
    }
}
