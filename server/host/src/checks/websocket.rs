//! Any bytes at the WebSocket port.
//!
//! An input is the size of the pieces (u16, zero: all at once), a byte whose
//! bits say whether the upgrade is done before, and which sub-protocol it was,
//! and then what the peer sends.

use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use hongyan_protocol::limits::FRAME_BYTES_MAX_UNAUTHENTICATED;
use hongyan_protocol::{Frame, FrameDecoder, version};

use super::take;
use crate::reactor::outqueue::OutQueue;
use crate::reactor::transport::websocket::{Upgrades, WebSocket};

/// The layer before its upgrade is over.
const RAW: u8 = 1;
/// The upgrade was to the JSON sub-protocol.
const JSON: u8 = 2;

/// What one layer did with an input.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    /// Frames and errors, as a connection would read them.
    frames: Vec<Result<Frame, ()>>,
    /// The layer gave a preface before them.
    prefaced: bool,
    /// Reading ended.
    ended: bool,
    /// Everything that went down, but for pongs that came too late.
    wire: Vec<u8>,
}

/// Any bytes: no panic, nothing kept beyond the limits, the same frames
/// whatever the pieces, and answers that are whole. Returns whether a frame
/// came through.
///
/// # Panics
/// When that does not hold.
pub fn websocket(mut data: &[u8]) -> bool {
    let (Some(size), Some(flags)) = (take::<2>(&mut data), take::<1>(&mut data)) else {
        return false;
    };
    let flags = flags as u8;
    let whole = run(data, usize::MAX, flags);
    let pieces = run(data, if size == 0 { usize::MAX } else { size as usize }, flags);
    assert_eq!((&whole.frames, whole.ended), (&pieces.frames, pieces.ended), "cuts change it");
    assert_eq!(without_pongs(&whole.wire), without_pongs(&pieces.wire), "cuts change the answer");
    whole.frames.iter().any(Result::is_ok)
}

fn run(data: &[u8], size: usize, flags: u8) -> Seen {
    let upgrades = Arc::new(Upgrades { path: "/ws".to_owned(), allowed_origins: Vec::new() });
    let mut layer = WebSocket::new(upgrades);
    let mut buffer = BytesMut::new();
    let mut out = OutQueue::default();
    out.push(Bytes::copy_from_slice(&version::preface(1, 1)));
    let mut wire = Vec::new();
    if flags & RAW == 0 {
        layer.take(&mut request(flags & JSON != 0), &mut buffer).expect("a good request");
        flush(&mut layer, &mut out, &mut wire);
        wire.clear();
    }
    let mut seen = Seen { frames: Vec::new(), prefaced: false, ended: false, wire };
    for piece in data.chunks(size.min(data.len()).max(1)) {
        let end = layer.take(&mut piece.to_vec(), &mut buffer);
        read(&mut buffer, &mut seen);
        assert!(layer.kept_bytes() <= FRAME_BYTES_MAX_UNAUTHENTICATED + 256, "too much is kept");
        seen.ended |= end.is_err();
        if seen.ended {
            break;
        }
    }
    // A connection queues its preface when it has read the peer's.
    if layer.is_open() || seen.ended {
        flush(&mut layer, &mut out, &mut seen.wire);
    }
    seen
}

/// Reads frames as a connection does.
fn read(buffer: &mut BytesMut, seen: &mut Seen) {
    if !seen.prefaced && buffer.starts_with(&version::CLIENT_PREFACE) {
        buffer.advance(version::PREFACE_BYTES);
        seen.prefaced = true;
    }
    let decoder = FrameDecoder::new(FRAME_BYTES_MAX_UNAUTHENTICATED);
    loop {
        match decoder.decode(buffer) {
            Ok(Some(frame)) => seen.frames.push(Ok(frame)),
            Ok(None) => break,
            Err(error) => {
                seen.frames.push(Err(()));
                // Nothing more can be read behind it.
                if matches!(error, hongyan_protocol::WireError::FrameTooLarge { .. }) {
                    seen.ended = true;
                    break;
                }
            }
        }
    }
}

fn flush(layer: &mut WebSocket, out: &mut OutQueue, wire: &mut Vec<u8>) {
    loop {
        let more = layer.fill(out);
        while let Some(chunk) = layer.wire().pop() {
            wire.extend_from_slice(&chunk);
        }
        if !more {
            return;
        }
    }
}

