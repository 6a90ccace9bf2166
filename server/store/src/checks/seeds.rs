//! Where fuzzing begins: each format as this build writes it, and the ways in which files go bad.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::mend::mend_sled_segment;
use super::{Block, MEND, STORE_ID};
use crate::identity::Identity;
use crate::log::{Draft, Lsn, Tail};
use crate::options::Engine;
use crate::segment::format::{
    SegmentHeader, Stamp, encode_record, encode_segment_header, record_bytes, salt,
    segment_header_bytes,
};
use crate::sled_preflight::{KIND_CAP, LSN_MASK, SEGMENT_BYTES, SEGMENT_HEADER_BYTES};
use crate::sled_views::entry::{self, Body, Pointer, Stored};
use crate::sled_views::marks;
use crate::sled_views::scrub::Sum;
use crate::slots::{self, Kind, SLOT_STRIDE_BYTES};
use crate::views::Checkpoint;

type Seeds = Vec<(&'static str, Vec<u8>)>;

/// Name and bytes of the seeds of [`super::stored_block`]; the same in every run.
#[must_use]
pub fn stored_block_seeds() -> Seeds {
    let mut seeds = segments();
    seeds.extend(records());
    seeds.extend(entries());
    seeds.extend(slot_files());
    seeds.extend(rows());
    seeds.extend(sled_segments());
    seeds
}

fn seed(block: Block, bytes: &[u8]) -> Vec<u8> {
    [&[block as u8], bytes].concat()
}

fn mended(block: Block, bytes: &[u8]) -> Vec<u8> {
    [&[block as u8 | MEND], bytes].concat()
}

/// A segment with records of two partitions after a header with one tail.
fn segment_file(unsynced: u16) -> Vec<u8> {
    let payloads: [(u16, &[u8]); 4] = [(3, b"wild"), (7, b"goose"), (3, b""), (7, &[9; 40])];
    let mut tails = BTreeMap::from([(3, Tail { idx: 5, digest: 55 })]);
    let records: usize = payloads.iter().map(|(_, payload)| record_bytes(payload.len())).sum();
    let header = SegmentHeader {
        store_id: STORE_ID,
        first: Lsn(9),
        prev_crc: 4,
        file_bytes: (segment_header_bytes(1) + records + 64) as u64,
        tails: tails.clone(),
    };
    let (mut out, mut chain) = encode_segment_header(&header);
    for (lsn, (partition, payload)) in (9..).zip(payloads) {
        let before = tails.get(&partition).copied().unwrap_or_default();
        let after = before.extended_by(payload);
        tails.insert(partition, after);
        let payload = Bytes::copy_from_slice(payload);
        let stamp = Stamp {
            lsn,
            epoch: 1,
            committed_ms: 1_750_000_000_000,
            unsynced,
            prev_crc: chain,
            before,
            digest: after.digest,
        };
        let draft = Draft { partition, idx: after.idx, payload };
        chain = encode_record(&mut out, salt(STORE_ID), &draft, &stamp);
    }
    out.resize(header.file_bytes as usize, 0);
    out
}

fn segments() -> Seeds {
    let whole = segment_file(0);
    let first = segment_header_bytes(1);
    let mut torn = segment_file(u16::MAX);
    torn[first + 64] ^= 1;
    let mut hole = whole.clone();
    hole[first + 64] ^= 1;
    let mut two_tails = whole.clone();
    two_tails[44] = 2;
    let mut last_number = whole.clone();
    last_number[24..32].fill(0xFF);
    let mut reserved = whole.clone();
    reserved[50] = 1;
    let mut version = whole.clone();
    version[8] = 2;
    vec![
        ("segment-whole", seed(Block::Segment, &whole)),
        ("segment-cut", seed(Block::Segment, &whole[..first + 100])),
        ("segment-torn", seed(Block::Segment, &torn)),
        ("segment-hole", seed(Block::Segment, &hole)),
        ("segment-mended", mended(Block::Segment, &hole)),
        ("segment-same-tail-twice", mended(Block::Segment, &two_tails)),
        ("segment-last-number", mended(Block::Segment, &last_number)),
        ("segment-reserved", mended(Block::Segment, &reserved)),
        ("segment-version", mended(Block::Segment, &version)),
    ]
}

fn records() -> Seeds {
    let whole = segment_file(2);
    let first = segment_header_bytes(1);
    let record = &whole[first..first + record_bytes(4)];
    let mut long = record.to_vec();
    long[12..16].fill(0xFF);
    let mut numbers = record.to_vec();
    numbers[16..32].fill(0xFF);
    vec![
        ("record-whole", seed(Block::Record, record)),
        ("record-two", seed(Block::Record, &whole[first..first + 2 * record_bytes(4)])),
        ("record-long", seed(Block::Record, &long)),
        ("record-last-numbers", mended(Block::Record, &numbers)),
    ]
}

fn entries() -> Seeds {
    let row = |key: &[u8], old, body| {
        let bytes = entry::encode(key, &Stored { generation: 3, old, body });
        [&[key.len() as u8], key, &bytes].concat()
    };
    let pointer = Body::Pointer(Pointer { version: 9, bytes: 70_000 });
    let piece = entry::piece_key(9, 1);
    let mut stray = row(b"key", None, Body::Bytes(b"body"));
    stray[4 + 16] = 1;
    vec![
        ("entry-value", seed(Block::Entry, &row(b"key", None, Body::Bytes(b"body")))),
        ("entry-replaced", seed(Block::Entry, &row(b"key", Some(5), Body::Bytes(b"")))),
        ("entry-pointer", seed(Block::Entry, &row(b"key", None, pointer))),
        ("entry-piece", seed(Block::Entry, &row(&piece, None, Body::Bytes(&[7; 30])))),
        ("entry-tombstone", seed(Block::Entry, &row(b"key", Some(6), Body::Tombstone))),
        ("entry-stray-predecessor", mended(Block::Entry, &stray)),
    ]
}

fn slot_file(kind: Kind, words: slots::Words) -> Vec<u8> {
    let mut out = slots::encode(kind, 4, words).to_vec();
    out.resize(SLOT_STRIDE_BYTES as usize, 0);
    out.extend_from_slice(&slots::encode(kind, 5, words));
    out
}

fn slot_files() -> Seeds {
    let high_water = slot_file(Kind::HighWater, [STORE_ID, 41, 0, 0, 0]);
    let checkpoint = slot_file(Kind::Checkpoint, [STORE_ID, 3, 40, 99, 2]);
    let other = slot_file(Kind::HighWater, [1, 41, 0, 0, 0]);
    let mut damaged = high_water.clone();
    damaged[20] ^= 1;
    let mut last = checkpoint.clone();
    for at in [24, SLOT_STRIDE_BYTES as usize + 24] {
        last[at..at + 8].fill(0xFF);
    }
    vec![
        ("high-water-whole", seed(Block::HighWater, &high_water)),
        ("high-water-one-slot", seed(Block::HighWater, &damaged)),
        ("high-water-cut", seed(Block::HighWater, &damaged[..100])),
        ("high-water-other-store", seed(Block::HighWater, &other)),
        ("checkpoint-whole", seed(Block::Checkpoint, &checkpoint)),
        ("checkpoint-other-kind", seed(Block::Checkpoint, &high_water)),
        ("checkpoint-last-generation", mended(Block::Checkpoint, &last)),
    ]
}

fn rows() -> Seeds {
    let recorded =
        marks::Recorded { generation: 3, lsn: Lsn(40), sum: Sum { hashes: 99, count: 2 } };
    let checkpoint = Checkpoint { lsn: Lsn(40), marks: vec![(0, 12), (7, 28)] };
    let row = marks::encode(STORE_ID, &recorded, &checkpoint);
    let mut many = row.clone();
    many[40..44].fill(0xFF);
    let identity = Identity { store_id: STORE_ID, engine: Engine::Segment }.line();
    let body = identity.rsplit_once(' ').map_or("", |(body, _)| body);
    vec![
        ("row-whole", seed(Block::Row, &row)),
        ("row-many-marks", mended(Block::Row, &many)),
        ("identity-whole", seed(Block::Identity, identity.as_bytes())),
        ("identity-capitals", mended(Block::Identity, body.to_uppercase().as_bytes())),
        (
            "identity-capital-id",
            mended(Block::Identity, b"hongyan-store 1 segment 0123456789ABCDEF"),
        ),
        ("identity-format-2", mended(Block::Identity, body.replace(" 1 ", " 2 ").as_bytes())),
    ]
}

/// A segment of sled at `position`, with two messages and the one that ends a segment. Only the
/// low byte of the position's segment number is written.
fn sled_segment(stable: u64, position: u64) -> Vec<u8> {
    let number = (position / SEGMENT_BYTES as u64) as u8;
    let mut out = stable.to_le_bytes().to_vec();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&(position ^ LSN_MASK).to_le_bytes());
    out.extend_from_slice(&LSN_MASK.to_le_bytes());
    let bodies: [(u8, &[u8]); 3] = [(3, b"wild"), (4, b"goose"), (KIND_CAP, b"")];
    for (kind, body) in bodies {
        out.extend_from_slice(&[0, 0, 0, 0, kind, body.len() as u8, number, 9]);
        out.extend_from_slice(body);
    }
    mend_sled_segment(&mut out[8..]);
    out
}

