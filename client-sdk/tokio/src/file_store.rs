//! A [`LocalStore`] in one file: a journal that is compacted now and then.
//!
//! ```text
//! journal   "HYCJ" version(1) 000 | record | record | ...
//! record    length u32 | crc32 u32 | synced u64 | batch (length bytes)
//! ```
//!
//! Numbers are little-endian; the checksum covers `synced` and the batch;
//! `synced` is how much of the journal was known to be on the disk when the
//! record was written.
//!
//! A batch is one record, so it is there whole or not at all. When the file
//! is opened, it is read up to the first record that is cut short or does not
//! match its checksum. What was not synced when the power went may be missing
//! in any order, so the rest is cut off, unless a record behind it says that
//! the bad one had been synced: that is damage, and the store is refused, not
//! shortened. Compaction writes all state to a new file, makes it durable and
//! renames it over the old one.
//!
//! The directory is locked by a file, so that two processes do not write one
//! journal.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use bytes::{Buf, BufMut, Bytes};
use hongyan_client_core::{LocalStore, StoreError, StoreOp, StoredState};

mod codec;

/// Keeps the client's state in a directory of its own.
#[derive(Debug)]
pub struct FileLocalStore {
    directory: PathBuf,
    journal: File,
    /// Held for its lock.
    _lock: File,
    state: StoredState,
    journal_bytes: u64,
    synced_bytes: u64,
    compacted_bytes: u64,
    compact_at_bytes: u64,
    failed: bool,
}

impl FileLocalStore {
    /// Opens the store in `directory`, which is made when it is not there.
    /// Reads the whole journal; call it where waiting is allowed.
    ///
    /// # Errors
    /// [`StoreError::InUse`] when another process has it open,
    /// [`StoreError::Corrupt`] when the journal is damaged other than at its
    /// end, [`StoreError::Io`].
    pub fn open(directory: impl AsRef<Path>) -> Result<Self, StoreError> {
        let directory = directory.as_ref().to_owned();
        std::fs::create_dir_all(&directory).map_err(io)?;
        let lock = open_file(&directory.join(LOCK))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::InUse),
            Err(TryLockError::Error(error)) => return Err(io(error)),
        }
        let mut journal = open_file(&directory.join(JOURNAL))?;
        let mut bytes = Vec::new();
        journal.read_to_end(&mut bytes).map_err(io)?;
        let mut state = StoredState::default();
        let good = if bytes.len() < HEADER.len() {
            // Made, and not yet written.
            if !HEADER.starts_with(&bytes) {
                return Err(StoreError::Corrupt("this is not a journal".into()));
            }
            journal.set_len(0).map_err(io)?;
            journal.seek(SeekFrom::Start(0)).map_err(io)?;
            journal.write_all(&HEADER).map_err(io)?;
            journal.sync_data().map_err(io)?;
            sync_directory(&directory)?;
            HEADER.len() as u64
        } else {
            let good = replay(&bytes, &mut state)?;
            if good < bytes.len() as u64 {
                journal.set_len(good).map_err(io)?;
                journal.sync_data().map_err(io)?;
            }
            good
        };
        // A killed process may have left what is not on the disk yet.
        journal.sync_data().map_err(io)?;
        journal.seek(SeekFrom::Start(good)).map_err(io)?;
        Ok(Self {
            directory,
            journal,
            _lock: lock,
            state,
            journal_bytes: good,
            synced_bytes: good,
            compacted_bytes: 0,
            compact_at_bytes: COMPACT_AT_BYTES,
            failed: false,
        })
    }

    /// Compacts when the journal is over `bytes` and over four times what the
    /// last compaction left; 4 MiB when not set.
    #[must_use]
    pub const fn compact_at_bytes(mut self, bytes: u64) -> Self {
        self.compact_at_bytes = bytes;
        self
    }

    /// Bytes of the journal.
    pub const fn journal_bytes(&self) -> u64 {
        self.journal_bytes
    }

    fn append(&mut self, ops: &[StoreOp], durable: bool) -> std::io::Result<()> {
        let record = record_of(ops, self.synced_bytes);
        self.journal.write_all(&record)?;
        self.journal_bytes += record.len() as u64;
        if durable {
            self.journal.sync_data()?;
            self.synced_bytes = self.journal_bytes;
        }
        Ok(())
    }

    fn compact(&mut self) -> std::io::Result<()> {
        let path = self.directory.join(COMPACTING);
        let mut file = options().truncate(true).open(&path)?;
        let mut bytes = HEADER.to_vec();
        for ops in codec::whole(&self.state).chunks(OPS_PER_RECORD) {
            bytes.extend_from_slice(&record_of(ops, 0));
        }
        file.write_all(&bytes)?;
        file.sync_all()?;
        std::fs::rename(&path, self.directory.join(JOURNAL))?;
        File::open(&self.directory)?.sync_all()?;
        self.journal = file;
        self.journal_bytes = bytes.len() as u64;
        self.synced_bytes = self.journal_bytes;
        self.compacted_bytes = self.journal_bytes;
        Ok(())
    }
}

