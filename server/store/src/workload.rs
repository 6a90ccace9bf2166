//! Known contents for a store, so that any loss can be seen from the outside.
//!
//! Every record's payload follows from its lsn. A settler keeps record `n` under the key of slot
//! `n % SLOTS`, so the views stay small however long a run is. [`compare`] then tells whether a
//! store that was opened holds everything that was confirmed. Behind `testing` and `torture`.

use bytes::Bytes;

use crate::error::StoreError;
use crate::log::{Draft, Log, Lsn};
use crate::numbers::Numbers;
use crate::open::OpenStore;
use crate::views::{Checkpoint, Views};

/// How many keys the settler uses.
pub const SLOTS: u64 = 4_000;

/// The payload that record `lsn` has in every run: 0 to 600 bytes, one in twenty up to 20,000.
#[must_use]
pub fn payload_of(lsn: u64) -> Bytes {
    let mut numbers = Numbers::new(lsn);
    let long = if numbers.below(20) == 0 { 20_000 } else { 600 };
    let len = usize::try_from(numbers.below(long)).unwrap_or(0);
    numbers.bytes(len)
}

/// The key that holds the newest settled record of a slot.
#[must_use]
pub fn key_of(lsn: u64) -> Bytes {
    Bytes::from(format!("record/{:06}", lsn % SLOTS))
}

/// Appends the expected records up to `last` in batches of up to `batch`, and syncs each batch.
///
/// # Errors
/// As [`Log::append`] and [`Log::sync`].
pub fn append_upto(log: &mut dyn Log, last: u64, batch: u64) -> Result<(), StoreError> {
    while log.last().0 < last {
        let from = log.last().0 + 1;
        let drafts: Vec<Draft> = (from..=last.min(from + batch - 1))
            .map(|lsn| Draft { partition: 0, idx: lsn, payload: payload_of(lsn) })
            .collect();
        log.append(&drafts, 1_000)?;
        log.sync()?;
    }
    Ok(())
}

/// Writes the records up to `lsn` that the views miss, and a checkpoint.
///
/// # Errors
/// As [`Views::write`] and [`Views::checkpoint`].
pub fn settle_upto(views: &dyn Views, lsn: u64) -> Result<(), StoreError> {
    let from = views.last_checkpoint()?.lsn.0 + 1;
    for lsn in from..=lsn {
        views.write(&[(key_of(lsn), Some(payload_of(lsn)))])?;
    }
    views.checkpoint(&Checkpoint { lsn: Lsn(lsn), marks: vec![(0, lsn)] })
}

/// Compares the contents with what was confirmed: every record up to at least `acked` must be
/// there, up to the checkpoint in the views, after it in the log.
///
/// # Errors
/// A sentence that says what is missing or wrong.
pub fn compare(store: &OpenStore, acked: u64) -> Result<(), String> {
    let checkpoint = store.views.last_checkpoint().map_err(|error| error.to_string())?.lsn.0;
    let last = store.log.last().0;
    if last < acked {
        return Err(format!("the log ends at {last}, {acked} was confirmed"));
    }
    for lsn in checkpoint.saturating_sub(SLOTS) + 1..=checkpoint {
        let found = store.views.read(&key_of(lsn)).map_err(|error| error.to_string())?;
        // Entries newer than the checkpoint may be there; a replay writes them again.
        let mut newer = (1..).map(|round| lsn + round * SLOTS).take_while(|lsn| *lsn <= last);
        let good = found == Some(payload_of(lsn))
            || newer.any(|newer| found.as_ref() == Some(&payload_of(newer)));
        if !good {
            return Err(format!("the views lack record {lsn}, the checkpoint is {checkpoint}"));
        }
    }
    let mut next = checkpoint + 1;
    for record in store.log.read_from(Lsn(next)).map_err(|error| error.to_string())? {
        let record = record.map_err(|error| error.to_string())?;
        if record.lsn.0 != next || record.payload != payload_of(next) {
            return Err(format!("record {next} of the log is not what was appended"));
        }
        next += 1;
    }
    if next != last + 1 {
        return Err(format!("the log reads up to {}, its last is {last}", next - 1));
    }
    Ok(())
}
