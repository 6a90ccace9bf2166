//! The last sends of one person in a conversation: what tells a retry from a new message.
//!
//! Every send is compared with all of them and nearly always is none of them, so what is compared
//! lies close together: half of a hash each, 512 bytes for a window that is full.

use std::collections::VecDeque;

/// By age, the oldest first. Nothing is kept for who has not sent anything.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sends(Option<Box<Columns>>);

/// Entry `i` is the `i`-th of each.
#[derive(Debug, Clone, Default)]
struct Columns {
    /// The lower halves of the hashes of the clients' ids.
    lows: VecDeque<u32>,
    highs: VecDeque<u32>,
    seqs: VecDeque<u64>,
}

impl Sends {
    pub(crate) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |columns| columns.seqs.len())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds one; of `most` that are there the oldest goes.
    pub(crate) fn note(&mut self, hash: u64, seq: u64, most: usize) {
        self.keep_newest(most.saturating_sub(1));
        let columns = self.0.get_or_insert_default();
        columns.lows.push_back(hash as u32);
        columns.highs.push_back((hash >> 32) as u32);
        columns.seqs.push_back(seq);
    }

    /// The seq of the send with this hash, the newest if several.
    pub(crate) fn find(&self, hash: u64) -> Option<u64> {
        let columns = self.0.as_ref()?;
        let low = hash as u32;
        let (front, back) = columns.lows.as_slices();
        if !holds(front, low) && !holds(back, low) {
            return None;
        }
        let found = self.iter().rev().find(|(sent, _)| *sent == hash);
        found.map(|(_, seq)| seq)
    }

    /// Lets go of the oldest until no more than `most` are left.
    pub(crate) fn keep_newest(&mut self, most: usize) {
        if let Some(columns) = &mut self.0 {
            let excess = columns.seqs.len().saturating_sub(most);
            columns.lows.drain(..excess);
            columns.highs.drain(..excess);
            columns.seqs.drain(..excess);
        }
    }

    /// Hash and seq of each, the oldest first.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (u64, u64)> {
        let of = |columns: &Columns, at: usize| {
            let hash = u64::from(columns.highs[at]) << 32 | u64::from(columns.lows[at]);
            (hash, columns.seqs[at])
        };
        (0..self.len()).filter_map(move |at| self.0.as_ref().map(|columns| of(columns, at)))
    }
}

impl FromIterator<(u64, u64)> for Sends {
    fn from_iter<I: IntoIterator<Item = (u64, u64)>>(sends: I) -> Self {
        let mut all = Self::default();
        for (hash, seq) in sends {
            all.note(hash, seq, usize::MAX);
        }
        all
    }
}

/// Whether `low` is among them. Without a way out in the middle this is a comparison of several at
/// once.
fn holds(lows: &[u32], low: u32) -> bool {
    lows.iter().fold(false, |found, other| found | (*other == low))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALF: u64 = 1 << 32;

    #[test]
    fn the_newest_of_the_last_few_is_found_and_no_other() {
        let mut sends = Sends::default();
        assert_eq!(sends.find(0), None);
        for seq in 1..=10 {
            sends.note(seq * HALF + 5, seq, 4);
        }
        assert_eq!(sends.len(), 4);
        for seq in 1..=10 {
            // The lower half is that of all, so the upper one decides.
            assert_eq!(sends.find(seq * HALF + 5), (seq > 6).then_some(seq));
            assert_eq!(sends.find(seq * HALF + 6), None);
        }
        sends.note(8 * HALF + 5, 11, 4);
        assert_eq!(sends.find(8 * HALF + 5), Some(11), "the newest of two");
    }

    #[test]
    fn what_is_read_back_is_the_same() {
        let pairs = [(u64::MAX, 1), (0, 2), (HALF, 9)];
        let mut sends: Sends = pairs.into_iter().collect();
        assert_eq!(sends.iter().collect::<Vec<_>>(), pairs);
        sends.keep_newest(2);
        assert_eq!(sends.iter().collect::<Vec<_>>(), pairs[1..]);
        sends.keep_newest(0);
        assert!(sends.is_empty());
    }
}
