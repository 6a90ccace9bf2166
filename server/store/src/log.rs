//! The log: the one ordered, durable list of committed write-sets of a machine.
//!
//! Owns the [`Log`] trait and its records; knows nothing of what a payload means. One committer
//! thread calls it. Two numbers order a record: its [`Lsn`] over the whole log, and its `idx`
//! inside its partition; both are dense from 1. Every record also carries the digest of its
//! partition's history, so two copies of a partition can be compared by one number.

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::error::StoreError;

/// The largest payload of one record, inclusive: 16 MiB.
pub const PAYLOAD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Position of a record in the log: dense, the first record has 1; 0 stands for "nothing".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Lsn(pub u64);

impl Lsn {
    /// The position after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// A record that wants to be appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The partition it belongs to.
    pub partition: u16,
    /// Its number in the partition: exactly one more than the partition's tail.
    pub idx: u64,
    /// 0 to [`PAYLOAD_BYTES_MAX`] opaque bytes.
    pub payload: Bytes,
}

/// A record read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Position in the log.
    pub lsn: Lsn,
    /// The partition it belongs to.
    pub partition: u16,
    /// The writer's epoch when it was appended.
    pub epoch: u32,
    /// Number in the partition, dense from 1.
    pub idx: u64,
    /// Wall-clock milliseconds since 1970, as the committer stamped the batch.
    pub committed_ms: u64,
    /// The bytes of the draft.
    pub payload: Bytes,
}

/// Where a partition's history ends. The default stands for a partition without records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tail {
    /// Number of the partition's last record; 0 when it has none.
    pub idx: u64,
    /// Digest over all payloads of the partition up to `idx`; 0 when it has none.
    pub digest: u64,
}

impl Tail {
    /// The tail after one more record with this payload.
    #[must_use]
    pub fn extended_by(self, payload: &[u8]) -> Self {
        Self { idx: self.idx + 1, digest: xxh3_64_with_seed(payload, self.digest) }
    }
}

/// The records that [`Log::read_from`] yields, in lsn order. It ends after the first error.
pub type Records<'a> = Box<dyn Iterator<Item = Result<Record, StoreError>> + 'a>;

/// An ordered, durable list of records, used by one thread.
///
/// Calls come in this order: `append` any number of times, then `sync`; what was appended before
/// a `sync` that returned `Ok` survives a power cut. After any error but [`StoreError::DiskFull`]
/// and [`StoreError::Misuse`] the log is poisoned: every later `append`, `sync`,
/// `truncate_before` and `seal` answers [`StoreError::Poisoned`], and only a restart helps,
/// because a failed write-back cannot be retried safely.
pub trait Log: Send {
    /// Appends the drafts in order and returns the lsn of the last one (or [`Log::last`] when
    /// there are none). On return the records are *written*: they survive the death of the process.
    /// All drafts of a call become visible together after a clean restart; a power cut may keep
    /// a prefix of them.
    ///
    /// # Errors
    /// [`StoreError::Misuse`] when a draft's idx is not its partition's next or a payload is too
    /// long, [`StoreError::DiskFull`] below the configured free space: both change nothing.
    /// [`StoreError::Io`] and [`StoreError::Poisoned`]: not retryable.
    fn append(&mut self, drafts: &[Draft], committed_ms: u64) -> Result<Lsn, StoreError>;

    /// Makes everything appended so far durable.
    ///
    /// # Errors
    /// Any error means that nothing since the last successful call may be called durable, now or
    /// later; the log is poisoned.
    fn sync(&mut self) -> Result<(), StoreError>;

    /// Position of the last record, or of the last one ever appended if all were dropped.
    fn last(&self) -> Lsn;

    /// Position up to which everything is durable; `durable() <= last()`.
    fn durable(&self) -> Lsn;

    /// Position of the first record still held; `last().next()` when there is none.
    fn first(&self) -> Lsn;

    /// Where the history of a partition ends, also when its records were dropped.
    fn tail(&self, partition: u16) -> Tail;

    /// Reads from `lsn` (inclusive; 0 counts as 1) to the end.
    ///
    /// # Errors
    /// [`StoreError::Short`] when records from `lsn` on were dropped. The iterator yields
    /// [`StoreError::Corrupt`] for a record that does not verify, and then ends.
    fn read_from(&self, lsn: Lsn) -> Result<Records<'_>, StoreError>;

    /// Drops records before `lsn`, in whole units of the engine: [`Log::first`] may stay below
    /// `lsn`, and never passes it.
    ///
    /// # Errors
    /// [`StoreError::Io`], [`StoreError::Poisoned`]; no record from `lsn` on is harmed.
    fn truncate_before(&mut self, lsn: Lsn) -> Result<(), StoreError>;

    /// Makes everything durable, including the marks that a restart compares with. To be called
    /// before a clean stop; appending afterwards is allowed.
    ///
    /// # Errors
    /// As [`Log::sync`].
    fn seal(&mut self) -> Result<(), StoreError>;
}

/// Checks that drafts continue their partitions without a gap and fit the payload limit.
pub(crate) fn admit_drafts(drafts: &[Draft], tail: impl Fn(u16) -> Tail) -> Result<(), StoreError> {
    for (position, draft) in drafts.iter().enumerate() {
        if draft.payload.len() > PAYLOAD_BYTES_MAX {
            return Err(StoreError::misuse(format!(
                "a payload of {} bytes is over the limit of {PAYLOAD_BYTES_MAX}",
                draft.payload.len()
            )));
        }
        let before =
            drafts[..position].iter().rev().find(|other| other.partition == draft.partition);
        let expected = before.map_or_else(|| tail(draft.partition).idx, |other| other.idx) + 1;
        if draft.idx != expected {
            return Err(StoreError::misuse(format!(
                "partition {} continues with idx {expected}, not {}",
                draft.partition, draft.idx
            )));
        }
    }
    Ok(())
}
