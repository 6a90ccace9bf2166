//! Packs what a wake decides into records, one per partition.

use bytes::Bytes;
use prost::Message;
use prost::encoding::{encode_varint, encoded_len_varint};

use crate::effect::RecordDraft;
use crate::routing::{PARTITIONS, PartitionId};
use crate::state;

/// A record is closed before it grows over this many bytes, unless a single
/// write-set is larger.
const RECORD_BYTES: usize = 256 * 1024;

/// Room that a record begins with: a few messages.
const RECORD_BYTES_FIRST: usize = 1024;

/// Records of the present wake.
#[derive(Debug, Default)]
pub(crate) struct RecordBuilder {
    open: [Option<(u64, Vec<u8>)>; PARTITIONS as usize],
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
        let (idx, out) = self.open(partition, field_len(len), last_idx);
        put_field(out, len);
        write_set.encode_raw(out);
        idx
    }

    /// As [`RecordBuilder::add`], of the write-set that stores one message and does no more.
    pub(crate) fn add_message(
        &mut self,
        partition: PartitionId,
        stored: &[u8],
        last_idx: &mut u64,
    ) -> u64 {
        // Each is field 1 of the one around it: message, MessageAppended, Op, WriteSet.
        let appended = field_len(stored.len());
        let op = field_len(appended);
        let write_set = field_len(op);
        let (idx, out) = self.open(partition, field_len(write_set), last_idx);
        for len in [write_set, op, appended, stored.len()] {
            put_field(out, len);
        }
        out.extend_from_slice(stored);
        idx
    }

    /// The record of the partition that `bytes` more go to, and its index.
    fn open(
        &mut self,
        partition: PartitionId,
        bytes: usize,
        last_idx: &mut u64,
    ) -> (u64, &mut Vec<u8>) {
        let slot = &mut self.open[usize::from(partition.0)];
        if let Some((_, open)) = slot
            && open.len() + bytes > RECORD_BYTES
            && let Some((idx, full)) = slot.take()
        {
            self.closed.push(RecordDraft { partition, idx, payload: full.into() });
        }
        let (idx, open) = slot.get_or_insert_with(|| {
            *last_idx += 1;
            (*last_idx, Vec::with_capacity(bytes.max(RECORD_BYTES_FIRST)))
        });
        open.reserve(bytes);
        (*idx, open)
    }

    /// All records of the wake, each partition's in order.
    pub(crate) fn take(&mut self) -> Vec<RecordDraft> {
        let mut records = std::mem::take(&mut self.closed);
        for (partition, slot) in self.open.iter_mut().enumerate() {
            if let Some((idx, bytes)) = slot.take() {
                let payload = Bytes::from(bytes);
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

/// Field 1, of bytes. Protobuf lets repeated fields be concatenated, so a record grows by appending.
const FIELD: u8 = 1 << 3 | 2;

/// Bytes of a field that holds `len` bytes.
fn field_len(len: usize) -> usize {
    1 + encoded_len_varint(len as u64) + len
}

/// Key and length of a field that holds `len` bytes.
fn put_field(out: &mut Vec<u8>, len: usize) {
    out.push(FIELD);
    encode_varint(len as u64, out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{MessageAppended, Op, Record, WriteSet, op::Kind};

    #[test]
    fn a_message_is_the_write_set_that_is_generated_for_it() {
        for bytes in [1, 100, 120, 127, 128, 16_370, 16_384, 70_000] {
            let message: Bytes = vec![b'x'; bytes].into();
            let kind = Some(Kind::Message(MessageAppended { message: message.clone() }));
            let write_set = WriteSet { ops: vec![Op { kind }] };
            let (mut ours, mut generated) = (RecordBuilder::default(), RecordBuilder::default());
            let partition = PartitionId(0);
            for number in 1..=3 {
                assert_eq!(ours.add_message(partition, &message, &mut 6), 7, "record {number}");
                assert_eq!(generated.add(partition, &write_set, &mut 6), 7);
            }
            let records = ours.take();
            assert_eq!(records, generated.take());
            let record = Record::decode(records[0].payload.clone()).expect("a record");
            assert_eq!(record, Record { write_sets: vec![write_set; 3] });
        }
    }
}
