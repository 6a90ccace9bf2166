//! The golden vectors: `<opcode>-<name>.<direction>[.<variant>].bin` is a
//! delimited frame, the `.json` beside it says what is in it, with the
//! payload in protobuf's JSON mapping.

use std::collections::BTreeSet;

use bytes::BytesMut;
use hongyan_protocol::opcode::Stage;
use hongyan_protocol::{DESCRIPTOR_SET, FrameDecoder, Opcode, limits};
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage};
use serde_json::{Value, json};

use crate::samples::{self, Direction, Sample};
use crate::{vectors, writing};

fn pool() -> DescriptorPool {
    DescriptorPool::decode(DESCRIPTOR_SET).unwrap()
}

fn twin(pool: &DescriptorPool, sample: &Sample) -> Value {
    let payload = if sample.message.is_empty() {
        Value::Null
    } else {
        let name = format!("hongyan.v1.{}", sample.message);
        let descriptor = pool.get_message_by_name(&name).unwrap();
        let message = DynamicMessage::decode(descriptor, sample.frame.payload.clone()).unwrap();
        serde_json::to_value(message).unwrap()
    };
    json!({
        "about": sample.about,
        "direction": sample.direction.name(),
        "opcode": sample.opcode.number(),
        "name": format!("{:?}", sample.opcode),
        "request": sample.frame.request.to_string(),
        "message": sample.message,
        "payload": payload,
        // False where the bytes hold fields that this version does not know:
        // encoding `payload` gives fewer bytes then.
        "exact": sample.exact,
    })
}

#[test]
fn golden_every_opcode_has_a_vector_in_each_direction() {
    let have: BTreeSet<(u32, Direction)> =
        samples::all().iter().map(|s| (s.opcode.number(), s.direction)).collect();
    for opcode in Opcode::ALL {
        let number = opcode.number();
        match opcode.stage() {
            _ if *opcode == Opcode::Error => {
                assert!(have.contains(&(number, Direction::Reply)), "{opcode:?}");
            }
            Stage::Push => assert!(have.contains(&(number, Direction::Push)), "{opcode:?}"),
            _ => {
                assert!(have.contains(&(number, Direction::Request)), "{opcode:?}");
                assert!(have.contains(&(number, Direction::Reply)), "{opcode:?}");
            }
        }
    }
}

#[test]
fn golden_files_are_what_the_code_makes() {
    let pool = pool();
    let mut names = BTreeSet::new();
    for sample in samples::all() {
        let bin = vectors().join(format!("{}.bin", sample.stem));
        let json = vectors().join(format!("{}.json", sample.stem));
        let twin = twin(&pool, &sample);
        assert!(names.insert(sample.stem.clone()), "{} is there twice", sample.stem);
        if writing() {
            std::fs::write(&bin, &sample.wire).unwrap();
            std::fs::write(&json, serde_json::to_string_pretty(&twin).unwrap() + "\n").unwrap();
            continue;
        }
        assert_eq!(std::fs::read(&bin).unwrap(), sample.wire, "{}", sample.stem);
        let held: Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
        assert_eq!(held, twin, "{}", sample.stem);
    }
    for entry in std::fs::read_dir(vectors()).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        if path.extension().is_some_and(|e| e == "json") {
            assert!(names.contains(&stem), "{stem} is a vector that nothing makes");
        }
    }
}

/// Reads the files alone, as another implementation would.
#[test]
fn golden_files_decode_and_encode_back() {
    let pool = pool();
    for sample in samples::all() {
        if writing() {
            return;
        }
        let wire = std::fs::read(vectors().join(format!("{}.bin", sample.stem))).unwrap();
        let twin = std::fs::read(vectors().join(format!("{}.json", sample.stem))).unwrap();
        let twin: Value = serde_json::from_slice(&twin).unwrap();
        let mut buffer = BytesMut::from(&wire[..]);
        let frame =
            FrameDecoder::new(limits::FRAME_BYTES_MAX).decode(&mut buffer).unwrap().unwrap();
        assert!(buffer.is_empty(), "{}", sample.stem);
        assert_eq!(u64::from(frame.opcode), twin["opcode"].as_u64().unwrap(), "{}", sample.stem);
        assert_eq!(frame.request.to_string(), twin["request"].as_str().unwrap(), "{}", sample.stem);
        let name = twin["message"].as_str().unwrap();
        if name.is_empty() {
            assert!(frame.is_heartbeat(), "{}", sample.stem);
            continue;
        }
        let descriptor = pool.get_message_by_name(&format!("hongyan.v1.{name}")).unwrap();
        let message = DynamicMessage::deserialize(descriptor, &twin["payload"]).unwrap();
        if sample.exact {
            assert_eq!(message.encode_to_vec(), frame.payload, "{}", sample.stem);
            assert_eq!(frame.to_delimited(), wire, "{}", sample.stem);
        } else {
            assert!(message.encoded_len() < frame.payload.len(), "{}", sample.stem);
        }
    }
}
