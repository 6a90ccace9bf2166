//! Views in memory that can be crashed and made to fail on purpose.
//!
//! Serves tests and the simulator. A crash may keep any prefix of the entries written since the
//! last checkpoint, which is exactly what the views on disk may do.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use parking_lot::RwLock;

use crate::error::StoreError;
use crate::memory_log::CrashMode;
use crate::views::{Checkpoint, Entry, Views, admit_checkpoint, admit_entries};

/// See the module.
#[derive(Debug, Default)]
pub struct MemoryViews {
    state: RwLock<State>,
}

#[derive(Debug, Default)]
struct State {
    entries: BTreeMap<Bytes, Bytes>,
    /// Key and former value of every entry written since the checkpoint, oldest first.
    undo: Vec<(Bytes, Option<Bytes>)>,
    checkpoint: Checkpoint,
    fail_writes: bool,
    poisoned: bool,
}

impl MemoryViews {
    /// Empty views.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Rolls back to what the mode says and clears faults, as a restart does.
    pub fn crash(&self, keep: CrashMode) {
        let mut state = self.state.write();
        let written = state.undo.len();
        let kept = match keep {
            CrashMode::KeepPrefix(choice) => {
                usize::try_from(choice % (written as u64 + 1)).unwrap_or(0)
            }
            CrashMode::KeepSynced => 0,
            CrashMode::KeepWritten => written,
        };
        while state.undo.len() > kept {
            if let Some((key, former)) = state.undo.pop() {
                match former {
                    Some(value) => state.entries.insert(key, value),
                    None => state.entries.remove(&key),
                };
            }
        }
        state.fail_writes = false;
        state.poisoned = false;
    }

    /// Makes the next write or checkpoint fail and poison the views.
    pub fn fail_next_write(&self) {
        self.state.write().fail_writes = true;
    }

    /// How many entries are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state.read().entries.len()
    }

    /// True without entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl State {
    fn admit_write(&mut self) -> Result<(), StoreError> {
        if self.poisoned {
            return Err(StoreError::Poisoned { first: "injected failure of write".into() });
        }
        if self.fail_writes {
            self.poisoned = true;
            return Err(StoreError::io(
                std::path::Path::new("memory"),
                "write",
                std::io::Error::other("injected failure"),
            ));
        }
        Ok(())
    }
}

impl Views for MemoryViews {
    fn read(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(self.state.read().entries.get(key).cloned())
    }

    fn scan(
        &self,
        from: &[u8],
        to_inclusive: &[u8],
        backwards: bool,
        bytes_max: usize,
        entries_max: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        if from > to_inclusive {
            return Ok(Vec::new());
        }
        let state = self.state.read();
        let bounds = (Bound::Included(from), Bound::Included(to_inclusive));
        let mut range = state.entries.range::<[u8], _>(bounds);
        let mut page = Vec::new();
        let mut bytes = 0;
        while page.len() < entries_max {
            let next = if backwards { range.next_back() } else { range.next() };
            let Some((key, value)) = next else { break };
            bytes += key.len() + value.len();
            if bytes > bytes_max && !page.is_empty() {
                break;
            }
            page.push((key.clone(), value.clone()));
        }
        Ok(page)
    }

    fn write(&self, entries: &[(Bytes, Option<Bytes>)]) -> Result<(), StoreError> {
        admit_entries(entries)?;
        let mut state = self.state.write();
        state.admit_write()?;
        for (key, value) in entries {
            let former = match value {
                Some(value) => state.entries.insert(key.clone(), value.clone()),
                None => state.entries.remove(key),
            };
            state.undo.push((key.clone(), former));
        }
        Ok(())
    }

    fn checkpoint(&self, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        let mut state = self.state.write();
        admit_checkpoint(state.checkpoint.lsn, checkpoint)?;
        state.admit_write()?;
        state.undo.clear();
        state.checkpoint = checkpoint.clone();
        Ok(())
    }

    fn last_checkpoint(&self) -> Result<Checkpoint, StoreError> {
        Ok(self.state.read().checkpoint.clone())
    }
}
