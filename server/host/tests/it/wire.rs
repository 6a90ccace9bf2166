//! Prefaces, frames and what is wrong with them, on a live socket.

use std::time::Duration;

use hongyan_protocol::{ErrorCode, Frame, Opcode, pb, version};

use crate::support::{TestNode, Wire};

#[test]
fn a_preface_is_answered_and_heartbeats_come_back() {
    let test = TestNode::start();
    let mut wire = test.connect();
    wire.beat();
    wire.beat();
}

#[test]
fn a_preface_may_come_byte_by_byte() {
    let test = TestNode::start();
    let mut wire = Wire::silent(test.tcp());
    for byte in version::CLIENT_PREFACE {
        wire.send_bytes(&[byte]);
        std::thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(wire.read_preface(), version::CLIENT_PREFACE);
    wire.beat();
}

#[test]
fn a_stranger_is_told_and_closed() {
    let test = TestNode::start();
    let mut wire = Wire::silent(test.tcp());
    wire.send_bytes(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(wire.read_preface()[..4], *b"HYAN");
    wire.goodbye_with(ErrorCode::BadPreface);
}

#[test]
fn a_client_from_the_future_learns_the_servers_versions() {
    let test = TestNode::start();
    let mut wire = Wire::silent(test.tcp());
    wire.send_bytes(&version::preface(200, 210));
    let answer = wire.read_preface();
    assert_eq!(answer, version::preface(version::VERSION_MIN, version::VERSION_MAX));
    wire.goodbye_with(ErrorCode::NoCommonVersion);
}

#[test]
fn an_unknown_opcode_gets_an_error_and_the_connection_lives() {
    let test = TestNode::start();
    let mut wire = test.register("ann");
    wire.send(&Frame { opcode: 9_999, request: 77, payload: bytes::Bytes::new() });
    let reply = wire.reply(77);
    assert_eq!(reply.opcode, Opcode::Error.number());
    let error: pb::Error = reply.message().unwrap();
    assert_eq!(error.code, ErrorCode::UnknownOpcode.number());
    wire.beat();
}

#[test]
fn a_request_before_its_time_gets_an_error_and_the_connection_lives() {
    let test = TestNode::start();
    let mut wire = test.connect();
    wire.hello("d");
    let error = wire.call::<pb::Devices>(Opcode::ListDevices, &pb::ListDevices {}).unwrap_err();
    assert_eq!(error.code, ErrorCode::OutOfOrder.number());
    wire.beat();
}

#[test]
fn a_payload_that_is_not_the_message_gets_an_error() {
    let test = TestNode::start();
    let mut wire = test.register("ann");
    let garbage = bytes::Bytes::from_static(&[0xff, 0xff, 0xff]);
    wire.send(&Frame { opcode: Opcode::Send.number(), request: 5, payload: garbage });
    let error: pb::Error = wire.reply(5).message().unwrap();
    assert_eq!(error.code, ErrorCode::MalformedPayload.number());
    wire.beat();
}

#[test]
fn frames_that_are_no_protobuf_are_counted_and_then_too_many() {
    let test = TestNode::start();
    let mut wire = test.connect();
    for _ in 0..15 {
        wire.send_bytes(&[2, 0xff, 0xff]);
        let error: pb::Error = wire.receive().unwrap().message().unwrap();
        assert_eq!(error.code, ErrorCode::MalformedFrame.number());
    }
    wire.beat();
    wire.send_bytes(&[2, 0xff, 0xff]);
    wire.goodbye_with(ErrorCode::TooManyErrors);
}

#[test]
fn a_length_bomb_is_refused_before_its_bytes() {
    let test = TestNode::start();
    for bomb in [&[0xff, 0xff, 0xff, 0x7f][..], &[0x80, 0x80, 0x80, 0x80], &[0x81, 0x80, 0x08]] {
        let mut wire = test.connect();
        wire.send_bytes(bomb);
        wire.goodbye_with(ErrorCode::FrameTooLarge);
    }
}

#[test]
fn an_open_session_may_send_larger_frames_than_a_stranger() {
    let test = TestNode::start();
    let large = Frame { opcode: 9_999, request: 8, payload: vec![7; 500_000].into() };
    let mut stranger = test.connect();
    stranger.send_bytes(&large.to_delimited()[..1_000]);
    stranger.goodbye_with(ErrorCode::FrameTooLarge);
    let mut wire = test.register("ann");
    wire.send(&large);
    let error: pb::Error = wire.reply(8).message().unwrap();
    assert_eq!(error.code, ErrorCode::UnknownOpcode.number());
}

#[test]
fn a_hundred_thousand_unknown_fields_are_passed_over() {
    let test = TestNode::start();
    let mut wire = test.register("ann");
    // Field 900, varint 1: two bytes of tag, one of value.
    let payload: Vec<u8> = [0xa0, 0x38, 0x01].repeat(100_000);
    let opcode = Opcode::ListDevices.number();
    wire.send(&Frame { opcode, request: 9, payload: payload.into() });
    let devices: pb::Devices = wire.reply(9).message().unwrap();
    assert_eq!(devices.devices.len(), 1);
}

#[test]
fn everything_in_one_write_is_handled_in_order() {
    let test = TestNode::start_with(|raw| raw.listen.shards = 4);
    for name in ["ann", "bob", "cat", "dan", "eve"] {
        let mut bytes = version::CLIENT_PREFACE.to_vec();
        let device = pb::Device { id: "d".into(), class: 3, name: String::new() };
        let hello = pb::Hello { device: Some(device), ..pb::Hello::default() };
        let register = pb::Register {
            name: name.into(),
            password: crate::support::PASSWORD.into(),
            display_name: String::new(),
        };
        bytes.extend_from_slice(&Frame::new(Opcode::Hello, 1, &hello).to_delimited());
        bytes.extend_from_slice(&Frame::new(Opcode::Register, 2, &register).to_delimited());
        let mut wire = Wire::silent(test.tcp());
        wire.send_bytes(&bytes);
        wire.read_preface();
        wire.reply(1);
        let session: pb::Session = wire.reply(2).message().unwrap();
        assert_eq!(session.name, name);
        // The session is on the worker of its user now, whichever that is.
        let requests: Vec<u64> =
            (0..300).map(|_| wire.request(Opcode::ListDevices, &pb::ListDevices {})).collect();
        for request in requests {
            assert_eq!(wire.reply(request).opcode, Opcode::ListDevices.number());
        }
    }
    assert!(test.metric("hongyan_connections_moved_total") >= 1.0);
}
