//! The log in own segment files: the default engine.
//!
//! Owns `log/`. Records go, one write per append, into a file that was filled with zeroes and
//! synced before, so `fdatasync` has no metadata to write. `format` knows the bytes, `recovery`
//! reads and judges what a restart finds, `spare` makes files ahead of need.
//!
//! Invariants: a segment holds only records that follow each other without a gap; a later segment
//! exists only when the one before was synced; a file named `*.seg` always has a whole, synced
//! header; nothing that may have been confirmed is ever overwritten.

pub(crate) mod format;
pub(crate) mod recovery;
mod spare;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use self::format::{
    SegmentHeader, Stamp, encode_record, encode_segment_header, record_bytes, salt,
    segment_header_bytes,
};
use self::recovery::{Judged, Scan};
use self::spare::SpareMaker;
use crate::durable;
use crate::error::StoreError;
use crate::high_water::HighWater;
use crate::log::{Draft, Log, Lsn, Record, Records, Tail, admit_drafts};
use crate::space::DiskGuard;

/// How a segment log is laid out.
#[derive(Debug, Clone)]
pub(crate) struct SegmentOptions {
    /// The store's directory; segments live in `log/` below it.
    pub(crate) dir: PathBuf,
    pub(crate) store_id: u64,
    /// Length of a segment file; a record that does not fit gets a longer file of its own.
    pub(crate) segment_bytes: u64,
    pub(crate) free_bytes_min: u64,
    pub(crate) epoch: u32,
}

/// What opening a segment log found besides the records.
#[derive(Debug, Clone, Default)]
pub(crate) struct SegmentReport {
    /// The torn tail of a write that was never confirmed: where, and how many bytes were cleared.
    pub(crate) torn: Option<(PathBuf, u64, u64)>,
    pub(crate) healed_high_water: bool,
}

/// The segment log; see the module.
pub struct SegmentLog {
    options: SegmentOptions,
    log_dir: PathBuf,
    /// Oldest first; the last one is written to.
    segments: VecDeque<Segment>,
    active: File,
    /// Where the next record goes in the active file.
    at: u64,
    last: u64,
    synced: u64,
    chain: u32,
    salt: u32,
    tails: BTreeMap<u16, Tail>,
    buffer: Vec<u8>,
    spares: SpareMaker,
    guard: DiskGuard,
    high_water: HighWater,
    poisoned: Option<String>,
}

/// One segment file that belongs to the log.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    pub(crate) path: PathBuf,
    pub(crate) first: Lsn,
    pub(crate) file_bytes: u64,
}

/// The encode buffer gives memory above this back after a large append.
const BUFFER_BYTES_KEPT: usize = 1024 * 1024;

impl SegmentLog {
    /// Makes the files of an empty log. Called once in a store's life, before its identity exists.
    pub(crate) fn create(options: &SegmentOptions) -> Result<(), StoreError> {
        let log_dir = log_dir(&options.dir);
        durable::create_dir(&log_dir)?;
        HighWater::create(&options.dir, options.store_id)?;
        let header = SegmentHeader {
            store_id: options.store_id,
            first: Lsn(1),
            prev_crc: salt(options.store_id),
            file_bytes: file_bytes(options.segment_bytes, 0, 0),
            tails: BTreeMap::new(),
        };
        let path = segment_path(&log_dir, Lsn(1));
        crate::space::write_zeroes(&path, header.file_bytes, |_| ())?;
        write_header(&path, &header)?;
        durable::sync_dir(&log_dir)?;
        durable::sync_dir(&options.dir)
    }

