//! What must hold for any bytes that a disk gives back. Called by the fuzz target, and by a test
//! with the committed corpus.
//!
//! Feature `testing`. The checks look at the formats from the inside and give nothing private out.
//! Checksums keep random bytes away from everything behind them, so an input can ask for them to
//! be set right first: then the code behind is reached by bytes that nobody wrote either.

mod mend;
mod seeds;

use std::path::Path;

use bytes::Bytes;

use self::mend::{mend_slots, put_crc};
pub use self::seeds::stored_block_seeds;
use crate::error::StoreError;
use crate::high_water;
use crate::identity::Identity;
use crate::log::{Draft, Lsn, PAYLOAD_BYTES_MAX, Tail};
use crate::segment::Segment;
use crate::segment::format::{
    Found, Stamp, TAILS_MAX, checksum, claimed_lsn, decode_record, decode_segment_header,
    encode_record, encode_segment_header, salt,
};
use crate::segment::recovery::{Scan, accept_tail};
use crate::sled_preflight;
use crate::sled_views::entry::{self, Place};
use crate::sled_views::marks;
use crate::slots::{self, Kind, SLOT_BYTES, SLOT_STRIDE_BYTES};
use crate::views::MARKS_MAX;

/// The store whose files the inputs claim to be.
const STORE_ID: u64 = 0x0123_4567_89AB_CDEF;
/// The high bit of the first byte asks for checksums to be set right.
const MEND: u8 = 0x80;
/// No name below it is ever opened.
const NOWHERE: &str = "nowhere";

/// What an input is read as: the low bits of its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    Segment = 0,
    Record = 1,
    Entry = 2,
    HighWater = 3,
    Checkpoint = 4,
    Row = 5,
    Identity = 6,
    SledSegment = 7,
}

const BLOCKS: [Block; 8] = [
    Block::Segment,
    Block::Record,
    Block::Entry,
    Block::HighWater,
    Block::Checkpoint,
    Block::Row,
    Block::Identity,
    Block::SledSegment,
];

/// Any bytes as something that the store keeps: parsed, or refused with an error for exit code 78.
/// What is parsed keeps its limits and encodes to the same bytes again.
///
/// The first byte says what the others are: a segment file, a record, an entry of the views, the
/// high-water or the checkpoint file, a checkpoint's row, the identity, or a segment of sled.
///
/// Returns whether it was parsed.
///
/// # Panics
/// When that does not hold.
pub fn stored_block(data: &[u8]) -> bool {
    let Some((choice, block)) = data.split_first() else {
        return false;
    };
    let mend = choice & MEND != 0;
    let mut block = block.to_vec();
    match BLOCKS[usize::from(choice & !MEND) % BLOCKS.len()] {
        Block::Segment => segment(&mut block, mend),
        Block::Record => record(&mut block, mend),
        Block::Entry => views_entry(&mut block, mend),
        Block::HighWater => slot_file(&mut block, mend, Kind::HighWater),
        Block::Checkpoint => slot_file(&mut block, mend, Kind::Checkpoint),
        Block::Row => checkpoint_row(&mut block, mend),
        Block::Identity => identity(&mut block, mend),
        Block::SledSegment => sled_segment(&mut block, mend),
    }
}

fn segment(bytes: &mut [u8], mend: bool) -> bool {
    if mend {
        mend::mend_segment(bytes);
    }
    let bytes = &*bytes;
    let Ok((header, header_bytes, crc)) = decode_segment_header(bytes) else {
        return false;
    };
    assert!(header.tails.len() <= TAILS_MAX);
    let (encoded, encoded_crc) = encode_segment_header(&header);
    assert_eq!((&encoded[..], encoded_crc), (&bytes[..header_bytes], crc));
    let path = Path::new(NOWHERE).join("log");
    let named = Segment { path, first: header.first, file_bytes: bytes.len() as u64 };
    for (first, store_id) in
        [(header.first.next(), header.store_id), (header.first, !header.store_id)]
    {
        let other = Segment { first, ..named.clone() };
        refused(&Scan::begin(bytes, &other, store_id).expect_err("this is another file"));
    }
    let mut scan = match Scan::begin(bytes, &named, header.store_id) {
        Ok(scan) => scan,
        Err(error) => return refused(&error),
    };
    let mut offset = scan.offset();
    while let Some(found) = scan.step(bytes) {
        assert!(found.end > offset && scan.offset() == found.end);
        encodes_again(bytes, offset, &found, header.store_id);
        offset = found.end;
    }
    let last = scan.last();
    let short = accept_tail(bytes, &scan, &named.path, Lsn(last + 1));
    refused(&short.expect_err("more was confirmed"));
    let judged = accept_tail(bytes, &scan, &named.path, Lsn(last));
    judged.map_or_else(|error| refused(&error), |()| true)
}

fn record(bytes: &mut [u8], mend: bool) -> bool {
    if mend {
        mend::mend_record(bytes, 0, salt(STORE_ID));
    }
    let mut any = false;
    for offset in 0..bytes.len().min(128) {
        let claimed = claimed_lsn(bytes, offset);
        if let Some(found) = decode_record(bytes, offset, salt(STORE_ID)) {
            assert_eq!(claimed, Some(found.lsn));
            assert!(found.durable_before() < found.lsn.max(1));
            encodes_again(bytes, offset, &found, STORE_ID);
            any = true;
        }
    }
    any
}

