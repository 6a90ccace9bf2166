//! RFC 6455 by hand-made bytes: what is allowed works, what is not is closed
//! with the code that the standard names, and nobody else notices.

use std::io::Write;
use std::net::Shutdown;

use hongyan_protocol::{ErrorCode, Frame, Opcode, pb};

use super::{BINARY, CLOSE, JSON, MESSAGE, PING, PONG, Raw, TEXT, masked, parse_close};
use crate::support::TestNode;

/// A Hello as a frame without its length.
fn hello(request: u64) -> Vec<u8> {
    let device = pb::Device { id: "by-hand".into(), ..pb::Device::default() };
    let hello = pb::Hello { client: "raw".into(), device: Some(device), ..pb::Hello::default() };
    let mut bytes = Vec::new();
    Frame::new(Opcode::Hello, request, &hello).encode(&mut bytes);
    bytes
}

/// Reads the Welcome to request `request`.
fn welcome(raw: &mut Raw, request: u64) {
    let (first, payload) = raw.receive().expect("closed before the Welcome");
    assert_eq!(first, MESSAGE);
    let frame = Frame::decode(payload.into()).unwrap();
    assert_eq!((frame.opcode, frame.request), (Opcode::Hello.number(), request));
}

fn open(test: &TestNode) -> Raw {
    Raw::open(test.ws(), BINARY)
}

#[test]
fn fragments_make_one_message_with_control_frames_between() {
    let test = TestNode::start();
    let mut raw = open(&test);
    let hello = hello(1);
    raw.send(0x02, &hello[..4]);
    raw.send(PING, b"between");
    assert_eq!(raw.receive(), Some((PONG, b"between".to_vec())));
    raw.send(0x00, b"");
    raw.send(0x00, &hello[4..9]);
    raw.send(PONG, b"nobody asked");
    raw.send(0x80, &hello[9..]);
    welcome(&mut raw, 1);
}

#[test]
fn bytes_may_come_one_at_a_time_or_all_at_once() {
    let test = TestNode::start();
    let mut raw = open(&test);
    for byte in masked(MESSAGE, &hello(1)) {
        raw.stream.write_all(&[byte]).unwrap();
    }
    welcome(&mut raw, 1);
    let mut raw = open(&test);
    let many: Vec<u8> = (1..=100).flat_map(|number| masked(MESSAGE, &hello(number))).collect();
    raw.stream.write_all(&many).unwrap();
    for number in 1..=100 {
        welcome(&mut raw, number);
    }
}

#[test]
fn an_empty_message_is_a_heartbeat() {
    let test = TestNode::start();
    let mut raw = open(&test);
    raw.send(MESSAGE, &hello(1));
    welcome(&mut raw, 1);
    raw.send(MESSAGE, b"");
    assert_eq!(raw.receive(), Some((MESSAGE, Vec::new())));
}

#[test]
fn pings_of_any_size_are_answered() {
    let test = TestNode::start();
    let mut raw = open(&test);
    for payload in [&b""[..], b"x", &[0xff; 125]] {
        raw.send(PING, payload);
        assert_eq!(raw.receive(), Some((PONG, payload.to_vec())));
    }
    // Of many at once at least the last one is.
    let mut flood = masked(PING, b"old").repeat(5_000);
    flood.extend(masked(PING, b"last"));
    raw.stream.write_all(&flood).unwrap();
    let mut pongs = 1;
    while raw.receive() != Some((PONG, b"last".to_vec())) {
        pongs += 1;
        assert!(pongs <= 5_001);
    }
}

#[test]
fn broken_rules_close_with_1002() {
    let test = TestNode::start();
    let mut unmasked = vec![MESSAGE, 2];
    unmasked.extend([0x08, 0x10]);
    let mut long_length = vec![MESSAGE, 0x80 | 126, 0, 5];
    long_length.extend([0; 9]);
    for (what, bytes) in [
        ("no mask", unmasked),
        ("a reserved bit", masked(0xc2, b"x")),
        ("another one", masked(0xa2, b"x")),
        ("the third", masked(0x92, b"x")),
        ("a reserved data opcode", masked(0x83, b"x")),
        ("a reserved control opcode", masked(0x8b, b"x")),
        ("a fragmented ping", masked(0x09, b"x")),
        ("a long ping", masked(PING, &[0; 126])),
        ("a long close", masked(CLOSE, &[3; 126])),
        ("a fragment of nothing", masked(0x80, b"x")),
        ("a message in a message", [masked(0x02, b"x"), masked(MESSAGE, b"y")].concat()),
        ("a length in too long a form", long_length),
        ("half a close code", masked(CLOSE, &[3])),
        ("a close code for nobody", masked(CLOSE, &1_005_u16.to_be_bytes())),
        ("a close code below all", masked(CLOSE, &999_u16.to_be_bytes())),
    ] {
        let mut raw = open(&test);
        raw.stream.write_all(&bytes).unwrap();
        let (code, reason) = raw.close();
        assert_eq!(code, 1_002, "{what}: {reason}");
        assert!(!reason.is_empty(), "{what}");
    }
    assert!(test.handle().metrics().contains("reason=\"websocket\""));
}

