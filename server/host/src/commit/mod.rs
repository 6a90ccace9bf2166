//! Everything between the shards and the store, off the reactor.
//!
//! ```text
//! workers ──submissions──> committer ──append, sync──> log
//!    ^  \                    | numbers written, durable (atomics + a ring)
//!    |   '──loads──> loaders ──read──> views
//!    '──settle asks── settler ──write, checkpoint──> views, then truncate
//! ```
//! Owns the threads that may block on a disk. Nothing here decides anything
//! about content. Promises: a number is published as durable only after the
//! sync that covers it has returned; a checkpoint names a log position only
//! when everything up to it is in the views; after a failed append or sync
//! nothing is published any more.

mod committer;
mod loader;
mod lsn_index;
mod settler;

use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_channel::Sender;
use hongyan_core::input::Ticket;
use hongyan_core::{EntityKey, ShardId, Submission};
use hongyan_protocol::ConversationId;
use hongyan_store::Lsn;

pub(crate) use committer::Committer;
pub(crate) use loader::run as run_loader;
pub(crate) use lsn_index::LsnIndex;
pub(crate) use settler::{SettleCommand, Settler};

/// So many times `store.settle_log_mib` may wait for the views before nothing
/// is read from clients.
pub(crate) const UNSETTLED_ROUNDS: u64 = 16;
/// Submissions that may wait for the committer.
pub(crate) const COMMITS_LEN: usize = 4_096;
/// Loads that may wait for the loaders.
pub(crate) const LOADS_LEN: usize = 8_192;
/// Loader threads.
pub(crate) const LOADERS: usize = 2;

/// Work for the committer.
pub(crate) enum CommitWork {
    /// The records of one wake.
    Append {
        /// Whose.
        shard: ShardId,
        /// What.
        submission: Submission,
        /// Something waits for it to be written, not only durable.
        wants_written: bool,
    },
    /// Up to which position is the log contained in views that have these
    /// records?
    SafePoint {
        /// Partition and its last record in the views.
        marks: Vec<(u16, u64)>,
        /// Where the answer goes; dropped when the log has failed.
        answer: Sender<Lsn>,
    },
    /// Make everything durable, with the marks of a clean stop.
    Seal {
        /// Told when it is done; dropped when the log has failed.
        answer: Sender<()>,
    },
    /// End the thread.
    Stop,
    /// Something waits, since a moment ago, for what this shard submitted
    /// before to be written.
    TellWritten {
        /// Whose.
        shard: ShardId,
    },
    /// Drop records before this one.
    Truncate {
        /// Exclusive.
        before: Lsn,
    },
}

/// Work for a loader.
pub(crate) struct LoadJob {
    /// Who asked.
    pub(crate) shard: ShardId,
    /// For what.
    pub(crate) kind: LoadKind,
}

/// See [`LoadJob`].
pub(crate) enum LoadKind {
    /// An entity.
    Entity {
        /// Which.
        key: EntityKey,
    },
    /// Pages of a conversation; see `Effect::ReadPages`.
    Pages {
        /// For the answer.
        ticket: Ticket,
        /// Which conversation.
        conversation: ConversationId,
        /// At least 1.
        from_seq: u64,
        /// Inclusive.
        to_seq: u64,
        /// Start at the upper end.
        backwards: bool,
        /// Stop after the page that reaches so many bytes.
        bytes_max: usize,
    },
    /// End the thread.
    Stop,
}

/// How far the log is with one shard's submissions. Written by the committer
/// alone.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    written: AtomicU64,
    durable: AtomicU64,
}

impl Progress {
    /// The last submission given to the kernel.
    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::SeqCst)
    }

    /// The last submission synced to the disk.
    pub(crate) fn durable(&self) -> u64 {
        self.durable.load(Ordering::SeqCst)
    }

    fn publish_written(&self, number: u64) {
        self.written.store(number, Ordering::SeqCst);
    }

    fn publish_durable(&self, number: u64) {
        self.durable.store(number, Ordering::SeqCst);
    }
}
