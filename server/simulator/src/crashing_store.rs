//! The disk of the simulated machine: a log and views in memory that survive
//! the process, lose what a crash loses, and fail on request.
//!
//! Owns also the archive, which no real machine has: every record that is in
//! the log now, trimmed or not, for the model to read. Refuses to do anything
//! by itself; the world decides when.

use std::collections::BTreeMap;

use bytes::Bytes;
use hongyan_core::input::StoreFailure;
use hongyan_core::key::page_key;
use hongyan_core::{EntityKey, PartitionId, Submission};
use hongyan_protocol::ConversationId;
use hongyan_store::{Checkpoint, CrashMode, Draft, Fault, Log, Lsn, MemoryLog, MemoryViews, Views};

use crate::violation::{Checked, Violation, ensure};

const STORE: &str = "the store is used as it may be";

/// A record of the log, kept also after the log was trimmed.
#[derive(Debug, Clone)]
pub(crate) struct Archived {
    pub(crate) lsn: u64,
    pub(crate) partition: PartitionId,
    pub(crate) idx: u64,
    pub(crate) payload: Bytes,
}

/// How a process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crash {
    /// It is killed; the machine lives, what was written stays.
    Kill,
    /// The machine stops; of what was written and not synced a prefix stays.
    PowerCut {
        /// Chooses the prefixes.
        choice: u64,
    },
}

/// See the module.
#[derive(Debug)]
pub(crate) struct CrashingStore {
    log: MemoryLog,
    views: MemoryViews,
    archive: Vec<Archived>,
    marks: BTreeMap<PartitionId, u64>,
}

impl CrashingStore {
    pub(crate) fn new() -> Self {
        Self {
            log: MemoryLog::new(),
            views: MemoryViews::new(),
            archive: Vec::new(),
            marks: BTreeMap::new(),
        }
    }

    /// Appends a submission; it is written then. Returns its records.
    pub(crate) fn append(&mut self, submission: &Submission, unix_ms: u64) -> Checked<&[Archived]> {
        let drafts: Vec<Draft> = submission
            .records
            .iter()
            .map(|record| Draft {
                partition: record.partition.0,
                idx: record.idx,
                payload: record.payload.clone(),
            })
            .collect();
        ensure!(!drafts.is_empty(), STORE, "submission {} has no records", submission.number);
        let last = self.log.append(&drafts, unix_ms).map_err(misuse)?;
        let first = last.0 + 1 - drafts.len() as u64;
        let from = self.archive.len();
        for (at, record) in submission.records.iter().enumerate() {
            self.archive.push(Archived {
                lsn: first + at as u64,
                partition: record.partition,
                idx: record.idx,
                payload: record.payload.clone(),
            });
        }
        Ok(&self.archive[from..])
    }

    /// Syncs; false when that failed, and the process must die.
    pub(crate) fn sync(&mut self, fails: bool) -> bool {
        if fails {
            self.log.inject(Fault::Sync);
        }
        self.log.sync().is_ok()
    }

    /// Everything up to here survives a power cut.
    pub(crate) fn durable(&self) -> u64 {
        self.log.durable().0
    }

    /// Everything up to here survives a kill.
    pub(crate) fn written(&self) -> u64 {
        self.log.last().0
    }

    /// Every record in the log, oldest first.
    pub(crate) fn archive(&self) -> &[Archived] {
        &self.archive
    }

    /// Loses what the crash loses.
    pub(crate) fn crash(&mut self, crash: Crash) -> Checked {
        let mode = match crash {
            Crash::Kill => CrashMode::KeepWritten,
            Crash::PowerCut { choice } => CrashMode::KeepPrefix(choice),
        };
        self.log.crash(mode);
        self.views.crash(mode);
        let last = self.log.last().0;
        self.archive.retain(|record| record.lsn <= last);
        let checkpoint = self.checkpoint()?;
        self.marks = checkpoint.marks.iter().map(|(id, idx)| (PartitionId(*id), *idx)).collect();
        ensure!(
            checkpoint.lsn.0 <= last,
            "views never know more than the log",
            "checkpoint {} and log {last}",
            checkpoint.lsn.0
        );
        Ok(())
    }

