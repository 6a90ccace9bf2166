//! Has sled count what it holds.
//!
//! sled 0.34 keeps its cache within `cache_bytes` by a list of accesses for each of 256 parts, and
//! looks at a part's list only when 64 accesses have come to it (its `lru.rs`). A page that came
//! from the disk with one access is held meanwhile and counted by nobody: a walk over leaves of
//! seventeen entries of six kilobytes each keeps up to 16,384 of them, which is a gigabyte beyond
//! the limit. So whoever reads large entries here accesses the leaf once more for every
//! [`BYTES_PER_ACCESS`] that may have come in, and at most `64 x 256` times that stays uncounted.
//!
//! An access is a look-up of a key that has just been read: under a tenth of a microsecond, no I/O.

use super::SledViews;
use super::entry::Place;
use crate::error::StoreError;

/// Bytes that one access stands for.
const BYTES_PER_ACCESS: usize = 8 * 1024;
/// Entries in a leaf, at most: sled splits what has more.
const LEAF_LEN: usize = 17;
/// Accesses after which sled has looked at the list of a part.
const ACCESSES_MAX: usize = 64;

/// What came in and is not counted yet.
#[derive(Debug, Default)]
pub(super) struct Uncounted {
    bytes: usize,
}

impl Uncounted {
    /// `bytes` of a walk came in.
    pub(super) fn walked(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    /// The leaf of an entry of so many bytes came in; its other entries may be as long.
    pub(super) fn leaf_of(&mut self, bytes: usize) {
        self.bytes = self.bytes.max(bytes.saturating_mul(LEAF_LEN));
    }

    /// Accesses that are due; what is less than one stays.
    fn take_due(&mut self) -> usize {
        let due = self.bytes / BYTES_PER_ACCESS;
        self.bytes %= BYTES_PER_ACCESS;
        due.min(ACCESSES_MAX)
    }
}

impl SledViews {
    /// Has sled count it, by accesses to the leaf of `key`.
    pub(super) fn count(
        &self,
        uncounted: &mut Uncounted,
        place: Place,
        key: &[u8],
    ) -> Result<(), StoreError> {
        let tree = self.tree(place);
        for _ in 0..uncounted.take_due() {
            self.db.contain(|| tree.contains_key(key))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_entries_cost_no_access() {
        let mut uncounted = Uncounted::default();
        uncounted.leaf_of(400);
        assert_eq!(uncounted.take_due(), 0);
    }

    #[test]
    fn an_access_is_due_for_each_share_and_the_rest_stays() {
        let mut uncounted = Uncounted::default();
        uncounted.leaf_of(6 * 1024);
        assert_eq!(uncounted.take_due(), 12);
        let mut uncounted = Uncounted::default();
        for _ in 0..3 {
            uncounted.walked(6 * 1024);
        }
        assert_eq!(uncounted.take_due(), 2);
        uncounted.walked(6 * 1024);
        assert_eq!(uncounted.take_due(), 1);
        uncounted.walked(1 << 30);
        assert_eq!(uncounted.take_due(), ACCESSES_MAX);
    }
}
