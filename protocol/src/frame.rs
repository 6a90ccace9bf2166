//! Frames in and out of bytes.
//!
//! ```text
//! read buffer   | len | Frame ......... | len | Frame ... (partial)
//!               '--- one split_to ------'
//! ```
//!
//! [`FrameDecoder::decode`] takes whole frames off the front of a buffer and
//! leaves a partial one where it is. Payloads are slices of the buffer, not
//! copies. The decoder never reserves more than what arrived: a length is
//! checked against the limit before anything else is done with it.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message;
use prost::encoding::{WireType, decode_key, decode_varint, encode_varint, encoded_len_varint};

use crate::error::WireError;
use crate::limits::LENGTH_PREFIX_BYTES_MAX;
use crate::opcode::Opcode;
use crate::pb;

/// One frame, as it is handled: the payload is still encoded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frame {
    /// Number of the opcode; not necessarily one that is known.
    pub opcode: u32,
    /// Zero: no reply is wanted, or this is a push.
    pub request: u64,
    /// The encoded message.
    pub payload: Bytes,
}

impl Frame {
    /// A heartbeat.
    pub const HEARTBEAT: Self = Self { opcode: 0, request: 0, payload: Bytes::new() };

    /// A frame around `message`.
    pub fn new(opcode: Opcode, request: u64, message: &impl Message) -> Self {
        Self { opcode: opcode.number(), request, payload: message.encode_to_vec().into() }
    }

    /// An error reply to `request`.
    pub fn error(request: u64, error: &pb::Error) -> Self {
        Self::new(Opcode::Error, request, error)
    }

    /// True for the frame of length zero.
    pub fn is_heartbeat(&self) -> bool {
        self.opcode == 0 && self.request == 0 && self.payload.is_empty()
    }

    /// Decodes the payload.
    ///
    /// # Errors
    /// [`WireError::MalformedPayload`].
    pub fn message<M: Message + Default>(&self) -> Result<M, WireError> {
        M::decode(self.payload.clone()).map_err(|_| WireError::MalformedPayload)
    }

    /// Reads one frame without its length, all of `bytes`. Used as it is on
    /// WebSocket.
    ///
    /// # Errors
    /// [`WireError::MalformedFrame`].
    pub fn decode(mut bytes: Bytes) -> Result<Self, WireError> {
        let mut frame = Self::default();
        while bytes.has_remaining() {
            let (tag, wire_type) = decode_key(&mut bytes).map_err(|_| WireError::MalformedFrame)?;
            match (tag, wire_type) {
                (1, WireType::Varint) => {
                    let opcode =
                        decode_varint(&mut bytes).map_err(|_| WireError::MalformedFrame)?;
                    frame.opcode = u32::try_from(opcode).map_err(|_| WireError::MalformedFrame)?;
                }
                (2, WireType::Varint) => {
                    frame.request =
                        decode_varint(&mut bytes).map_err(|_| WireError::MalformedFrame)?;
                }
                (3, WireType::LengthDelimited) => {
                    let len = decode_varint(&mut bytes).map_err(|_| WireError::MalformedFrame)?;
                    if len > bytes.remaining() as u64 {
                        return Err(WireError::MalformedFrame);
                    }
                    frame.payload = bytes.split_to(len as usize);
                }
                (1..=3, _) => return Err(WireError::MalformedFrame),
                (_, WireType::Varint) => {
                    decode_varint(&mut bytes).map_err(|_| WireError::MalformedFrame)?;
                }
                (_, WireType::LengthDelimited) => {
                    let len = decode_varint(&mut bytes).map_err(|_| WireError::MalformedFrame)?;
                    skip(&mut bytes, len)?;
                }
                (_, WireType::SixtyFourBit) => skip(&mut bytes, 8)?,
                (_, WireType::ThirtyTwoBit) => skip(&mut bytes, 4)?,
                // Groups are no part of proto3.
                (_, WireType::StartGroup | WireType::EndGroup) => {
                    return Err(WireError::MalformedFrame);
                }
            }
        }
        Ok(frame)
    }

    /// Bytes of the frame without its length.
    pub fn encoded_len(&self) -> usize {
        let mut len = 0;
        if self.opcode != 0 {
            len += 1 + encoded_len_varint(u64::from(self.opcode));
        }
        if self.request != 0 {
            len += 1 + encoded_len_varint(self.request);
        }
        if !self.payload.is_empty() {
            len += 1 + encoded_len_varint(self.payload.len() as u64) + self.payload.len();
        }
        len
    }

    /// Appends the frame without its length.
    pub fn encode(&self, out: &mut impl BufMut) {
        encode_header(self.opcode, self.request, self.payload.len(), out);
        out.put_slice(&self.payload);
    }

