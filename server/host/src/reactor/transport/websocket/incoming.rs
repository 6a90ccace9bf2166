//! What the peer sends: WebSocket frames into our own.
//!
//! A message in one piece is passed on as it arrives: its length is known
//! from the header, so it is written in front and the payload follows,
//! unmasked. Only fragments and texts are put together first.

use std::io::Cursor;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use hongyan_protocol::{ErrorCode, Frame, Opcode, pb};
use prost::encoding::encode_varint;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

use super::{HEADER_BYTES_MAX, State, WebSocket, close, json};
use crate::reactor::connection::MALFORMED_MAX;
use crate::reactor::transport::ReadEnd;

/// A frame whose payload is coming.
#[derive(Debug)]
pub(super) struct Piece {
    mask: [u8; 4],
    /// Bytes that are still to come.
    left: usize,
    is_final: bool,
    goes: Goes,
}

/// Where a payload goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goes {
    /// On to the connection as it comes.
    On,
    /// Together with the other fragments of its message.
    Together,
    /// To us.
    Control(Control),
}

/// The prefix of a frame that is longer than any can be: whoever reads it
/// answers as to such a frame on TCP.
const TOO_LARGE: [u8; 4] = [0xff, 0xff, 0xff, 0x7f];
/// Most bytes of a control frame (RFC 6455, 5.5).
const CONTROL_BYTES_MAX: u64 = 125;

impl WebSocket {
    /// Takes a header, or the part of it that is there. Returns bytes used.
    pub(super) fn take_header(
        &mut self,
        bytes: &[u8],
        into: &mut BytesMut,
    ) -> Result<usize, ReadEnd> {
        let had = usize::from(self.header_len);
        let parsed = if had == 0 {
            parse(bytes)
        } else {
            let more = bytes.len().min(HEADER_BYTES_MAX - had);
            self.header[had..had + more].copy_from_slice(&bytes[..more]);
            parse(&self.header[..had + more])
        };
        let (header, bytes_max, size) = match parsed {
            Err(()) => return Err(self.violation(CloseCode::Protocol, "no valid frame header")),
            Ok(Some(parsed)) => parsed,
            Ok(None) => {
                if had == 0 {
                    self.header[..bytes.len()].copy_from_slice(bytes);
                }
                self.header_len = (had + bytes.len()) as u8;
                return Ok(bytes.len());
            }
        };
        self.header_len = 0;
        self.begin(&header, bytes_max, into)?;
        Ok(size - had)
    }

    /// Judges a header and makes ready for its payload of `len` bytes.
    fn begin(
        &mut self,
        header: &FrameHeader,
        len: u64,
        into: &mut BytesMut,
    ) -> Result<(), ReadEnd> {
        if header.rsv1 || header.rsv2 || header.rsv3 {
            let why = "reserved bits are set; no extension was agreed on";
            return Err(self.violation(CloseCode::Protocol, why));
        }
        let Some(mask) = header.mask else {
            return Err(self.violation(CloseCode::Protocol, "a client must mask its frames"));
        };
        let goes = match header.opcode {
            OpCode::Control(control) => {
                if len > CONTROL_BYTES_MAX || !header.is_final {
                    let why = "a control frame is short and in one piece";
                    return Err(self.violation(CloseCode::Protocol, why));
                }
                self.control.clear();
                Goes::Control(control)
            }
            OpCode::Data(data) => self.place_of(data, header.is_final)?,
        };
        let within = self.frame_bytes_max.saturating_sub(self.partial.len()) as u64;
        if !matches!(goes, Goes::Control(_)) {
            self.fragmented = !header.is_final;
            if len > within {
                into.put_slice(&TOO_LARGE);
                self.state = State::Closing;
                return Ok(());
            }
            if goes == Goes::On {
                encode_varint(len, into);
            }
        }
        let left = len as usize;
        self.piece = Some(Piece { mask, left, is_final: header.is_final, goes });
        if left == 0 { self.finish_piece(into) } else { Ok(()) }
    }

    /// Where the payload of a data frame goes.
    fn place_of(&mut self, data: Data, is_final: bool) -> Result<Goes, ReadEnd> {
        let in_message = self.fragmented;
        match data {
            Data::Continue if in_message => return Ok(Goes::Together),
            Data::Continue => {
                let why = "a fragment of no message";
                return Err(self.violation(CloseCode::Protocol, why));
            }
            _ if in_message => {
                let why = "a message began before the one before it ended";
                return Err(self.violation(CloseCode::Protocol, why));
            }
            _ => {}
        }
        let is_text = data == Data::Text;
        if is_text != self.json {
            let why = if self.json {
                "hongyan.v1+json takes text messages"
            } else {
                "hongyan.v1 takes binary messages"
            };
            return Err(self.violation(CloseCode::Unsupported, why));
        }
        Ok(if is_text || !is_final { Goes::Together } else { Goes::On })
    }

