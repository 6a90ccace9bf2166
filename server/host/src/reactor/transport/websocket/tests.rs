//! The layer without a socket: bytes in, bytes out.

use bytes::Buf;
use hongyan_protocol::{ErrorCode, Frame, FrameDecoder, limits, version};

use super::*;
use crate::reactor::connection::{MALFORMED_MAX, goodbye};

const MASK: [u8; 4] = [0xa5, 0x01, 0x00, 0xfe];

fn upgrades() -> Arc<Upgrades> {
    Arc::new(Upgrades { path: "/ws".to_owned(), allowed_origins: Vec::new() })
}

fn request(protocol: &str) -> Vec<u8> {
    format!(
        "GET /ws HTTP/1.1\r\nHost: h:5200\r\nConnection: keep-alive, Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: {protocol}\r\n\r\n"
    )
    .into()
}

/// A layer after its upgrade, with nothing on the wire.
fn open(protocol: &str) -> WebSocket {
    let mut websocket = WebSocket::new(upgrades());
    let mut into = BytesMut::new();
    websocket.take(&mut request(protocol), &mut into).unwrap();
    assert_eq!(into.as_ref(), version::CLIENT_PREFACE);
    let answer = sent(&mut websocket, &mut OutQueue::default());
    assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&answer));
    // The server's preface is the first thing that a connection queues.
    let mut out = OutQueue::default();
    out.push(Bytes::copy_from_slice(&version::preface(1, 1)));
    assert_eq!(sent(&mut websocket, &mut out), b"");
    websocket
}

/// Everything that goes down.
fn sent(websocket: &mut WebSocket, out: &mut OutQueue) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let more = websocket.fill(out);
        while let Some(chunk) = websocket.wire().pop() {
            bytes.extend_from_slice(&chunk);
        }
        if !more {
            assert!(!websocket.wants_write());
            return bytes;
        }
    }
}

