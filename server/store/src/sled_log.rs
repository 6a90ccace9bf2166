//! The log in sled: the same contract as the segment log, slower, kept to prove the seam.
//!
//! Owns `log-sled/`. Tree `records`: key = lsn (8 bytes, big-endian) and piece (2 bytes,
//! big-endian); the pieces of a record together are the same bytes that a segment holds. A record
//! counts only when its last piece is there. Tree `base`: the row with the highest lsn says
//! where the log begins after records were dropped. `append` flushes into the kernel, `sync` adds the `fdatasync`.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use bytes::Bytes;

use crate::error::StoreError;
use crate::high_water::HighWater;
use crate::log::{Draft, Log, Lsn, Record, Records, Tail, admit_drafts};
use crate::segment::format::{
    Found, SegmentHeader, Stamp, decode_record, decode_segment_header, encode_record,
    encode_segment_header, salt,
};
use crate::sled_db::{PIECE_BYTES_MAX, SledDb};
use crate::space::DiskGuard;

/// Name of the directory in the store's directory.
pub(crate) const DIR_NAME: &str = "log-sled";

/// The sled log; see the module.
pub struct SledLog {
    // Trees before the database, so that the database is dropped last.
    records: sled::Tree,
    base: sled::Tree,
    db: SledDb,
    salt: u32,
    epoch: u32,
    /// Where the log begins: lsn, chain and tails before the first record.
    begins: SegmentHeader,
    last: u64,
    synced: u64,
    chain: u32,
    tails: BTreeMap<u16, Tail>,
    guard: DiskGuard,
    high_water: HighWater,
    poisoned: Option<String>,
}

impl SledLog {
    /// Makes an empty log.
    pub(crate) fn create(dir: &Path, store_id: u64, cache_bytes: u64) -> Result<(), StoreError> {
        HighWater::create(dir, store_id)?;
        let db = SledDb::open(&dir.join(DIR_NAME), cache_bytes)?;
        let base = db.tree("base")?;
        db.tree("records")?;
        let begins = SegmentHeader {
            store_id,
            first: Lsn(1),
            prev_crc: salt(store_id),
            file_bytes: 0,
            tails: BTreeMap::new(),
        };
        write_base(&db, &base, &begins)
    }

    /// Opens the log, verifying every record; the bool says that a high-water slot was healed.
    pub(crate) fn open(
        dir: &Path,
        store_id: u64,
        cache_bytes: u64,
        free_bytes_min: u64,
        epoch: u32,
    ) -> Result<(Self, bool), StoreError> {
        let (mut high_water, confirmed, healed) = HighWater::open(dir, store_id)?;
        let db = SledDb::open(&dir.join(DIR_NAME), cache_bytes)?;
        let (records, base) = (db.tree("records")?, db.tree("base")?);
        let begins = read_base(&db, &base, store_id, confirmed)?;
        let mut log = Self {
            salt: salt(store_id),
            last: begins.first.0 - 1,
            synced: 0,
            chain: begins.prev_crc,
            tails: begins.tails.clone(),
            records,
            base,
            db,
            epoch,
            begins,
            guard: DiskGuard::new(dir, free_bytes_min),
            high_water: {
                high_water.sync()?;
                high_water
            },
            poisoned: None,
        };
        log.recover(confirmed)?;
        log.db.flush()?;
        log.db.sync()?;
        log.synced = log.last;
        log.high_water.confirm(Lsn(log.last))?;
        log.high_water.sync()?;
        Ok((log, healed))
    }

