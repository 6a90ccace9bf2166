//! What all threads of a node share: addresses of each other's queues, a few
//! atomic words, nothing else.
//!
//! No state of a user or a conversation is here; that is in the shards.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::Sender;
use hongyan_core::input::AdminTicket;
use hongyan_core::{AdminCommand, AdminOutcome, Input, Layout, Now, ShardId};
use hongyan_protocol::Slot;
use hongyan_store::StoreError;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::commit::{CommitWork, LoadJob, Progress};
use crate::config::LimitsConfig;
use crate::node::Event;
use crate::observe::metrics::Metrics;
use crate::offload::OffloadQueue;
use crate::reactor::mailbox::MailboxSender;
use crate::reactor::post::Post;
use crate::reactor::transport::websocket::Upgrades;

/// See the module.
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    pub(crate) layout: Layout,
    pub(crate) limits: LimitsConfig,
    pub(crate) tls: Option<Arc<rustls::ServerConfig>>,
    /// Who may open a WebSocket; `None`: it is not served.
    pub(crate) upgrades: Option<Arc<Upgrades>>,
    pub(crate) mailboxes: Vec<MailboxSender<Post>>,
    /// How far the log is with each shard's submissions.
    pub(crate) progress: Vec<Progress>,
    pub(crate) commits: Sender<CommitWork>,
    pub(crate) loads: Sender<LoadJob>,
    pub(crate) offload: OffloadQueue,
    pub(crate) health: Health,
    pub(crate) desk: AdminDesk,
    pub(crate) metrics: Metrics,
    /// Workers that have submitted more than the log has taken and they may
    /// have under way. While there is one, no worker reads from a socket:
    /// what a connection says may be for any of them.
    pub(crate) log_behind: AtomicUsize,
    /// Bytes of the log, since the start, that are in the views as well.
    /// `u64::MAX` once no more will be.
    pub(crate) settled_bytes: AtomicU64,
    /// Above so many that are not, no worker reads a socket: they are also
    /// in memory.
    pub(crate) unsettled_bytes_max: u64,
    /// Open connections, over all workers.
    pub(crate) connections: AtomicUsize,
    /// What the node's owner must hear of.
    pub(crate) events: Sender<Event>,
}

impl Shared {
    /// The mailbox of `shard`.
    pub(crate) fn mailbox(&self, shard: ShardId) -> &MailboxSender<Post> {
        &self.mailboxes[usize::from(shard.0)]
    }

    /// Bytes that were written to the log and are not in the views yet.
    pub(crate) fn unsettled_bytes(&self) -> u64 {
        let settled = self.settled_bytes.load(Ordering::Relaxed);
        self.metrics.store.bytes.read().saturating_sub(settled)
    }

    /// Gives `input` to `shard`, waiting while its mailbox is full. Not for
    /// workers.
    pub(crate) fn deliver(&self, shard: ShardId, input: Input) {
        // A worker that has stopped takes no answers, and needs none.
        let _ = self.mailbox(shard).send(Post::Input(Box::new(input)));
    }

    /// The metrics of all threads as Prometheus text.
    pub(crate) fn render_metrics(&self) -> String {
        self.metrics.render(
            self.health.condition() as u8,
            self.health.free_bytes(),
            self.unsettled_bytes(),
        )
    }

    /// Puts a question of the admin interface to the shard of its account.
    pub(crate) fn ask(&self, command: AdminCommand) -> oneshot::Receiver<AdminOutcome> {
        let shard = self.layout.shard_of(Slot::of_name(command.name()));
        let (ticket, answer) = self.desk.open();
        self.deliver(shard, Input::Admin { ticket, command });
        answer
    }
}

impl Shared {
    /// The store has failed: nothing is acknowledged any more, everybody is
    /// sent away, and the node's owner learns the exit code. Not for workers.
    pub(crate) fn poison(&self, reason: &str, error: &StoreError) {
        self.fail(reason, exit_code(error));
    }

