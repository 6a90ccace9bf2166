//! From the log back to the state: the same `apply`, without deciding.

use bytes::Bytes;
use prost::Message;
use thiserror::Error;

use super::Shard;
use crate::effect::Effects;
use crate::entity::touches;
use crate::input::StoreFailure;
use crate::key::EntityKey;
use crate::routing::PartitionId;
use crate::state;

/// A stored form or a record that cannot be what was written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// Not decodable, or not applicable.
    #[error("{what} is not what this program writes")]
    Malformed {
        /// Which.
        what: String,
    },
    /// A record is missing.
    #[error("partition {partition} goes from record {last} to {idx}")]
    Gap {
        /// Which.
        partition: u16,
        /// The last one known.
        last: u64,
        /// The one that came.
        idx: u64,
    },
    /// The views could not be read.
    #[error("the views could not be read")]
    Views,
    /// The partition belongs to another shard.
    #[error("partition {partition} is not of this shard")]
    NotHere {
        /// Which.
        partition: u16,
    },
}

impl Shard {
    /// Gives the stored form of a partition of this shard, before any replay.
    ///
    /// # Errors
    /// [`ReplayError::Malformed`], [`ReplayError::NotHere`].
    pub fn install_partition(
        &mut self,
        partition: PartitionId,
        value: Option<&[u8]>,
    ) -> Result<(), ReplayError> {
        self.check_own(partition)?;
        let value = value.map(Bytes::copy_from_slice);
        self.entities.install(EntityKey::Partition(partition), value)
    }

    /// Applies one record of the log, in order. `load` reads the views and
    /// may block: this is boot.
    ///
    /// # Errors
    /// Any [`ReplayError`]; the store must not be served then.
    pub fn replay(
        &mut self,
        partition: PartitionId,
        idx: u64,
        payload: &[u8],
        load: &mut dyn FnMut(&EntityKey) -> Result<Option<Bytes>, StoreFailure>,
    ) -> Result<(), ReplayError> {
        self.check_own(partition)?;
        let malformed = || ReplayError::Malformed {
            what: format!("record {idx} of partition {}", partition.0),
        };
        let last = self.entities.partition(partition).last_idx;
        if idx > last + 1 {
            return Err(ReplayError::Gap { partition: partition.0, last, idx });
        }
        let record =
            state::Record::decode(Bytes::copy_from_slice(payload)).map_err(|_| malformed())?;
        for op in record.write_sets.iter().flat_map(|write_set| &write_set.ops) {
            if let Some(key) = touches(op).map_err(|_| malformed())?
                && !self.entities.is_loaded(&key)
            {
                let value = load(&key).map_err(|StoreFailure| ReplayError::Views)?;
                self.entities.install(key, value)?;
            }
            self.entities.apply(partition, idx, op).map_err(|_| malformed())?;
        }
        let entity = self.entities.partition_mut(partition);
        entity.last_idx = entity.last_idx.max(idx);
        self.entities.soil_partition(partition);
        Ok(())
    }

    /// Ends the replay; tells again what is still owed to other partitions.
    pub fn finish_replay(&mut self, fx: &mut Effects) {
        self.tell_all_tasks(fx);
    }

    fn check_own(&self, partition: PartitionId) -> Result<(), ReplayError> {
        if partition.0 < crate::PARTITIONS && self.layout.shard_of_partition(partition) == self.id {
            Ok(())
        } else {
            Err(ReplayError::NotHere { partition: partition.0 })
        }
    }
}
