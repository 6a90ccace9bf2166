//! Reading frames in place: the same bytes that `hongyan-protocol` describes, borrowed instead of
//! owned, and only the fields that a generator needs.
//!
//! Owns no buffer. Lengths are judged by the protocol's own `FrameDecoder`; what is not protobuf
//! is refused, never guessed.

use hongyan_protocol::{FrameDecoder, WireError};

/// A frame at the front of a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameView<'a> {
    /// Number of the opcode.
    pub opcode: u32,
    /// Zero for pushes.
    pub request: u64,
    /// The encoded message.
    pub payload: &'a [u8],
    /// Bytes that the frame takes in the buffer, its length prefix included.
    pub whole_bytes: usize,
}

impl<'a> FrameView<'a> {
    /// The frame at the front of `buffer`; `Ok(None)` asks for more bytes.
    ///
    /// # Errors
    /// [`WireError::FrameTooLarge`] or [`WireError::MalformedFrame`].
    pub fn peek(decoder: &FrameDecoder, buffer: &'a [u8]) -> Result<Option<Self>, WireError> {
        let Some(whole_bytes) = decoder.needed(buffer)? else {
            return Ok(None);
        };
        let Some(whole) = buffer.get(..whole_bytes) else {
            return Ok(None);
        };
        let prefix = whole.iter().take_while(|byte| **byte & 0x80 != 0).count() + 1;
        let mut view = FrameView { opcode: 0, request: 0, payload: &[], whole_bytes };
        for field in Fields::new(&whole[prefix..]) {
            match field.ok_or(WireError::MalformedFrame)? {
                (1, Value::Varint(opcode)) => {
                    view.opcode = u32::try_from(opcode).map_err(|_| WireError::MalformedFrame)?;
                }
                (2, Value::Varint(request)) => view.request = request,
                (3, Value::Bytes(payload)) => view.payload = payload,
                _ => {}
            }
        }
        Ok(Some(view))
    }
}

/// One field's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// An integer, bool or enum.
    Varint(u64),
    /// Bytes, text or a message.
    Bytes(&'a [u8]),
    /// A fixed-width number; the wire has none that a generator reads.
    Fixed,
}

/// The fields of a protobuf message, in order: field number and value, or `None` once for bytes
/// that are not protobuf.
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// The fields of `message`.
    #[must_use]
    pub const fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    fn read(&mut self) -> Option<(u32, Value<'a>)> {
        let key = varint(&mut self.rest)?;
        let number = u32::try_from(key >> 3).ok()?;
        let value = match key & 7 {
            0 => Value::Varint(varint(&mut self.rest)?),
            1 => self.skip(8)?,
            2 => {
                let len = usize::try_from(varint(&mut self.rest)?).ok()?;
                let (bytes, rest) = self.rest.split_at_checked(len)?;
                self.rest = rest;
                Value::Bytes(bytes)
            }
            5 => self.skip(4)?,
            _ => return None,
        };
        Some((number, value))
    }

    fn skip(&mut self, bytes: usize) -> Option<Value<'a>> {
        self.rest = self.rest.get(bytes..)?;
        Some(Value::Fixed)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Option<(u32, Value<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.read();
        if field.is_none() {
            self.rest = &[];
        }
        Some(field)
    }
}

/// The first field `number` that holds bytes; `None` when it is absent or the message is broken.
#[must_use]
pub fn bytes_field(message: &[u8], number: u32) -> Option<&[u8]> {
    Fields::new(message).find_map(|field| match field {
        Some((found, Value::Bytes(bytes))) if found == number => Some(bytes),
        _ => None,
    })
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for index in 0..10 {
        let byte = *rest.get(index)?;
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            *rest = &rest[index + 1..];
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use hongyan_protocol::{Frame, Opcode, frame, pb};

    use super::*;

    #[test]
    fn a_view_is_what_the_protocol_decodes() {
        let decoder = FrameDecoder::new(1 << 20);
        let ack = pb::SendAck {
            message_id: 1 << 51,
            seq: 300,
            time_ms: 9,
            level: 0,
            repeated_send: false,
        };
        let mut wire = BytesMut::new();
        frame::encode_message(Opcode::Send, 128, &ack, &mut wire);
        Frame::HEARTBEAT.encode_delimited(&mut wire);
        let view = FrameView::peek(&decoder, &wire).unwrap().unwrap();
        let frame = decoder.decode(&mut wire.clone()).unwrap().unwrap();
        assert_eq!((view.opcode, view.request), (frame.opcode, frame.request));
        assert_eq!(view.payload, frame.payload.as_ref());
        let rest = FrameView::peek(&decoder, &wire[view.whole_bytes..]).unwrap().unwrap();
        assert_eq!((rest.opcode, rest.whole_bytes), (0, 1));
    }

    #[test]
    fn partial_and_broken_frames_are_told_apart() {
        let decoder = FrameDecoder::new(64);
        assert_eq!(FrameView::peek(&decoder, &[5, 8, 32]), Ok(None));
        assert_eq!(FrameView::peek(&decoder, &[2, 0xff, 0xff]), Err(WireError::MalformedFrame));
        assert!(FrameView::peek(&decoder, &[65]).is_err());
        assert_eq!(bytes_field(&[0x0a, 9], 1), None);
        assert_eq!(bytes_field(&[0x0a, 1, b'x'], 1), Some(&b"x"[..]));
    }
}