fn sled_segments() -> Seeds {
    let whole = sled_segment(2 << 20, 1 << 20);
    let growing = sled_segment(1 << 20, 1 << 20);
    let mut flipped = whole.clone();
    flipped[8 + SEGMENT_HEADER_BYTES + 8] ^= 1;
    let mut unsynced = growing.clone();
    unsynced[8 + SEGMENT_HEADER_BYTES + 8] ^= 1;
    let mut long = whole.clone();
    long[8 + SEGMENT_HEADER_BYTES + 5] = 0xFF;
    let mut other = whole.clone();
    other[8 + SEGMENT_HEADER_BYTES + 6] += 1;
    let unused = vec![0; 8 + SEGMENT_HEADER_BYTES + 64];
    let last = sled_segment(u64::MAX, u64::MAX);
    vec![
        ("sled-segment-whole", seed(Block::SledSegment, &whole)),
        ("sled-segment-flipped", seed(Block::SledSegment, &flipped)),
        ("sled-segment-unsynced", seed(Block::SledSegment, &unsynced)),
        ("sled-segment-mended", mended(Block::SledSegment, &flipped)),
        ("sled-segment-long", mended(Block::SledSegment, &long)),
        ("sled-segment-other-number", mended(Block::SledSegment, &other)),
        ("sled-segment-unused", seed(Block::SledSegment, &unused)),
        ("sled-segment-last-position", seed(Block::SledSegment, &last)),
    ]
}
