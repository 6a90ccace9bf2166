//! WebSocket over a pipe, in the form of TCP: what is written and read above are frames with
//! their lengths, what goes over the pipe are messages.
//!
//! Owns the upgrade, the masks and what does not fit the reader's buffer. The preface that is
//! written is left out, and the one that is read was never sent: the sub-protocol stands for both.
//! Nothing but the request is sent before the server has agreed.

use std::io::{self, Cursor, Read, Write};

use hongyan_protocol::version::{PREFACE_BYTES, preface};
use tungstenite::handshake::client::generate_key;
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::Pipe;

/// Written bytes that may wait; more are for later.
const OUT_BYTES: usize = 256 * 1024;
/// Longest answer to the upgrade.
const ANSWER_BYTES_MAX: usize = 8 * 1024;
const HEADER_BYTES_MAX: usize = 14;
/// An empty buffer keeps no more than this.
const KEPT_BYTES: usize = 16 * 1024;

/// See the module.
#[derive(Debug)]
pub(super) struct WebSocket {
    accept: String,
    upgraded: bool,
    /// The answer to the upgrade, or the beginning of a header.
    begun: Vec<u8>,
    /// Bytes of a message that are still to come.
    left: usize,
    /// They are of a control frame.
    passes: bool,
    /// Did not fit the reader's buffer.
    held: Vec<u8>,
    held_from: usize,
    /// For the pipe.
    out: Vec<u8>,
    sent: usize,
    /// For the pipe once the server has agreed.
    waiting: Vec<u8>,
    /// Bytes of our preface that are still to be left out.
    preface_left: usize,
    writing: Writing,
}

/// Where in a frame the writer is.
#[derive(Debug)]
struct Writing {
    len: usize,
    shift: u32,
    left: usize,
    mask: [u8; 4],
    state: u64,
}

impl WebSocket {
    /// With its request queued.
    pub(super) fn new(host: &str, path: &str, index: usize) -> Self {
        let key = generate_key();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\
             Sec-WebSocket-Protocol: hongyan.v1\r\n\r\n"
        );
        let state = (index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        Self {
            accept: derive_accept_key(key.as_bytes()),
            upgraded: false,
            begun: Vec::new(),
            left: 0,
            passes: false,
            held: Vec::new(),
            held_from: 0,
            out: request.into_bytes(),
            sent: 0,
            waiting: Vec::new(),
            preface_left: PREFACE_BYTES,
            writing: Writing { len: 0, shift: 0, left: 0, mask: [0; 4], state },
        }
    }

