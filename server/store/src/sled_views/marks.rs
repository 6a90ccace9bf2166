//! Where a checkpoint is noted: a row in sled, and the slot file beside sled.
//!
//! The row is written first and made durable, then the file. So after a crash sled is equal to the
//! file or one checkpoint ahead of it; sled behind the file means that it lost something.
//!
//! The row: generation, lsn, sum, count, store id (each u64), number of marks (u32), marks
//! (partition u16, idx u64), CRC-32 of all before; integers little-endian.

use std::path::Path;

use super::scrub::Sum;
use crate::error::StoreError;
use crate::log::Lsn;
use crate::sled_db::SledDb;
use crate::slots::Words;
use crate::views::{Checkpoint, MARKS_MAX};

/// Name of the slot file in the store's directory.
pub(crate) const NAME: &str = "checkpoint";

const KEY: &[u8] = b"checkpoint";
const FIXED_BYTES: usize = 44;
const MARK_BYTES: usize = 10;
/// No store gets here; what is above cannot be counted on from.
const GENERATION_MAX: u64 = u64::MAX / 2;

/// What a checkpoint promises about the contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Recorded {
    /// Counts checkpoints; entries carry the generation in which they were written.
    pub(crate) generation: u64,
    pub(crate) lsn: Lsn,
    pub(crate) sum: Sum,
}

impl Recorded {
    pub(crate) fn words(&self, store_id: u64) -> Words {
        [store_id, self.generation, self.lsn.0, self.sum.hashes, self.sum.count]
    }

    pub(crate) fn from_words(path: &Path, words: Words, id: u64) -> Result<Self, StoreError> {
        let [store_id, generation, lsn, hashes, count] = words;
        if store_id != id {
            return Err(StoreError::corrupt(path, 16, "the file belongs to another store"));
        }
        if generation > GENERATION_MAX {
            return Err(StoreError::corrupt(path, 24, "no store has made so many checkpoints"));
        }
        Ok(Self { generation, lsn: Lsn(lsn), sum: Sum { hashes, count } })
    }
}

/// Writes the row and makes it durable.
pub(crate) fn write(
    db: &SledDb,
    meta: &sled::Tree,
    store_id: u64,
    recorded: &Recorded,
    checkpoint: &Checkpoint,
) -> Result<(), StoreError> {
    let row = encode(store_id, recorded, checkpoint);
    db.contain(|| meta.insert(KEY, row))?;
    db.flush()?;
    db.sync()
}

/// Reads the row and judges it against what the slot file notes.
pub(crate) fn read(
    db: &SledDb,
    meta: &sled::Tree,
    store_id: u64,
    slots: &Path,
    noted: &Recorded,
) -> Result<(Recorded, Checkpoint), StoreError> {
    let short = |have| StoreError::Short {
        file: db.path().to_path_buf(),
        what: "checkpoint generation",
        have,
        expected: noted.generation,
    };
    let Some(row) = db.contain(|| meta.get(KEY))? else {
        return Err(short(0));
    };
    let Some((recorded, checkpoint)) = decode(store_id, &row) else {
        return Err(StoreError::corrupt(db.path(), 0, "the checkpoint row does not verify"));
    };
    if recorded.generation < noted.generation {
        return Err(short(recorded.generation));
    }
    if recorded.generation > noted.generation + 1 {
        return Err(StoreError::Short {
            file: slots.to_path_buf(),
            what: "checkpoint generation",
            have: noted.generation,
            expected: recorded.generation,
        });
    }
    if recorded.generation == noted.generation && recorded != *noted {
        return Err(StoreError::corrupt(slots, 0, "the file and the views contradict each other"));
    }
    Ok((recorded, checkpoint))
}

/// The bytes of the row.
pub(crate) fn encode(store_id: u64, recorded: &Recorded, checkpoint: &Checkpoint) -> Vec<u8> {
    let mut row = Vec::with_capacity(FIXED_BYTES + checkpoint.marks.len() * MARK_BYTES + 4);
    let Recorded { generation, lsn, sum } = recorded;
    for word in [*generation, lsn.0, sum.hashes, sum.count, store_id] {
        row.extend_from_slice(&word.to_le_bytes());
    }
    row.extend_from_slice(&(checkpoint.marks.len() as u32).to_le_bytes());
    for (partition, idx) in &checkpoint.marks {
        row.extend_from_slice(&partition.to_le_bytes());
        row.extend_from_slice(&idx.to_le_bytes());
    }
    let crc = crc32fast::hash(&row);
    row.extend_from_slice(&crc.to_le_bytes());
    row
}

/// Reads the bytes of a row of this store, when they verify.
pub(crate) fn decode(store_id: u64, row: &[u8]) -> Option<(Recorded, Checkpoint)> {
    let (body, crc) = row.split_last_chunk::<4>()?;
    if crc32fast::hash(body) != u32::from_le_bytes(*crc) {
        return None;
    }
    let word = |at: usize| body.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes);
    let marks_len = u32::from_le_bytes(body.get(40..44)?.try_into().ok()?) as usize;
    if marks_len > MARKS_MAX || body.len() != FIXED_BYTES + marks_len * MARK_BYTES {
        return None;
    }
    let recorded = Recorded {
        generation: word(0)?,
        lsn: Lsn(word(8)?),
        sum: Sum { hashes: word(16)?, count: word(24)? },
    };
    let marks = body[FIXED_BYTES..]
        .chunks_exact(MARK_BYTES)
        .map(|mark| {
            let partition = u16::from_le_bytes([mark[0], mark[1]]);
            Some((partition, u64::from_le_bytes(mark[2..].try_into().ok()?)))
        })
        .collect::<Option<Vec<_>>>()?;
    let sound = word(32)? == store_id && recorded.generation <= GENERATION_MAX;
    sound.then_some((recorded, Checkpoint { lsn: recorded.lsn, marks }))
}
