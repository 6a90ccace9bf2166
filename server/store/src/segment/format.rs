//! The bytes of a segment file: its header and its records.
//!
//! Pure functions over slices; no file is touched here. All integers are little-endian. The
//! offset tables are in `docs/STORAGE.md` and must be changed together with this file.
//!
//! Every checksum starts from a salt made of the store's random id, so bytes that a client chose
//! (a payload) can never look like a record of this store.

use std::collections::BTreeMap;

use crate::log::{Draft, Lsn, PAYLOAD_BYTES_MAX, Tail};

/// Bytes of a record before its payload.
pub(crate) const RECORD_HEADER_BYTES: usize = 64;
/// Records begin at multiples of this.
pub(crate) const RECORD_ALIGN_BYTES: usize = 8;
/// A segment header is a multiple of this long.
pub(crate) const SEGMENT_HEADER_UNIT_BYTES: usize = 4096;
/// Written format of segments and records.
pub(crate) const FORMAT_VERSION: u8 = 1;

const RECORD_MAGIC: [u8; 2] = *b"Hr";
const SEGMENT_MAGIC: [u8; 8] = *b"HongySeg";
const SEGMENT_FIXED_BYTES: usize = 64;
const TAIL_BYTES: usize = 24;
/// One tail per possible partition: a header is at most 1.5 MiB.
pub(crate) const TAILS_MAX: usize = 65_536;
/// No lsn and no idx gets here; counting on from what is above could overflow.
const NUMBER_MAX: u64 = u64::MAX / 2;

/// What a segment's header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) store_id: u64,
    /// Lsn of the first record that the segment holds or will hold.
    pub(crate) first: Lsn,
    /// Checksum of the last record (or header) of the segment before; the salt in the first one.
    pub(crate) prev_crc: u32,
    /// Length of the file.
    pub(crate) file_bytes: u64,
    /// Where every partition's history stood when the segment began.
    pub(crate) tails: BTreeMap<u16, Tail>,
}

/// Why a header could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HeaderFault {
    Damaged { offset: u64, detail: &'static str },
    Version(u32),
}

/// A record as found in a segment, with the payload as a range of the segment's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) lsn: u64,
    pub(crate) partition: u16,
    pub(crate) epoch: u32,
    pub(crate) idx: u64,
    pub(crate) committed_ms: u64,
    pub(crate) prev_digest: u64,
    pub(crate) digest: u64,
    pub(crate) prev_crc: u32,
    pub(crate) crc: u32,
    /// Records appended before this one since the last successful sync; 65,535 means "unknown".
    pub(crate) unsynced: u16,
    pub(crate) payload: std::ops::Range<usize>,
    /// Offset just behind the record and its padding.
    pub(crate) end: usize,
}

impl Found {
    /// The highest lsn that was certainly durable when this record was appended.
    pub(crate) fn durable_before(&self) -> u64 {
        if self.unsynced == u16::MAX {
            return 0;
        }
        self.lsn.saturating_sub(1 + u64::from(self.unsynced))
    }
}

/// The fields of a record that its draft does not know.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamp {
    pub(crate) lsn: u64,
    pub(crate) epoch: u32,
    pub(crate) committed_ms: u64,
    pub(crate) unsynced: u16,
    pub(crate) prev_crc: u32,
    pub(crate) before: Tail,
    pub(crate) digest: u64,
}

/// The start value of every checksum of a store.
pub(crate) fn salt(store_id: u64) -> u32 {
    crc32fast::hash(&store_id.to_le_bytes())
}

/// Bytes that a record with this payload takes in the file.
pub(crate) fn record_bytes(payload_bytes: usize) -> usize {
    (RECORD_HEADER_BYTES + payload_bytes).next_multiple_of(RECORD_ALIGN_BYTES)
}

/// Bytes that a segment header with this many tails takes.
pub(crate) fn segment_header_bytes(tails: usize) -> usize {
    (SEGMENT_FIXED_BYTES + tails * TAIL_BYTES + 4).next_multiple_of(SEGMENT_HEADER_UNIT_BYTES)
}

