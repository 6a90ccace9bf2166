//! The send frames of one connection, encoded once by the protocol crate and stamped per message.
//!
//! ```text
//! head (one per conversation)                      tail (one for all)
//! length │ opcode │ request │ length │ conversation │ client_msg_id │ body (│ level)
//! ```
//!
//! Invariant: the bytes are those that `hongyan_protocol` encodes for the same message; only
//! fields of fixed width are written over.

use std::sync::Arc;

use bytes::BytesMut;
use hongyan_protocol::{Opcode, frame, pb};

use crate::driver::Tag;
use crate::engine::payload::{Stamp, TextForm, stamp_over};
use crate::plan::Level;

const ID_MARK: [u8; 16] = [0xa5; 16];
/// Key and length of the id's field stand before it.
const ID_FIELD_HEAD: usize = 2;
const TWO_BYTE_REQUESTS_FROM: u64 = 128;

/// What sends of one connection have in common.
#[derive(Debug)]
pub(crate) struct SendTail {
    bytes: Vec<u8>,
    text_at: usize,
    first_request: u64,
    sample: pb::Send,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct SendForm {
    head: Box<[u8]>,
    request_at: usize,
    tail: Arc<SendTail>,
}

impl SendTail {
    /// For tags below `window` (at most 16,000).
    pub(crate) fn new(level: Level, text: &TextForm, window: usize) -> Arc<Self> {
        let first_request = if window < 127 { 1 } else { TWO_BYTE_REQUESTS_FROM };
        let blank = text.blank();
        let sample = pb::Send {
            conversation: None,
            client_msg_id: ID_MARK.to_vec().into(),
            body: Some(pb::Body {
                kind: Some(pb::body::Kind::Text(
                    String::from_utf8(blank).expect("a blank text is ASCII"),
                )),
            }),
            level: match level {
                Level::Durable => pb::AckLevel::Durable,
                Level::Written => pb::AckLevel::Written,
                Level::Accepted => pb::AckLevel::Accepted,
            }
            .into(),
        };
        let mut encoded = BytesMut::new();
        frame::encode_message(Opcode::Send, first_request, &sample, &mut encoded);
        let bytes = encoded[tail_at(&encoded)..].to_vec();
        // The text is the last field but the level, which is two bytes or absent.
        let level_bytes = if sample.level == 0 { 0 } else { 2 };
        let text_at = bytes.len() - level_bytes - text.text_bytes();
        Arc::new(Self { bytes, text_at, first_request, sample })
    }

    /// The tag of an answered request; `None` when no send had this number.
    pub(crate) fn tag_of(&self, request: u64) -> Option<Tag> {
        request.checked_sub(self.first_request).and_then(|tag| Tag::try_from(tag).ok())
    }
}

impl SendForm {
    /// The form for sends to `conversation`.
    pub(crate) fn new(conversation: pb::ConversationId, tail: &Arc<SendTail>) -> Self {
        let message = pb::Send { conversation: Some(conversation), ..tail.sample.clone() };
        let mut encoded = BytesMut::new();
        frame::encode_message(Opcode::Send, tail.first_request, &message, &mut encoded);
        let prefix = encoded.iter().take_while(|byte| **byte & 0x80 != 0).count() + 1;
        let head = encoded[..tail_at(&encoded)].into();
        Self { head, request_at: prefix + 3, tail: Arc::clone(tail) }
    }

    /// Appends one send to `out`.
    pub(crate) fn encode(&self, tag: Tag, stamp: &Stamp, out: &mut BytesMut) {
        let at = out.len();
        out.extend_from_slice(&self.head);
        let request = self.tail.first_request + u64::from(tag);
        let request_at = at + self.request_at;
        if self.tail.first_request == 1 {
            out[request_at] = request as u8;
        } else {
            out[request_at] = (request & 0x7f) as u8 | 0x80;
            out[request_at + 1] = (request >> 7) as u8;
        }
        let at = out.len();
        out.extend_from_slice(&self.tail.bytes);
        let tail = &mut out[at..];
        let id = &mut tail[ID_FIELD_HEAD..ID_FIELD_HEAD + ID_MARK.len()];
        id[..4].copy_from_slice(&stamp.run.to_le_bytes());
        id[4..8].copy_from_slice(&stamp.flow.to_le_bytes());
        id[8..].copy_from_slice(&stamp.counter.to_le_bytes());
        stamp_over(&mut tail[self.tail.text_at..], stamp);
    }
}

/// Where the id's field begins in an encoded send.
fn tail_at(encoded: &[u8]) -> usize {
    encoded
        .windows(ID_MARK.len())
        .position(|window| window == ID_MARK)
        .expect("the id was just encoded")
        - ID_FIELD_HEAD
}

#[cfg(test)]
mod tests {
    use hongyan_protocol::FrameDecoder;

    use super::*;

    #[test]
    fn a_stamped_form_is_the_message_that_was_meant() {
        let text = TextForm::new(128, 1);
        let conversation = pb::ConversationId { group: 0, low_user: 4097, high_user: 1 << 40 };
        for (window, level) in [(64, Level::Durable), (127, Level::Written)] {
            let tail = SendTail::new(level, &text, window);
            let form = SendForm::new(conversation, &tail);
            for tag in [0, window as Tag - 1] {
                let stamp = Stamp { run: 5, flow: 6, counter: 1 << 33, planned_ns: 99 };
                let mut out = BytesMut::from(&b"before"[..]);
                form.encode(tag, &stamp, &mut out);
                let mut wire = out.split_off(6);
                let decoder = FrameDecoder::new(1 << 20);
                let frame = decoder.decode(&mut wire).unwrap().unwrap();
                assert!(wire.is_empty());
                assert_eq!(tail.tag_of(frame.request), Some(tag));
                assert_eq!(frame.opcode, Opcode::Send.number());
                let send: pb::Send = frame.message().unwrap();
                assert_eq!(send.conversation, Some(conversation));
                assert_eq!(send.level, i32::from(level == Level::Written));
                let Some(pb::body::Kind::Text(sent)) = send.body.unwrap().kind else {
                    panic!("not a text");
                };
                assert_eq!(text.read(sent.as_bytes()), Some(stamp));
            }
            assert_eq!(tail.tag_of(0), None);
        }
    }
}
