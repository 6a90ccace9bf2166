//! The views: sorted keys and values that a replay of the log can rebuild from a checkpoint.
//!
//! Owns the [`Views`] trait. Loader threads read, one settler thread writes. A view is never the
//! only copy of anything newer than its last [`Checkpoint`].

use bytes::Bytes;

use crate::error::StoreError;
use crate::log::Lsn;

/// The longest key, inclusive, in bytes.
pub const KEY_BYTES_MAX: usize = 512;

/// How far the views on disk contain the log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checkpoint {
    /// Every record up to and including this one is in the views; a replay starts after it.
    pub lsn: Lsn,
    /// Partition and the idx of its last record that is in the views. At most
    /// [`MARKS_MAX`] entries.
    pub marks: Vec<(u16, u64)>,
}

/// The most marks a checkpoint may carry, inclusive.
pub const MARKS_MAX: usize = 512;

/// A key with its value.
pub type Entry = (Bytes, Bytes);

/// Sorted keys and values on disk.
///
/// After a restart the views hold everything written before the last checkpoint, and of the
/// entries written since, any prefix in the order of writing: replay overwrites those. One entry
/// is always old or new as a whole.
pub trait Views: Send + Sync {
    /// Reads one value.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when the stored bytes do not verify, [`StoreError::Io`].
    fn read(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError>;

    /// Reads entries with `from <= key <= to_inclusive`, in key order, or from the highest down
    /// when `backwards`. Stops before an entry that would make the sum of key and value bytes
    /// pass `bytes_max`, except that the first entry is always given, and after `entries_max`.
    ///
    /// # Errors
    /// As [`Views::read`].
    fn scan(
        &self,
        from: &[u8],
        to_inclusive: &[u8],
        backwards: bool,
        bytes_max: usize,
        entries_max: usize,
    ) -> Result<Vec<Entry>, StoreError>;

    /// Writes entries in order; `None` deletes. Visible to readers at once, entry by entry; durable
    /// only after the next [`Views::checkpoint`].
    ///
    /// # Errors
    /// [`StoreError::Misuse`] for an empty or too long key: nothing was written. Any other error
    /// poisons the views for writing; reads go on.
    fn write(&self, entries: &[(Bytes, Option<Bytes>)]) -> Result<(), StoreError>;

    /// Makes everything written before durable, then records the checkpoint durably. The lsn never
    /// goes back.
    ///
    /// # Errors
    /// [`StoreError::Misuse`] when the lsn goes back or there are too many marks. Any other error
    /// poisons the views for writing; the checkpoint before stays in force.
    fn checkpoint(&self, checkpoint: &Checkpoint) -> Result<(), StoreError>;

    /// The last checkpoint recorded; the default one for new views.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    fn last_checkpoint(&self) -> Result<Checkpoint, StoreError>;
}

/// Refuses keys that no engine takes.
pub(crate) fn admit_entries(entries: &[(Bytes, Option<Bytes>)]) -> Result<(), StoreError> {
    for (key, value) in entries {
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            return Err(StoreError::misuse(format!(
                "a key has 1 to {KEY_BYTES_MAX} bytes, not {}",
                key.len()
            )));
        }
        if let Some(value) = value
            && value.len() > VALUE_BYTES_MAX
        {
            return Err(StoreError::misuse(format!(
                "a value of {} bytes is over the limit of {VALUE_BYTES_MAX}",
                value.len()
            )));
        }
    }
    Ok(())
}

/// Refuses a checkpoint that goes back or carries too many marks.
pub(crate) fn admit_checkpoint(before: Lsn, next: &Checkpoint) -> Result<(), StoreError> {
    if next.lsn < before {
        return Err(StoreError::misuse(format!(
            "a checkpoint at {} after one at {}",
            next.lsn.0, before.0
        )));
    }
    if next.marks.len() > MARKS_MAX {
        return Err(StoreError::misuse(format!("{} marks, at most {MARKS_MAX}", next.marks.len())));
    }
    Ok(())
}

/// The largest value, inclusive: 16 MiB.
pub const VALUE_BYTES_MAX: usize = 16 * 1024 * 1024;
