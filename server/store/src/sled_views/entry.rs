//! The bytes of one entry in sled: a header of 24 bytes and a body.
//!
//! Pure functions. The header says in which checkpoint generation the entry was written, and
//! remembers the hash of the entry that the last checkpoint saw under the same key. Thereby the
//! state of the last checkpoint can be recomputed from a later one: see `scrub`.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 1 | format, 1 |
//! | 1 | 1 | flags: 1 tombstone, 2 had a checkpointed predecessor, 4 body is a pointer to pieces |
//! | 2 | 2 | zero |
//! | 4 | 4 | CRC-32 over the key, bytes 0..4 and bytes 8.. |
//! | 8 | 8 | generation |
//! | 16 | 8 | hash of the checkpointed predecessor, 0 without one |
//! | 24 | .. | the body, or: version u64, total bytes u32 |
//!
//! Integers are little-endian.

use xxhash_rust::xxh3::Xxh3;

pub(crate) const HEADER_BYTES: usize = 24;

const FORMAT: u8 = 1;
const TOMBSTONE: u8 = 1;
const HAD_OLD: u8 = 2;
const POINTER: u8 = 4;
const POINTER_BYTES: usize = 12;

/// Which tree an entry is in; part of its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// By the caller's key: a small value, or a pointer to pieces.
    Heads = 0,
    /// By version and number: the pieces of long values.
    Pieces = 1,
}

/// What an entry holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body<'a> {
    Bytes(&'a [u8]),
    Pointer(Pointer),
    /// Deleted since the checkpoint that still saw it.
    Tombstone,
}

/// A value that is kept in pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pointer {
    /// Never used for another value.
    pub(crate) version: u64,
    /// Bytes of the whole value.
    pub(crate) bytes: u32,
}

/// A decoded entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stored<'a> {
    pub(crate) generation: u64,
    /// Hash of the entry that the last checkpoint before `generation` saw under this key.
    pub(crate) old: Option<u64>,
    pub(crate) body: Body<'a>,
}

impl Stored<'_> {
    /// What this entry adds to the digest of the present state.
    pub(crate) fn hash(&self, place: Place, key: &[u8]) -> Option<u64> {
        let mut hasher = Xxh3::new();
        hasher.update(&[place as u8]);
        hasher.update(&(key.len() as u64).to_le_bytes());
        hasher.update(key);
        match self.body {
            Body::Bytes(bytes) => {
                hasher.update(&[0]);
                hasher.update(bytes);
            }
            Body::Pointer(pointer) => {
                hasher.update(&[POINTER]);
                hasher.update(&encode_pointer(pointer));
            }
            Body::Tombstone => return None,
        }
        Some(hasher.digest())
    }

    /// What this key added to the digest of the checkpoint with this generation.
    pub(crate) fn hash_at(&self, generation: u64, place: Place, key: &[u8]) -> Option<u64> {
        if self.generation <= generation { self.hash(place, key) } else { self.old }
    }
}

pub(crate) fn encode(key: &[u8], stored: &Stored<'_>) -> Vec<u8> {
    let (flag, pointer);
    let body: &[u8] = match stored.body {
        Body::Bytes(bytes) => {
            flag = 0;
            bytes
        }
        Body::Pointer(to) => {
            flag = POINTER;
            pointer = encode_pointer(to);
            &pointer
        }
        Body::Tombstone => {
            flag = TOMBSTONE;
            &[]
        }
    };
    let mut out = Vec::with_capacity(HEADER_BYTES + body.len());
    out.extend_from_slice(&[FORMAT, flag | if stored.old.is_some() { HAD_OLD } else { 0 }, 0, 0]);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&stored.generation.to_le_bytes());
    out.extend_from_slice(&stored.old.unwrap_or(0).to_le_bytes());
    out.extend_from_slice(body);
    let crc = checksum(key, &out);
    out[4..8].copy_from_slice(&crc.to_le_bytes());
    out
}

/// Reads an entry; the text says what is wrong with it.
pub(crate) fn decode<'a>(key: &[u8], entry: &'a [u8]) -> Result<Stored<'a>, &'static str> {
    let Some((header, body)) = entry.split_at_checked(HEADER_BYTES) else {
        return Err("an entry is cut off");
    };
    if header[0] != FORMAT || header[1] > 7 || header[2..4] != [0, 0] {
        return Err("an entry has an unknown format");
    }
    if checksum(key, entry).to_le_bytes() != header[4..8] {
        return Err("the checksum of an entry does not hold");
    }
    let flags = header[1];
    let body = match flags & (TOMBSTONE | POINTER) {
        0 => Body::Bytes(body),
        TOMBSTONE if body.is_empty() => Body::Tombstone,
        POINTER if body.len() == POINTER_BYTES => Body::Pointer(Pointer {
            version: u64_at(body, 0),
            bytes: u32::from_le_bytes([body[8], body[9], body[10], body[11]]),
        }),
        _ => return Err("an entry contradicts itself"),
    };
    let old = (flags & HAD_OLD != 0).then(|| u64_at(header, 16));
    if old.is_none() && u64_at(header, 16) != 0 {
        return Err("an entry contradicts itself");
    }
    Ok(Stored { generation: u64_at(header, 8), old, body })
}

/// The key of a piece.
pub(crate) fn piece_key(version: u64, number: u32) -> [u8; 12] {
    let mut key = [0; 12];
    key[..8].copy_from_slice(&version.to_be_bytes());
    key[8..].copy_from_slice(&number.to_be_bytes());
    key
}

/// The version in a piece's key.
pub(crate) fn version_of(piece_key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(piece_key.get(..8)?.try_into().ok()?))
}

fn encode_pointer(pointer: Pointer) -> [u8; POINTER_BYTES] {
    let mut out = [0; POINTER_BYTES];
    out[..8].copy_from_slice(&pointer.version.to_le_bytes());
    out[8..].copy_from_slice(&pointer.bytes.to_le_bytes());
    out
}

pub(crate) fn checksum(key: &[u8], entry: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(&entry[..4]);
    hasher.update(&entry[8..]);
    hasher.finalize()
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_read_back_and_every_flipped_bit_is_noticed() {
        let pointer = Body::Pointer(Pointer { version: 9, bytes: 70_000 });
        for body in [Body::Bytes(b"body"), Body::Bytes(b""), pointer, Body::Tombstone] {
            for old in [None, Some(5)] {
                let stored = Stored { generation: 3, old, body };
                let bytes = encode(b"key", &stored);
                assert_eq!(decode(b"key", &bytes), Ok(stored));
                assert!(decode(b"kex", &bytes).is_err());
                for bit in 0..bytes.len() * 8 {
                    let mut bad = bytes.clone();
                    bad[bit / 8] ^= 1 << (bit % 8);
                    assert!(decode(b"key", &bad).is_err(), "bit {bit}");
                }
            }
        }
    }
}