/// A masked frame; `first` is its first byte.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        len @ 0..126 => bytes.push(0x80 | len as u8),
        len @ 126..65_536 => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            bytes.push(0x80 | 127);
            bytes.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(&MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

fn frames(mut buffer: BytesMut) -> Vec<Frame> {
    let decoder = FrameDecoder::new(limits::FRAME_BYTES_MAX);
    let mut frames = Vec::new();
    while let Some(frame) = decoder.decode(&mut buffer).unwrap() {
        frames.push(frame);
    }
    assert!(buffer.is_empty());
    frames
}

fn ours(opcode: u32, request: u64, payload: &[u8]) -> (Frame, Vec<u8>) {
    let frame = Frame { opcode, request, payload: Bytes::copy_from_slice(payload) };
    let mut bytes = Vec::new();
    frame.encode(&mut bytes);
    (frame, bytes)
}

#[test]
fn messages_become_frames_whatever_the_cuts() {
    let mut wire = Vec::new();
    let mut expected = Vec::new();
    for len in [0, 1, 3, 100, 200, 70_000] {
        let (ours, bytes) = ours(32, 7, &vec![0x5c; len]);
        wire.extend(frame(0x82, &bytes));
        expected.push(ours);
    }
    wire.extend(frame(0x82, b""));
    expected.push(Frame::HEARTBEAT);
    // In fragments, with a ping between them and an empty one at the end.
    let (whole, bytes) = ours(36, 9, b"fragmented");
    wire.extend(frame(0x02, &bytes[..3]));
    wire.extend(frame(0x89, b"ping"));
    wire.extend(frame(0x00, &bytes[3..]));
    wire.extend(frame(0x80, b""));
    expected.push(whole);
    for cut in [1, 2, 3, 7, 13, 14, 15, 1_000, 65_536, usize::MAX] {
        let mut websocket = open("hongyan.v1");
        let mut into = BytesMut::new();
        for part in wire.chunks(cut.min(wire.len())) {
            websocket.take(&mut part.to_vec(), &mut into).unwrap();
        }
        assert_eq!(frames(into), expected, "cut {cut}");
        assert!(!websocket.is_partial(), "cut {cut}");
        assert_eq!(sent(&mut websocket, &mut OutQueue::default()), b"\x8a\x04ping", "cut {cut}");
    }
}

#[test]
fn the_request_may_come_in_any_pieces_and_with_frames_behind() {
    let mut wire = request("hongyan.v1");
    wire.extend(frame(0x82, b"\x08\x10"));
    for cut in [1, 17, wire.len()] {
        let mut websocket = WebSocket::new(upgrades());
        let mut into = BytesMut::new();
        for part in wire.chunks(cut) {
            websocket.take(&mut part.to_vec(), &mut into).unwrap();
        }
        into.advance(version::PREFACE_BYTES);
        assert_eq!(frames(into), [Frame { opcode: 16, ..Frame::default() }]);
    }
}

#[test]
fn frames_become_messages_and_a_goodbye_closes() {
    let mut websocket = open("hongyan.v1");
    let mut out = OutQueue::default();
    let (_, small) = ours(33, 0, b"small");
    let (large, bytes) = ours(33, 0, &[7; 300]);
    out.push(ours(33, 0, b"small").0.to_delimited());
    out.push(large.to_delimited());
    out.push(Frame::HEARTBEAT.to_delimited());
    out.push(goodbye(ErrorCode::GoingAway, "bye", 1_000));
    out.push(large.to_delimited());
    let wire = sent(&mut websocket, &mut out);
    let mut expected = vec![0x82, small.len() as u8];
    expected.extend(&small);
    expected.extend([0x82, 126, (bytes.len() >> 8) as u8, bytes.len() as u8]);
    expected.extend(&bytes);
    expected.extend([0x82, 0]);
    let said = goodbye(ErrorCode::GoingAway, "bye", 1_000).slice(1..);
    expected.extend([0x82, said.len() as u8]);
    expected.extend(&said);
    assert!(wire.starts_with(&expected));
    let close = 4_000 + ErrorCode::GoingAway.number() as u16;
    let mut tail = vec![0x88, 5];
    tail.extend(close.to_be_bytes());
    tail.extend(b"bye");
    assert!(wire.ends_with(&tail));
    // Nothing comes after the close.
    out.push(large.to_delimited());
    assert_eq!(sent(&mut websocket, &mut out), b"");
    assert!(out.is_empty());
}

#[test]
fn the_wire_takes_no_more_than_its_share() {
    let mut websocket = open("hongyan.v1");
    let mut out = OutQueue::default();
    let (frame, _) = ours(33, 0, &[1; 1_000]);
    for _ in 0..1_000 {
        out.push(frame.to_delimited());
    }
    assert!(websocket.fill(&mut out));
    assert!(websocket.wire().bytes() < outgoing::WIRE_BYTES + 2_000);
    assert!(out.bytes() > 900_000);
}

#[test]
fn only_the_last_ping_is_answered() {
    let mut websocket = open("hongyan.v1");
    for _ in 0..10_000 {
        websocket.take(&mut frame(0x89, b"old"), &mut BytesMut::new()).unwrap();
    }
    websocket.take(&mut frame(0x89, b"new"), &mut BytesMut::new()).unwrap();
    assert_eq!(sent(&mut websocket, &mut OutQueue::default()), b"\x8a\x03new");
}

#[test]
fn a_frame_too_large_is_told_to_whoever_reads() {
    let (_, large) = ours(32, 1, &vec![0; limits::FRAME_BYTES_MAX_UNAUTHENTICATED]);
    let half = large.len() / 2;
    let pieces = [frame(0x02, &large[..half]), frame(0x80, &large[half..])].concat();
    for mut wire in [frame(0x82, &large), pieces] {
        let mut websocket = open("hongyan.v1");
        let mut into = BytesMut::new();
        websocket.take(&mut wire, &mut into).unwrap();
        let decoder = FrameDecoder::new(limits::FRAME_BYTES_MAX);
        assert_eq!(decoder.decode(&mut into).unwrap_err().code(), ErrorCode::FrameTooLarge);
        assert!(into.len() <= 4);
    }
}

#[test]
fn a_text_that_is_no_frame_is_answered_so_often_and_no_more() {
    let mut websocket = open("hongyan.v1+json");
    let mut into = BytesMut::new();
    let mut bad = frame(0x81, br#"{"name":"Hello","request":5,"payload":{"clientt":"x"}}"#);
    for time in 1..=MALFORMED_MAX {
        let taken = websocket.take(&mut bad.clone(), &mut into);
        assert_eq!(taken.is_err(), time == MALFORMED_MAX, "{time}");
        let wire =
            String::from_utf8_lossy(&sent(&mut websocket, &mut OutQueue::default())).into_owned();
        assert!(wire.contains("unrecognized field name 'clientt'"), "{wire}");
        assert!(wire.contains("\"request\":\"5\""), "{wire}");
    }
    assert!(websocket.take(&mut bad, &mut into).is_ok() && into.is_empty());
}

#[test]
fn a_refusal_before_the_upgrade_is_an_http_answer() {
    for (code, status) in [(ErrorCode::LoginTimeout, "408"), (ErrorCode::GoingAway, "503")] {
        let mut websocket = WebSocket::new(upgrades());
        websocket.take(&mut b"GET /ws HT".to_vec(), &mut BytesMut::new()).unwrap();
        let mut out = OutQueue::default();
        out.push(Bytes::copy_from_slice(&version::preface(1, 1)));
        out.push(goodbye(code, "come back", 1_500));
        let answer = String::from_utf8(sent(&mut websocket, &mut out)).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(answer.contains("Retry-After: 2\r\n") && answer.ends_with("\r\n\r\ncome back\n"));
    }
}

#[test]
fn masks_are_undone_at_every_length_and_offset() {
    for len in 0..70 {
        let plain: Vec<u8> = (0..len).collect();
        let mut bytes = plain.clone();
        incoming::unmask(&mut bytes, MASK);
        let expected: Vec<u8> =
            plain.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        assert_eq!(bytes, expected, "{len}");
    }
}

#[test]
fn a_heartbeat_in_json_is_a_text() {
    let mut websocket = open("hongyan.v1+json");
    let mut out = OutQueue::default();
    out.push(Frame::HEARTBEAT.to_delimited());
    let wire = sent(&mut websocket, &mut out);
    let text = br#"{"opcode":0,"name":"Heartbeat","request":"0","message":"","payload":null}"#;
    assert_eq!(wire, [&[0x81, text.len() as u8][..], text].concat());
    let mut into = BytesMut::new();
    websocket.take(&mut frame(0x81, br#"{"name":"Heartbeat"}"#), &mut into).unwrap();
    assert_eq!(frames(into), [Frame::HEARTBEAT]);
}