    /// Takes what is there of a payload. Returns bytes used.
    pub(super) fn take_payload(
        &mut self,
        bytes: &mut [u8],
        into: &mut BytesMut,
    ) -> Result<usize, ReadEnd> {
        let Some(piece) = &mut self.piece else {
            return Ok(0);
        };
        let used = bytes.len().min(piece.left);
        let bytes = &mut bytes[..used];
        unmask(bytes, piece.mask);
        piece.mask.rotate_left(used % 4);
        piece.left -= used;
        let ended = piece.left == 0;
        match piece.goes {
            Goes::On => into.extend_from_slice(bytes),
            Goes::Together => self.partial.extend_from_slice(bytes),
            Goes::Control(_) => self.control.extend_from_slice(bytes),
        }
        if ended {
            self.finish_piece(into)?;
        }
        Ok(used)
    }

    /// The payload is whole.
    fn finish_piece(&mut self, into: &mut BytesMut) -> Result<(), ReadEnd> {
        let Some(piece) = self.piece.take() else {
            return Ok(());
        };
        match piece.goes {
            Goes::Control(control) => self.on_control(control),
            Goes::Together if piece.is_final => self.on_message(into),
            Goes::Together | Goes::On => Ok(()),
        }
    }

    fn on_control(&mut self, control: Control) -> Result<(), ReadEnd> {
        let payload = std::mem::take(&mut self.control);
        match control {
            Control::Ping => {
                // Only the newest is answered (RFC 6455, 5.5.3).
                self.pong = Some(payload.freeze());
                Ok(())
            }
            Control::Close => match close::parse(&payload) {
                Ok(closing) => Err(self.end(close::echo(closing), ReadEnd::Ended)),
                Err(code) => Err(self.violation(code, "no valid close")),
            },
            // An answer to nothing is allowed; others are refused before.
            Control::Pong | Control::Reserved(_) => Ok(()),
        }
    }

    /// A message that was put together is whole.
    fn on_message(&mut self, into: &mut BytesMut) -> Result<(), ReadEnd> {
        let message = std::mem::take(&mut self.partial).freeze();
        if !self.json {
            encode_varint(message.len() as u64, into);
            into.extend_from_slice(&message);
            return Ok(());
        }
        let Ok(text) = std::str::from_utf8(&message) else {
            return Err(self.violation(CloseCode::Invalid, "a text message is UTF-8"));
        };
        match json::to_frame(text) {
            Ok(frame) => {
                frame.encode_delimited(into);
                Ok(())
            }
            Err(refusal) => self.refuse_text(&refusal),
        }
    }

    /// Answers a text that is no frame, as often as on TCP.
    fn refuse_text(&mut self, refusal: &json::Refusal) -> Result<(), ReadEnd> {
        self.malformed = self.malformed.saturating_add(1);
        let (request, code) = (refusal.request, refusal.code.number());
        let error = pb::Error { code, message: refusal.message.clone(), retry_after_ms: 0 };
        self.queue_frame(&Frame::error(request, &error).to_delimited());
        if self.malformed < MALFORMED_MAX {
            return Ok(());
        }
        let code = ErrorCode::TooManyErrors.number();
        let message = "too many frames that are not valid".to_owned();
        let goodbye = pb::Goodbye { code, message, reconnect_after_ms: 0 };
        self.queue_frame(&Frame::new(Opcode::Goodbye, 0, &goodbye).to_delimited());
        self.state = State::Closing;
        Err(ReadEnd::Refused)
    }

    /// Ends the connection because the peer broke the rules of WebSocket.
    fn violation(&mut self, code: CloseCode, why: &str) -> ReadEnd {
        self.end(close::frame(code.into(), why), ReadEnd::Refused)
    }

    fn end(&mut self, farewell: Bytes, end: ReadEnd) -> ReadEnd {
        self.state = State::Closing;
        self.farewell.get_or_insert(farewell);
        (self.piece, self.fragmented) = (None, false);
        self.partial = BytesMut::new();
        end
    }
}

/// The header at the front of `bytes`, length of its payload and its own;
/// `None` when it is not whole.
fn parse(bytes: &[u8]) -> Result<Option<(FrameHeader, u64, usize)>, ()> {
    let mut cursor = Cursor::new(bytes);
    match FrameHeader::parse(&mut cursor) {
        Ok(None) => Ok(None),
        Ok(Some((header, len))) => {
            let size = bytes.len() - cursor.remaining();
            // The shortest form must be used (RFC 6455, 5.2).
            if header.len(len) == size { Ok(Some((header, len, size))) } else { Err(()) }
        }
        Err(_) => Err(()),
    }
}

/// Undoes (and does) the masking of a payload whose first byte meets the
/// first byte of `mask`.
pub(super) fn unmask(bytes: &mut [u8], mask: [u8; 4]) {
    // Sixteen bytes at a time: the compiler makes vectors of it.
    let mut wide = [0; 16];
    for (byte, mask) in wide.iter_mut().zip(mask.iter().cycle()) {
        *byte = *mask;
    }
    let mut chunks = bytes.chunks_exact_mut(wide.len());
    for chunk in &mut chunks {
        for (byte, mask) in chunk.iter_mut().zip(&wide) {
            *byte ^= mask;
        }
    }
    for (byte, mask) in chunks.into_remainder().iter_mut().zip(&wide) {
        *byte ^= mask;
    }
}
