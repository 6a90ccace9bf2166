//! The worked example of docs/PROTOCOL.md: a session in hex, made from real
//! encodings and taken apart field by field, so it cannot rot.

use std::fmt::Write as _;
use std::path::Path;

use bytes::{Buf, Bytes};
use hongyan_protocol::version::{CLIENT_PREFACE, preface};
use hongyan_protocol::{DESCRIPTOR_SET, ErrorCode, Frame, Opcode, pb};
use prost::Message;
use prost::encoding::{WireType, decode_key, decode_varint};
use prost_reflect::{DescriptorPool, Kind, MessageDescriptor};

use crate::samples::{ALICE, BOB, NOW_MS, client_id, direct};
use crate::writing;

const BEGIN: &str = "<!-- example session: made by `cargo xtask vectors` -->\n```text\n";
const END: &str = "```\n<!-- end of the example session -->";
/// Column where the explanation begins.
const COLUMN: usize = 46;
const BYTES_PER_LINE: usize = 12;

#[test]
fn golden_example_session_of_the_documentation() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/PROTOCOL.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (held, after) = rest.split_once(END).unwrap();
    let made = example();
    if writing() {
        std::fs::write(&path, format!("{before}{BEGIN}{made}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(held, made, "`cargo xtask vectors` writes it anew");
}

fn example() -> String {
    let mut page =
        Page { pool: DescriptorPool::decode(DESCRIPTOR_SET).unwrap(), text: String::new() };
    page.heading("Alice's device, TCP connection to port 5100");
    page.line("C", &CLIENT_PREFACE, "preface: speaks versions 1 to 1");
    open(&mut page);
    chat(&mut page);
    page.line("C", &Frame::HEARTBEAT.to_delimited(), "heartbeat");
    page.line("S", &Frame::HEARTBEAT.to_delimited(), "heartbeat, answered");
    let goodbye = pb::Goodbye {
        code: ErrorCode::GoingAway.number(),
        message: "restarting".to_owned(),
        reconnect_after_ms: 1700,
    };
    page.frame("S", Opcode::Goodbye, "Goodbye", 0, &goodbye);
    page.text.push_str("   the server closes the connection\n");
    page.text
}

fn open(page: &mut Page) {
    let hello = pb::Hello {
        client: "demo/1".to_owned(),
        device: Some(pb::Device {
            id: "d1".to_owned(),
            class: pb::DeviceClass::Phone as i32,
            name: String::new(),
        }),
        ..Default::default()
    };
    page.frame("C", Opcode::Hello, "Hello", 1, &hello);
    page.line("S", &preface(1, 1), "preface: version 1 it is");
    let welcome = pb::Welcome {
        server_time_ms: NOW_MS,
        server: "hongyan/0.1.0".to_owned(),
        max_frame_bytes: 1_048_576,
        heartbeat_ms: 30_000,
        ..Default::default()
    };
    page.frame("S", Opcode::Hello, "Welcome", 1, &welcome);
    let register = pb::Register {
        name: "alice".to_owned(),
        password: "12345678".to_owned(),
        display_name: String::new(),
    };
    page.frame("C", Opcode::Register, "Register", 2, &register);
    let session = pb::Session {
        user_id: ALICE,
        name: "alice".to_owned(),
        display_name: "alice".to_owned(),
        device_id: "d1".to_owned(),
        tokens: Some(pb::Tokens {
            access_token: "(shortened)".to_owned(),
            access_expires_ms: NOW_MS + 900_000,
            refresh_token: "(shortened)".to_owned(),
            refresh_expires_ms: NOW_MS + 2_592_000_000,
        }),
    };
    page.frame("S", Opcode::Register, "Session", 2, &session);
}

fn chat(page: &mut Page) {
    let body = Some(pb::Body { kind: Some(pb::body::Kind::Text("你好".to_owned())) });
    let send = pb::Send {
        conversation: Some(direct()),
        client_msg_id: client_id(0xa0),
        body: body.clone(),
        level: pb::AckLevel::Durable as i32,
    };
    page.frame("C", Opcode::Send, "Send", 3, &send);
    let ack = pb::SendAck {
        message_id: 0x0018_0000_0000_0001,
        seq: 1,
        time_ms: NOW_MS + 9,
        level: pb::AckLevel::Durable as i32,
        repeated_send: false,
    };
    page.frame("S", Opcode::Send, "SendAck", 3, &ack);
    page.heading("Bob's device, on its own connection");
    let message = pb::Message {
        conversation: Some(direct()),
        seq: 1,
        message_id: ack.message_id,
        sender: ALICE,
        time_ms: ack.time_ms,
        client_msg_id: client_id(0xa0),
        body,
    };
    page.frame("S", Opcode::Message, "Message", 0, &message);
    let cursor = pb::MoveCursor { conversation: Some(direct()), delivered_seq: 1, read_seq: 1 };
    page.frame("C", Opcode::MoveCursor, "MoveCursor", 0, &cursor);
    page.heading("Alice's device again");
    let moved =
        pb::CursorMoved { conversation: Some(direct()), user: BOB, delivered_seq: 1, read_seq: 1 };
    page.frame("S", Opcode::CursorMoved, "CursorMoved", 0, &moved);
}

struct Page {
    pool: DescriptorPool,
    text: String,
}

impl Page {
    fn heading(&mut self, heading: &str) {
        let _ = writeln!(self.text, "-- {heading}");
    }

    /// `bytes` after `lead`, wrapped, with `label` beside the first line.
    fn line(&mut self, lead: &str, bytes: &[u8], label: &str) {
        for (index, chunk) in bytes.chunks(BYTES_PER_LINE).enumerate() {
            let hex: Vec<String> = chunk.iter().map(|byte| format!("{byte:02x}")).collect();
            let lead = if index == 0 { lead } else { "" };
            let label = if index == 0 { label } else { "" };
            let left = format!("{lead:<2} {}", hex.join(" "));
            let _ = writeln!(self.text, "{}", format!("{left:<COLUMN$}{label}").trim_end());
        }
    }

    fn frame(
        &mut self,
        who: &str,
        opcode: Opcode,
        name: &str,
        request: u64,
        payload: &impl Message,
    ) {
        let wire = Frame::new(opcode, request, payload).to_delimited();
        let descriptor = self.pool.get_message_by_name(&format!("hongyan.v1.{name}")).unwrap();
        let mut rest = wire.clone();
        let length = decode_varint(&mut rest).unwrap();
        assert_eq!(length, rest.len() as u64);
        let header = wire.len() - payload.encoded_len();
        let answered = if request == 0 { String::new() } else { format!(", request {request}") };
        self.line(
            who,
            &wire[..header],
            &format!("{name}: length {length}, opcode {}{answered}", opcode.number()),
        );
        self.fields(wire.slice(header..), &descriptor, 1);
    }

    /// One line for each field, those of a message within it below it.
    fn fields(&mut self, bytes: Bytes, descriptor: &MessageDescriptor, depth: usize) {
        let mut rest = bytes.clone();
        while rest.has_remaining() {
            let start = bytes.len() - rest.len();
            let (number, wire_type) = decode_key(&mut rest).unwrap();
            let field = descriptor.get_field(number).unwrap();
            let indent = "  ".repeat(depth);
            let value = decode_varint(&mut rest).unwrap();
            let head = bytes.len() - rest.len();
            if wire_type == WireType::Varint {
                let label = match field.kind() {
                    Kind::Enum(list) => list.get_value(value as i32).unwrap().name().to_owned(),
                    _ => value.to_string(),
                };
                self.line("", &bytes[start..head], &format!("{indent}{} {label}", field.name()));
                continue;
            }
            let inner = rest.split_to(value as usize);
            let end = head + inner.len();
            match field.kind() {
                Kind::Message(message) => {
                    self.line("", &bytes[start..head], &format!("{indent}{}", field.name()));
                    self.fields(inner, &message, depth + 1);
                }
                Kind::String => {
                    let text = std::str::from_utf8(&inner).unwrap();
                    let label = format!("{indent}{} {text:?}", field.name());
                    self.line("", &bytes[start..end], &label);
                }
                _ => {
                    let label = format!("{indent}{}, {} bytes", field.name(), inner.len());
                    self.line("", &bytes[start..end], &label);
                }
            }
        }
    }
}
