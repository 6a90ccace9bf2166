//! The committer: the one thread that writes the log.
//!
//! It packs what arrived from all shards while the last sync ran into one
//! append and one sync, so the size of a batch follows the load by itself.
//! When nobody waits for durability it puts the sync off, by 100 ms at most.
//!
//! On the first error of the log it poisons the node and appends nothing more:
//! what was submitted and not published stays unacknowledged for ever. It
//! never retries. Too little disk space is told to the node before the log
//! refuses (see [`crate::commit::Settler`]); a log that refuses all the same
//! poisons like any other error, because the shards have already gone on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hongyan_store::{Draft, Log, Lsn};

use super::{CommitWork, LsnIndex};
use crate::reactor::mailbox::Mailbox;
use crate::shared::{Shared, unix_ms};

/// A sync nobody waits for happens within so long.
const LAZY_SYNC: Duration = Duration::from_millis(100);
/// Bytes of one append.
const APPEND_BYTES_MAX: usize = 16 * 1024 * 1024;

/// See the module.
pub(crate) struct Committer {
    shared: Arc<Shared>,
    work: Mailbox<CommitWork>,
    log: Box<dyn Log>,
    index: LsnIndex,
    drafts: Vec<Draft>,
    bytes: usize,
    /// Per shard: last submission taken, and what is published of it.
    shards: Vec<ShardState>,
    wants_sync: bool,
    unsynced_since: Option<Instant>,
    failed: bool,
    stop: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct ShardState {
    taken: u64,
    written: u64,
    durable: u64,
    wants_written: bool,
}

impl Committer {
    pub(crate) fn new(
        shared: Arc<Shared>,
        work: Mailbox<CommitWork>,
        log: Box<dyn Log>,
        index: LsnIndex,
    ) -> Self {
        let shards = vec![ShardState::default(); shared.progress.len()];
        Self {
            shared,
            work,
            log,
            index,
            drafts: Vec::new(),
            bytes: 0,
            shards,
            wants_sync: false,
            unsynced_since: None,
            failed: false,
            stop: false,
        }
    }

    /// Runs until [`CommitWork::Stop`].
    pub(crate) fn run(mut self) {
        while !self.stop {
            if !self.take_all() && !self.is_overdue() {
                self.work.park_until(self.sync_due());
                continue;
            }
            self.append();
            if self.wants_sync || self.stop || self.is_overdue() {
                self.sync();
            }
        }
    }

    /// Takes what is there, up to the size of one append. False: nothing.
    fn take_all(&mut self) -> bool {
        let mut taken = false;
        while self.bytes < APPEND_BYTES_MAX
            && let Some(work) = self.work.take()
        {
            self.take(work);
            taken = true;
        }
        taken
    }

    /// When what is written and not synced must be.
    fn sync_due(&self) -> Option<Instant> {
        self.unsynced_since.map(|since| since + LAZY_SYNC)
    }

    fn is_overdue(&self) -> bool {
        self.sync_due().is_some_and(|due| due <= Instant::now())
    }

    fn take(&mut self, work: CommitWork) {
        match work {
            CommitWork::Append { shard, submission, wants_written } => {
                if self.failed {
                    return;
                }
                let state = &mut self.shards[usize::from(shard.0)];
                state.taken = submission.number;
                state.wants_written |= wants_written;
                self.wants_sync |= submission.wants_sync;
                for record in submission.records {
                    self.bytes += record.payload.len();
                    self.drafts.push(Draft {
                        partition: record.partition.0,
                        idx: record.idx,
                        payload: record.payload,
                    });
                }
            }
            CommitWork::SafePoint { marks, answer } => {
                if !self.failed {
                    // A settler that has given up needs no answer.
                    let _ = answer.send(self.index.safe_point(&marks));
                }
            }
            CommitWork::Seal { answer } => {
                self.append();
                self.sync();
                let sealed = !self.failed && self.survives("seal", |log| log.seal());
                if sealed {
                    let _ = answer.send(());
                }
            }
            CommitWork::Stop => self.stop = true,
            CommitWork::TellWritten { shard } => {
                let state = &mut self.shards[usize::from(shard.0)];
                if state.written < state.taken {
                    state.wants_written = true;
                } else {
                    self.shared.mailboxes[usize::from(shard.0)].ring();
                }
            }
            CommitWork::Truncate { before } => {
                if !self.failed {
                    self.survives("truncate", |log| log.truncate_before(before));
                }
            }
        }
    }

    fn append(&mut self) {
        if self.drafts.is_empty() || self.failed {
            return;
        }
        let before = self.log.last();
        let drafts = std::mem::take(&mut self.drafts);
        let bytes = std::mem::take(&mut self.bytes);
        if !self.survives("append", |log| log.append(&drafts, unix_ms()).map(|_| ())) {
            return;
        }
        let first = before.next();
        for (lsn, draft) in (first.0..).zip(&drafts) {
            self.index.note(draft.partition, draft.idx, Lsn(lsn), first);
        }
        self.shared.metrics.store.appends.add(1);
        self.shared.metrics.store.records.add(drafts.len() as u64);
        self.shared.metrics.store.bytes.add(bytes as u64);
        self.unsynced_since.get_or_insert_with(Instant::now);
        for (shard, state) in self.shards.iter_mut().enumerate() {
            if state.taken > state.written {
                state.written = state.taken;
                self.shared.progress[shard].publish_written(state.written);
                if std::mem::take(&mut state.wants_written) {
                    self.shared.mailboxes[shard].ring();
                }
            }
        }
        self.drafts = drafts;
        self.drafts.clear();
    }

    fn sync(&mut self) {
        self.wants_sync = false;
        if self.unsynced_since.is_none() || self.failed {
            return;
        }
        let begun = Instant::now();
        if !self.survives("sync", |log| log.sync()) {
            return;
        }
        self.shared.metrics.store.synced(begun.elapsed().as_micros() as u64);
        self.unsynced_since = None;
        for (shard, state) in self.shards.iter_mut().enumerate() {
            if state.written > state.durable {
                state.durable = state.written;
                self.shared.progress[shard].publish_durable(state.durable);
                self.shared.mailboxes[shard].ring();
            }
        }
    }

    /// Does `operation`; on an error poisons the node. False then.
    fn survives(
        &mut self,
        what: &str,
        operation: impl FnOnce(&mut dyn Log) -> Result<(), hongyan_store::StoreError>,
    ) -> bool {
        let Err(error) = operation(self.log.as_mut()) else {
            return true;
        };
        self.failed = true;
        self.unsynced_since = None;
        self.drafts.clear();
        self.shared.poison(&format!("{what} of the log: {error}"), &error);
        false
    }
}
