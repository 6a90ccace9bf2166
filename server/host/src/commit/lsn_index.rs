//! Which log positions a partition's records have.
//!
//! The views know how far they are by the records of each partition; the log
//! is trimmed by position. This index turns one into the other, exactly enough:
//! it keeps one run per partition and append, so a safe point may be lower
//! than it could be by the length of one append, and never higher.

use std::collections::VecDeque;

use hongyan_core::PARTITIONS;
use hongyan_store::Lsn;

/// Consecutive records of one partition within one append.
#[derive(Debug, Clone, Copy)]
struct Run {
    last_idx: u64,
    first_lsn: Lsn,
}

/// Records of one run at most, so that a replay of a long log has fine runs.
const RUN_RECORDS: u64 = 256;

/// See the module.
#[derive(Debug)]
pub(crate) struct LsnIndex {
    runs: Vec<VecDeque<Run>>,
    last: Lsn,
}

impl LsnIndex {
    /// An index of the records after `checkpoint`, none yet.
    pub(crate) fn new(checkpoint: Lsn) -> Self {
        Self { runs: (0..PARTITIONS).map(|_| VecDeque::new()).collect(), last: checkpoint }
    }

    /// Notes a record. `fresh` begins a new append.
    pub(crate) fn note(&mut self, partition: u16, idx: u64, lsn: Lsn, append_first: Lsn) {
        self.last = self.last.max(lsn);
        let Some(runs) = self.runs.get_mut(usize::from(partition)) else {
            return;
        };
        match runs.back_mut() {
            Some(run) if run.first_lsn >= append_first && lsn.0 - run.first_lsn.0 < RUN_RECORDS => {
                run.last_idx = idx;
            }
            _ => runs.push_back(Run { last_idx: idx, first_lsn: lsn }),
        }
    }

    /// The highest position such that every record up to it is covered by
    /// `marks` (partition and last covered record); forgets what is covered.
    /// A partition without a mark covers nothing.
    pub(crate) fn safe_point(&mut self, marks: &[(u16, u64)]) -> Lsn {
        for (partition, idx) in marks {
            if let Some(runs) = self.runs.get_mut(usize::from(*partition)) {
                while runs.front().is_some_and(|run| run.last_idx <= *idx) {
                    runs.pop_front();
                }
            }
        }
        let first_open = self.runs.iter().filter_map(|runs| runs.front()).map(|run| run.first_lsn);
        first_open.min().map_or(self.last, |lsn| Lsn(lsn.0.saturating_sub(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_safe_point_covers_only_what_is_marked() {
        let mut index = LsnIndex::new(Lsn(10));
        // One append with two records of partition 0 and one of 3, then one more of 3.
        index.note(0, 1, Lsn(11), Lsn(11));
        index.note(3, 7, Lsn(12), Lsn(11));
        index.note(0, 2, Lsn(13), Lsn(11));
        index.note(3, 8, Lsn(14), Lsn(14));
        assert_eq!(index.safe_point(&[]), Lsn(10));
        assert_eq!(index.safe_point(&[(0, 1), (3, 8)]), Lsn(10));
        assert_eq!(index.safe_point(&[(0, 2)]), Lsn(14));
        index.note(3, 9, Lsn(15), Lsn(15));
        assert_eq!(index.safe_point(&[(0, 2), (3, 8)]), Lsn(14));
        assert_eq!(index.safe_point(&[(3, 9)]), Lsn(15));
    }

    /// Against a plain list, over many random histories.
    #[test]
    fn it_is_never_higher_than_a_plain_list_says() {
        let mut x = 9_u64;
        let mut random = |below: u64| {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            x % below
        };
        for _ in 0..200 {
            let mut index = LsnIndex::new(Lsn(0));
            let mut list = Vec::new();
            let mut idx = [0_u64; PARTITIONS as usize];
            let mut marks = [0_u64; PARTITIONS as usize];
            let mut lsn = 0;
            let mut before = Lsn(0);
            for _ in 0..30 {
                let first = Lsn(lsn + 1);
                for _ in 0..random(6) {
                    let partition = random(3) as usize;
                    lsn += 1;
                    idx[partition] += 1;
                    index.note(partition as u16, idx[partition], Lsn(lsn), first);
                    list.push((partition, idx[partition], lsn));
                }
                for partition in 0..3 {
                    marks[partition] += random(idx[partition] - marks[partition] + 1);
                }
                let given: Vec<_> = (0..3).map(|p| (p as u16, marks[p])).collect();
                let safe = index.safe_point(&given);
                let exact = list
                    .iter()
                    .find(|(partition, idx, _)| *idx > marks[*partition])
                    .map_or(lsn, |(_, _, lsn)| lsn - 1);
                assert!(safe.0 <= exact, "{} > {exact}", safe.0);
                assert!(safe >= before, "went back");
                before = safe;
            }
            let all: Vec<_> = (0..3).map(|p| (p as u16, idx[p])).collect();
            assert_eq!(index.safe_point(&all), Lsn(lsn));
        }
    }
}
