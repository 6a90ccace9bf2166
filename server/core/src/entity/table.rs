//! Entities of one kind in memory, by key.

use std::hash::Hash;

use foldhash::quality::FixedState;
use indexmap::IndexMap;

/// One entity in memory. Known to be absent is something else than unknown.
#[derive(Debug)]
pub(crate) struct Cell<T> {
    /// The state; `None` when there is no such entity.
    pub(crate) value: Option<T>,
    /// Index of the record that changed it last; zero: never.
    pub(crate) applied: u64,
    /// `applied` as it was loaded: a replayed record up to it is in already.
    pub(crate) base: u64,
    /// It differs from what was last given to the views.
    pub(crate) dirty: bool,
    /// The settle round that carries its last state; it must stay in memory
    /// until that round is done, since the views may still have the state
    /// before.
    pub(crate) settling: u64,
    /// Used since the last sweep.
    pub(crate) touched: bool,
}

impl<T> Cell<T> {
    fn loaded(value: Option<T>, applied: u64) -> Self {
        Self { value, applied, base: applied, dirty: false, settling: 0, touched: true }
    }
}

/// A map whose order does not depend on its hashes.
#[derive(Debug)]
pub(crate) struct Table<K, T> {
    cells: IndexMap<K, Cell<T>, FixedState>,
}

impl<K: Hash + Eq + Clone, T> Table<K, T> {
    pub(crate) fn new(seed: u64) -> Self {
        Self { cells: IndexMap::with_hasher(FixedState::with_seed(seed)) }
    }

    pub(crate) fn len(&self) -> usize {
        self.cells.len()
    }

    pub(crate) fn install(&mut self, key: K, value: Option<T>, applied: u64) {
        self.cells.insert(key, Cell::loaded(value, applied));
    }

    pub(crate) fn cell_mut(&mut self, key: &K) -> Option<&mut Cell<T>> {
        let cell = self.cells.get_mut(key)?;
        cell.touched = true;
        Some(cell)
    }

    pub(crate) fn cell(&self, key: &K) -> Option<&Cell<T>> {
        self.cells.get(key)
    }

    /// Lets go of entities that were not used since the last sweep and are in
    /// the views, until no more than `keep` are left or all were looked at.
    pub(crate) fn sweep(&mut self, keep: usize, settled_round: u64) {
        let mut excess = self.cells.len().saturating_sub(keep);
        self.cells.retain(|_, cell| {
            let idle = !cell.touched && !cell.dirty && cell.settling <= settled_round;
            cell.touched = false;
            if idle && excess > 0 {
                excess -= 1;
                return false;
            }
            true
        });
    }
}
