//! The released schema against the present one: numbers, names and types may
//! be added, never changed, never removed, never used for something else.
//!
//! `vectors/schema-v1.bin` is the descriptor set of the last release,
//! `vectors/numbers-v1.tsv` its opcodes and error codes. A release writes
//! both anew (`HONGYAN_VECTORS=release`, `cargo xtask vectors --release`);
//! nothing else does.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use hongyan_protocol::{DESCRIPTOR_SET, ErrorCode, Opcode};
use prost_reflect::{DescriptorPool, EnumDescriptor, MessageDescriptor};

use crate::{vectors, writing};

/// Every number of a schema, under its path.
type Numbers = BTreeMap<String, String>;

fn numbers(descriptors: &[u8]) -> Numbers {
    let pool = DescriptorPool::decode(descriptors).unwrap();
    let mut numbers = Numbers::new();
    for message in pool.all_messages() {
        message_numbers(&message, &mut numbers);
    }
    for list in pool.all_enums() {
        enum_numbers(&list, &mut numbers);
    }
    numbers
}

fn message_numbers(message: &MessageDescriptor, numbers: &mut Numbers) {
    numbers.insert(message.full_name().to_owned(), "message".to_owned());
    for field in message.fields() {
        let group = field.containing_oneof().map(|group| group.name().to_owned());
        numbers.insert(
            format!("{}#{}", message.full_name(), field.number()),
            format!(
                "{} {:?} {:?} json={} oneof={group:?}",
                field.name(),
                field.cardinality(),
                field.kind(),
                field.json_name(),
            ),
        );
    }
}

fn enum_numbers(list: &EnumDescriptor, numbers: &mut Numbers) {
    numbers.insert(list.full_name().to_owned(), "enum".to_owned());
    for value in list.values() {
        let path = format!("{}#{}", list.full_name(), value.number());
        numbers.insert(path, value.name().to_owned());
    }
}

/// What `present` has changed or lost of `released`.
fn broken(released: &Numbers, present: &Numbers) -> Vec<String> {
    released
        .iter()
        .filter(|(path, what)| present.get(*path) != Some(what))
        .map(|(path, what)| format!("{path}: was {what}, is {:?}", present.get(path)))
        .collect()
}

fn opcodes_and_errors() -> String {
    let mut table = String::new();
    for opcode in Opcode::ALL {
        let (request, reply) = opcode.messages();
        let _ = writeln!(table, "opcode\t{}\t{opcode:?}\t{request}\t{reply}", opcode.number());
    }
    for code in ErrorCode::ALL {
        let _ = writeln!(table, "error\t{}\t{}", code.number(), code.name());
    }
    table
}

#[test]
fn compat_nothing_released_has_changed() {
    let schema = vectors().join("schema-v1.bin");
    let table = vectors().join("numbers-v1.tsv");
    if std::env::var_os("HONGYAN_VECTORS").is_some_and(|value| value == "release") {
        std::fs::write(schema, DESCRIPTOR_SET).unwrap();
        std::fs::write(table, opcodes_and_errors()).unwrap();
        return;
    }
    if writing() {
        return;
    }
    let broken = broken(&numbers(&std::fs::read(schema).unwrap()), &numbers(DESCRIPTOR_SET));
    assert!(broken.is_empty(), "{broken:#?}");
    let present = opcodes_and_errors();
    let present: BTreeSet<&str> = present.lines().collect();
    let released = std::fs::read_to_string(table).unwrap();
    for line in released.lines() {
        assert!(present.contains(line), "released, and not there any more: {line}");
    }
}

#[test]
fn compat_a_change_is_seen_and_an_addition_is_not() {
    let present = numbers(DESCRIPTOR_SET);
    assert!(present.len() > 200, "{}", present.len());
    for (path, what) in [
        ("hongyan.v1.Frame#1", "opcode Optional Int32 json=opcode oneof=None"),
        ("hongyan.v1.Frame#9", "gone Optional Uint32 json=gone oneof=None"),
        ("hongyan.v1.AckLevel#1", "ACK_LEVEL_OTHER"),
        ("hongyan.v1.Lost", "message"),
    ] {
        let mut released = present.clone();
        released.insert(path.to_owned(), what.to_owned());
        assert_eq!(broken(&released, &present).len(), 1, "{path}");
    }
    let mut released = present.clone();
    released.remove("hongyan.v1.Frame#3");
    assert_eq!(broken(&released, &present), Vec::<String>::new());
}