fn encodes_again(bytes: &[u8], offset: usize, found: &Found, store_id: u64) {
    let payload = &bytes[found.payload.clone()];
    assert!(payload.len() <= PAYLOAD_BYTES_MAX);
    let payload = Bytes::copy_from_slice(payload);
    let draft = Draft { partition: found.partition, idx: found.idx, payload };
    let stamp = Stamp {
        lsn: found.lsn,
        epoch: found.epoch,
        committed_ms: found.committed_ms,
        unsynced: found.unsynced,
        prev_crc: found.prev_crc,
        // Of the tail before, the digest is written.
        before: Tail { idx: 0, digest: found.prev_digest },
        digest: found.digest,
    };
    let mut again = Vec::new();
    assert_eq!(encode_record(&mut again, salt(store_id), &draft, &stamp), found.crc);
    assert_eq!(again, bytes[offset..found.end]);
}

/// The first byte is the length of the key, which comes next.
fn views_entry(bytes: &mut [u8], mend: bool) -> bool {
    let Some((key_bytes, rest)) = bytes.split_first_mut() else {
        return false;
    };
    let key_bytes = usize::from(*key_bytes).min(rest.len());
    let (key, bytes) = rest.split_at_mut(key_bytes);
    if mend && bytes.len() >= entry::HEADER_BYTES {
        let crc = entry::checksum(key, bytes);
        put_crc(bytes, 4, crc);
    }
    if let Some(version) = entry::version_of(key)
        && let Ok(number) = <[u8; 4]>::try_from(&key[8..])
    {
        assert_eq!(entry::piece_key(version, u32::from_be_bytes(number)), key);
    }
    let Ok(stored) = entry::decode(key, bytes) else {
        return false;
    };
    assert_eq!(entry::encode(key, &stored), bytes);
    for place in [Place::Heads, Place::Pieces] {
        let now = stored.hash(place, key);
        assert_eq!(stored.hash_at(stored.generation, place, key), now);
        if let Some(before) = stored.generation.checked_sub(1) {
            assert_eq!(stored.hash_at(before, place, key), stored.old);
        }
    }
    true
}

fn slot_file(bytes: &mut [u8], mend: bool, kind: Kind) -> bool {
    if mend {
        mend_slots(bytes);
    }
    let path = Path::new(NOWHERE);
    let read = match slots::judge(path, bytes, kind) {
        Ok(read) => read,
        Err(error) => return refused(&error),
    };
    let slot = slots::encode(kind, read.sequence, read.words);
    let found = [0, SLOT_STRIDE_BYTES].into_iter().find(|at| {
        let at = *at as usize;
        bytes.get(at..at + SLOT_BYTES) == Some(&slot[..])
    });
    assert!(found.is_some() && found != read.damaged_at);
    let again = match kind {
        Kind::HighWater => high_water::belongs(path, read.words, STORE_ID)
            .map(|confirmed| [STORE_ID, confirmed.0, read.words[2], read.words[3], read.words[4]]),
        Kind::Checkpoint => marks::Recorded::from_words(path, read.words, STORE_ID)
            .map(|recorded| recorded.words(STORE_ID)),
    };
    match again {
        Ok(again) => again == read.words || panic!("{again:?} is not {:?}", read.words),
        Err(error) => refused(&error),
    }
}

fn checkpoint_row(bytes: &mut [u8], mend: bool) -> bool {
    if mend && let Some(at) = bytes.len().checked_sub(4) {
        let crc = crc32fast::hash(&bytes[..at]);
        put_crc(bytes, at, crc);
    }
    let Some((recorded, checkpoint)) = marks::decode(STORE_ID, bytes) else {
        return false;
    };
    assert!(checkpoint.marks.len() <= MARKS_MAX);
    assert_eq!(marks::encode(STORE_ID, &recorded, &checkpoint), bytes);
    assert!(marks::decode(!STORE_ID, bytes).is_none());
    true
}

fn identity(bytes: &mut Vec<u8>, mend: bool) -> bool {
    if mend {
        let crc = crc32fast::hash(bytes);
        bytes.extend_from_slice(format!(" {crc:08x}\n").as_bytes());
    }
    match Identity::parse(Path::new(NOWHERE), bytes) {
        Ok(identity) => identity.line().as_bytes() == &bytes[..] || panic!("{identity:?}"),
        Err(error) => refused(&error),
    }
}

/// The first eight bytes are the position up to which sled calls everything stable.
fn sled_segment(bytes: &mut [u8], mend: bool) -> bool {
    let Some((stable, bytes)) = bytes.split_first_chunk_mut::<8>() else {
        return false;
    };
    if mend {
        mend::mend_sled_segment(bytes);
    }
    let fault = sled_preflight::look_at(bytes, u64::from_le_bytes(*stable));
    if let Some((at, detail)) = &fault {
        assert!(*at <= bytes.len() && !detail.is_empty());
    }
    fault.is_none()
}

/// False, for a refusal that makes the process stop for a human and says where to look.
fn refused(error: &StoreError) -> bool {
    assert_eq!(error.exit_code(), crate::EXIT_REFUSED, "{error}");
    assert!(error.to_string().contains(NOWHERE), "{error}");
    false
}

/// The checksum of bytes in the middle of a block: see [`mend`].
fn salted(store_id: u64, bytes: &[u8]) -> u32 {
    checksum(salt(store_id), bytes, &[])
}