/// Appends a record to `out` and returns its checksum.
pub(crate) fn encode_record(out: &mut Vec<u8>, salt: u32, draft: &Draft, stamp: &Stamp) -> u32 {
    let start = out.len();
    out.extend_from_slice(&RECORD_MAGIC);
    out.push(FORMAT_VERSION);
    out.push(0);
    out.extend_from_slice(&draft.partition.to_le_bytes());
    out.extend_from_slice(&stamp.unsynced.to_le_bytes());
    out.extend_from_slice(&stamp.epoch.to_le_bytes());
    out.extend_from_slice(&(draft.payload.len() as u32).to_le_bytes());
    out.extend_from_slice(&stamp.lsn.to_le_bytes());
    out.extend_from_slice(&draft.idx.to_le_bytes());
    out.extend_from_slice(&stamp.committed_ms.to_le_bytes());
    out.extend_from_slice(&stamp.before.digest.to_le_bytes());
    out.extend_from_slice(&stamp.digest.to_le_bytes());
    out.extend_from_slice(&stamp.prev_crc.to_le_bytes());
    let crc = checksum(salt, &out[start..start + 60], &draft.payload);
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(&draft.payload);
    out.resize(start + record_bytes(draft.payload.len()), 0);
    crc
}

/// Reads the record at `offset`, when it is whole and its checksum holds. Says nothing about
/// whether it belongs there: the caller compares lsn, chain and digest.
pub(crate) fn decode_record(segment: &[u8], offset: usize, salt: u32) -> Option<Found> {
    let header = segment.get(offset..offset.checked_add(RECORD_HEADER_BYTES)?)?;
    if header[0..2] != RECORD_MAGIC || header[2] != FORMAT_VERSION || header[3] != 0 {
        return None;
    }
    let payload_bytes = u32_at(header, 12) as usize;
    if payload_bytes > PAYLOAD_BYTES_MAX {
        return None;
    }
    let payload = offset + RECORD_HEADER_BYTES..offset + RECORD_HEADER_BYTES + payload_bytes;
    let end = offset + record_bytes(payload_bytes);
    let bytes = segment.get(payload.clone())?;
    let padding = segment.get(payload.end..end)?;
    let crc = u32_at(header, 60);
    if padding.iter().any(|byte| *byte != 0) || checksum(salt, &header[..60], bytes) != crc {
        return None;
    }
    Some(Found {
        lsn: u64_at(header, 16),
        partition: u16_at(header, 4),
        epoch: u32_at(header, 8),
        idx: u64_at(header, 24),
        committed_ms: u64_at(header, 32),
        prev_digest: u64_at(header, 40),
        digest: u64_at(header, 48),
        prev_crc: u32_at(header, 56),
        crc,
        unsynced: u16_at(header, 6),
        payload,
        end,
    })
}

/// The lsn that the bytes at `offset` claim, when they begin like a record. No checksum is
/// checked: a cheap filter before [`decode_record`].
pub(crate) fn claimed_lsn(segment: &[u8], offset: usize) -> Option<u64> {
    let header = segment.get(offset..offset + RECORD_HEADER_BYTES)?;
    (header[0..2] == RECORD_MAGIC && header[2] == FORMAT_VERSION).then(|| u64_at(header, 16))
}

/// Encodes a segment header and returns it with its checksum.
pub(crate) fn encode_segment_header(header: &SegmentHeader) -> (Vec<u8>, u32) {
    let bytes = segment_header_bytes(header.tails.len());
    let mut out = Vec::with_capacity(bytes);
    out.extend_from_slice(&SEGMENT_MAGIC);
    out.extend_from_slice(&u32::from(FORMAT_VERSION).to_le_bytes());
    out.extend_from_slice(&(bytes as u32).to_le_bytes());
    out.extend_from_slice(&header.store_id.to_le_bytes());
    out.extend_from_slice(&header.first.0.to_le_bytes());
    out.extend_from_slice(&header.file_bytes.to_le_bytes());
    out.extend_from_slice(&header.prev_crc.to_le_bytes());
    out.extend_from_slice(&(header.tails.len() as u32).to_le_bytes());
    out.resize(SEGMENT_FIXED_BYTES, 0);
    for (partition, tail) in &header.tails {
        out.extend_from_slice(&u64::from(*partition).to_le_bytes());
        out.extend_from_slice(&tail.idx.to_le_bytes());
        out.extend_from_slice(&tail.digest.to_le_bytes());
    }
    out.resize(bytes - 4, 0);
    let crc = checksum(salt(header.store_id), &out, &[]);
    out.extend_from_slice(&crc.to_le_bytes());
    (out, crc)
}