    /// Waits until the server has agreed; the pipe blocks.
    pub(super) fn shake_hands(&mut self, pipe: &mut Pipe) -> io::Result<()> {
        self.flush(pipe)?;
        let mut raw = [0; 1024];
        while !self.upgraded {
            match pipe.read(&mut raw)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => {
                    self.take(&raw[..count], &mut [])?;
                }
            }
        }
        Ok(())
    }

    /// True when nothing waits that could be sent now.
    pub(super) const fn is_flushed(&self) -> bool {
        self.sent == self.out.len()
    }

    pub(super) fn read(&mut self, pipe: &mut Pipe, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = self.give_held(buffer);
        let mut raw = [0; 16 * 1024];
        while filled < buffer.len() {
            let count = match pipe.read(&mut raw) {
                Ok(0) => return Ok(filled),
                Ok(count) => count,
                Err(error) => return super::taken_or(filled, error),
            };
            let was_upgraded = self.upgraded;
            filled += self.take(&raw[..count], &mut buffer[filled..])?;
            if self.upgraded != was_upgraded {
                match self.flush(pipe) {
                    // A writable edge will come.
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    other => other?,
                }
            }
            if pipe.waits && filled > 0 {
                return Ok(filled);
            }
            if !pipe.waits && count < raw.len() && filled < buffer.len() {
                let nothing = || io::Error::from(io::ErrorKind::WouldBlock);
                return if filled > 0 { Ok(filled) } else { Err(nothing()) };
            }
        }
        Ok(filled)
    }

    pub(super) fn write(&mut self, pipe: &mut Pipe, bytes: &[u8]) -> io::Result<usize> {
        if self.out.len() - self.sent + self.waiting.len() >= OUT_BYTES {
            self.flush(pipe)?;
            if !self.upgraded {
                return Err(io::ErrorKind::WouldBlock.into());
            }
        }
        self.put(bytes);
        match self.flush(pipe) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(bytes.len()),
            other => other.map(|()| bytes.len()),
        }
    }

    pub(super) fn flush(&mut self, pipe: &mut Pipe) -> io::Result<()> {
        while self.sent < self.out.len() {
            self.sent += pipe.write(&self.out[self.sent..])?;
        }
        self.sent = 0;
        empty(&mut self.out);
        pipe.flush()
    }

    fn give_held(&mut self, buffer: &mut [u8]) -> usize {
        let rest = &self.held[self.held_from..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.held_from += count;
        if self.held_from == self.held.len() {
            self.held_from = 0;
            empty(&mut self.held);
        }
        count
    }

    /// Takes bytes of the server. Returns how many bytes for the reader are in `buffer`; what does
    /// not fit is held.
    fn take(&mut self, mut raw: &[u8], buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while !raw.is_empty() {
            if !self.upgraded {
                raw = &raw[self.take_answer(raw)?..];
                if self.upgraded {
                    self.give(&preface(1, 1), buffer, &mut filled);
                }
            } else if self.left == 0 {
                raw = &raw[self.take_header(raw, buffer, &mut filled)?..];
            } else {
                let count = raw.len().min(self.left);
                self.left -= count;
                if !self.passes {
                    self.give(&raw[..count], buffer, &mut filled);
                }
                raw = &raw[count..];
            }
        }
        Ok(filled)
    }

    fn give(&mut self, bytes: &[u8], buffer: &mut [u8], filled: &mut usize) {
        let count = bytes.len().min(buffer.len() - *filled);
        buffer[*filled..*filled + count].copy_from_slice(&bytes[..count]);
        *filled += count;
        self.held.extend_from_slice(&bytes[count..]);
    }

    fn take_answer(&mut self, raw: &[u8]) -> io::Result<usize> {
        let had = self.begun.len();
        let more = raw.len().min(ANSWER_BYTES_MAX - had);
        self.begun.extend_from_slice(&raw[..more]);
        let end = self.begun.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
        let Some(end) = end else {
            let full = self.begun.len() == ANSWER_BYTES_MAX;
            return if full { Err(refused("the answer is endless")) } else { Ok(more) };
        };
        let answer = String::from_utf8_lossy(&self.begun[..end]).into_owned();
        if !answer.starts_with("HTTP/1.1 101 ") || !answer.contains(&self.accept) {
            return Err(refused(answer.lines().next().unwrap_or_default()));
        }
        self.upgraded = true;
        self.begun = Vec::new();
        self.out.append(&mut self.waiting);
        Ok(end - had)
    }

    fn take_header(
        &mut self,
        raw: &[u8],
        buffer: &mut [u8],
        filled: &mut usize,
    ) -> io::Result<usize> {
        let had = self.begun.len();
        let parsed = if had == 0 {
            parse(raw)?
        } else {
            self.begun.extend_from_slice(&raw[..raw.len().min(HEADER_BYTES_MAX - had)]);
            parse(&self.begun)?
        };
        let Some((header, len, size)) = parsed else {
            if had == 0 {
                self.begun.extend_from_slice(raw);
            }
            return Ok(raw.len());
        };
        self.begun.clear();
        self.left = len;
        self.passes = match header.opcode {
            OpCode::Data(Data::Binary) if header.is_final && header.mask.is_none() => false,
            OpCode::Control(Control::Close | Control::Ping | Control::Pong) => true,
            _ => return Err(refused("a message that is no frame")),
        };
        if !self.passes {
            let mut prefix = Vec::with_capacity(4);
            prost::encoding::encode_varint(len as u64, &mut prefix);
            self.give(&prefix, buffer, filled);
        }
        Ok(size - had)
    }

    /// Queues bytes of frames with their lengths.
    fn put(&mut self, mut bytes: &[u8]) {
        let skip = bytes.len().min(self.preface_left);
        self.preface_left -= skip;
        bytes = &bytes[skip..];
        let out = if self.upgraded { &mut self.out } else { &mut self.waiting };
        while let Some((first, rest)) = bytes.split_first() {
            if self.writing.left == 0 {
                self.writing.prefix(*first, out);
                bytes = rest;
            } else {
                let count = bytes.len().min(self.writing.left);
                self.writing.payload(&bytes[..count], out);
                bytes = &bytes[count..];
            }
        }
    }
}

