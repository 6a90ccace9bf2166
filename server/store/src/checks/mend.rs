//! Sets the checksums of a block right, so that what is behind them is reached.
//!
//! Knows the offsets of the formats, as `docs/STORAGE.md` has them. A block that is too short
//! stays as it is.

use super::salted;
use crate::log::{PAYLOAD_BYTES_MAX, Tail};
use crate::segment::format::{RECORD_HEADER_BYTES, checksum, decode_segment_header, record_bytes};
use crate::sled_preflight::{SEGMENT_HEADER_BYTES, claimed, message_crc};
use crate::slots::{SLOT_BYTES, SLOT_STRIDE_BYTES};

/// Header, and every record behind it until one has no room.
pub(super) fn mend_segment(bytes: &mut [u8]) {
    let len = bytes.len() as u64;
    let Some(header_bytes) = word(bytes, 12).map(|bytes| bytes as usize) else {
        return;
    };
    let Some(store_id) = long(bytes, 16) else {
        return;
    };
    if !(64..=bytes.len()).contains(&header_bytes) {
        return;
    }
    bytes[32..40].copy_from_slice(&len.to_le_bytes());
    let crc = salted(store_id, &bytes[..header_bytes - 4]);
    put_crc(bytes, header_bytes - 4, crc);
    let Ok((header, mut offset, mut chain)) = decode_segment_header(bytes) else {
        return;
    };
    let mut tails = header.tails;
    let salt = crate::segment::format::salt(store_id);
    while let Some(payload) = payload_of(bytes, offset) {
        let partition = u16::from_le_bytes([bytes[offset + 4], bytes[offset + 5]]);
        let before = tails.get(&partition).copied().unwrap_or_default();
        let after: Tail = before.extended_by(&bytes[payload]);
        tails.insert(partition, after);
        bytes[offset + 40..offset + 48].copy_from_slice(&before.digest.to_le_bytes());
        bytes[offset + 48..offset + 56].copy_from_slice(&after.digest.to_le_bytes());
        put_crc(bytes, offset + 56, chain);
        let Some((crc, end)) = mend_record(bytes, offset, salt) else {
            return;
        };
        (chain, offset) = (crc, end);
    }
}

/// The record at `offset`; returns its checksum and its end.
pub(super) fn mend_record(bytes: &mut [u8], offset: usize, salt: u32) -> Option<(u32, usize)> {
    let payload = payload_of(bytes, offset)?;
    let end = offset + record_bytes(payload.len());
    let crc = checksum(salt, &bytes[offset..offset + 60], &bytes[payload]);
    put_crc(bytes, offset + 60, crc);
    Some((crc, end))
}

/// Both slots of a slot file.
pub(super) fn mend_slots(bytes: &mut [u8]) {
    for at in [0, SLOT_STRIDE_BYTES as usize] {
        if let Some(slot) = bytes.get_mut(at..at + SLOT_BYTES) {
            let crc = crc32fast::hash(&slot[..SLOT_BYTES - 4]);
            put_crc(slot, SLOT_BYTES - 4, crc);
        }
    }
}

/// The header of a segment of sled, and every message behind it until one has no room.
pub(super) fn mend_sled_segment(bytes: &mut [u8]) {
    let Some(header) = bytes.get_mut(..SEGMENT_HEADER_BYTES) else {
        return;
    };
    let crc = crc32fast::hash(&header[4..]) ^ u32::MAX;
    put_crc(header, 0, crc);
    let mut at = SEGMENT_HEADER_BYTES;
    while let Some(message) = claimed(bytes, at) {
        let crc = message_crc(bytes, at, &message);
        put_crc(bytes, at, crc);
        at = message.end;
    }
}

/// Writes a checksum at `at`.
pub(super) fn put_crc(bytes: &mut [u8], at: usize, crc: u32) {
    bytes[at..at + 4].copy_from_slice(&crc.to_le_bytes());
}

fn payload_of(bytes: &[u8], offset: usize) -> Option<std::ops::Range<usize>> {
    let payload_bytes = word(bytes, offset + 12)? as usize;
    if payload_bytes > PAYLOAD_BYTES_MAX || bytes.get(offset) != Some(&b'H') {
        return None;
    }
    let start = offset + RECORD_HEADER_BYTES;
    (offset + record_bytes(payload_bytes) <= bytes.len()).then_some(start..start + payload_bytes)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn long(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}