impl LocalStore for FileLocalStore {
    fn load(&mut self) -> Result<StoredState, StoreError> {
        Ok(self.state.clone())
    }

    fn apply(&mut self, ops: &[StoreOp], durable: bool) -> Result<(), StoreError> {
        if self.failed {
            return Err(StoreError::Io("an earlier write failed".into()));
        }
        let compact_at = self.compact_at_bytes.max(self.compacted_bytes * 4);
        let result = self.append(ops, durable).and_then(|()| {
            ops.iter().for_each(|op| self.state.apply(op));
            if self.journal_bytes > compact_at { self.compact() } else { Ok(()) }
        });
        // What a failed sync left on the disk is not known: no more writes.
        result.map_err(|error| {
            self.failed = true;
            io(error)
        })
    }

    fn is_blocking(&self) -> bool {
        true
    }
}

fn record_of(ops: &[StoreOp], synced_bytes: u64) -> Vec<u8> {
    let batch = codec::encode(ops);
    let mut covered = Vec::with_capacity(8 + batch.len());
    covered.put_u64_le(synced_bytes);
    covered.extend_from_slice(&batch);
    let mut record = Vec::with_capacity(RECORD_HEADER_BYTES + batch.len());
    record.put_u32_le(u32::try_from(batch.len()).unwrap_or(u32::MAX));
    record.put_u32_le(crc32fast::hash(&covered));
    record.extend_from_slice(&covered);
    record
}

/// Applies every record; returns where the good ones end.
fn replay(bytes: &[u8], state: &mut StoredState) -> Result<u64, StoreError> {
    let corrupt = |at: usize| StoreError::Corrupt(format!("the journal is damaged at byte {at}"));
    if bytes[..HEADER.len()] != HEADER {
        return Err(StoreError::Corrupt("this is not a journal of this version".into()));
    }
    let mut at = HEADER.len();
    while let Some(record) = record_at(&bytes[at..]) {
        let batch = Bytes::copy_from_slice(record.batch);
        let ops = codec::decode(batch).ok_or_else(|| corrupt(at))?;
        ops.iter().for_each(|op| state.apply(op));
        at += RECORD_HEADER_BYTES + record.batch.len();
    }
    let mut behind = at + 1;
    while behind < bytes.len() {
        behind += match record_at(&bytes[behind..]) {
            Some(record) if record.synced_bytes > at as u64 => return Err(corrupt(at)),
            Some(record) => RECORD_HEADER_BYTES + record.batch.len(),
            None => 1,
        };
    }
    Ok(at as u64)
}

struct Record<'a> {
    synced_bytes: u64,
    batch: &'a [u8],
}

/// The record at the front, when it is whole.
fn record_at(bytes: &[u8]) -> Option<Record<'_>> {
    let mut header = bytes.get(..RECORD_HEADER_BYTES)?;
    let (len, crc) = (header.get_u32_le() as usize, header.get_u32_le());
    let batch = bytes[RECORD_HEADER_BYTES..].get(..len)?;
    let covered = &bytes[8..RECORD_HEADER_BYTES + len];
    (len > 0 && crc32fast::hash(covered) == crc)
        .then(|| Record { synced_bytes: header.get_u64_le(), batch })
}

/// For files that hold tokens: nobody else may read them.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn open_file(path: &Path) -> Result<File, StoreError> {
    options().truncate(false).open(path).map_err(io)
}

fn sync_directory(directory: &Path) -> Result<(), StoreError> {
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(io)
}

fn io(error: std::io::Error) -> StoreError {
    StoreError::Io(error.to_string())
}

const HEADER: [u8; 8] = *b"HYCJ\x01\0\0\0";
const RECORD_HEADER_BYTES: usize = 16;
const OPS_PER_RECORD: usize = 256;
const COMPACT_AT_BYTES: u64 = 4 * 1024 * 1024;
const JOURNAL: &str = "journal";
const COMPACTING: &str = "journal.new";
const LOCK: &str = "lock";