    /// Opens the log: reads and verifies every record held, refuses what is damaged or short,
    /// clears a torn tail that was never confirmed.
    pub(crate) fn open(options: SegmentOptions) -> Result<(Self, SegmentReport), StoreError> {
        let (high_water, confirmed, healed_high_water) =
            HighWater::open(&options.dir, options.store_id)?;
        let log_dir = log_dir(&options.dir);
        spare::remove_unfinished(&log_dir)?;
        let Judged { segments, end, tails, last, chain, .. } =
            recovery::judge(&log_dir, options.store_id, confirmed)?;
        let Some(newest) = segments.back() else {
            return Err(StoreError::corrupt(&log_dir, 0, "there is no segment file"));
        };
        let active = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&newest.path)
            .map_err(|error| StoreError::io(&newest.path, "open", error))?;
        let cleared = recovery::clear_tail(&active, &newest.path, end)?;
        let torn = (cleared > 0).then(|| (newest.path.clone(), end, cleared));
        durable::sync_data(&active, &newest.path)?;
        let guard = DiskGuard::new(&options.dir, options.free_bytes_min);
        let spares = SpareMaker::start(&log_dir, options.segment_bytes)?;
        let mut log = Self {
            salt: salt(options.store_id),
            log_dir,
            segments,
            active,
            at: end,
            last: last.0,
            synced: last.0,
            chain,
            tails,
            buffer: Vec::new(),
            spares,
            guard,
            high_water,
            poisoned: None,
            options,
        };
        log.high_water.confirm(last)?;
        log.high_water.sync()?;
        log.spares.keep_ahead_of(log.at);
        log.request_spare();
        Ok((log, SegmentReport { torn, healed_high_water }))
    }

    fn refuse_if_poisoned(&self) -> Result<(), StoreError> {
        match &self.poisoned {
            Some(first) => Err(StoreError::Poisoned { first: first.clone() }),
            None => Ok(()),
        }
    }

    /// Remembers the first failure; everything later is refused.
    fn poison<T>(&mut self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(error) = &result
            && self.poisoned.is_none()
        {
            self.poisoned = Some(error.to_string());
        }
        result
    }

    fn active_bytes(&self) -> u64 {
        self.segments.back().map_or(0, |segment| segment.file_bytes)
    }

    /// Continues in a new segment that has room for `needed` bytes of records. On `DiskFull`
    /// nothing has changed.
    fn rotate(&mut self, needed: u64) -> Result<(), StoreError> {
        let bytes = file_bytes(self.options.segment_bytes, self.tails.len(), needed);
        let spare = if bytes == self.options.segment_bytes { self.spares.take() } else { None };
        let spare = match spare {
            Some(path) => path,
            None => self.make_segment_now(bytes)?,
        };
        let result = self.rotate_into(&spare, bytes);
        self.poison(result)?;
        self.request_spare();
        Ok(())
    }

    fn make_segment_now(&mut self, bytes: u64) -> Result<PathBuf, StoreError> {
        self.guard.admit_new(bytes)?;
        let made = spare::make(&self.log_dir, bytes, |_| ());
        match made {
            Err(error) if error.is_out_of_space() => Err(StoreError::DiskFull {
                free_bytes: crate::space::free_bytes(&self.options.dir)?,
                needed_bytes: bytes,
            }),
            other => other,
        }
    }

    fn rotate_into(&mut self, spare: &Path, bytes: u64) -> Result<(), StoreError> {
        // The rule "a later segment exists only when the one before was synced" is made here.
        self.sync_now()?;
        let header = SegmentHeader {
            store_id: self.options.store_id,
            first: Lsn(self.last + 1),
            prev_crc: self.chain,
            file_bytes: bytes,
            tails: self.tails.clone(),
        };
        let (active, header_bytes, chain) = write_header(spare, &header)?;
        let path = segment_path(&self.log_dir, header.first);
        std::fs::rename(spare, &path).map_err(|error| StoreError::io(&path, "rename to", error))?;
        durable::sync_dir(&self.log_dir)?;
        self.active = active;
        self.at = header_bytes;
        self.chain = chain;
        self.segments.push_back(Segment { path, first: header.first, file_bytes: bytes });
        self.spares.keep_ahead_of(self.at);
        self.spares.note_begun();
        Ok(())
    }

    fn sync_now(&mut self) -> Result<(), StoreError> {
        let Some(newest) = self.segments.back() else {
            return Ok(());
        };
        if self.synced == self.last {
            return Ok(());
        }
        durable::sync_data(&self.active, &newest.path)?;
        self.synced = self.last;
        self.high_water.confirm(Lsn(self.synced))
    }

    /// Encodes the drafts into the buffer; returns the state after them.
    fn encode(&mut self, drafts: &[Draft], committed_ms: u64) -> (u64, u32) {
        self.buffer.clear();
        let (mut lsn, mut chain) = (self.last, self.chain);
        for draft in drafts {
            let unsynced = u16::try_from(lsn - self.synced).unwrap_or(u16::MAX);
            lsn += 1;
            let tail = self.tails.entry(draft.partition).or_default();
            let before = *tail;
            *tail = before.extended_by(&draft.payload);
            let stamp = Stamp {
                lsn,
                epoch: self.options.epoch,
                committed_ms,
                unsynced,
                prev_crc: chain,
                before,
                digest: tail.digest,
            };
            chain = encode_record(&mut self.buffer, self.salt, draft, &stamp);
        }
        (lsn, chain)
    }

    /// Has a spare made in the background when there is room for it.
    fn request_spare(&mut self) {
        if self.guard.admit_new(self.options.segment_bytes).is_ok() {
            self.spares.request();
        }
    }
}

