//! Which partition a slot belongs to and which shard runs it.

use hongyan_protocol::ids::{SLOTS, Slot};

/// Number of partitions. Part of the stored format.
pub const PARTITIONS: u16 = 16;

const _: () = assert!(SLOTS.is_multiple_of(PARTITIONS));

/// A range of slots with one order of records: 0 to 15.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionId(pub u16);

impl PartitionId {
    /// The partition of `slot`.
    pub const fn of(slot: Slot) -> Self {
        Self(slot.number() / (SLOTS / PARTITIONS))
    }

    /// The lowest slot of the partition; new ids of the partition's own
    /// entities are made in it.
    pub const fn first_slot(self) -> Slot {
        Slot::new((self.0 * (SLOTS / PARTITIONS)) as u64)
    }

    /// Every partition.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..PARTITIONS).map(Self)
    }
}

/// One reactor thread: 0 to one less than the number of shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u16);

/// How partitions are spread over shards. Not stored: the number of shards
/// may differ at every start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    shards: u16,
}

impl Layout {
    /// `shards` is clamped to 1..=16.
    pub const fn new(shards: u16) -> Self {
        let shards = if shards == 0 { 1 } else { shards };
        Self { shards: if shards > PARTITIONS { PARTITIONS } else { shards } }
    }

    /// Number of shards.
    pub const fn shards(self) -> u16 {
        self.shards
    }

    /// The shard that runs `partition`.
    pub const fn shard_of_partition(self, partition: PartitionId) -> ShardId {
        ShardId(partition.0 % self.shards)
    }

    /// The shard that owns `slot`.
    pub const fn shard_of(self, slot: Slot) -> ShardId {
        self.shard_of_partition(PartitionId::of(slot))
    }

    /// The partitions of `shard`.
    pub fn partitions_of(self, shard: ShardId) -> impl Iterator<Item = PartitionId> {
        PartitionId::all().filter(move |partition| self.shard_of_partition(*partition) == shard)
    }
}
