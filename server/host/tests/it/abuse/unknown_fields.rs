//! A hundred thousand fields that nobody knows, wherever fields may stand.
//!
//! Unknown fields are passed over, that is the protocol's promise to clients
//! of the future; so they must be cheap, and what they are nested in keeps
//! its own limit.

use bytes::Bytes;
use hongyan_protocol::limits::{BODY_BYTES_MAX, FRAME_BYTES_MAX_UNAUTHENTICATED};
use hongyan_protocol::{ErrorCode, Frame, Opcode, pb};
use prost::Message;
use prost::encoding::encode_varint;

use super::{Pair, Person};
use crate::support::{TestNode, Wire, client_id, direct, text_to};

const COUNT: usize = 100_000;

/// Fields with number 15 and the value 1: two bytes each.
fn unknown(count: usize) -> Vec<u8> {
    [0x78, 0x01].repeat(count)
}

/// `content` as the bytes field `number`, below 16.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    encode_varint(content.len() as u64, &mut bytes);
    bytes.extend_from_slice(content);
    bytes
}

/// What came back for these payload bytes.
fn ask(wire: &mut Wire, opcode: Opcode, payload: Vec<u8>) -> Frame {
    wire.send(&Frame { opcode: opcode.number(), request: 7_000, payload: payload.into() });
    wire.reply(7_000)
}

/// The code of the error that these payload bytes are refused with.
fn refused(wire: &mut Wire, opcode: Opcode, payload: Vec<u8>) -> Option<ErrorCode> {
    let reply = ask(wire, opcode, payload);
    assert_eq!(reply.opcode, Opcode::Error.number(), "it was carried out");
    ErrorCode::from_number(reply.message::<pb::Error>().unwrap().code)
}

#[test]
fn unknown_fields_are_passed_over_wherever_they_stand() {
    let test = TestNode::start();
    let mut pair = Pair::meet(test.tcp());
    let mut mallory = Person::register(test.tcp(), "mallory");
    let other = Person::register(test.tcp(), "other").user;
    let chat = direct(mallory.user, other);
    let wire = &mut mallory.wire;
    let mut sent = 0;
    let mut stored = |wire: &mut Wire, payload: Vec<u8>| {
        let reply = ask(wire, Opcode::Send, payload);
        assert_eq!(reply.opcode, Opcode::Send.number(), "{reply:?}");
        sent += 1;
        assert_eq!(reply.message::<pb::SendAck>().unwrap().seq, sent);
        pair.talk(1);
    };

    let after = [text_to(&chat, "after").encode_to_vec(), unknown(COUNT)].concat();
    stored(wire, after);
    let before = [unknown(COUNT), text_to(&chat, "before").encode_to_vec()].concat();
    stored(wire, before);

    // In a message inside: the conversation's id, merged from its parts.
    let mut nested = text_to(&chat, "nested");
    let conversation = [nested.conversation.take().unwrap().encode_to_vec(), unknown(COUNT)];
    stored(wire, [field(1, &conversation.concat()), nested.encode_to_vec()].concat());

    // The same field again and again: the last value counts, or all merge.
    let mut again = text_to(&chat, "again");
    let id = field(1, &again.conversation.take().unwrap().encode_to_vec());
    stored(wire, [id.repeat(COUNT / 4), again.encode_to_vec()].concat());

    // In the frame itself, beside a request that would otherwise be good.
    let frame = Frame::new(Opcode::ListDevices, 7_000, &pb::ListDevices {}).to_delimited();
    let frame = [&frame[1..], &unknown(COUNT)].concat();
    let mut delimited = Vec::new();
    encode_varint(frame.len() as u64, &mut delimited);
    wire.send_bytes(&[delimited, frame].concat());
    assert_eq!(wire.reply(7_000).opcode, Opcode::ListDevices.number());
    pair.talk(1);
}

