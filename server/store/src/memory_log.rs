//! A log in memory that can be crashed and made to fail on purpose.
//!
//! Serves tests and the simulator. It keeps the distinction that matters: what is *written*
//! survives the process, what is *synced* survives the machine. Nothing here touches a file.

use std::collections::{BTreeMap, VecDeque};

use crate::error::StoreError;
use crate::log::{Draft, Log, Lsn, Record, Records, Tail, admit_drafts};

/// What a crash leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrashMode {
    /// A power cut that keeps part of what was not synced: a prefix chosen by the number.
    KeepPrefix(u64),
    /// Only what was synced: the worst power cut.
    KeepSynced,
    /// All that was written: the process died, the machine lives.
    KeepWritten,
}

/// A failure to inject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The next append fails as if the device were broken, and poisons the log.
    Append,
    /// Appends answer `DiskFull` until [`MemoryLog::heal`].
    DiskFull,
    /// The next sync fails, and poisons the log.
    Sync,
}

/// See the module.
#[derive(Debug, Default)]
pub struct MemoryLog {
    records: VecDeque<Record>,
    last: u64,
    synced: u64,
    epoch: u32,
    tails: BTreeMap<u16, Tail>,
    /// Tails before the first record held: the base for rebuilding them after a crash.
    base: BTreeMap<u16, Tail>,
    fail_append: bool,
    fail_sync: bool,
    full: bool,
    poisoned: Option<String>,
    syncs: u64,
}

impl MemoryLog {
    /// An empty log.
    #[must_use]
    pub fn new() -> Self {
        Self { epoch: 1, ..Self::default() }
    }

    /// Loses what the mode says and clears poison and injected faults, as a restart does.
    pub fn crash(&mut self, keep: CrashMode) {
        let kept = match keep {
            CrashMode::KeepPrefix(choice) => self.synced + choice % (self.last - self.synced + 1),
            CrashMode::KeepSynced => self.synced,
            CrashMode::KeepWritten => self.last,
        };
        while self.records.back().is_some_and(|record| record.lsn.0 > kept) {
            self.records.pop_back();
        }
        self.last = kept;
        self.synced = kept;
        self.tails.clone_from(&self.base);
        for record in &self.records {
            let tail = self.tails.entry(record.partition).or_default();
            *tail = tail.extended_by(&record.payload);
        }
        self.poisoned = None;
        self.heal();
    }

    /// Injects a failure.
    pub fn inject(&mut self, fault: Fault) {
        match fault {
            Fault::Append => self.fail_append = true,
            Fault::DiskFull => self.full = true,
            Fault::Sync => self.fail_sync = true,
        }
    }

    /// Takes back the injected failures that have not struck yet; poison stays.
    pub fn heal(&mut self) {
        self.fail_append = false;
        self.fail_sync = false;
        self.full = false;
    }

    /// How many syncs succeeded, for tests that count them.
    #[must_use]
    pub fn sync_count(&self) -> u64 {
        self.syncs
    }

    fn refuse_if_poisoned(&self) -> Result<(), StoreError> {
        match &self.poisoned {
            Some(first) => Err(StoreError::Poisoned { first: first.clone() }),
            None => Ok(()),
        }
    }

    fn poison(&mut self, operation: &'static str) -> StoreError {
        self.poisoned = Some(format!("injected failure of {operation}"));
        StoreError::io(
            std::path::Path::new("memory"),
            operation,
            std::io::Error::other("injected failure"),
        )
    }
}

impl Log for MemoryLog {
    fn append(&mut self, drafts: &[Draft], committed_ms: u64) -> Result<Lsn, StoreError> {
        self.refuse_if_poisoned()?;
        admit_drafts(drafts, |partition| self.tail(partition))?;
        if self.full {
            return Err(StoreError::DiskFull { free_bytes: 0, needed_bytes: 1 });
        }
        if self.fail_append {
            return Err(self.poison("append to"));
        }
        for draft in drafts {
            self.last += 1;
            let tail = self.tails.entry(draft.partition).or_default();
            *tail = tail.extended_by(&draft.payload);
            self.records.push_back(Record {
                lsn: Lsn(self.last),
                partition: draft.partition,
                epoch: self.epoch,
                idx: draft.idx,
                committed_ms,
                payload: draft.payload.clone(),
            });
        }
        Ok(Lsn(self.last))
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        self.refuse_if_poisoned()?;
        if self.fail_sync {
            return Err(self.poison("sync"));
        }
        self.synced = self.last;
        self.syncs += 1;
        Ok(())
    }

    fn last(&self) -> Lsn {
        Lsn(self.last)
    }

    fn durable(&self) -> Lsn {
        Lsn(self.synced)
    }

    fn first(&self) -> Lsn {
        self.records.front().map_or(Lsn(self.last + 1), |record| record.lsn)
    }

    fn tail(&self, partition: u16) -> Tail {
        self.tails.get(&partition).copied().unwrap_or_default()
    }

    fn read_from(&self, lsn: Lsn) -> Result<Records<'_>, StoreError> {
        let lsn = Lsn(lsn.0.max(1));
        if lsn < self.first() {
            return Err(StoreError::Short {
                file: "memory".into(),
                what: "first lsn held",
                have: self.first().0,
                expected: lsn.0,
            });
        }
        let skip = usize::try_from(lsn.0 - self.first().0).unwrap_or(usize::MAX);
        Ok(Box::new(self.records.iter().skip(skip).cloned().map(Ok)))
    }

    fn truncate_before(&mut self, lsn: Lsn) -> Result<(), StoreError> {
        self.refuse_if_poisoned()?;
        let lsn = lsn.min(Lsn(self.synced + 1));
        while self.records.front().is_some_and(|record| record.lsn < lsn) {
            if let Some(record) = self.records.pop_front() {
                let tail = self.base.entry(record.partition).or_default();
                *tail = tail.extended_by(&record.payload);
            }
        }
        Ok(())
    }

    fn seal(&mut self) -> Result<(), StoreError> {
        self.sync()
    }
}
