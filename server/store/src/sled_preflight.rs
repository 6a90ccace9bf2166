//! A look at sled's files before sled touches them.
//!
//! Read-only. `verify` refuses what is certainly damaged: the configuration and the snapshot, both
//! of which sled checksums itself but partly ignores. `first_fault` walks the messages of the data
//! file and names the first place that looks damaged. That place can also be a leftover in a
//! segment about to be reused, so it is a hint that makes the caller careful and helps a human,
//! never a verdict: the verdict is the scrub of the views or the chain of the log.
//!
//! sled 0.34.7 writes segments of 512 KiB. A segment begins with 20 bytes: the inverted CRC-32 of
//! the rest, its position in sled's log, and the position known as stable when it was begun (both
//! XORed with `i64::MAX`). Messages follow: CRC-32 (of the body, then of the header from byte 4,
//! inverted), kind, length, segment number, page id; the last three as variable-length integers.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use crate::error::StoreError;

pub(crate) const SEGMENT_BYTES: usize = 512 * 1024;
pub(crate) const SEGMENT_HEADER_BYTES: usize = 20;
const RED_ZONE_BYTES: usize = 32;
const KIND_CORRUPTED: u8 = 0;
pub(crate) const KIND_CAP: u8 = 2;
pub(crate) const LSN_MASK: u64 = 0x7FFF_FFFF_FFFF_FFFF;

/// Refuses a database whose configuration or snapshot is damaged, or whose parts are missing.
pub(crate) fn verify(dir: &Path) -> Result<(), StoreError> {
    let conf = dir.join("conf");
    let bytes = read(&conf)?;
    let Some((body, crc)) = bytes.split_last_chunk::<4>() else {
        return Err(StoreError::corrupt(&conf, bytes.len() as u64, "the file is cut off"));
    };
    if crc32fast::hash(body) != u32::from_le_bytes(*crc) {
        return Err(StoreError::corrupt(&conf, 0, "the checksum of sled's settings does not hold"));
    }
    for snapshot in snapshots(dir)? {
        let bytes = read(&snapshot)?;
        let Some((rest, crc)) = bytes.split_last_chunk::<4>() else {
            return Err(StoreError::corrupt(&snapshot, bytes.len() as u64, "the file is cut off"));
        };
        let body = rest.len().checked_sub(8).map(|len| &rest[..len]);
        if body.is_none_or(|body| crc32fast::hash(body) != u32::from_le_bytes(*crc)) {
            let detail = "the checksum of sled's snapshot does not hold";
            return Err(StoreError::corrupt(&snapshot, 0, detail));
        }
    }
    let db = dir.join("db");
    if !db.exists() {
        return Err(StoreError::corrupt(&db, 0, "the file is missing"));
    }
    Ok(())
}

/// The first offset in sled's data file that looks damaged, with what is wrong there.
pub(crate) fn first_fault(dir: &Path) -> Result<Option<(u64, String)>, StoreError> {
    let path = dir.join("db");
    let stable = stable_position(&path)?;
    let mut found = None;
    each_segment(&path, |offset, bytes| {
        found = look_at(bytes, stable).map(|(at, detail)| (offset + at as u64, detail));
        found.is_none()
    })?;
    Ok(found)
}

/// The highest position that any segment calls stable.
fn stable_position(path: &Path) -> Result<u64, StoreError> {
    let mut stable = 0;
    each_segment(path, |_, bytes| {
        if let Some((_, known)) = segment_header(bytes) {
            stable = stable.max(known);
        }
        true
    })?;
    Ok(stable)
}

/// The first place of a segment that looks damaged, when everything before `stable` was synced.
pub(crate) fn look_at(bytes: &[u8], stable: u64) -> Option<(usize, String)> {
    let Some((position, _)) = segment_header(bytes) else {
        let unused = bytes.iter().take(SEGMENT_HEADER_BYTES).all(|byte| *byte == 0);
        return (!unused).then(|| (0, "the header of a sled segment does not verify".into()));
    };
    if position.saturating_add(SEGMENT_BYTES as u64) > stable {
        return None;
    }
    let number = position / SEGMENT_BYTES as u64;
    let mut at = SEGMENT_HEADER_BYTES;
    while at + RED_ZONE_BYTES <= SEGMENT_BYTES {
        match message(bytes, at, number) {
            Some((KIND_CAP, _)) => return None,
            Some((_, end)) => at = end,
            None => {
                return Some((at, "a message in a whole sled segment does not verify".into()));
            }
        }
    }
    None
}

/// Position and known-stable position of a segment whose header verifies.
fn segment_header(bytes: &[u8]) -> Option<(u64, u64)> {
    let header = bytes.get(..SEGMENT_HEADER_BYTES)?;
    let word = |at: usize| header.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes);
    let crc = u32::from_le_bytes(header[..4].try_into().ok()?) ^ u32::MAX;
    (crc == crc32fast::hash(&header[4..]))
        .then_some((word(4)? ^ LSN_MASK, word(12)? ^ LSN_MASK))
        // A new segment may say "nothing stable yet", which is negative.
        .map(|(position, stable)| (position, if stable > LSN_MASK { 0 } else { stable }))
}

