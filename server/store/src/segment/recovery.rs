//! Reading segments back and judging what a restart finds.
//!
//! Read-only but for `clear_tail`, which the log calls after a judgement. The rule of the tail:
//! records are taken while they verify and continue lsn, chain and digest. Where that stops, the
//! rest of the newest file may only be what a power cut leaves of writes that were never confirmed.
//! Everything else is refused, with the file and the offset:
//! - the high-water file, or a record further on, says that a missing record was durable;
//! - a later segment exists, which is made only after the one before was synced;
//! - a file is missing, shorter than its header says, or belongs to another store.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::Segment;
use super::format::{
    Found, HeaderFault, RECORD_ALIGN_BYTES, claimed_lsn, decode_record, decode_segment_header, salt,
};
use crate::durable;
use crate::error::StoreError;
use crate::log::{Lsn, Tail};

/// What the files of a log amount to.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) segments: VecDeque<Segment>,
    /// Where the next record goes in the newest segment.
    pub(crate) end: u64,
    pub(crate) tails: BTreeMap<u16, Tail>,
    pub(crate) last: Lsn,
    pub(crate) chain: u32,
    /// Bytes read and verified.
    pub(crate) bytes: u64,
}

/// Walks the records of one segment.
#[derive(Debug)]
pub(crate) struct Scan {
    salt: u32,
    offset: usize,
    last: u64,
    chain: u32,
    tails: BTreeMap<u16, Tail>,
    prev_crc: u32,
}

impl Scan {
    /// Verifies the header of a segment and stands before its first record.
    pub(crate) fn begin(
        bytes: &[u8],
        segment: &Segment,
        store_id: u64,
    ) -> Result<Self, StoreError> {
        let path = &segment.path;
        let (header, header_bytes, crc) =
            decode_segment_header(bytes).map_err(|fault| match fault {
                HeaderFault::Damaged { offset, detail } => {
                    StoreError::corrupt(path, offset, detail)
                }
                HeaderFault::Version(found) => StoreError::Version {
                    file: path.clone(),
                    found: format!("segment format {found}"),
                    supported: format!("segment format {}", super::format::FORMAT_VERSION),
                },
            })?;
        if header.store_id != store_id {
            return Err(StoreError::corrupt(path, 16, "the segment belongs to another store"));
        }
        if header.first != segment.first {
            let detail = format!("the header says lsn {}, the name another", header.first.0);
            return Err(StoreError::corrupt(path, 24, detail));
        }
        if header.file_bytes != bytes.len() as u64 {
            let detail = format!(
                "the file has {} bytes, its header says {}",
                bytes.len(),
                header.file_bytes
            );
            return Err(StoreError::corrupt(path, bytes.len() as u64, detail));
        }
        Ok(Self {
            salt: salt(store_id),
            offset: header_bytes,
            last: header.first.0 - 1,
            chain: crc,
            tails: header.tails,
            prev_crc: header.prev_crc,
        })
    }

    /// The next record, when it verifies and continues the ones before.
    pub(crate) fn step(&mut self, bytes: &[u8]) -> Option<Found> {
        let found = decode_record(bytes, self.offset, self.salt)?;
        let tail = self.tails.get(&found.partition).copied().unwrap_or_default();
        let after = tail.extended_by(&bytes[found.payload.clone()]);
        let continues = found.lsn == self.last + 1
            && found.prev_crc == self.chain
            && found.prev_digest == tail.digest
            && found.idx == after.idx
            && found.digest == after.digest;
        if !continues {
            return None;
        }
        self.tails.insert(found.partition, after);
        self.last = found.lsn;
        self.chain = found.crc;
        self.offset = found.end;
        Some(found)
    }

    /// Lsn of the last record stepped over.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// Where the next record would begin.
    pub(crate) fn offset(&self) -> usize {
        self.offset
    }
}

/// Reads and verifies a whole log against what was confirmed.
pub(crate) fn judge(log_dir: &Path, store_id: u64, confirmed: Lsn) -> Result<Judged, StoreError> {
    let segments = list_segments(log_dir)?;
    let mut before: Option<(Scan, PathBuf)> = None;
    let mut end = 0;
    let mut verified = 0;
    for (position, segment) in segments.iter().enumerate() {
        let bytes = read_segment(&segment.path)?;
        let mut scan = Scan::begin(&bytes, segment, store_id)?;
        if let Some((before, path)) = &before {
            continues(before, path, &scan, segment)?;
        }
        while scan.step(&bytes).is_some() {}
        verified += bytes.len() as u64;
        if position + 1 == segments.len() {
            accept_tail(&bytes, &scan, &segment.path, confirmed)?;
            end = scan.offset as u64;
        }
        before = Some((scan, segment.path.clone()));
    }
    let Some((scan, _)) = before else {
        return Err(StoreError::corrupt(log_dir, 0, "there is no segment file"));
    };
    Ok(Judged {
        segments: segments.into(),
        end,
        tails: scan.tails,
        last: Lsn(scan.last),
        chain: scan.chain,
        bytes: verified,
    })
}