impl Log for SegmentLog {
    fn append(&mut self, drafts: &[Draft], committed_ms: u64) -> Result<Lsn, StoreError> {
        self.refuse_if_poisoned()?;
        if drafts.is_empty() {
            return Ok(Lsn(self.last));
        }
        admit_drafts(drafts, |partition| self.tail(partition))?;
        let needed = drafts.iter().map(|draft| record_bytes(draft.payload.len()) as u64).sum();
        self.guard.admit(needed)?;
        if self.at + needed > self.active_bytes() {
            self.rotate(needed)?;
        }
        let (last, chain) = self.encode(drafts, committed_ms);
        let path = self.segments.back().map(|segment| segment.path.clone()).unwrap_or_default();
        let written = self
            .active
            .write_all_at(&self.buffer, self.at)
            .map_err(|error| StoreError::io(&path, "write", error));
        self.poison(written)?;
        self.at += self.buffer.len() as u64;
        self.spares.keep_ahead_of(self.at);
        self.last = last;
        self.chain = chain;
        if self.buffer.capacity() > BUFFER_BYTES_KEPT {
            self.buffer = Vec::new();
        }
        Ok(Lsn(last))
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
        self.segments.front().map_or(Lsn(self.last + 1), |segment| segment.first)
    }

    fn tail(&self, partition: u16) -> Tail {
        self.tails.get(&partition).copied().unwrap_or_default()
    }

    fn read_from(&self, lsn: Lsn) -> Result<Records<'_>, StoreError> {
        let lsn = Lsn(lsn.0.max(1));
        if lsn < self.first() {
            return Err(StoreError::Short {
                file: self.log_dir.clone(),
                what: "first lsn held",
                have: self.first().0,
                expected: lsn.0,
            });
        }
        let skip = self.segments.iter().rposition(|segment| segment.first <= lsn).unwrap_or(0);
        Ok(Box::new(Replay {
            log: self,
            segments: self.segments.iter().skip(skip),
            from: lsn.0,
            open: None,
            failed: false,
        }))
    }

    fn truncate_before(&mut self, lsn: Lsn) -> Result<(), StoreError> {
        self.refuse_if_poisoned()?;
        let mut dropped = Vec::new();
        // A segment goes when the next one begins at or before the wanted position, so the active
        // one always stays; nothing unsynced is dropped because older segments are synced.
        while self.segments.get(1).is_some_and(|next| next.first <= lsn) {
            dropped.extend(self.segments.pop_front());
        }
        if dropped.is_empty() {
            return Ok(());
        }
        let room = self.guard.admit_new(0).is_ok();
        let spares = &mut self.spares;
        let result = dropped
            .iter()
            .try_for_each(|segment| spares.retire(&segment.path, segment.file_bytes, room))
            .and_then(|()| if room { spares.trimmed() } else { spares.rest() })
            // Without this a crash could bring a reused file back under its old name.
            .and_then(|()| durable::sync_dir(&self.log_dir));
        self.poison(result)
    }

    fn seal(&mut self) -> Result<(), StoreError> {
        self.refuse_if_poisoned()?;
        let result =
            self.sync_now().and_then(|()| self.high_water.sync()).and_then(|()| self.spares.rest());
        self.poison(result)
    }
}

