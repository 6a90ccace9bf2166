//! The scrub: does sled still hold exactly what the last checkpoint saw?
//!
//! Walks all entries in batches, each under the writer's lock, and computes two sums: the one of
//! the last checkpoint, to compare, and the one of the present state, which the writer carries on.
//! An entry written since the checkpoint counts with the hash of its predecessor in the first sum,
//! so writes between batches do not disturb it. For the second sum the writer accounts only for
//! keys that the walk has passed; the others are counted when it gets there.
//!
//! It also removes pieces that no head points to: a crash between pieces and head leaves them.

use std::collections::HashSet;
use std::ops::Bound;

use super::counted::Uncounted;
use super::entry::{self, Body, Place};
use super::{Checkpoints, SledViews, Writer};
use crate::error::StoreError;

/// An order-independent digest of a set of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sum {
    /// Wrapping sum of the entries' hashes.
    pub(crate) hashes: u64,
    pub(crate) count: u64,
}

impl Sum {
    pub(crate) fn add(&mut self, hash: u64) {
        self.hashes = self.hashes.wrapping_add(hash);
        self.count = self.count.wrapping_add(1);
    }

    pub(crate) fn remove(&mut self, hash: u64) {
        self.hashes = self.hashes.wrapping_sub(hash);
        self.count = self.count.wrapping_sub(1);
    }
}

/// How far the walk has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Progress {
    NotBegun,
    /// Everything up to and including this key of this tree, and all trees before it.
    Passed(Place, Vec<u8>),
    Done,
}

impl Progress {
    pub(crate) fn has_passed(&self, place: Place, key: &[u8]) -> bool {
        match self {
            Self::NotBegun => false,
            Self::Passed(at, last) => place < *at || (place == *at && key <= last.as_slice()),
            Self::Done => true,
        }
    }
}

/// Entries looked at under one hold of the writer's lock.
const BATCH_LEN: usize = 256;

/// What the walk has gathered so far.
struct Walk {
    /// Generation of the checkpoint to compare with.
    generation: u64,
    sum_then: Sum,
    /// Versions that heads point to.
    referenced: HashSet<u64>,
    /// Versions from here on are made while the walk goes on.
    versions_end: u64,
    orphans: Vec<Vec<u8>>,
    uncounted: Uncounted,
}

impl SledViews {
    /// Runs the scrub unless it has run since opening. `checkpoints` being locked keeps the
    /// generation still.
    pub(super) fn scrub_locked(&self, checkpoints: &mut Checkpoints) -> Result<(), StoreError> {
        if checkpoints.scrubbed {
            return Ok(());
        }
        let versions_end = {
            let mut writer = self.writer.lock();
            writer.progress = Progress::NotBegun;
            writer.sum = Sum::default();
            writer.next_version
        };
        let mut walk = Walk {
            generation: checkpoints.recorded.generation,
            sum_then: Sum::default(),
            referenced: HashSet::new(),
            versions_end,
            orphans: Vec::new(),
            uncounted: Uncounted::default(),
        };
        for place in [Place::Heads, Place::Pieces] {
            while !self.walk_batch(&mut walk, place)? {}
        }
        let mut writer = self.writer.lock();
        writer.progress = Progress::Done;
        let recorded = checkpoints.recorded;
        if walk.sum_then != recorded.sum {
            return Err(self.corrupt(format!(
                "the views hold {} entries of the checkpoint at lsn {}, which had {}; their digest \
                 is {:016x}, it was {:016x}: entries were lost or changed",
                walk.sum_then.count,
                recorded.lsn.0,
                recorded.sum.count,
                walk.sum_then.hashes,
                recorded.sum.hashes
            )));
        }
        for key in std::mem::take(&mut walk.orphans) {
            self.take(&mut writer, Place::Pieces, &key)?;
        }
        checkpoints.scrubbed = true;
        Ok(())
    }

    /// Looks at the next entries of a tree; true at its end.
    fn walk_batch(&self, walk: &mut Walk, place: Place) -> Result<bool, StoreError> {
        let mut writer = self.writer.lock();
        let from = match &writer.progress {
            Progress::Passed(at, last) if *at == place => Bound::Excluded(last.clone()),
            _ => Bound::Unbounded,
        };
        let mut range = self.tree(place).range((from, Bound::<Vec<u8>>::Unbounded));
        let mut last = None;
        for _ in 0..BATCH_LEN {
            let row = self.db.contain(|| range.next().transpose())?;
            let Some((key, bytes)) = row else {
                writer.progress = Progress::Passed(place, vec![0xFF; END_KEY_BYTES]);
                return Ok(true);
            };
            self.look_at(walk, &mut writer, place, &key, &bytes)?;
            walk.uncounted.walked(bytes.len());
            self.count(&mut walk.uncounted, place, &key)?;
            last = Some(key.to_vec());
        }
        if let Some(last) = last {
            writer.progress = Progress::Passed(place, last);
        }
        Ok(false)
    }

    fn look_at(
        &self,
        walk: &mut Walk,
        writer: &mut Writer,
        place: Place,
        key: &[u8],
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        let stored = entry::decode(key, bytes).map_err(|detail| self.corrupt(detail))?;
        if stored.generation > writer.generation {
            return Err(self.corrupt("an entry was written after the last checkpoint known"));
        }
        if let Some(hash) = stored.hash_at(walk.generation, place, key) {
            walk.sum_then.add(hash);
        }
        if let Some(hash) = stored.hash(place, key) {
            writer.sum.add(hash);
        }
        match (place, stored.body) {
            (_, Body::Tombstone) => writer.tombstones.push((place, key.to_vec())),
            (Place::Heads, Body::Pointer(pointer)) => {
                walk.referenced.insert(pointer.version);
            }
            (Place::Pieces, Body::Bytes(_)) => {
                let version = entry::version_of(key).unwrap_or(0);
                if version < walk.versions_end && !walk.referenced.contains(&version) {
                    walk.orphans.push(key.to_vec());
                }
            }
            (Place::Heads, Body::Bytes(_)) | (Place::Pieces, Body::Pointer(_)) => {}
        }
        Ok(())
    }
}

/// Longer than any key, so that a tree marked as passed is passed whole.
const END_KEY_BYTES: usize = crate::views::KEY_BYTES_MAX + 1;