/// Refuses a segment that does not begin exactly where the one before ended.
fn continues(
    before: &Scan,
    before_path: &Path,
    scan: &Scan,
    segment: &Segment,
) -> Result<(), StoreError> {
    if scan.last != before.last {
        let detail = format!(
            "record {} does not verify, though a later segment begins with record {}",
            before.last + 1,
            segment.first.0
        );
        return Err(StoreError::corrupt(before_path, before.offset as u64, detail));
    }
    if scan.prev_crc != before.chain || scan.tails != before.tails {
        let detail = "the header does not continue the segment before";
        return Err(StoreError::corrupt(&segment.path, 40, detail));
    }
    Ok(())
}

/// Accepts what follows the last good record of the newest segment, or names the loss.
pub(crate) fn accept_tail(
    bytes: &[u8],
    scan: &Scan,
    path: &Path,
    confirmed: Lsn,
) -> Result<(), StoreError> {
    let missing = scan.last + 1;
    let stop = scan.offset as u64;
    if confirmed.0 > scan.last {
        let rest = bytes.get(scan.offset..).unwrap_or_default();
        if rest.iter().all(|byte| *byte == 0) {
            return Err(StoreError::Short {
                file: path.to_path_buf(),
                what: "last lsn",
                have: scan.last,
                expected: confirmed.0,
            });
        }
        let detail = format!(
            "record {missing} does not verify, though {} was confirmed as durable",
            confirmed.0
        );
        return Err(StoreError::corrupt(path, stop, detail));
    }
    for offset in (scan.offset..bytes.len()).step_by(RECORD_ALIGN_BYTES) {
        if claimed_lsn(bytes, offset).is_none_or(|lsn| lsn < missing) {
            continue;
        }
        let Some(found) = decode_record(bytes, offset, scan.salt) else {
            continue;
        };
        if found.durable_before() >= missing {
            let detail = format!(
                "record {missing} does not verify, though record {} at byte {offset} was written \
                 after it was durable",
                found.lsn
            );
            return Err(StoreError::corrupt(path, stop, detail));
        }
    }
    Ok(())
}

/// Overwrites what follows the end of the log with zeroes, durably. Returns how many bytes had
/// something else in them, counted to the last one.
pub(crate) fn clear_tail(file: &File, path: &Path, end: u64) -> Result<u64, StoreError> {
    let bytes = read_segment(path)?;
    let start = usize::try_from(end).unwrap_or(usize::MAX).min(bytes.len());
    let Some(last) = bytes[start..].iter().rposition(|byte| *byte != 0) else {
        return Ok(0);
    };
    let zeroes = vec![0; last + 1];
    file.write_all_at(&zeroes, end).map_err(|error| StoreError::io(path, "clear", error))?;
    durable::sync_data(file, path)?;
    Ok(zeroes.len() as u64)
}

/// The whole of a segment file.
pub(crate) fn read_segment(path: &Path) -> Result<Vec<u8>, StoreError> {
    std::fs::read(path).map_err(|error| StoreError::io(path, "read", error))
}

/// Segment files by their first lsn.
fn list_segments(log_dir: &Path) -> Result<Vec<Segment>, StoreError> {
    let entries = match std::fs::read_dir(log_dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(StoreError::corrupt(log_dir, 0, "the directory is missing"));
        }
        Err(error) => return Err(StoreError::io(log_dir, "list", error)),
    };
    let mut segments = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| StoreError::io(log_dir, "list", error))?;
        let name = entry.file_name();
        let Some(stem) = name.to_str().and_then(|name| name.strip_suffix(".seg")) else {
            continue;
        };
        if stem.len() != 16 {
            continue;
        }
        if let Ok(first) = u64::from_str_radix(stem, 16)
            && first > 0
        {
            let found = entry.metadata().map_err(|e| StoreError::io(&entry.path(), "stat", e))?;
            segments.push(Segment {
                path: entry.path(),
                first: Lsn(first),
                file_bytes: found.len(),
            });
        }
    }
    segments.sort_by_key(|segment| segment.first);
    Ok(segments)
}
