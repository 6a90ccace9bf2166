//! The high-water file: what was last confirmed as durable, kept apart from the log.
//!
//! Written after every successful sync of the log, synced itself at most once a second and on
//! seal. It is therefore never ahead of the log: a log that ends before it came back shorter.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::StoreError;
use crate::log::Lsn;
use crate::slots::{self, Kind, SlotFile, Words};

/// Name of the file in the store's directory.
pub(crate) const NAME: &str = "high-water";

const SYNC_EVERY: Duration = Duration::from_secs(1);

/// The open high-water file of a log.
#[derive(Debug)]
pub(crate) struct HighWater {
    slots: SlotFile,
    store_id: u64,
    synced: Option<Instant>,
}

impl HighWater {
    /// Creates the file with nothing confirmed.
    pub(crate) fn create(dir: &Path, store_id: u64) -> Result<(), StoreError> {
        SlotFile::create(&dir.join(NAME), Kind::HighWater, words(store_id, Lsn(0))).map(drop)
    }

    /// Opens the file; returns it with what was confirmed, and whether a slot had to be healed.
    pub(crate) fn open(dir: &Path, store_id: u64) -> Result<(Self, Lsn, bool), StoreError> {
        let path = dir.join(NAME);
        let (slots, read) = SlotFile::open(&path, Kind::HighWater)?;
        let durable = belongs(&path, read.words, store_id)?;
        Ok((Self { slots, store_id, synced: None }, durable, read.damaged_at.is_some()))
    }

    /// Notes that everything up to `durable` is durable.
    pub(crate) fn confirm(&mut self, durable: Lsn) -> Result<(), StoreError> {
        let next = words(self.store_id, durable);
        if self.slots.words() == next {
            return Ok(());
        }
        self.slots.write(next)?;
        if self.synced.is_none_or(|synced| synced.elapsed() >= SYNC_EVERY) {
            self.sync()?;
        }
        Ok(())
    }

    /// Makes the note durable.
    pub(crate) fn sync(&mut self) -> Result<(), StoreError> {
        self.slots.sync()?;
        self.synced = Some(Instant::now());
        Ok(())
    }
}

/// What the file of a store confirms, without changing it, and the offset of a damaged slot.
pub(crate) fn confirmed(dir: &Path, store_id: u64) -> Result<(Lsn, Option<u64>), StoreError> {
    let path = dir.join(NAME);
    let read = slots::read(&path, Kind::HighWater)?;
    Ok((belongs(&path, read.words, store_id)?, read.damaged_at))
}

/// What the words of the file confirm, when they are of this store.
pub(crate) fn belongs(path: &Path, words: Words, store_id: u64) -> Result<Lsn, StoreError> {
    if words[0] != store_id {
        return Err(StoreError::corrupt(path, 16, "the file belongs to another store"));
    }
    Ok(Lsn(words[1]))
}

fn words(store_id: u64, durable: Lsn) -> Words {
    [store_id, durable.0, 0, 0, 0]
}
