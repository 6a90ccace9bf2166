//! A message as it is written: once, for the log, for the pages and for everybody who gets it.
//!
//! Owns the bytes of a new [`Message`](crate::pb::Message) around a body that is encoded already.
//! The push and the stored form are one piece of memory:
//!
//! ```text
//! push    | len | opcode | payload length | conversation seq id sender time client_msg_id body |
//! stored                                  '------------------------ a slice ------------------'
//! ```
//!
//! Promise: the stored form is, byte for byte, what [`StoredMessage`](crate::raw::StoredMessage)
//! encodes to, and the push what [`Frame`](crate::Frame) makes around it.

use bytes::Bytes;
use prost::encoding::{encode_varint, encoded_len_varint};

use crate::ids::{ConversationId, UserId};
use crate::opcode::Opcode;

/// The fields of a message before it has bytes of its own.
#[derive(Debug, Clone, Copy)]
pub struct MessageParts<'a> {
    /// Where it stands.
    pub conversation: ConversationId,
    /// Its place there, from 1.
    pub seq: u64,
    /// See [`MessageId`](crate::MessageId).
    pub message_id: u64,
    /// Whose it is.
    pub sender: UserId,
    /// Milliseconds since 1970.
    pub time_ms: u64,
    /// The client's id of it; empty for an event.
    pub client_msg_id: &'a [u8],
    /// An encoded [`Body`](crate::pb::Body).
    pub body: &'a [u8],
}

/// What a message is in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageBytes {
    /// Length and frame of the push.
    pub push: Bytes,
    /// The message alone, a slice of the push.
    pub stored: Bytes,
}

const fn key(field: u8, wire_type: u8) -> u8 {
    field << 3 | wire_type
}

const VARINT: u8 = 0;
const BYTES: u8 = 2;

/// Bytes of a number, which is left out when it is zero.
fn number_len(value: u64) -> usize {
    if value == 0 { 0 } else { 1 + encoded_len_varint(value) }
}

fn put_number(out: &mut Vec<u8>, field: u8, value: u64) {
    if value != 0 {
        out.push(key(field, VARINT));
        encode_varint(value, out);
    }
}

/// Bytes of a field that holds `bytes` bytes.
fn bytes_len(bytes: usize) -> usize {
    1 + encoded_len_varint(bytes as u64) + bytes
}

/// What stands before `bytes` bytes.
fn put_length(out: &mut Vec<u8>, field: u8, bytes: usize) {
    out.push(key(field, BYTES));
    encode_varint(bytes as u64, out);
}

impl MessageParts<'_> {
    /// Writes it.
    pub fn encode(&self) -> MessageBytes {
        let id = self.conversation.to_wire();
        let id_len = number_len(id.group) + number_len(id.low_user) + number_len(id.high_user);
        let mut len = bytes_len(id_len)
            + number_len(self.seq)
            + number_len(self.message_id)
            + number_len(self.sender.get())
            + number_len(self.time_ms);
        for bytes in [self.client_msg_id, self.body] {
            if !bytes.is_empty() {
                len += bytes_len(bytes.len());
            }
        }
        let opcode = u64::from(Opcode::Message.number());
        let frame_len = number_len(opcode) + bytes_len(len);
        let whole = encoded_len_varint(frame_len as u64) + frame_len;

        let mut out = Vec::with_capacity(whole);
        encode_varint(frame_len as u64, &mut out);
        put_number(&mut out, 1, opcode);
        put_length(&mut out, 3, len);
        put_length(&mut out, 1, id_len);
        put_number(&mut out, 1, id.group);
        put_number(&mut out, 2, id.low_user);
        put_number(&mut out, 3, id.high_user);
        put_number(&mut out, 2, self.seq);
        put_number(&mut out, 3, self.message_id);
        put_number(&mut out, 4, self.sender.get());
        put_number(&mut out, 5, self.time_ms);
        for (field, bytes) in [(6, self.client_msg_id), (7, self.body)] {
            if !bytes.is_empty() {
                put_length(&mut out, field, bytes.len());
                out.extend_from_slice(bytes);
            }
        }
        debug_assert_eq!(out.len(), whole, "the length was known before");
        let push = Bytes::from(out);
        let stored = push.slice(whole - len..);
        MessageBytes { push, stored }
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::ids::GroupId;
    use crate::{Frame, raw};

    fn same_as_generated(parts: &MessageParts<'_>) {
        let bytes = parts.encode();
        let stored = raw::StoredMessage {
            conversation: Some(parts.conversation.to_wire()),
            seq: parts.seq,
            message_id: parts.message_id,
            sender: parts.sender.get(),
            time_ms: parts.time_ms,
            client_msg_id: Bytes::copy_from_slice(parts.client_msg_id),
            body: Bytes::copy_from_slice(parts.body),
        };
        assert_eq!(bytes.stored, stored.encode_to_vec(), "{parts:?}");
        assert_eq!(bytes.push, Frame::new(Opcode::Message, 0, &stored).to_delimited(), "{parts:?}");
    }

    #[test]
    fn our_bytes_are_the_generated_ones() {
        let user = |id| UserId::new(id).expect("not zero");
        let conversations = [
            ConversationId::Direct(user(1), user(u64::MAX)),
            ConversationId::Direct(user(127), user(128)),
            ConversationId::Group(GroupId::new(1 << 35).expect("not zero")),
        ];
        let long = vec![b'x'; 70_000];
        let bodies: [&[u8]; 5] = [b"", b"b", &long[..120], &long[..16_390], &long];
        for conversation in conversations {
            for body in bodies {
                for (seq, message_id, time_ms) in
                    [(1, 1, 0), (127, 1 << 51, 1_760_000_000_000), (u64::MAX, u64::MAX, u64::MAX)]
                {
                    for client_msg_id in [&b""[..], &[7; 16]] {
                        let sender = user(seq);
                        same_as_generated(&MessageParts {
                            conversation,
                            seq,
                            message_id,
                            sender,
                            time_ms,
                            client_msg_id,
                            body,
                        });
                    }
                }
            }
        }
    }
}