/// A message as its bytes claim it, before its checksum is looked at.
pub(crate) struct Claimed {
    kind: u8,
    segment_number: u64,
    /// Where the body begins.
    pub(crate) body: usize,
    pub(crate) end: usize,
}

/// What the bytes at `at` say of themselves, when they have room for it.
pub(crate) fn claimed(segment: &[u8], at: usize) -> Option<Claimed> {
    let bytes = segment.get(at..)?;
    let (kind, rest) = bytes.get(4..)?.split_first()?;
    let (length, rest) = variable(rest)?;
    let (segment_number, rest) = variable(rest)?;
    let (_page, rest) = variable(rest)?;
    let length = rest.get(..usize::try_from(length).ok()?)?.len();
    let body = segment.len() - rest.len();
    Some(Claimed { kind: *kind, segment_number, body, end: body + length })
}

/// The checksum that the message at `at` should have.
pub(crate) fn message_crc(segment: &[u8], at: usize, claimed: &Claimed) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&segment[claimed.body..claimed.end]);
    hasher.update(&segment[at + 4..claimed.body]);
    hasher.finalize() ^ u32::MAX
}

/// Kind and end of the message at `at`, when it verifies.
fn message(segment: &[u8], at: usize, number: u64) -> Option<(u8, usize)> {
    let claimed = claimed(segment, at)?;
    let holds = message_crc(segment, at, &claimed).to_le_bytes() == segment[at..at + 4];
    (holds && claimed.kind != KIND_CORRUPTED && claimed.segment_number == number)
        .then_some((claimed.kind, claimed.end))
}

/// sled's variable-length integer.
fn variable(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    match *first {
        0..=240 => Some((u64::from(*first), rest)),
        241..=248 => {
            let (low, rest) = rest.split_first()?;
            Some((240 + 256 * (u64::from(*first) - 241) + u64::from(*low), rest))
        }
        249 => {
            let ([high, low], rest) = rest.split_first_chunk::<2>()?;
            Some((2288 + 256 * u64::from(*high) + u64::from(*low), rest))
        }
        _ => {
            let (word, rest) = rest.split_at_checked(usize::from(*first) - 247)?;
            let mut bytes = [0; 8];
            bytes.get_mut(..word.len())?.copy_from_slice(word);
            Some((u64::from_le_bytes(bytes), rest))
        }
    }
}

/// Calls `look` with each segment and its offset until it says false.
fn each_segment(path: &Path, mut look: impl FnMut(u64, &[u8]) -> bool) -> Result<(), StoreError> {
    let mut file = File::open(path).map_err(|error| StoreError::io(path, "open", error))?;
    let mut buffer = Vec::with_capacity(SEGMENT_BYTES);
    let mut offset = 0;
    loop {
        buffer.clear();
        let read = (&mut file)
            .take(SEGMENT_BYTES as u64)
            .read_to_end(&mut buffer)
            .map_err(|error| StoreError::io(path, "read", error))?;
        if read == 0 || !look(offset, &buffer) {
            return Ok(());
        }
        offset += read as u64;
    }
}

fn snapshots(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut found = Vec::new();
    let entries = std::fs::read_dir(dir).map_err(|error| StoreError::io(dir, "list", error))?;
    for entry in entries {
        let path = entry.map_err(|error| StoreError::io(dir, "list", error))?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        if name.is_some_and(|name| name.starts_with("snap.") && !name.ends_with(".generating")) {
            found.push(path);
        }
    }
    Ok(found)
}

fn read(path: &Path) -> Result<Vec<u8>, StoreError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(bytes),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err(StoreError::corrupt(path, 0, "the file is missing"))
        }
        Err(error) => Err(StoreError::io(path, "read", error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_real_database_walks_clean_and_a_flipped_bit_is_found() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("views");
        {
            let db = crate::sled_db::SledDb::open(&path, 1 << 20).expect("open");
            let tree = db.tree("t").expect("tree");
            for number in 0..3000_u32 {
                let value = vec![number as u8; 900];
                db.contain(|| tree.insert(number.to_be_bytes(), value)).expect("insert");
                if number % 600 == 599 {
                    db.flush().expect("flush");
                }
            }
        }
        verify(&path).expect("clean");
        assert_eq!(first_fault(&path).expect("read"), None);
        let mut bytes = std::fs::read(path.join("db")).expect("read");
        // Which segments count as whole depends on when sled's threads synced.
        let stable = stable_position(&path.join("db")).expect("read");
        let is_whole = |segment: &[u8]| {
            let (position, _) = segment_header(segment)?;
            let (kind, _) =
                message(segment, SEGMENT_HEADER_BYTES, position / SEGMENT_BYTES as u64)?;
            (kind != KIND_CAP && position + SEGMENT_BYTES as u64 <= stable).then_some(())
        };
        let whole = bytes.chunks_exact(SEGMENT_BYTES).position(|s| is_whole(s).is_some());
        let whole = whole.expect("a whole segment");
        let first = whole * SEGMENT_BYTES + SEGMENT_HEADER_BYTES;
        bytes[first + 2] ^= 4;
        std::fs::write(path.join("db"), &bytes).expect("write");
        let (offset, _) = first_fault(&path).expect("read").expect("a fault");
        assert_eq!(offset, first as u64);
    }
}