#[test]
fn unknown_fields_of_a_body_are_kept_up_to_its_limit() {
    let test = TestNode::start();
    let mut pair = Pair::meet(test.tcp());
    let mut mallory = Person::register(test.tcp(), "mallory");
    let mut other = Person::register(test.tcp(), "other");
    let chat = direct(mallory.user, other.user);
    let text = pb::Body { kind: Some(pb::body::Kind::Text("from the future".into())) };
    let send = |unknown_count: usize| {
        let mut send = text_to(&chat, "");
        send.body = None;
        // Number 16, value 1: numbers below are kept for kinds of bodies.
        let unknown = [0x80, 0x01, 0x01].repeat(unknown_count);
        let body = [text.encode_to_vec(), unknown].concat();
        (body.clone(), [send.encode_to_vec(), field(3, &body)].concat())
    };

    let (_, too_long) = send(COUNT);
    assert_eq!(refused(&mut mallory.wire, Opcode::Send, too_long), Some(ErrorCode::InvalidBody));
    pair.talk(1);

    let (body, fits) = send((BODY_BYTES_MAX - 64) / 3);
    assert_eq!(ask(&mut mallory.wire, Opcode::Send, fits).opcode, Opcode::Send.number());
    // Byte for byte, at the other end.
    let push = other.wire.push(Opcode::Message).payload;
    assert!(push.windows(body.len()).any(|window| window == body), "the body was changed");
    pair.talk(1);
}

#[test]
fn groups_and_lists_without_end_are_refused() {
    let test = TestNode::start();
    let mut pair = Pair::meet(test.tcp());
    let mut mallory = Person::register(test.tcp(), "mallory");
    let wire = &mut mallory.wire;
    let groups = |opened: usize, closed: usize| [vec![0x7b; opened], vec![0x7c; closed]].concat();
    let malformed = Some(ErrorCode::MalformedPayload);
    for payload in [groups(COUNT, 0), groups(COUNT, COUNT), groups(0, COUNT)] {
        assert_eq!(refused(wire, Opcode::Sync, payload.clone()), malformed);
        // A frame knows no groups at all.
        let frame = Frame { opcode: 1, request: 0, payload: Bytes::new() };
        let frame = [&frame.to_delimited()[1..], &payload].concat();
        let mut delimited = Vec::new();
        encode_varint(frame.len() as u64, &mut delimited);
        wire.send_bytes(&[delimited, frame].concat());
        let error: pb::Error = wire.reply(0).message().unwrap();
        assert_eq!(error.code, ErrorCode::MalformedFrame.number());
        pair.talk(1);
    }

    let field_value = Some(ErrorCode::InvalidField);
    let users: Vec<u64> = (1..=COUNT as u64).collect();
    let profiles = pb::GetProfiles { users: users.clone() };
    assert_eq!(refused(wire, Opcode::GetProfiles, profiles.encode_to_vec()), field_value);
    let watch = pb::WatchPresence { users: users.clone() };
    assert_eq!(refused(wire, Opcode::WatchPresence, watch.encode_to_vec()), field_value);
    let group = pb::CreateGroup {
        client_group_id: client_id().into(),
        name: "all".into(),
        members: users,
        ..pb::CreateGroup::default()
    };
    assert_eq!(refused(wire, Opcode::CreateGroup, group.encode_to_vec()), field_value);
    // A cursor of nothing: two bytes.
    let held = field(1, &[]).repeat(COUNT);
    assert_eq!(refused(wire, Opcode::Sync, held), field_value);
    wire.beat();
    pair.talk(1);
}

#[test]
fn a_stranger_may_send_as_many_as_fit_into_the_smaller_frame() {
    let test = TestNode::start();
    let mut pair = Pair::meet(test.tcp());
    let hello = pb::Hello {
        device: Some(pb::Device { id: "d".into(), ..pb::Device::default() }),
        ..pb::Hello::default()
    };
    let with = |count| {
        let payload = [hello.encode_to_vec(), unknown(count)].concat();
        Frame { opcode: Opcode::Hello.number(), request: 1, payload: payload.into() }
    };
    let mut wire = test.connect();
    wire.send(&with((FRAME_BYTES_MAX_UNAUTHENTICATED - 64) / 2));
    let welcome = wire.reply(1);
    assert_eq!(welcome.opcode, Opcode::Hello.number());
    pair.talk(1);

    let mut wire = test.connect();
    wire.send(&with(COUNT));
    wire.goodbye_with(ErrorCode::FrameTooLarge);
    pair.talk(1);
}
