//! What the server sends: frames into messages, one each.
//!
//! A payload is not copied: header and frame go to the socket as two slices,
//! and many of them in one write. Headers of the usual lengths come from a
//! table.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use hongyan_protocol::version::PREFACE_BYTES;
use hongyan_protocol::{ErrorCode, Frame, FrameDecoder, Opcode, limits, pb};
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::{State, WebSocket, close, json, upgrade};
use crate::reactor::outqueue::OutQueue;

/// Frames are moved to the wire until so many bytes are there; what does not
/// fit stays in the queue, where the limits are.
pub(super) const WIRE_BYTES: usize = 64 * 1024;

impl WebSocket {
    /// Moves what fits from `out` to the wire. True when more is left.
    pub(crate) fn fill(&mut self, out: &mut OutQueue) -> bool {
        match self.state {
            State::Upgrading(_) => {
                self.turn_away(out);
                return false;
            }
            State::Closed => {
                while out.pop().is_some() {}
                return false;
            }
            State::Open | State::Closing => {}
        }
        while self.wire.bytes() < WIRE_BYTES {
            if let Some(payload) = self.pong.take() {
                self.queue_message(OpCode::Control(Control::Pong), payload);
                continue;
            }
            let Some(chunk) = out.pop() else { break };
            if !std::mem::replace(&mut self.preface_seen, true) {
                debug_assert_eq!(chunk.len(), PREFACE_BYTES);
                continue;
            }
            self.queue_frame(&chunk);
        }
        if out.is_empty()
            && let Some(farewell) = self.farewell.take()
        {
            self.state = State::Closed;
            self.wire.push(farewell);
        }
        !out.is_empty()
    }

    /// Queues a frame with its length as a message.
    pub(super) fn queue_frame(&mut self, delimited: &Bytes) {
        let mut rest = delimited.clone();
        // Ours are whole; anything else would be a mistake above.
        let decoder = FrameDecoder::new(limits::FRAME_BYTES_MAX);
        let Ok(Some(needed)) = decoder.needed(&rest) else {
            debug_assert!(false, "half a frame was queued");
            return;
        };
        debug_assert_eq!(needed, rest.len(), "not one frame");
        rest.advance(length_prefix(&rest));
        if is_goodbye(&rest) {
            self.on_goodbye(&rest);
        }
        if self.json {
            self.queue_message(OpCode::Data(Data::Text), json::from_frame(rest));
        } else {
            self.queue_message(OpCode::Data(Data::Binary), rest);
        }
    }

    fn queue_message(&mut self, opcode: OpCode, payload: Bytes) {
        self.wire.push(header(opcode, payload.len()));
        self.wire.push(payload);
    }

    /// The last frame: a close with the same code comes after it.
    fn on_goodbye(&mut self, frame: &Bytes) {
        let goodbye = Frame::decode(frame.clone()).and_then(|frame| frame.message());
        let goodbye: pb::Goodbye = goodbye.unwrap_or_default();
        let code = close::application_code(goodbye.code);
        self.farewell.get_or_insert_with(|| close::frame(code, &goodbye.message));
    }

    /// A Goodbye before the upgrade is an HTTP answer.
    fn turn_away(&mut self, out: &mut OutQueue) {
        while let Some(chunk) = out.pop() {
            if !std::mem::replace(&mut self.preface_seen, true) {
                continue;
            }
            let frame = FrameDecoder::new(limits::FRAME_BYTES_MAX)
                .decode(&mut BytesMut::from(chunk.as_ref()));
            let Ok(Some(frame)) = frame else { continue };
            let goodbye: pb::Goodbye = frame.message().unwrap_or_default();
            let status = match ErrorCode::from_number(goodbye.code) {
                Some(ErrorCode::LoginTimeout) => "408 Request Timeout",
                _ => "503 Service Unavailable",
            };
            self.state = State::Closed;
            let after_ms = goodbye.reconnect_after_ms;
            self.wire.push(upgrade::answer(status, &goodbye.message, &retry_after(after_ms)));
            return;
        }
    }
}

/// The answer to somebody for whom there is no room.
pub(crate) fn busy(message: &str, after_ms: u32) -> Bytes {
    upgrade::answer("503 Service Unavailable", message, &retry_after(after_ms))
}

/// The header that says when to come back, in whole seconds.
fn retry_after(after_ms: u32) -> String {
    match after_ms {
        0 => String::new(),
        after_ms => format!("Retry-After: {}\r\n", after_ms.div_ceil(1_000)),
    }
}

/// Bytes of the length in front of a frame.
fn length_prefix(delimited: &[u8]) -> usize {
    1 + delimited.iter().take_while(|byte| **byte & 0x80 != 0).count()
}

/// True for a frame that is a Goodbye. The opcode is the first field of every
/// frame that we encode.
fn is_goodbye(frame: &[u8]) -> bool {
    frame.starts_with(&[1 << 3, Opcode::Goodbye.number() as u8])
}

/// Appends the header of an unmasked frame in one piece.
pub(super) fn put_header(opcode: OpCode, len: usize, out: &mut BytesMut) {
    let header = FrameHeader { opcode, ..FrameHeader::default() };
    // Writing into memory does not fail.
    let _ = header.format(len as u64, &mut out.writer());
}

/// Lengths whose headers are in the table.
const TABLE_LEN: usize = 2_048;

/// Headers of binary messages in one piece. A short one is two bytes.
static HEADERS: [[u8; 4]; TABLE_LEN] = {
    let mut headers = [[0; 4]; TABLE_LEN];
    let mut len = 0;
    while len < TABLE_LEN {
        headers[len] = if len < 126 {
            [0x82, len as u8, 0, 0]
        } else {
            [0x82, 126, (len >> 8) as u8, len as u8]
        };
        len += 1;
    }
    headers
};

fn header(opcode: OpCode, len: usize) -> Bytes {
    if opcode == OpCode::Data(Data::Binary) && len < TABLE_LEN {
        let size = if len < 126 { 2 } else { 4 };
        return Bytes::from_static(&HEADERS[len][..size]);
    }
    let mut out = BytesMut::with_capacity(10);
    put_header(opcode, len, &mut out);
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_what_the_library_writes() {
        for len in 0..TABLE_LEN {
            let mut out = BytesMut::new();
            put_header(OpCode::Data(Data::Binary), len, &mut out);
            assert_eq!(header(OpCode::Data(Data::Binary), len), out.freeze(), "{len}");
        }
        assert_eq!(header(OpCode::Data(Data::Binary), 65_536).len(), 10);
    }

    #[test]
    fn a_goodbye_is_known_by_its_first_bytes() {
        for opcode in Opcode::ALL {
            let mut frame = BytesMut::new();
            Frame::new(*opcode, 0, &pb::Goodbye::default()).encode(&mut frame);
            assert_eq!(is_goodbye(&frame), *opcode == Opcode::Goodbye, "{opcode:?}");
        }
    }
}
