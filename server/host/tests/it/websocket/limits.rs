//! Limits, slow readers, resume and stops: as on TCP.

use std::io::Write;

use hongyan_protocol::limits::{FRAME_BYTES_MAX, FRAME_BYTES_MAX_UNAUTHENTICATED};
use hongyan_protocol::{ErrorCode, Opcode, pb};
use tungstenite::protocol::frame::coding::CloseCode;

use super::{BINARY, Bridge, JSON, MASK, MESSAGE, Raw, TEXT};
use crate::support::{TestNode, Wire, direct, eventually, text_to};

/// The code of the close that came after the Goodbye.
fn closed_with(wire: &Wire<Bridge>) -> Option<ErrorCode> {
    match wire.stream.closed.as_ref()?.code {
        CloseCode::Library(code) => ErrorCode::from_number(u32::from(code) - 4_000),
        _ => None,
    }
}

/// A header that promises `len` bytes.
fn promise(raw: &mut Raw, first: u8, len: u64) {
    let mut header = vec![first, 0x80 | 127];
    header.extend(len.to_be_bytes());
    header.extend(MASK);
    raw.stream.write_all(&header).unwrap();
}

#[test]
fn a_message_over_the_limit_is_refused_before_it_comes() {
    let test = TestNode::start();
    let over = FRAME_BYTES_MAX_UNAUTHENTICATED as u64 + 1;
    for (protocol, first) in [(BINARY, MESSAGE), (JSON, TEXT)] {
        for len in [over, u64::from(u32::MAX), 1 << 62, u64::MAX] {
            let mut raw = Raw::open(test.ws(), protocol);
            promise(&mut raw, first, len);
            let (code, reason) = raw.close();
            assert_eq!(code, 4_000 + ErrorCode::FrameTooLarge.number() as u16, "{len}: {reason}");
        }
    }
}

#[test]
fn fragments_are_not_piled_up() {
    let test = TestNode::start();
    let mut raw = Raw::open(test.ws(), BINARY);
    raw.send(0x02, &[0; 60_000]);
    raw.send(0x00, &[0; 60_000]);
    raw.send(0x00, &[0; 60_000]);
    assert_eq!(raw.close().0, 4_000 + ErrorCode::FrameTooLarge.number() as u16);
}

#[test]
fn a_session_may_send_what_welcome_says() {
    let test = TestNode::start();
    let mut wire = test.bridge_register("ann");
    let large = |bytes: usize| pb::FindUser { name: "x".repeat(bytes) };
    let refused = wire.call::<pb::Profiles>(Opcode::FindUser, &large(FRAME_BYTES_MAX - 64));
    assert_eq!(refused.unwrap_err().code, ErrorCode::InvalidField.number());
    // Written by hand: the client library would wait for its end.
    wire.request(Opcode::FindUser, &large(FRAME_BYTES_MAX - 1));
    wire.goodbye_with(ErrorCode::FrameTooLarge);
    assert_eq!(closed_with(&wire), Some(ErrorCode::FrameTooLarge));
}

#[test]
fn a_message_that_does_not_end_ends_the_connection() {
    let test = TestNode::start_with(|raw| {
        raw.limits.frame_timeout_ms = 300;
        raw.limits.login_timeout_ms = 600_000;
    });
    for begin in [&[0x82_u8][..], &[0x82, 0x85, 1, 2, 3, 4, 5], &[0x02, 0x81, 0, 0, 0, 0, 9]] {
        let mut raw = Raw::open(test.ws(), BINARY);
        raw.stream.write_all(begin).unwrap();
        assert_eq!(raw.close().0, 4_000 + ErrorCode::LoginTimeout.number() as u16, "{begin:?}");
    }
}

#[test]
fn who_does_not_log_in_is_told_by_a_close() {
    let test = TestNode::start_with(|raw| raw.limits.login_timeout_ms = 300);
    let mut wire = test.bridge();
    wire.goodbye_with(ErrorCode::LoginTimeout);
    assert_eq!(closed_with(&wire), Some(ErrorCode::LoginTimeout));
    assert!(wire.stream.closed.as_ref().unwrap().reason.contains("session"));
}