    /// What a boot replays.
    pub(crate) fn to_replay(&self) -> Checked<Vec<Archived>> {
        let from = self.checkpoint()?.lsn.next();
        let records = self.log.read_from(from).map_err(misuse)?;
        records
            .map(|record| {
                let record = record.map_err(misuse)?;
                Ok(Archived {
                    lsn: record.lsn.0,
                    partition: PartitionId(record.partition),
                    idx: record.idx,
                    payload: record.payload,
                })
            })
            .collect()
    }

    /// Reads an entity from the views.
    pub(crate) fn load(&self, key: &EntityKey) -> Result<Option<Bytes>, StoreFailure> {
        self.views.read(&key.to_bytes()).map_err(|_| StoreFailure)
    }

    /// Reads pages as [`Effect::ReadPages`](hongyan_core::Effect::ReadPages)
    /// says.
    pub(crate) fn read_pages(&self, wanted: &PagesWanted) -> Result<Vec<Bytes>, StoreFailure> {
        let first_key = page_key(wanted.conversation, 0);
        let from_key = page_key(wanted.conversation, wanted.from_seq);
        let before = self.views.scan(&first_key, &from_key, true, 1, 1);
        let start =
            before.map_err(|_| StoreFailure)?.first().map_or(from_key, |(key, _)| key.clone());
        let to_key = page_key(wanted.conversation, wanted.to_seq);
        let entries = self
            .views
            .scan(&start, &to_key, wanted.backwards, usize::MAX, usize::MAX)
            .map_err(|_| StoreFailure)?;
        let mut pages = Vec::new();
        let mut bytes = 0;
        for (_, page) in entries {
            bytes += page.len();
            pages.push(page);
            if bytes >= wanted.bytes_max {
                break;
            }
        }
        Ok(pages)
    }

    /// Writes entries into the views.
    pub(crate) fn write(&mut self, entries: &[(Bytes, Option<Bytes>)]) -> Checked {
        self.views.write(entries).map_err(misuse)
    }

    /// Notes how far partitions are in the views, makes the views durable,
    /// and trims the log to what they lack. Returns the checkpoint's place.
    pub(crate) fn settle(&mut self, marks: &[(PartitionId, u64)]) -> Checked<u64> {
        for (partition, idx) in marks {
            let mark = self.marks.entry(*partition).or_default();
            ensure!(
                *idx >= *mark,
                "settling goes forward",
                "partition {} from {mark} to {idx}",
                partition.0
            );
            *mark = *idx;
        }
        let lsn = self.settled_lsn()?;
        let marks = self.marks.iter().map(|(partition, idx)| (partition.0, *idx)).collect();
        self.views.checkpoint(&Checkpoint { lsn: Lsn(lsn), marks }).map_err(misuse)?;
        self.log.truncate_before(Lsn(lsn + 1)).map_err(misuse)?;
        Ok(lsn)
    }

    /// The highest place up to which every record is in the views.
    fn settled_lsn(&self) -> Checked<u64> {
        let before = self.checkpoint()?.lsn.0;
        let mut lsn = before;
        for record in &self.archive[before as usize..] {
            let mark = self.marks.get(&record.partition).copied().unwrap_or(0);
            if record.idx > mark {
                break;
            }
            lsn = record.lsn;
        }
        ensure!(
            lsn <= self.durable(),
            "views take in durable records only",
            "settled to {lsn}, durable to {}",
            self.durable()
        );
        Ok(lsn)
    }

    fn checkpoint(&self) -> Checked<Checkpoint> {
        self.views.last_checkpoint().map_err(misuse)
    }
}

/// See [`CrashingStore::read_pages`].
#[derive(Debug, Clone)]
pub(crate) struct PagesWanted {
    pub(crate) conversation: ConversationId,
    pub(crate) from_seq: u64,
    pub(crate) to_seq: u64,
    pub(crate) backwards: bool,
    pub(crate) bytes_max: usize,
}

fn misuse(error: impl std::fmt::Display) -> Violation {
    Violation { invariant: STORE, detail: error.to_string() }
}
