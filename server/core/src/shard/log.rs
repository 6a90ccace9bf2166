//! Packs what a wake decides into records, one per partition.

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use prost::encoding::{encode_varint, encoded_len_varint};

use crate::effect::RecordDraft;
use crate::routing::{PARTITIONS, PartitionId};
use crate::state;

/// A record is closed before it grows over this many bytes, unless a single
/// write-set is larger.
const RECORD_BYTES: usize = 256 * 1024;

/// Records of the present wake.
#[derive(Debug, Default)]
pub(crate) struct RecordBuilder {
    open: [Option<(u64, BytesMut)>; PARTITIONS as usize],
    closed: Vec<RecordDraft>,
}

impl RecordBuilder {
    /// Adds a write-set and says which record it is in. `last_idx` is the
    /// partition's last record; it moves on when a new one is begun.
    pub(crate) fn add(
        &mut self,
        partition: PartitionId,
        write_set: &state::WriteSet,
        last_idx: &mut u64,
    ) -> u64 {
        let len = write_set.encoded_len();
        let slot = &mut self.open[usize::from(partition.0)];
        if let Some((_, bytes)) = slot
            && bytes.len() + len > RECORD_BYTES
            && let Some((idx, bytes)) = slot.take()
        {
            self.closed.push(RecordDraft { partition, idx, payload: bytes.freeze() });
        }
        let (idx, bytes) = slot.get_or_insert_with(|| {
            *last_idx += 1;
            (*last_idx, BytesMut::with_capacity(len + 16))
        });
        // Field 1 of Record, appended; protobuf lets repeated fields be
        // concatenated.
        bytes.reserve(len + 1 + encoded_len_varint(len as u64));
        bytes.put_u8(1 << 3 | 2);
        encode_varint(len as u64, bytes);
        write_set.encode_raw(bytes);
        *idx
    }

    /// All records of the wake, each partition's in order.
    pub(crate) fn take(&mut self) -> Vec<RecordDraft> {
        let mut records = std::mem::take(&mut self.closed);
        for (partition, slot) in self.open.iter_mut().enumerate() {
            if let Some((idx, bytes)) = slot.take() {
                let payload: Bytes = bytes.freeze();
                records.push(RecordDraft {
                    partition: PartitionId(partition as u16),
                    idx,
                    payload,
                });
            }
        }
        records
    }
}