    /// Appends length and frame: the form on TCP.
    pub fn encode_delimited(&self, out: &mut BytesMut) {
        let len = self.encoded_len();
        out.reserve(len + encoded_len_varint(len as u64));
        encode_varint(len as u64, out);
        self.encode(out);
    }

    /// Length and frame as bytes of their own, shareable by many receivers.
    pub fn to_delimited(&self) -> Bytes {
        let mut out = BytesMut::new();
        self.encode_delimited(&mut out);
        out.freeze()
    }
}

/// Appends length and frame around `message`, encoding it in place.
pub fn encode_message(opcode: Opcode, request: u64, message: &impl Message, out: &mut BytesMut) {
    let payload_len = message.encoded_len();
    let len = frame_len(opcode, request, payload_len);
    out.reserve(len + LENGTH_PREFIX_BYTES_MAX);
    put_message(opcode, request, message, payload_len, len, out);
}

/// Length and frame around `message` as bytes of their own, of exactly their size.
pub fn message_to_delimited(opcode: Opcode, request: u64, message: &impl Message) -> Bytes {
    let payload_len = message.encoded_len();
    let len = frame_len(opcode, request, payload_len);
    let mut out = Vec::with_capacity(encoded_len_varint(len as u64) + len);
    put_message(opcode, request, message, payload_len, len, &mut out);
    out.into()
}

/// Bytes of the frame around a message of `payload_len` bytes, without its length.
fn frame_len(opcode: Opcode, request: u64, payload_len: usize) -> usize {
    let mut len = 1 + encoded_len_varint(u64::from(opcode.number()));
    if request != 0 {
        len += 1 + encoded_len_varint(request);
    }
    if payload_len != 0 {
        len += 1 + encoded_len_varint(payload_len as u64) + payload_len;
    }
    len
}

fn put_message(
    opcode: Opcode,
    request: u64,
    message: &impl Message,
    payload_len: usize,
    len: usize,
    out: &mut impl BufMut,
) {
    encode_varint(len as u64, out);
    encode_header(opcode.number(), request, payload_len, out);
    message.encode_raw(out);
}

fn encode_header(opcode: u32, request: u64, payload_len: usize, out: &mut impl BufMut) {
    if opcode != 0 {
        out.put_u8(1 << 3);
        encode_varint(u64::from(opcode), out);
    }
    if request != 0 {
        out.put_u8(2 << 3);
        encode_varint(request, out);
    }
    if payload_len != 0 {
        out.put_u8(3 << 3 | 2);
        encode_varint(payload_len as u64, out);
    }
}

fn skip(bytes: &mut Bytes, len: u64) -> Result<(), WireError> {
    if len > bytes.remaining() as u64 {
        return Err(WireError::MalformedFrame);
    }
    bytes.advance(len as usize);
    Ok(())
}

/// Takes delimited frames off the front of a buffer.
#[derive(Debug, Clone)]
pub struct FrameDecoder {
    frame_bytes_max: usize,
}

impl FrameDecoder {
    /// A decoder that refuses frames over `frame_bytes_max` bytes.
    pub const fn new(frame_bytes_max: usize) -> Self {
        Self { frame_bytes_max }
    }

    /// Sets another limit, from the next frame on.
    pub const fn set_frame_bytes_max(&mut self, frame_bytes_max: usize) {
        self.frame_bytes_max = frame_bytes_max;
    }

    /// The limit in force.
    pub const fn frame_bytes_max(&self) -> usize {
        self.frame_bytes_max
    }

    /// Takes one frame off the front of `buffer`. `Ok(None)` asks for more
    /// bytes; nothing was taken.
    ///
    /// # Errors
    /// - [`WireError::FrameTooLarge`]: nothing was taken, and nothing more can
    ///   be read from this stream.
    /// - [`WireError::MalformedFrame`]: the frame was taken, the next call
    ///   reads the next one.
    pub fn decode(&self, buffer: &mut BytesMut) -> Result<Option<Frame>, WireError> {
        let Some((prefix, len)) = self.peek_length(buffer)? else {
            return Ok(None);
        };
        if buffer.len() < prefix + len {
            return Ok(None);
        }
        buffer.advance(prefix);
        if len == 0 {
            return Ok(Some(Frame::HEARTBEAT));
        }
        Frame::decode(buffer.split_to(len).freeze()).map(Some)
    }

    /// Bytes that the frame at the front needs in all, with its length, once
    /// that is known.
    ///
    /// # Errors
    /// [`WireError::FrameTooLarge`], as [`FrameDecoder::decode`].
    pub fn needed(&self, buffer: &[u8]) -> Result<Option<usize>, WireError> {
        Ok(self.peek_length(buffer)?.map(|(prefix, len)| prefix + len))
    }

