//! Prefaces, lengths and frames that are wrong, whatever they carry.

use hongyan_protocol::limits::{FRAME_BYTES_MAX, FRAME_BYTES_MAX_UNAUTHENTICATED};
use hongyan_protocol::{ErrorCode, Frame, Opcode, pb};
use prost::encoding::encode_varint;

use super::{Answer, Case, Stage, case, delimited};
use crate::samples::client_id;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = prefaces();
    cases.extend(lengths());
    cases.extend(wire_types());
    cases.extend(truncations());
    cases.extend(varints());
    cases.extend(odd_but_valid());
    cases
}

fn prefaces() -> Vec<Case> {
    let bad = Answer::Goodbye(ErrorCode::BadPreface);
    let none = Answer::Goodbye(ErrorCode::NoCommonVersion);
    [
        ("http", &b"GET / HTTP/1.1\r\n\r\n"[..], bad, "a web browser"),
        ("tls", &b"\x16\x03\x01\x02\x00\x01\x00\x01"[..], bad, "TLS on the plain port"),
        ("ssh", &b"SSH-2.0-x\r\n"[..], bad, "another protocol"),
        ("zeros", &[0; 8][..], bad, "zeros"),
        ("lower-case", &b"hyan\x01\x01\x00\x00"[..], bad, "the magic is upper case"),
        ("first-byte", &b"X"[..], bad, "wrong from the first byte on"),
        ("fourth-byte", &b"HYAX"[..], bad, "wrong in the fourth byte"),
        ("upside-down", &b"HYAN\x02\x01\x00\x00"[..], bad, "lowest above highest"),
        ("version-zero", &b"HYAN\x00\x00\x00\x00"[..], bad, "there is no version 0"),
        ("future", &b"HYAN\x02\x09\x00\x00"[..], none, "only versions to come"),
        ("far-future", &b"HYAN\xff\xff\x00\x00"[..], none, "only the last version"),
        ("short", &b"HYAN\x01\x01\x00"[..], Answer::Silence, "seven bytes: one is missing"),
        ("range", &b"HYAN\x01\x09\x00\x00"[..], Answer::Ok, "version 1 is in the range"),
        ("reserved", &b"HYAN\x01\x01\xff\xff"[..], Answer::Ok, "reserved bytes are not read"),
    ]
    .into_iter()
    .map(|(name, bytes, answer, why)| {
        case(format!("preface-{name}"), Stage::Preface, bytes, answer, why)
    })
    .collect()
}

fn lengths() -> Vec<Case> {
    let large = Answer::Goodbye(ErrorCode::FrameTooLarge);
    let mut cases = Vec::new();
    for (stage, limit) in
        [(Stage::Hello, FRAME_BYTES_MAX_UNAUTHENTICATED), (Stage::Session, FRAME_BYTES_MAX)]
    {
        let stage_name = stage.name();
        for (name, length) in [
            ("one-over", limit as u64 + 1),
            ("largest-of-four-bytes", (1 << 28) - 1),
            ("two-to-the-28", 1 << 28),
            ("two-to-the-32", 1 << 32),
            ("two-to-the-63", 1 << 63),
            ("largest-of-64-bits", u64::MAX),
        ] {
            let mut bytes = Vec::new();
            encode_varint(length, &mut bytes);
            let why = format!("length {length}, limit {limit}");
            cases.push(case(format!("length-{stage_name}-{name}"), stage, bytes, large, why));
        }
        let mut at_limit = Vec::new();
        encode_varint(limit as u64, &mut at_limit);
        cases.push(case(
            format!("length-{stage_name}-at-the-limit"),
            stage,
            at_limit,
            Answer::Silence,
            "the bytes of the frame are still to come",
        ));
    }
    for (name, bytes) in [
        ("endless", &[0xff; 16][..]),
        ("four-continued", &[0x80, 0x80, 0x80, 0x80][..]),
        ("padded-to-five", &[0x82, 0x80, 0x80, 0x80, 0x00, 0x08, 0x10][..]),
    ] {
        let why = "a length of more than four bytes";
        cases.push(case(format!("length-{name}"), Stage::Hello, bytes, large, why));
    }
    for (name, bytes) in [("first-of-two", &[0x81][..]), ("third-of-four", &[0x80; 3][..])] {
        let why = "the length is not complete";
        cases.push(case(format!("length-{name}"), Stage::Hello, bytes, Answer::Silence, why));
    }
    cases
}

/// Each field of a frame, and one that is not known, with each wire type.
fn wire_types() -> Vec<Case> {
    let mut cases = Vec::new();
    for field in 1..=4_u8 {
        for wire_type in 0..=7_u8 {
            let mut frame = vec![0x08, Opcode::Logout.number() as u8, 0x10, 0x07];
            frame.push(field << 3 | wire_type);
            let value: &[u8] = match (field, wire_type) {
                (1, 0) => &[Opcode::ListDevices.number() as u8],
                (_, 0) => &[7],
                (_, 1) => &[0; 8],
                (_, 2) => &[0],
                (_, 5) => &[0; 4],
                _ => &[],
            };
            frame.extend_from_slice(value);
            let valid = match field {
                1 | 2 => wire_type == 0,
                3 => wire_type == 2,
                _ => matches!(wire_type, 0 | 1 | 2 | 5),
            };
            // Valid ones are a ListDevices: the last value of a field counts.
            if valid {
                frame.splice(1..2, [Opcode::ListDevices.number() as u8]);
            }
            let answer = if valid { Answer::Ok } else { Answer::Error(ErrorCode::MalformedFrame) };
            cases.push(case(
                format!("field-{field}-wire-type-{wire_type}"),
                Stage::Session,
                delimited(&frame),
                answer,
                format!("field {field} of the frame with wire type {wire_type}"),
            ));
        }
    }
    cases
}