    /// As [`Shared::poison`], for failures that are not the store's.
    pub(crate) fn fail(&self, reason: &str, exit_code: u8) {
        if !self.health.worsen(Condition::Poisoned, reason) {
            return;
        }
        tracing::error!(reason, "failed: nothing is acknowledged any more");
        for mailbox in &self.mailboxes {
            // A full mailbox is being drained; but whoever fails may be a
            // worker itself, so this must not wait for long.
            for _ in 0..100 {
                if mailbox.try_send(Post::Poisoned).is_ok() {
                    break;
                }
                mailbox.ring();
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            mailbox.ring();
        }
        // The owner learns it from the first event; more need no place.
        let _ = self.events.try_send(Event::Failed { reason: reason.to_owned(), exit_code });
    }
}

/// 78 when a human must look at the files, otherwise 74.
pub(crate) fn exit_code(error: &StoreError) -> u8 {
    if error.exit_code() == hongyan_store::EXIT_REFUSED { 78 } else { 74 }
}

/// The two clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start: Instant,
}

/// The monotonic clock does not begin at zero, so that zero can stand for
/// "never".
const MONO_START_MS: u64 = 1_000;

impl Clock {
    pub(crate) fn start() -> Self {
        Self { start: Instant::now() }
    }

    pub(crate) fn now(self) -> Now {
        Now { unix_ms: unix_ms(), mono_ms: self.mono_ms() }
    }

    pub(crate) fn mono_ms(self) -> u64 {
        self.start.elapsed().as_millis() as u64 + MONO_START_MS
    }
}

/// Milliseconds since 1970.
pub(crate) fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// Whether the node may be trusted with writes.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// 0 well, 1 draining, 2 poisoned; never goes down.
    state: AtomicU8,
    writes_refused: AtomicBool,
    free_bytes: AtomicU64,
    reason: Mutex<String>,
}

/// The three states of [`Health`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Condition {
    /// Serving.
    Well,
    /// Stopping.
    Draining,
    /// The log or the views have failed; nothing is acknowledged any more.
    Poisoned,
}

impl Health {
    pub(crate) fn condition(&self) -> Condition {
        match self.state.load(Ordering::Acquire) {
            0 => Condition::Well,
            1 => Condition::Draining,
            _ => Condition::Poisoned,
        }
    }

    /// Moves on to a worse condition; `reason` is for people. True when it
    /// was not that bad before.
    pub(crate) fn worsen(&self, condition: Condition, reason: &str) -> bool {
        let before = self.state.fetch_max(condition as u8, Ordering::AcqRel);
        let worse = before < condition as u8;
        if worse {
            reason.clone_into(&mut self.reason.lock());
        }
        worse
    }

    pub(crate) fn reason(&self) -> String {
        self.reason.lock().clone()
    }

    /// False while the disk is nearly full.
    pub(crate) fn writes_allowed(&self) -> bool {
        !self.writes_refused.load(Ordering::Relaxed)
    }

    /// Notes the free space. True when whether writes are allowed changed.
    pub(crate) fn note_free_space(&self, free_bytes: u64, allowed: bool) -> bool {
        self.free_bytes.store(free_bytes, Ordering::Relaxed);
        self.writes_refused.swap(!allowed, Ordering::Relaxed) == allowed
    }

    pub(crate) fn free_bytes(&self) -> u64 {
        self.free_bytes.load(Ordering::Relaxed)
    }
}

/// Questions of the admin interface that wait for their answer.
#[derive(Debug, Default)]
pub(crate) struct AdminDesk {
    next: AtomicU64,
    waiting: Mutex<HashMap<u64, oneshot::Sender<AdminOutcome>, foldhash::fast::RandomState>>,
}

/// Questions that may wait at once; the oldest unanswered ones make room.
const QUESTIONS_MAX: usize = 1_024;

impl AdminDesk {
    pub(crate) fn open(&self) -> (AdminTicket, oneshot::Receiver<AdminOutcome>) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        let mut waiting = self.waiting.lock();
        if waiting.len() >= QUESTIONS_MAX {
            waiting.retain(|_, sender| !sender.is_closed());
        }
        if waiting.len() < QUESTIONS_MAX {
            waiting.insert(number, sender);
        }
        (AdminTicket(number), receiver)
    }

    pub(crate) fn answer(&self, ticket: AdminTicket, outcome: AdminOutcome) {
        if let Some(sender) = self.waiting.lock().remove(&ticket.0) {
            // The asker may have given up; then nobody is told.
            let _ = sender.send(outcome);
        }
    }
}
