//! The settler: writes what changed to the views, moves the checkpoint, has
//! the log trimmed; and watches the disk's free space.
//!
//! A round asks each shard for its parts, waits until what a part depends on
//! is durable in the log, and writes it. When all shards are through, the
//! views' checkpoint moves to the position that the committer finds safe, the
//! log before it goes, and the shards are told. A round that fails leaves the
//! checkpoint where it was; replay makes it good.
//!
//! A full disk in the views is no reason to stop serving: the settler gives
//! up, writes are refused from then on, and reads go on until a restart.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use hongyan_core::{Input, PartitionId, ShardId};
use hongyan_store::{Checkpoint, Lsn, StoreError, Views};

use super::CommitWork;
use crate::config::StoreConfig;
use crate::reactor::post::{Post, SettleAnswer, SettleAsk};
use crate::shared::{Condition, Shared};

/// How often time and space are looked at.
const TICK: Duration = Duration::from_millis(100);
/// Bytes of one part: a worker answers nobody else while it makes one.
const STEP_BYTES: usize = 256 * 1024;
/// How long a worker may take to answer before the node is thought stuck.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// What the settler can be told.
pub(crate) enum SettleCommand {
    /// Do a round now, and say whether it was completed.
    Now(Sender<bool>),
    /// End the thread.
    Stop,
}

/// See the module.
pub(crate) struct Settler {
    shared: Arc<Shared>,
    views: Arc<dyn Views>,
    dir: PathBuf,
    free_bytes_min: u64,
    every: Duration,
    log_bytes: u64,
    commands: Receiver<SettleCommand>,
    /// How far the views are, of each partition.
    marks: BTreeMap<PartitionId, u64>,
    checkpoint: Lsn,
    last_round: Instant,
    bytes_then: u64,
    gave_up: bool,
}

/// Why a round was not completed.
enum Failure {
    /// The node is stopping or has failed; nothing to report.
    Interrupted,
    Store(StoreError),
}

impl Settler {
    pub(crate) fn new(
        shared: Arc<Shared>,
        views: Arc<dyn Views>,
        config: &StoreConfig,
        checkpoint: &Checkpoint,
        commands: Receiver<SettleCommand>,
    ) -> Self {
        let marks = checkpoint.marks.iter().map(|(id, idx)| (PartitionId(*id), *idx)).collect();
        Self {
            shared,
            views,
            dir: config.dir.clone(),
            free_bytes_min: config.free_bytes_min,
            every: config.settle_every,
            log_bytes: config.settle_log_bytes,
            commands,
            marks,
            checkpoint: checkpoint.lsn,
            last_round: Instant::now(),
            bytes_then: 0,
            gave_up: false,
        }
    }