#[test]
fn a_session_is_resumed_from_anywhere() {
    let test = TestNode::start();
    let mut ann = test.bridge();
    ann.hello("ann-device");
    let session = ann.register("ann");
    let mut bob = test.connect();
    bob.hello("bob-device");
    let bob_id = bob.register("bob").user_id;
    let chat = direct(session.user_id, bob_id);
    ann.say(&chat, "before").unwrap();
    drop(ann);
    bob.say(&chat, "while away").unwrap();
    // The device comes back, over WebSocket and then over TCP; the session
    // that is replaced is told by its close.
    let hello = pb::Hello {
        client: "test/1".into(),
        device: Some(pb::Device { id: "ann-device".into(), ..pb::Device::default() }),
        access_token: session.tokens.unwrap().access_token,
        resume: Some(pb::SyncRequest {
            held: vec![pb::HeldCursor { conversation: Some(chat), seq: 1 }],
            ..pb::SyncRequest::default()
        }),
        ..pb::Hello::default()
    };
    let mut again = test.bridge();
    let welcome: pb::Welcome = again.call(Opcode::Hello, &hello).unwrap();
    let missed = &welcome.resumed.unwrap().conversations[0].messages;
    assert_eq!(missed.iter().map(|message| message.seq).collect::<Vec<_>>(), [2]);
    let mut app = test.connect();
    let welcome: pb::Welcome = app.call(Opcode::Hello, &hello).unwrap();
    assert!(welcome.session.is_some());
    again.goodbye_with(ErrorCode::Replaced);
    assert_eq!(closed_with(&again), Some(ErrorCode::Replaced));
}

#[test]
fn a_slow_reader_is_told_to_sync_and_hurts_nobody() {
    let test = TestNode::start_with(|raw| {
        raw.limits.out_queue_soft_bytes = 64 * 1024;
        raw.limits.out_queue_hard_bytes = 1024 * 1024;
    });
    let mut ann = test.bridge();
    ann.hello("ann-device");
    let ann_id = ann.register("ann").user_id;
    let mut bob = test.bridge();
    bob.hello("bob-device");
    let bob_id = bob.register("bob").user_id;
    let chat = direct(ann_id, bob_id);
    let text = "x".repeat(16_000);
    let mut sent = 0;
    while test.metric("hongyan_pushes_dropped_total") < 20.0 {
        let requests: Vec<u64> =
            (0..20).map(|_| ann.request(Opcode::Send, &text_to(&chat, &text))).collect();
        for request in requests {
            assert_eq!(ann.reply(request).opcode, Opcode::Send.number());
        }
        sent += 20;
        assert!(sent < 20_000, "nothing was ever dropped");
    }
    let mut last = 0;
    loop {
        let frame = bob.receive().expect("closed");
        if frame.opcode == Opcode::SyncNeeded.number() {
            break;
        }
        if frame.opcode == Opcode::Message.number() {
            let message: pb::Message = frame.message().unwrap();
            assert!(message.seq > last);
            last = message.seq;
        }
    }
    assert!(last < sent);
    let history =
        pb::History { conversation: Some(chat), from_seq: last + 1, ..Default::default() };
    let page: pb::HistoryPage = bob.call(Opcode::History, &history).unwrap();
    assert_eq!((page.messages[0].seq, page.last_seq), (last + 1, sent));
}

#[test]
fn a_stop_tells_everybody_when_to_come_back() {
    let mut test = TestNode::start_with(|raw| raw.session.drain_spread_ms = 20_000);
    let mut session = test.bridge_register("ann");
    let mut greeted = test.bridge();
    greeted.hello("some-device");
    let mut console = Raw::open(test.ws(), JSON);
    let mut silent = super::connect(test.ws());
    eventually("all are connected", || test.metric("hongyan_connections") == 4.0);
    let node = test.node.take().unwrap();
    let stopping = std::thread::spawn(move || node.shutdown());
    for wire in [&mut session, &mut greeted] {
        let hint = wire.goodbye_with(ErrorCode::GoingAway).reconnect_after_ms;
        assert!((500..20_500).contains(&hint), "{hint}");
        assert_eq!(closed_with(wire), Some(ErrorCode::GoingAway));
    }
    let (_, text) = console.receive().unwrap();
    assert!(String::from_utf8(text).unwrap().contains("reconnectAfterMs"));
    assert_eq!(console.close().0, 4_000 + ErrorCode::GoingAway.number() as u16);
    let answer = super::head(&mut silent);
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("Retry-After: "), "{answer}");
    drop((session, greeted, console, silent));
    assert!(stopping.join().unwrap().drained);
}

#[test]
fn a_console_that_types_nonsense_is_answered_and_then_closed() {
    let test = TestNode::start();
    let mut raw = Raw::open(test.ws(), JSON);
    let mut answers = 0;
    loop {
        raw.send(TEXT, br#"{"name":"Hello","request":3,"payload":{"clint":"x"}}"#);
        let (_, text) = raw.receive().unwrap();
        let frame: serde_json::Value = serde_json::from_slice(&text).unwrap();
        if frame["name"] == "Goodbye" {
            assert_eq!(frame["payload"]["code"], ErrorCode::TooManyErrors.number());
            break;
        }
        answers += 1;
        if frame["request"] == "3" {
            let said = frame["payload"]["message"].as_str().unwrap();
            assert!(said.contains("clint"), "{said}");
        }
        assert!(answers <= 16);
    }
    assert_eq!(raw.close().0, 4_000 + ErrorCode::TooManyErrors.number() as u16);
}