/// Only the last ping is answered, and which is last depends on when one looks.
fn without_pongs(wire: &[u8]) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut rest = wire;
    if rest.starts_with(b"HTTP/") {
        let Some(end) = rest.windows(4).position(|four| four == b"\r\n\r\n") else {
            panic!("half an answer");
        };
        let (head, after) = rest.split_at(end + 4);
        kept.extend_from_slice(head);
        if !head.starts_with(b"HTTP/1.1 101 ") {
            kept.extend_from_slice(after);
            return kept;
        }
        rest = after;
    }
    while let [first, len, ..] = rest {
        let (header, len) = match len {
            126 => (4, usize::from(u16::from_be_bytes([rest[2], rest[3]]))),
            len => (2, usize::from(*len)),
        };
        assert!(len < 60_000 && rest.len() >= header + len, "half a message");
        let (message, after) = rest.split_at(header + len);
        if *first != 0x8a {
            kept.extend_from_slice(message);
        }
        rest = after;
    }
    assert!(rest.is_empty(), "half a header");
    kept
}

fn request(json: bool) -> Vec<u8> {
    let protocol = if json { "hongyan.v1+json" } else { "hongyan.v1" };
    format!(
        "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: {protocol}\r\n\r\n"
    )
    .into()
}

/// Inputs that reach every corner, by name.
pub fn websocket_seeds() -> Vec<(&'static str, Vec<u8>)> {
    let seed =
        |size: u16, flags: u8, bytes: &[u8]| [&size.to_le_bytes()[..], &[flags], bytes].concat();
    let mut hello = Vec::new();
    Frame { opcode: 16, request: 1, payload: Bytes::from_static(b"\x0a\x02me") }.encode(&mut hello);
    let message = masked(0x82, &hello);
    let fragments = [
        masked(0x02, &hello[..2]),
        masked(0x89, b"ping"),
        masked(0x00, b""),
        masked(0x80, &hello[2..]),
    ]
    .concat();
    let console = br#"{"name":"Hello","request":"1","payload":{"client":"me"}}"#;
    let typed = masked(0x81, console);
    let cut = [masked(0x01, &console[..9]), masked(0x80, &console[9..])].concat();
    let mistaken = masked(0x81, br#"{"name":"Hello","request":1,"payload":{"clint":"me"}}"#);
    let upgrade = [request(false), message.clone()].concat();
    vec![
        ("message", seed(3, 0, &message)),
        ("fragments", seed(1, 0, &fragments)),
        ("heartbeat", seed(0, 0, &masked(0x82, b""))),
        ("close", seed(1, 0, &masked(0x88, b"\x03\xe8bye"))),
        ("close-bad-code", seed(0, 0, &masked(0x88, b"\x03\xed"))),
        ("unmasked", seed(0, 0, b"\x82\x01x")),
        ("too-large", seed(4, 0, b"\x82\xff\x00\x00\x00\x00\x7f\xff\xff\xff\x01\x02\x03\x04")),
        ("not-a-frame", seed(0, 0, &masked(0x82, b"\xff\xff\xff"))),
        ("text-in-binary", seed(0, 0, &masked(0x81, b"{}"))),
        ("json", seed(5, JSON, &typed)),
        ("json-fragments", seed(1, JSON, &cut)),
        ("json-mistaken", seed(0, JSON, &mistaken)),
        ("json-not-utf8", seed(0, JSON, &masked(0x81, b"\xff"))),
        ("upgrade", seed(7, RAW, &upgrade)),
        ("upgrade-json", seed(0, RAW, &[request(true), masked(0x81, b"{}")].concat())),
        ("upgrade-plain-get", seed(0, RAW, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")),
        ("upgrade-not-http", seed(1, RAW, &version::CLIENT_PREFACE)),
        (
            "upgrade-endless",
            seed(512, RAW, &[b"GET /ws HTTP/1.1\r\nX: ", &[b'x'; 8_300][..]].concat()),
        ),
    ]
}

fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    let mut bytes = vec![first, 0x80 | payload.len() as u8];
    bytes.extend_from_slice(&mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}
