//! Records of the log as a shard writes them, and their way back.

use hongyan_core::{Effects, EntityKey, RecordDraft, Shard};
use hongyan_store::Draft;

use crate::empty::{NoTokens, empty_shard};
use crate::ring::Ring;
use crate::world::OneShard;

/// What a ring of people has written.
#[derive(Debug, Clone)]
pub struct Written {
    /// Before the first of [`Written::wakes`]: accounts and what a warm-up takes.
    pub before: Vec<RecordDraft>,
    /// The records of each wake: one append to the log.
    pub wakes: Vec<Vec<RecordDraft>>,
}

impl Written {
    /// `wakes` wakes of `sends` sends each, in a ring of `people`.
    #[must_use]
    pub fn by_ring(people: usize, wakes: usize, sends: usize) -> Self {
        let mut world = OneShard::new();
        world.kept_log = Some(Vec::new());
        let mut ring = Ring::new(world, people);
        let before = ring.world.kept_log.replace(Vec::new()).unwrap_or_default();
        let wakes = (0..wakes)
            .map(|_| {
                let inputs = ring.sends(sends);
                ring.world.wake(inputs);
                ring.world.kept_log.replace(Vec::new()).unwrap_or_default()
            })
            .collect();
        Self { before, wakes }
    }

    /// Every record, in order.
    pub fn all(&self) -> impl Iterator<Item = &RecordDraft> {
        self.before.iter().chain(self.wakes.iter().flatten())
    }
}

/// Records as the log takes them.
#[must_use]
pub fn drafts(records: &[RecordDraft]) -> Vec<Draft> {
    records
        .iter()
        .map(|record| Draft {
            partition: record.partition.0,
            idx: record.idx,
            payload: record.payload.clone(),
        })
        .collect()
}

/// A shard that replays `log` from nothing.
///
/// # Panics
/// The log is not one that a shard wrote.
#[must_use]
pub fn replayed(log: impl IntoIterator<Item = RecordDraft>) -> Shard {
    let mut shard = empty_shard(Box::new(NoTokens), usize::MAX);
    for record in log {
        shard
            .replay(record.partition, record.idx, &record.payload, &mut |_: &EntityKey| Ok(None))
            .expect("what was written replays");
    }
    shard.finish_replay(&mut Effects::new());
    shard
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_replays_to_the_same_state() {
        let written = Written::by_ring(4, 5, 8);
        assert_eq!(written.wakes.len(), 5);
        assert!(written.wakes.iter().all(|records| !records.is_empty()));
        let shard = replayed(written.all().cloned());
        // Four accounts, their names and inboxes, and four conversations at least.
        assert!(shard.stats().entities >= 16, "{:?}", shard.stats());
    }
}