impl Writing {
    /// A byte of a length; behind the last one the header is written.
    fn prefix(&mut self, byte: u8, out: &mut Vec<u8>) {
        self.len |= usize::from(byte & 0x7f) << self.shift;
        self.shift += 7;
        if byte & 0x80 != 0 && self.shift < 28 {
            return;
        }
        // xorshift: a server must not be able to rely on a mask; ours is no secret.
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.mask = (self.state as u32).to_be_bytes();
        let opcode = OpCode::Data(Data::Binary);
        let header = FrameHeader { opcode, mask: Some(self.mask), ..FrameHeader::default() };
        // Writing into memory does not fail.
        let _ = header.format(self.len as u64, out);
        self.left = std::mem::take(&mut self.len);
        self.shift = 0;
    }

    fn payload(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let from = out.len();
        out.extend_from_slice(bytes);
        for four in out[from..].chunks_mut(4) {
            for (byte, mask) in four.iter_mut().zip(self.mask) {
                *byte ^= mask;
            }
        }
        self.mask.rotate_left(bytes.len() % 4);
        self.left -= bytes.len();
    }
}

fn parse(raw: &[u8]) -> io::Result<Option<(FrameHeader, usize, usize)>> {
    let mut cursor = Cursor::new(raw);
    match FrameHeader::parse(&mut cursor) {
        Ok(None) => Ok(None),
        Ok(Some((header, len))) => {
            let len = usize::try_from(len).map_err(|_| refused("an endless message"))?;
            Ok(Some((header, len, cursor.position() as usize)))
        }
        Err(_) => Err(refused("no valid header")),
    }
}

fn empty(buffer: &mut Vec<u8>) {
    buffer.clear();
    if buffer.capacity() > KEPT_BYTES {
        *buffer = Vec::new();
    }
}

fn refused(how: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("WebSocket: {how}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the server would send after the upgrade of `socket`.
    fn answer(socket: &WebSocket) -> Vec<u8> {
        let accept = &socket.accept;
        format!("HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: {accept}\r\n\r\n").into()
    }

    #[test]
    fn messages_become_frames_whatever_the_cuts_and_buffers() {
        let mut socket = WebSocket::new("h", "/ws", 0);
        let mut wire = answer(&socket);
        let mut expected = preface(1, 1).to_vec();
        for len in [0, 1, 125, 126, 127, 128, 20_000, 70_000] {
            let header =
                FrameHeader { opcode: OpCode::Data(Data::Binary), ..FrameHeader::default() };
            header.format(len, &mut wire).unwrap();
            wire.extend(vec![7; len as usize]);
            wire.extend(b"\x8a\x02no");
            prost::encoding::encode_varint(len, &mut expected);
            expected.extend(vec![7; len as usize]);
        }
        for (cut, room) in [(1, 1), (3, 300), (1_000, 7), (65_536, 100_000)] {
            socket = WebSocket { accept: socket.accept, ..WebSocket::new("h", "/ws", 0) };
            let mut got = Vec::new();
            for part in wire.chunks(cut) {
                let mut buffer = vec![0; room];
                let filled = socket.take(part, &mut buffer).unwrap();
                got.extend_from_slice(&buffer[..filled]);
                loop {
                    let count = socket.give_held(&mut buffer);
                    got.extend_from_slice(&buffer[..count]);
                    if count == 0 {
                        break;
                    }
                }
            }
            assert!(got == expected, "cut {cut}");
        }
    }

    #[test]
    fn frames_become_masked_messages_once_the_server_has_agreed() {
        let mut socket = WebSocket::new("h", "/ws", 3);
        let mut frames = preface(1, 1).to_vec();
        for len in [0_usize, 1, 200, 20_000] {
            prost::encoding::encode_varint(len as u64, &mut frames);
            frames.extend(vec![9; len]);
        }
        socket.out.clear();
        for part in frames.chunks(13) {
            socket.put(part);
        }
        assert!(socket.out.is_empty() && !socket.waiting.is_empty());
        socket.take(&answer(&socket), &mut [0; 8]).unwrap();
        let mut wire = &socket.out[..];
        for len in [0_usize, 1, 200, 20_000] {
            let (header, found, size) = parse(wire).unwrap().unwrap();
            assert_eq!(found, len);
            let mask = header.mask.unwrap();
            let payload = &wire[size..size + len];
            assert!(payload.iter().zip(mask.iter().cycle()).all(|(byte, mask)| byte ^ mask == 9));
            wire = &wire[size + len..];
        }
        assert!(wire.is_empty());
    }

    #[test]
    fn a_refusal_is_told() {
        let mut socket = WebSocket::new("h", "/ws", 0);
        let error = socket.take(b"HTTP/1.1 403 Forbidden\r\n\r\n", &mut []).unwrap_err();
        assert!(error.to_string().contains("403 Forbidden"), "{error}");
    }
}
