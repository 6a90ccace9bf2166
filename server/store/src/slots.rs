//! A tiny file with two slots that are written in turn.
//!
//! Owns the file format under `high-water` and `checkpoint`: each slot is 64 bytes with its own
//! sequence number and CRC, on its own 4 KiB page, so a torn or damaged slot leaves the other one
//! readable. The newest valid slot counts. With both invalid the file is refused.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::durable;
use crate::error::StoreError;
use crate::private;

/// The caller's words in a slot.
pub(crate) type Words = [u64; 5];

pub(crate) const SLOT_BYTES: usize = 64;
pub(crate) const SLOT_STRIDE_BYTES: u64 = 4096;
const MAGIC: u32 = 0x4853_4C54;
const VERSION: u16 = 1;

/// What a slot file is for; a slot of one kind is not accepted as another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    HighWater = 1,
    Checkpoint = 2,
}

/// An open slot file.
#[derive(Debug)]
pub(crate) struct SlotFile {
    path: PathBuf,
    file: File,
    kind: Kind,
    sequence: u64,
    words: Words,
}

/// What reading a slot file found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) words: Words,
    pub(crate) sequence: u64,
    /// Byte offset of a slot that does not verify, when one does not.
    pub(crate) damaged_at: Option<u64>,
}

impl SlotFile {
    /// Creates the file with both slots valid and durable. The caller syncs the directory.
    pub(crate) fn create(path: &Path, kind: Kind, words: Words) -> Result<Self, StoreError> {
        let file = private::new_file()
            .read(true)
            .truncate(true)
            .open(path)
            .map_err(|error| StoreError::io(path, "create", error))?;
        file.set_len(2 * SLOT_STRIDE_BYTES)
            .map_err(|error| StoreError::io(path, "extend", error))?;
        let mut slots = Self { path: path.to_path_buf(), file, kind, sequence: 0, words };
        slots.write(words)?;
        slots.write(words)?;
        durable::sync_all(&slots.file, path)?;
        Ok(slots)
    }

    /// Opens the file and reads the newest valid slot; a damaged one is written again.
    pub(crate) fn open(path: &Path, kind: Kind) -> Result<(Self, Read), StoreError> {
        let read = read(path, kind)?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .map_err(|error| StoreError::io(path, "open", error))?;
        let Read { words, sequence, damaged_at } = read;
        let mut slots = Self { path: path.to_path_buf(), file, kind, sequence, words };
        if damaged_at.is_some() {
            slots.write(words)?;
            slots.sync()?;
        }
        Ok((slots, read))
    }

    /// Writes the older slot. Not durable before [`SlotFile::sync`].
    pub(crate) fn write(&mut self, words: Words) -> Result<(), StoreError> {
        let sequence = self.sequence + 1;
        let slot = encode(self.kind, sequence, words);
        self.file
            .write_all_at(&slot, (sequence % 2) * SLOT_STRIDE_BYTES)
            .map_err(|error| StoreError::io(&self.path, "write", error))?;
        self.sequence = sequence;
        self.words = words;
        Ok(())
    }

    /// Makes the slots durable.
    pub(crate) fn sync(&self) -> Result<(), StoreError> {
        durable::sync_data(&self.file, &self.path)
    }

    /// The words written last.
    pub(crate) fn words(&self) -> Words {
        self.words
    }
}

/// Reads a slot file without changing it.
///
/// # Errors
/// [`StoreError::Corrupt`] when it is missing or no slot verifies.
pub(crate) fn read(path: &Path, kind: Kind) -> Result<Read, StoreError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(StoreError::corrupt(path, 0, "the file is missing"));
        }
        Err(error) => return Err(StoreError::io(path, "read", error)),
    };
    judge(path, &bytes, kind)
}

/// Reads the contents of a slot file.
///
/// # Errors
/// [`StoreError::Corrupt`] when no slot verifies.
pub(crate) fn judge(path: &Path, bytes: &[u8], kind: Kind) -> Result<Read, StoreError> {
    let slots = [0, SLOT_STRIDE_BYTES].map(|at| {
        let at = at as usize;
        bytes.get(at..at + SLOT_BYTES).and_then(|slot| decode(kind, slot))
    });
    let damaged_at = match slots {
        [None, Some(_)] => Some(0),
        [Some(_), None] => Some(SLOT_STRIDE_BYTES),
        _ => None,
    };
    slots
        .into_iter()
        .flatten()
        .max_by_key(|(sequence, _)| *sequence)
        .map(|(sequence, words)| Read { words, sequence, damaged_at })
        .ok_or_else(|| StoreError::corrupt(path, 0, "no slot of the file verifies"))
}

pub(crate) fn encode(kind: Kind, sequence: u64, words: Words) -> [u8; SLOT_BYTES] {
    let mut slot = [0; SLOT_BYTES];
    slot[0..4].copy_from_slice(&MAGIC.to_le_bytes());
    slot[4..6].copy_from_slice(&VERSION.to_le_bytes());
    slot[6..8].copy_from_slice(&(kind as u16).to_le_bytes());
    slot[8..16].copy_from_slice(&sequence.to_le_bytes());
    for (position, word) in words.iter().enumerate() {
        slot[16 + position * 8..24 + position * 8].copy_from_slice(&word.to_le_bytes());
    }
    let crc = crc32fast::hash(&slot[..60]);
    slot[60..].copy_from_slice(&crc.to_le_bytes());
    slot
}

fn decode(kind: Kind, slot: &[u8]) -> Option<(u64, Words)> {
    let word = |at: usize| slot.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes);
    let sequence = word(8)?;
    let words = [word(16)?, word(24)?, word(32)?, word(40)?, word(48)?];
    (encode(kind, sequence, words) == *slot).then_some((sequence, words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_slot_counts_and_a_damaged_one_is_passed_over_and_healed() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("slots");
        let mut slots = SlotFile::create(&path, Kind::HighWater, [0; 5]).expect("create");
        slots.write([1; 5]).expect("write");
        slots.write([2; 5]).expect("write");
        drop(slots);
        assert_eq!(read(&path, Kind::HighWater).expect("read").words, [2; 5]);
        assert!(read(&path, Kind::Checkpoint).is_err());

        let mut bytes = std::fs::read(&path).expect("read");
        bytes[20] ^= 1;
        std::fs::write(&path, &bytes).expect("write");
        let (_slots, read) = SlotFile::open(&path, Kind::HighWater).expect("one slot is enough");
        assert_eq!(read.words, [1; 5]);
        assert_eq!(read.damaged_at, Some(0));
        let (_slots, read) = SlotFile::open(&path, Kind::HighWater).expect("healed");
        assert_eq!((read.words, read.damaged_at), ([1; 5], None));

        std::fs::write(&path, [7; 9000]).expect("write");
        assert!(matches!(SlotFile::open(&path, Kind::HighWater), Err(StoreError::Corrupt { .. })));
    }
}