    /// Walks all records; refuses a hole, removes the unconfirmed rest of a torn append.
    fn recover(&mut self, confirmed: Lsn) -> Result<(), StoreError> {
        let mut rows = Rows::new(self, self.begins.first.0);
        let (mut last, mut chain, mut tails) = (self.last, self.chain, self.tails.clone());
        while let Some((bytes, found)) = rows.next_record()? {
            let tail = tails.get(&found.partition).copied().unwrap_or_default();
            let after = tail.extended_by(&bytes[found.payload.clone()]);
            let continues = found.lsn == last + 1
                && found.prev_crc == chain
                && found.prev_digest == tail.digest
                && found.idx == after.idx
                && found.digest == after.digest;
            if !continues {
                break;
            }
            tails.insert(found.partition, after);
            (last, chain) = (found.lsn, found.crc);
        }
        if last < confirmed.0 {
            return Err(StoreError::Short {
                file: self.db.path().to_path_buf(),
                what: "last lsn",
                have: last,
                expected: confirmed.0,
            });
        }
        self.refuse_later_evidence(last)?;
        (self.last, self.chain, self.tails) = (last, chain, tails);
        self.remove_rows(last + 1..u64::MAX)?;
        self.remove_rows(0..self.begins.first.0)
    }

    /// Refuses when a whole record further on shows that the next one had been durable.
    fn refuse_later_evidence(&self, last: u64) -> Result<(), StoreError> {
        let mut gathered: Vec<u8> = Vec::new();
        for row in self.records.range(key(last + 1, 0)..) {
            let (row_key, value) = self.db.contain(|| row)?;
            let (_, piece) = split_key(&row_key).unwrap_or((0, 0));
            if piece == 0 {
                gathered.clear();
            }
            gathered.extend_from_slice(&value);
            let Some(found) = decode_record(&gathered, 0, self.salt) else {
                continue;
            };
            if found.durable_before() > last {
                let detail = format!(
                    "record {} is missing, though record {} was written after it was durable",
                    last + 1,
                    found.lsn
                );
                return Err(StoreError::corrupt(self.db.path(), 0, detail));
            }
        }
        Ok(())
    }

    /// Removes the rows of these lsns.
    fn remove_rows(&self, lsns: Range<u64>) -> Result<(), StoreError> {
        for row in self.records.range(key(lsns.start, 0)..key(lsns.end, 0)).keys() {
            let row_key = self.db.contain(|| row)?;
            self.db.contain(|| self.records.remove(&row_key))?;
        }
        Ok(())
    }

    fn refuse_if_poisoned(&self) -> Result<(), StoreError> {
        match &self.poisoned {
            Some(first) => Err(StoreError::Poisoned { first: first.clone() }),
            None => Ok(()),
        }
    }

    fn poison<T>(&mut self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(error) = &result
            && self.poisoned.is_none()
        {
            self.poisoned = Some(error.to_string());
        }
        result
    }

    fn insert(&mut self, drafts: &[Draft], committed_ms: u64) -> Result<(), StoreError> {
        let mut buffer = Vec::new();
        for draft in drafts {
            let before = self.tail(draft.partition);
            let after = before.extended_by(&draft.payload);
            let stamp = Stamp {
                lsn: self.last + 1,
                epoch: self.epoch,
                committed_ms,
                unsynced: u16::try_from(self.last - self.synced).unwrap_or(u16::MAX),
                prev_crc: self.chain,
                before,
                digest: after.digest,
            };
            buffer.clear();
            let crc = encode_record(&mut buffer, self.salt, draft, &stamp);
            for (piece, bytes) in (0..).zip(buffer.chunks(PIECE_BYTES_MAX)) {
                self.db.contain(|| self.records.insert(key(stamp.lsn, piece), bytes))?;
            }
            self.tails.insert(draft.partition, after);
            (self.last, self.chain) = (stamp.lsn, crc);
        }
        self.db.flush()
    }

    fn sync_now(&mut self) -> Result<(), StoreError> {
        if self.synced < self.last {
            self.db.sync()?;
            self.synced = self.last;
            self.high_water.confirm(Lsn(self.synced))?;
        }
        Ok(())
    }