impl Drop for SegmentLog {
    fn drop(&mut self) {
        // Best effort: the high-water file may lag by design, so a failure here loses nothing.
        if self.poisoned.is_none() {
            let _ = self.sync_now().and_then(|()| self.high_water.sync());
        }
    }
}

/// Reads segment after segment, verifying every record again.
struct Replay<'a, S> {
    log: &'a SegmentLog,
    segments: S,
    from: u64,
    open: Option<(&'a Segment, Vec<u8>, Scan)>,
    failed: bool,
}

impl<'a, S: Iterator<Item = &'a Segment>> Replay<'a, S> {
    fn advance(&mut self) -> Result<Option<Record>, StoreError> {
        loop {
            if self.open.is_none() {
                let Some(segment) = self.segments.next() else {
                    return Ok(None);
                };
                let bytes = recovery::read_segment(&segment.path)?;
                let scan = Scan::begin(&bytes, segment, self.log.options.store_id)?;
                self.open = Some((segment, bytes, scan));
            }
            let Some((segment, bytes, scan)) = &mut self.open else {
                continue;
            };
            let next = self.log.segments.iter().find(|other| other.first > segment.first);
            let end = next.map_or(self.log.last, |next| next.first.0 - 1);
            if scan.last() >= end {
                self.open = None;
                continue;
            }
            let Some(found) = scan.step(bytes) else {
                return Err(StoreError::corrupt(
                    &segment.path,
                    scan.offset() as u64,
                    format!("record {} does not verify", scan.last() + 1),
                ));
            };
            if found.lsn >= self.from {
                return Ok(Some(Record {
                    lsn: Lsn(found.lsn),
                    partition: found.partition,
                    epoch: found.epoch,
                    idx: found.idx,
                    committed_ms: found.committed_ms,
                    payload: Bytes::copy_from_slice(&bytes[found.payload]),
                }));
            }
        }
    }
}

impl<'a, S: Iterator<Item = &'a Segment>> Iterator for Replay<'a, S> {
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

/// The directory of the segments of a store.
pub(crate) fn log_dir(dir: &Path) -> PathBuf {
    dir.join("log")
}

fn segment_path(log_dir: &Path, first: Lsn) -> PathBuf {
    log_dir.join(format!("{:016x}.seg", first.0))
}

/// Length of a segment file that has room for `needed` bytes behind a header with `tails`.
fn file_bytes(segment_bytes: u64, tails: usize, needed: u64) -> u64 {
    let least = segment_header_bytes(tails) as u64 + needed;
    least.next_multiple_of(format::SEGMENT_HEADER_UNIT_BYTES as u64).max(segment_bytes)
}

/// Writes and syncs the header of a segment file, and returns the file open for appending, with
/// the header's length and checksum.
fn write_header(path: &Path, header: &SegmentHeader) -> Result<(File, u64, u32), StoreError> {
    let (bytes, crc) = encode_segment_header(header);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .map_err(|error| StoreError::io(path, "open", error))?;
    file.write_all_at(&bytes, 0).map_err(|error| StoreError::io(path, "write", error))?;
    durable::sync_all(&file, path)?;
    Ok((file, bytes.len() as u64, crc))
}