    /// Runs until [`SettleCommand::Stop`].
    pub(crate) fn run(mut self) {
        loop {
            match self.commands.recv_timeout(TICK) {
                Ok(SettleCommand::Now(answer)) => {
                    let done = self.round();
                    // Who asked may have given up.
                    let _ = answer.send(done);
                }
                Ok(SettleCommand::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.watch_space();
            let logged = self.shared.metrics.store.bytes.read() - self.bytes_then;
            let due = logged >= self.log_bytes || self.last_round.elapsed() >= self.every;
            if due && !self.gave_up {
                self.round();
            }
        }
    }

    /// Lets writes in or keeps them out, well before the log would refuse.
    fn watch_space(&self) {
        let free = match rustix::fs::statvfs(&self.dir) {
            Ok(answer) => answer.f_bavail.saturating_mul(answer.f_frsize),
            Err(error) => {
                tracing::warn!(%error, "the free space cannot be asked");
                return;
            }
        };
        let health = &self.shared.health;
        // Once refused, a little more must be free, or it would flicker.
        let needed = if health.writes_allowed() {
            self.free_bytes_min
        } else {
            self.free_bytes_min + self.free_bytes_min / 8
        };
        let allowed = free >= needed && !self.gave_up;
        if health.note_free_space(free, allowed) {
            if allowed {
                tracing::info!(free, "there is space again: writes are taken");
            } else {
                tracing::error!(free, needed, "the disk is nearly full: writes are refused");
            }
        }
    }

    /// No more rounds: writes are refused, and nothing waits for the views.
    fn give_up(&mut self) {
        self.gave_up = true;
        self.shared.settled_bytes.store(u64::MAX, Ordering::Relaxed);
    }

    /// One round. True when the views have everything that was decided before
    /// it.
    fn round(&mut self) -> bool {
        if self.gave_up || self.shared.health.condition() == Condition::Poisoned {
            return false;
        }
        self.last_round = Instant::now();
        self.bytes_then = self.shared.metrics.store.bytes.read();
        match self.try_round() {
            Ok(()) => {
                self.shared.settled_bytes.store(self.bytes_then, Ordering::Relaxed);
                true
            }
            Err(Failure::Interrupted) => {
                // A shard may have given its part and not be told that it is
                // settled. What it says next cannot be understood, so there
                // is no next round; the log keeps everything.
                self.give_up();
                if self.shared.health.condition() != Condition::Poisoned {
                    tracing::error!(
                        "a settle round was cut off: writes are refused until a restart"
                    );
                }
                false
            }
            // sled takes no writes after one has failed, but it still reads.
            Err(Failure::Store(error)) if is_disk_full(&error) => {
                tracing::error!(%error, "the views cannot be written: writes are refused until a restart");
                self.give_up();
                self.watch_space();
                false
            }
            Err(Failure::Store(error)) => {
                self.shared.poison(&format!("views: {error}"), &error);
                false
            }
        }
    }

    fn try_round(&mut self) -> Result<(), Failure> {
        let mut rounds = Vec::new();
        for shard in 0..self.shared.layout.shards() {
            let shard = ShardId(shard);
            if let Some(round) = self.settle_shard(shard)? {
                rounds.push((shard, round));
            }
        }
        let marks: Vec<_> = self.marks.iter().map(|(id, idx)| (id.0, *idx)).collect();
        let (answer, safe) = bounded(1);
        let ask = CommitWork::SafePoint { marks: marks.clone(), answer };
        self.shared.commits.send(ask).map_err(|_| Failure::Interrupted)?;
        let lsn = safe.recv().map_err(|_| Failure::Interrupted)?.max(self.checkpoint);
        if lsn > self.checkpoint || !rounds.is_empty() {
            self.views.checkpoint(&Checkpoint { lsn, marks }).map_err(Failure::Store)?;
            self.checkpoint = lsn;
            let before = lsn.next();
            // The committer ends after the settler.
            let _ = self.shared.commits.send(CommitWork::Truncate { before });
        }
        for (shard, round) in rounds {
            self.shared.deliver(shard, Input::Settled { round });
        }
        self.shared.metrics.store.settle_rounds.add(1);
        Ok(())
    }

    /// All parts of one shard; the number of its round if it had anything.
    fn settle_shard(&mut self, shard: ShardId) -> Result<Option<u64>, Failure> {
        let mut round = None;
        loop {
            let SettleAnswer { step, heads } = self.ask(shard)?;
            let Some(step) = step else {
                // Nothing differs from the views, so they are as far as the
                // shard is.
                if round.is_none() {
                    self.note(heads);
                }
                return Ok(round);
            };
            round = Some(step.round);
            self.await_durable(shard, step.after)?;
            let bytes = step
                .entries
                .iter()
                .map(|(key, value)| key.len() + value.as_ref().map_or(0, bytes::Bytes::len));
            self.shared.metrics.store.settle_bytes.add(bytes.sum::<usize>() as u64);
            self.views.write(&step.entries).map_err(Failure::Store)?;
            if let Some(marks) = step.marks {
                self.note(marks);
                return Ok(round);
            }
        }
    }

    fn note(&mut self, marks: Vec<(PartitionId, u64)>) {
        for (partition, idx) in marks {
            let mark = self.marks.entry(partition).or_default();
            *mark = idx.max(*mark);
        }
    }

    fn ask(&self, shard: ShardId) -> Result<SettleAnswer, Failure> {
        let (answer, settled) = bounded(1);
        let ask = SettleAsk { bytes_max: STEP_BYTES, answer };
        let mailbox = self.shared.mailbox(shard);
        mailbox.send(Post::Settle(ask)).map_err(|_| Failure::Interrupted)?;
        settled.recv_timeout(ANSWER_LIMIT).map_err(|error| {
            if error.is_timeout() {
                tracing::error!(shard = shard.0, "the worker does not answer");
            }
            Failure::Interrupted
        })
    }

    fn await_durable(&self, shard: ShardId, number: u64) -> Result<(), Failure> {
        let progress = &self.shared.progress[usize::from(shard.0)];
        while progress.durable() < number {
            if self.shared.health.condition() == Condition::Poisoned {
                return Err(Failure::Interrupted);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

/// Whether it is for want of space, which the views report as they meet it.
fn is_disk_full(error: &StoreError) -> bool {
    match error {
        StoreError::DiskFull { .. } => true,
        StoreError::Io { source, .. } => {
            matches!(source.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
        }
        _ => false,
    }
}