    fn peek_length(&self, buffer: &[u8]) -> Result<Option<(usize, usize)>, WireError> {
        let mut len = 0_usize;
        for (index, byte) in buffer.iter().take(LENGTH_PREFIX_BYTES_MAX).enumerate() {
            len |= usize::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                return if len > self.frame_bytes_max {
                    Err(WireError::FrameTooLarge { bytes: len, limit: self.frame_bytes_max })
                } else {
                    Ok(Some((index + 1, len)))
                };
            }
        }
        if buffer.len() >= LENGTH_PREFIX_BYTES_MAX {
            return Err(WireError::FrameTooLarge {
                bytes: usize::MAX,
                limit: self.frame_bytes_max,
            });
        }
        Ok(None)
    }
}

#[cfg(feature = "codec")]
mod codec {
    use std::io;

    use bytes::BytesMut;
    use tokio_util::codec::{Decoder, Encoder};

    use super::{Frame, FrameDecoder};

    impl Decoder for FrameDecoder {
        type Item = Frame;
        type Error = io::Error;

        fn decode(&mut self, src: &mut BytesMut) -> io::Result<Option<Frame>> {
            Self::decode(self, src).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
        }
    }

    impl Encoder<Frame> for FrameDecoder {
        type Error = io::Error;

        fn encode(&mut self, item: Frame, dst: &mut BytesMut) -> io::Result<()> {
            item.encode_delimited(dst);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoder() -> FrameDecoder {
        FrameDecoder::new(64)
    }

    #[test]
    fn frames_come_out_as_they_went_in_byte_by_byte() {
        let frames = [
            Frame { opcode: 32, request: 300, payload: Bytes::from_static(b"hello") },
            Frame::HEARTBEAT,
            Frame { opcode: 1, request: 0, payload: Bytes::new() },
        ];
        let mut wire = BytesMut::new();
        for frame in &frames {
            frame.encode_delimited(&mut wire);
        }
        let mut buffer = BytesMut::new();
        let mut seen = Vec::new();
        for byte in wire {
            buffer.put_u8(byte);
            while let Some(frame) = decoder().decode(&mut buffer).unwrap() {
                seen.push(frame);
            }
        }
        assert_eq!(seen, frames);
    }

    #[test]
    fn our_encoding_is_the_generated_one() {
        let frame = Frame { opcode: 32, request: 9, payload: Bytes::from_static(b"x") };
        let generated = pb::Frame { opcode: 32, request: 9, payload: frame.payload.clone() };
        let mut ours = BytesMut::new();
        frame.encode(&mut ours);
        assert_eq!(ours.as_ref(), generated.encode_to_vec());
        let message = pb::MoveCursor { conversation: None, delivered_seq: 4, read_seq: 2 };
        let mut in_place = BytesMut::new();
        encode_message(Opcode::MoveCursor, 7, &message, &mut in_place);
        let whole = Frame::new(Opcode::MoveCursor, 7, &message).to_delimited();
        assert_eq!(in_place, whole);
        assert_eq!(message_to_delimited(Opcode::MoveCursor, 7, &message), whole);
    }

    #[test]
    fn a_long_length_is_refused_before_its_bytes_arrive() {
        let mut buffer = BytesMut::from(&[65][..]);
        assert_eq!(
            decoder().decode(&mut buffer),
            Err(WireError::FrameTooLarge { bytes: 65, limit: 64 })
        );
        let mut endless = BytesMut::from(&[0x80, 0x80, 0x80, 0x80][..]);
        assert!(decoder().decode(&mut endless).is_err());
    }

    #[test]
    fn a_malformed_frame_leaves_the_stream_in_step() {
        let mut buffer = BytesMut::from(&[2, 0xff, 0xff, 0][..]);
        assert_eq!(decoder().decode(&mut buffer), Err(WireError::MalformedFrame));
        assert_eq!(decoder().decode(&mut buffer), Ok(Some(Frame::HEARTBEAT)));
    }

    #[test]
    fn unknown_fields_are_passed_over() {
        let mut wire = vec![0x08, 32, 0x7a, 2, 1, 2, 0x20, 5, 0x1a, 1, b'x'];
        let frame = Frame::decode(wire.clone().into()).unwrap();
        assert_eq!((frame.opcode, frame.payload.as_ref()), (32, &b"x"[..]));
        wire.push(0x23);
        assert_eq!(Frame::decode(wire.into()), Err(WireError::MalformedFrame));
    }
}