/// Reads a segment header; returns it with its length and checksum.
pub(crate) fn decode_segment_header(
    segment: &[u8],
) -> Result<(SegmentHeader, usize, u32), HeaderFault> {
    let damaged = |offset: u64, detail: &'static str| HeaderFault::Damaged { offset, detail };
    let Some(fixed) = segment.get(..SEGMENT_FIXED_BYTES) else {
        return Err(damaged(segment.len() as u64, "the segment header is cut off"));
    };
    if fixed[..8] != SEGMENT_MAGIC {
        return Err(damaged(0, "this is not a segment file"));
    }
    let header_bytes = u32_at(fixed, 12) as usize;
    let tails = u32_at(fixed, 44) as usize;
    if tails > TAILS_MAX || header_bytes != segment_header_bytes(tails) {
        return Err(damaged(12, "the segment header contradicts itself"));
    }
    let Some(whole) = segment.get(..header_bytes) else {
        return Err(damaged(segment.len() as u64, "the segment header is cut off"));
    };
    let store_id = u64_at(fixed, 16);
    let crc = u32_at(whole, header_bytes - 4);
    if checksum(salt(store_id), &whole[..header_bytes - 4], &[]) != crc {
        return Err(damaged(0, "the checksum of the segment header does not hold"));
    }
    if u32_at(fixed, 8) != u32::from(FORMAT_VERSION) {
        return Err(HeaderFault::Version(u32_at(fixed, 8)));
    }
    let tails = (0..tails)
        .map(|position| {
            let at = SEGMENT_FIXED_BYTES + position * TAIL_BYTES;
            let tail = Tail { idx: u64_at(whole, at + 8), digest: u64_at(whole, at + 16) };
            (u16_at(whole, at), tail)
        })
        .collect();
    let header = SegmentHeader {
        store_id,
        first: Lsn(u64_at(fixed, 24)),
        prev_crc: u32_at(fixed, 40),
        file_bytes: u64_at(fixed, 32),
        tails,
    };
    let countable = |number: u64| number <= NUMBER_MAX;
    let sound = header.first.0 > 0
        && countable(header.first.0)
        && header.tails.values().all(|tail| countable(tail.idx));
    if !sound || encode_segment_header(&header).0 != whole {
        return Err(damaged(0, "the segment header contradicts itself"));
    }
    Ok((header, header_bytes, crc))
}

pub(crate) fn checksum(salt: u32, head: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(salt);
    hasher.update(head);
    hasher.update(payload);
    hasher.finalize()
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn sample() -> (Vec<u8>, Draft, Stamp) {
        let draft = Draft { partition: 7, idx: 3, payload: Bytes::from_static(b"wild goose") };
        let stamp = Stamp {
            lsn: 41,
            epoch: 2,
            committed_ms: 1_700_000_000_000,
            unsynced: 5,
            prev_crc: 0xDEAD_BEEF,
            before: Tail { idx: 2, digest: 99 },
            digest: 100,
        };
        let mut out = Vec::new();
        encode_record(&mut out, salt(1), &draft, &stamp);
        (out, draft, stamp)
    }

    #[test]
    fn a_record_reads_back_as_written() {
        let (out, draft, stamp) = sample();
        assert_eq!(out.len(), 80);
        let found = decode_record(&out, 0, salt(1)).expect("valid");
        assert_eq!(found.lsn, stamp.lsn);
        assert_eq!(found.partition, draft.partition);
        assert_eq!(found.idx, draft.idx);
        assert_eq!(found.epoch, stamp.epoch);
        assert_eq!(found.committed_ms, stamp.committed_ms);
        assert_eq!(found.prev_digest, 99);
        assert_eq!(found.digest, 100);
        assert_eq!(found.prev_crc, 0xDEAD_BEEF);
        assert_eq!(found.durable_before(), 35);
        assert_eq!(&out[found.payload], b"wild goose");
        assert_eq!(found.end, 80);
    }

    #[test]
    fn every_flipped_bit_and_every_other_store_is_noticed() {
        let (out, ..) = sample();
        for bit in 0..out.len() * 8 {
            let mut bad = out.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode_record(&bad, 0, salt(1)), None, "bit {bit}");
        }
        assert_eq!(decode_record(&out, 0, salt(2)), None);
        for cut in 0..out.len() {
            assert_eq!(decode_record(&out[..cut], 0, salt(1)), None, "cut {cut}");
        }
    }

    #[test]
    fn a_segment_header_reads_back_and_notices_every_flipped_bit() {
        let header = SegmentHeader {
            store_id: 77,
            first: Lsn(9),
            prev_crc: 5,
            file_bytes: 1 << 20,
            tails: (0..200).map(|p| (p, Tail { idx: 4, digest: 8 })).collect(),
        };
        let (bytes, crc) = encode_segment_header(&header);
        assert_eq!(bytes.len(), 8192);
        assert_eq!(decode_segment_header(&bytes), Ok((header, 8192, crc)));
        for bit in (0..bytes.len() * 8).step_by(7) {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(decode_segment_header(&bad).is_err(), "bit {bit}");
        }
    }
}