#[test]
fn text_that_is_not_utf8_closes_with_1007() {
    let test = TestNode::start();
    for bytes in [
        masked(TEXT, b"{\"name\":\"\xff\"}"),
        masked(TEXT, b"\xc3"),
        masked(TEXT, b"\xed\xa0\x80"),
        [masked(0x01, b"\xe9\xb8"), masked(0x80, b"x")].concat(),
        masked(CLOSE, b"\x03\xe8\xff"),
    ] {
        let mut raw = Raw::open(test.ws(), JSON);
        raw.stream.write_all(&bytes).unwrap();
        assert_eq!(raw.close().0, 1_007);
    }
}

#[test]
fn a_character_may_be_cut_by_fragments() {
    let test = TestNode::start();
    let mut raw = Raw::open(test.ws(), JSON);
    let text = r#"{"name":"Hello","request":"1","payload":{"client":"鸿雁"}}"#.as_bytes();
    let cut = text.iter().position(|byte| *byte >= 0x80).unwrap() + 1;
    raw.send(0x01, &text[..cut]);
    raw.send(0x80, &text[cut..]);
    let (first, answer) = raw.receive().unwrap();
    assert_eq!(first, TEXT);
    assert!(String::from_utf8(answer).unwrap().contains("\"request\":\"1\""));
}

#[test]
fn the_wrong_kind_of_message_closes_with_1003() {
    let test = TestNode::start();
    let mut raw = open(&test);
    raw.send(TEXT, b"{}");
    assert_eq!(raw.close().0, 1_003);
    let mut raw = Raw::open(test.ws(), JSON);
    raw.send(MESSAGE, &hello(1));
    assert_eq!(raw.close().0, 1_003);
}

#[test]
fn a_close_is_answered_with_the_same_code() {
    let test = TestNode::start();
    for payload in [&b""[..], b"\x03\xe8", b"\x03\xe8bye", b"\x0f\xa1see you"] {
        let mut raw = open(&test);
        // What came before it still counts.
        raw.send(MESSAGE, &hello(1));
        welcome(&mut raw, 1);
        raw.send(CLOSE, payload);
        let (first, echo) = raw.receive().unwrap();
        assert_eq!((first, &echo[..]), (CLOSE, &payload[..payload.len().min(2)]));
        assert_eq!(raw.receive(), None);
    }
    let text = test.handle().metrics();
    assert!(text.lines().any(|line| line.contains("reason=\"peer\"") && line.ends_with(" 4")));
}

#[test]
fn nothing_is_heard_after_a_close() {
    let test = TestNode::start();
    let mut raw = open(&test);
    raw.stream.write_all(&[masked(CLOSE, b""), masked(MESSAGE, &hello(1))].concat()).unwrap();
    assert_eq!(raw.receive(), Some((CLOSE, Vec::new())));
    assert_eq!(raw.receive(), None);
}

#[test]
fn half_a_close_of_tcp_ends_it() {
    let test = TestNode::start();
    for whole in [false, true] {
        let mut raw = open(&test);
        raw.send(MESSAGE, &hello(1));
        welcome(&mut raw, 1);
        let frame = masked(MESSAGE, &hello(2));
        raw.stream.write_all(if whole { &frame } else { &frame[..9] }).unwrap();
        raw.stream.shutdown(Shutdown::Write).unwrap();
        while let Some((first, _)) = raw.receive() {
            assert_eq!(first, MESSAGE);
        }
    }
}

#[test]
fn two_frames_in_one_message_are_no_frame() {
    let test = TestNode::start();
    let mut raw = open(&test);
    // With lengths, as on TCP: the first byte is a field that no frame has.
    let frame = Frame::decode(hello(1).into()).unwrap().to_delimited();
    raw.send(MESSAGE, &frame.repeat(2));
    let (_, payload) = raw.receive().unwrap();
    let answer = Frame::decode(payload.into()).unwrap();
    assert_eq!((answer.opcode, answer.request), (Opcode::Error.number(), 0));
    let error: pb::Error = answer.message().unwrap();
    assert_eq!(ErrorCode::from_number(error.code), Some(ErrorCode::MalformedFrame));
    // The stream is in step.
    raw.send(MESSAGE, &hello(2));
    welcome(&mut raw, 2);
}

#[test]
fn errors_of_the_protocol_end_with_a_goodbye_and_a_close() {
    let test = TestNode::start();
    let mut raw = open(&test);
    let code = loop {
        raw.send(MESSAGE, &[0xff; 3]);
        let (_, payload) = raw.receive().unwrap();
        let frame = Frame::decode(payload.into()).unwrap();
        if frame.opcode == Opcode::Goodbye.number() {
            break frame.message::<pb::Goodbye>().unwrap().code;
        }
    };
    assert_eq!(ErrorCode::from_number(code), Some(ErrorCode::TooManyErrors));
    let (first, payload) = raw.receive().unwrap();
    assert_eq!(first, CLOSE);
    let (close, reason) = parse_close(&payload);
    assert_eq!(u32::from(close), 4_000 + code);
    assert!(reason.contains("too many"), "{reason}");
}