    /// Where the log would begin at `first`, found by walking up to it.
    fn begins_at(&self, first: Lsn) -> Result<SegmentHeader, StoreError> {
        let mut begins = SegmentHeader { first, ..self.begins.clone() };
        let mut rows = Rows::new(self, self.begins.first.0);
        while let Some((bytes, found)) = rows.next_record()? {
            if found.lsn >= first.0 {
                break;
            }
            let tail = begins.tails.entry(found.partition).or_default();
            *tail = tail.extended_by(&bytes[found.payload]);
            begins.prev_crc = found.crc;
        }
        Ok(begins)
    }

    fn truncate_now(&mut self, first: Lsn) -> Result<(), StoreError> {
        let begins = self.begins_at(first)?;
        write_base(&self.db, &self.base, &begins)?;
        self.begins = begins;
        self.remove_rows(0..first.0)
    }
}

impl Log for SledLog {
    fn append(&mut self, drafts: &[Draft], committed_ms: u64) -> Result<Lsn, StoreError> {
        self.refuse_if_poisoned()?;
        admit_drafts(drafts, |partition| self.tail(partition))?;
        self.guard.admit(drafts.iter().map(|draft| draft.payload.len() as u64).sum())?;
        let result = self.insert(drafts, committed_ms);
        self.poison(result)?;
        Ok(Lsn(self.last))
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        self.refuse_if_poisoned()?;
        let result = self.sync_now();
        self.poison(result)
    }

    fn last(&self) -> Lsn {
        Lsn(self.last)
    }

    fn durable(&self) -> Lsn {
        Lsn(self.synced)
    }

    fn first(&self) -> Lsn {
        self.begins.first
    }

    fn tail(&self, partition: u16) -> Tail {
        self.tails.get(&partition).copied().unwrap_or_default()
    }

    fn read_from(&self, lsn: Lsn) -> Result<Records<'_>, StoreError> {
        let lsn = Lsn(lsn.0.max(1));
        if lsn < self.first() {
            return Err(StoreError::Short {
                file: self.db.path().to_path_buf(),
                what: "first lsn held",
                have: self.first().0,
                expected: lsn.0,
            });
        }
        Ok(Box::new(Replay { rows: Rows::new(self, lsn.0), next: lsn.0, failed: false }))
    }

    fn truncate_before(&mut self, lsn: Lsn) -> Result<(), StoreError> {
        self.refuse_if_poisoned()?;
        let first = lsn.min(Lsn(self.synced + 1));
        if first <= self.begins.first {
            return Ok(());
        }
        let result = self.truncate_now(first);
        self.poison(result)
    }

    fn seal(&mut self) -> Result<(), StoreError> {
        self.refuse_if_poisoned()?;
        let result = self.sync_now().and_then(|()| self.high_water.sync());
        self.poison(result)
    }
}

impl Drop for SledLog {
    fn drop(&mut self) {
        // Best effort, as for the segment log.
        if self.poisoned.is_none() {
            let _ = self.sync_now().and_then(|()| self.high_water.sync());
        }
    }
}

/// Puts the pieces of records together, in lsn order.
struct Rows<'a> {
    log: &'a SledLog,
    iter: std::iter::Peekable<sled::Iter>,
}

impl<'a> Rows<'a> {
    fn new(log: &'a SledLog, from: u64) -> Self {
        Self { log, iter: log.records.range(key(from, 0)..).peekable() }
    }

