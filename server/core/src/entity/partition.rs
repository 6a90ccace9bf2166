//! What a partition counts and what it owes to others.

use std::collections::{BTreeMap, VecDeque};

use prost::Message;

use crate::routing::PartitionId;
use crate::state;

/// Tasks owed to one other partition, not confirmed yet.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Outbox {
    /// Number of the first in `tasks`; the next new one is `first + len`.
    pub(crate) first: u64,
    pub(crate) tasks: VecDeque<state::Task>,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Partition {
    /// The last record, replayed or decided.
    pub(crate) last_idx: u64,
    /// As `Cell::base`.
    pub(crate) base: u64,
    pub(crate) dirty: bool,
    /// Number of the next user made here.
    pub(crate) next_user: u64,
    /// Number of the next message stored here.
    pub(crate) next_message: u64,
    pub(crate) outboxes: BTreeMap<PartitionId, Outbox>,
    pub(crate) watermarks: BTreeMap<PartitionId, u64>,
}

impl Partition {
    pub(crate) fn decode(value: Option<&[u8]>) -> Option<Self> {
        let stored = match value {
            Some(value) => state::Partition::decode(value).ok()?,
            None => state::Partition { next_user: 1, next_message: 1, ..Default::default() },
        };
        let id = |number: u32| u16::try_from(number).ok().map(PartitionId);
        let mut partition = Self {
            last_idx: stored.applied,
            base: stored.applied,
            dirty: false,
            next_user: stored.next_user,
            next_message: stored.next_message,
            outboxes: BTreeMap::new(),
            watermarks: BTreeMap::new(),
        };
        for outbox in stored.outboxes {
            partition
                .outboxes
                .insert(id(outbox.to)?, Outbox { first: outbox.first, tasks: outbox.tasks.into() });
        }
        for watermark in stored.watermarks {
            partition.watermarks.insert(id(watermark.from)?, watermark.number);
        }
        Some(partition)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        state::Partition {
            applied: self.last_idx,
            next_user: self.next_user,
            next_message: self.next_message,
            outboxes: self
                .outboxes
                .iter()
                .map(|(to, outbox)| state::Outbox {
                    to: u32::from(to.0),
                    first: outbox.first,
                    tasks: outbox.tasks.iter().cloned().collect(),
                })
                .collect(),
            watermarks: self
                .watermarks
                .iter()
                .map(|(from, number)| state::Watermark { from: u32::from(from.0), number: *number })
                .collect(),
        }
        .encode_to_vec()
    }

    /// Number of the next task for `to`.
    pub(crate) fn next_task(&self, to: PartitionId) -> u64 {
        self.outboxes.get(&to).map_or(1, |outbox| outbox.first + outbox.tasks.len() as u64)
    }

    pub(crate) fn watermark(&self, from: PartitionId) -> u64 {
        self.watermarks.get(&from).copied().unwrap_or(0)
    }

    pub(crate) fn put_task(&mut self, to: PartitionId, number: u64, task: state::Task) {
        let outbox = self
            .outboxes
            .entry(to)
            .or_insert_with(|| Outbox { first: number, ..Default::default() });
        debug_assert_eq!(outbox.first + outbox.tasks.len() as u64, number, "tasks are dense");
        outbox.tasks.push_back(task);
    }

    pub(crate) fn confirm_tasks(&mut self, to: PartitionId, number: u64) {
        if let Some(outbox) = self.outboxes.get_mut(&to) {
            while outbox.first <= number && outbox.tasks.pop_front().is_some() {
                outbox.first += 1;
            }
        }
    }

    pub(crate) fn owes_anything(&self) -> bool {
        self.outboxes.values().any(|outbox| !outbox.tasks.is_empty())
    }
}