/// A Send that ends after each of its bytes, its length saying so.
fn truncations() -> Vec<Case> {
    let send = pb::Send {
        conversation: Some(pb::ConversationId { group: 9, low_user: 0, high_user: 0 }),
        client_msg_id: client_id(0x30),
        body: Some(pb::Body { kind: Some(pb::body::Kind::Text("cut short".to_owned())) }),
        level: pb::AckLevel::Written as i32,
    };
    let mut frame = Vec::new();
    Frame::new(Opcode::Send, 7, &send).encode(&mut frame);
    (1..frame.len())
        // There a whole field ends, and a frame without a payload is a frame.
        .filter(|cut| ![2, 4].contains(cut))
        .map(|cut| {
            case(
                format!("cut-{cut:02}"),
                Stage::Session,
                delimited(&frame[..cut]),
                Answer::Error(ErrorCode::MalformedFrame),
                format!("a Send of {} bytes that ends after {cut}", frame.len()),
            )
        })
        .collect()
}

fn varints() -> Vec<Case> {
    let wrong = Answer::Error(ErrorCode::MalformedFrame);
    let mut eleven = vec![0x08];
    eleven.extend([0xff; 10]);
    eleven.push(0x01);
    let mut request = vec![0x08, 0x16, 0x10];
    request.extend([0xff; 10]);
    let mut opcode = vec![0x08];
    encode_varint(1 << 32, &mut opcode);
    let mut payload = vec![0x08, 0x16, 0x1a];
    encode_varint(u64::MAX, &mut payload);
    let mut skipped = vec![0x08, 0x16, 0x7a];
    encode_varint(u64::MAX, &mut skipped);
    let mut wide_key = Vec::new();
    encode_varint(1 << 35, &mut wide_key);
    wide_key.push(0);
    [
        ("opcode-of-eleven-bytes", eleven, "a varint of eleven bytes"),
        ("request-that-never-ends", request, "a varint of ten bytes that goes on"),
        ("opcode-over-32-bits", opcode, "opcode 4294967296"),
        ("payload-of-64-bits", payload, "a payload of 2^64 - 1 bytes"),
        ("unknown-field-of-64-bits", skipped, "an unknown field of 2^64 - 1 bytes"),
        ("field-number-over-29-bits", wide_key, "a key of more than 32 bits"),
        ("field-zero", vec![0x00, 0x00], "there is no field 0"),
        ("payload-without-length", vec![0x08, 0x16, 0x1a], "a key at the very end"),
        ("group-opened", vec![0x08, 0x16, 0x23, 0x24], "groups are no part of proto3"),
        ("group-closed", vec![0x08, 0x16, 0x24], "the end of a group that never began"),
        ("one-byte-ff", vec![0xff], "an unfinished key"),
        ("text", b"hello server".to_vec(), "plain text in a frame"),
        ("json", br#"{"opcode":16}"#.to_vec(), "JSON in a frame"),
    ]
    .into_iter()
    .map(|(name, frame, why)| {
        case(format!("frame-{name}"), Stage::Session, delimited(&frame), wrong, why)
    })
    .collect()
}

/// Frames that look wrong and are not.
fn odd_but_valid() -> Vec<Case> {
    let list = Opcode::ListDevices.number() as u8;
    let mut many = vec![0x08, list, 0x10, 7];
    for _ in 0..1000 {
        many.extend([0x7a, 0]);
    }
    let mut padded_length = vec![0x84, 0x80, 0x80, 0x00];
    padded_length.extend([0x08, list, 0x10, 7]);
    let mut cases: Vec<Case> = [
        ("padded-opcode", vec![0x08, list | 0x80, 0x80, 0x00, 0x10, 7], "padded varint"),
        ("fields-in-reverse", vec![0x1a, 0, 0x10, 7, 0x08, list], "any order will do"),
        ("opcode-twice", vec![0x08, 99, 0x08, list, 0x10, 7], "the last value counts"),
        ("payload-twice", vec![0x08, list, 0x1a, 2, 0xff, 0xff, 0x1a, 0, 0x10, 7], "the last one"),
        ("unknown-field", vec![0x08, list, 0x10, 7, 0xfa, 0x01, 3, 1, 2, 3], "field 31"),
        ("largest-field", vec![0x08, list, 0x10, 7, 0xf8, 0xff, 0xff, 0xff, 0x0f, 1], "2^29 - 1"),
        ("a-thousand-fields", many, "a thousand empty unknown fields"),
        ("unknown-in-payload", vec![0x08, list, 0x10, 7, 0x1a, 2, 0x78, 1], "field 15 inside"),
    ]
    .into_iter()
    .map(|(name, frame, why)| {
        case(format!("fine-{name}"), Stage::Session, delimited(&frame), Answer::Ok, why)
    })
    .collect();
    let why = "a length of four bytes where one would do";
    cases.push(case("fine-padded-length", Stage::Session, padded_length, Answer::Ok, why));
    for stage in [Stage::Hello, Stage::Login, Stage::Session] {
        for (name, bytes, why) in [
            ("heartbeat", vec![0], "a frame of length zero"),
            ("heartbeat-padded", vec![0x80, 0x00], "length zero in two bytes"),
            ("heartbeat-spelled-out", vec![2, 0x08, 0], "opcode 0, written out"),
        ] {
            let name = format!("fine-{}-{name}", stage.name());
            cases.push(case(name, stage, bytes, Answer::Heartbeat, why));
        }
    }
    cases
}