    /// The next whole record and its bytes; `None` at the end or where the pieces do not make one.
    fn next_record(&mut self) -> Result<Option<(Vec<u8>, Found)>, StoreError> {
        let mut bytes = Vec::new();
        let mut wanted = None;
        let mut next_piece = 0;
        loop {
            let db = &self.log.db;
            let Some(row) = db.contain(|| Ok(self.iter.next()))? else {
                return Ok(None);
            };
            let (row_key, value) = db.contain(|| row)?;
            let Some((lsn, piece)) = split_key(&row_key) else {
                return Ok(None);
            };
            if piece != next_piece || *wanted.get_or_insert(lsn) != lsn {
                return Ok(None);
            }
            bytes.extend_from_slice(&value);
            next_piece += 1;
            match decode_record(&bytes, 0, self.log.salt) {
                Some(found) if found.lsn == lsn && found.end == bytes.len() => {
                    return Ok(Some((bytes, found)));
                }
                Some(_) => return Ok(None),
                None if value.len() == PIECE_BYTES_MAX => {}
                None => return Ok(None),
            }
        }
    }
}

struct Replay<'a> {
    rows: Rows<'a>,
    next: u64,
    failed: bool,
}

impl Replay<'_> {
    fn advance(&mut self) -> Result<Option<Record>, StoreError> {
        if self.next > self.rows.log.last {
            return Ok(None);
        }
        match self.rows.next_record()? {
            Some((bytes, found)) if found.lsn == self.next => {
                self.next += 1;
                Ok(Some(Record {
                    lsn: Lsn(found.lsn),
                    partition: found.partition,
                    epoch: found.epoch,
                    idx: found.idx,
                    committed_ms: found.committed_ms,
                    payload: Bytes::from(bytes).slice(found.payload),
                }))
            }
            _ => Err(StoreError::corrupt(
                self.rows.log.db.path(),
                0,
                format!("record {} does not verify", self.next),
            )),
        }
    }
}

impl Iterator for Replay<'_> {
    type Item = Result<Record, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let item = self.advance().transpose();
        self.failed = !matches!(item, Some(Ok(_)));
        item
    }
}

fn key(lsn: u64, piece: u16) -> [u8; 10] {
    let mut key = [0; 10];
    key[..8].copy_from_slice(&lsn.to_be_bytes());
    key[8..].copy_from_slice(&piece.to_be_bytes());
    key
}

fn split_key(key: &[u8]) -> Option<(u64, u16)> {
    let (lsn, piece) = key.split_at_checked(8)?;
    Some((u64::from_be_bytes(lsn.try_into().ok()?), u16::from_be_bytes(piece.try_into().ok()?)))
}

/// Writes the newest base row, durably, and only then removes the ones before.
fn write_base(db: &SledDb, base: &sled::Tree, begins: &SegmentHeader) -> Result<(), StoreError> {
    // The header's encoding fits: 24 bytes a partition, with a checksum bound to the store.
    let (bytes, _) = encode_segment_header(begins);
    for (piece, bytes) in (0..).zip(bytes.chunks(PIECE_BYTES_MAX)) {
        db.contain(|| base.insert(key(begins.first.0, piece), bytes))?;
    }
    db.flush()?;
    db.sync()?;
    for row in base.range(..key(begins.first.0, 0)).keys() {
        let row_key = db.contain(|| row)?;
        db.contain(|| base.remove(&row_key))?;
    }
    Ok(())
}

/// The newest base row that verifies: one that was being written when the process died does not.
fn read_base(
    db: &SledDb,
    base: &sled::Tree,
    store_id: u64,
    confirmed: Lsn,
) -> Result<SegmentHeader, StoreError> {
    let mut rows: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    for row in base.iter() {
        let (row_key, value) = db.contain(|| row)?;
        if let Some((first, _)) = split_key(&row_key) {
            rows.entry(first).or_default().extend_from_slice(&value);
        }
    }
    if rows.is_empty() {
        return Err(StoreError::Short {
            file: db.path().to_path_buf(),
            what: "last lsn",
            have: 0,
            expected: confirmed.0,
        });
    }
    rows.into_values()
        .rev()
        .filter_map(|bytes| decode_segment_header(&bytes).ok())
        .map(|(begins, ..)| begins)
        .find(|begins| begins.store_id == store_id)
        .ok_or_else(|| StoreError::corrupt(db.path(), 0, "no row says where the log begins"))
}
