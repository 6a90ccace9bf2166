//! Lengths that promise more than a frame may have, or more than ever comes.

use hongyan_protocol::limits::{FRAME_BYTES_MAX, FRAME_BYTES_MAX_UNAUTHENTICATED};
use hongyan_protocol::{ErrorCode, Frame, Opcode, pb};
use prost::encoding::encode_varint;

use super::{Pair, Person, Server, resume};
use crate::support::{TestNode, Wire, eventually};

/// Lengths over `limit`, in every number of bytes that a varint can have, and
/// some that never end.
fn bombs(limit: usize) -> Vec<Vec<u8>> {
    let mut bombs = vec![varint(limit as u64 + 1), varint(2 * limit as u64), vec![0xff; 64]];
    for bits in 1..=64_u32 {
        let largest = u64::MAX >> (64 - bits);
        if largest > limit as u64 {
            bombs.push(varint(largest));
        }
    }
    // Zero, in more bytes than a length may take.
    for bytes in 5..=10 {
        let mut padded = vec![0x80; bytes - 1];
        padded.push(0);
        bombs.push(padded);
    }
    bombs
}

fn varint(value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_varint(value, &mut bytes);
    bytes
}

#[test]
fn a_length_over_the_limit_is_refused_before_and_after_the_login() {
    let test = TestNode::start();
    let mut pair = Pair::meet(test.tcp());
    let token = Person::register(test.tcp(), "mallory").token();
    for bomb in bombs(FRAME_BYTES_MAX_UNAUTHENTICATED) {
        let mut wire = test.connect();
        wire.send_bytes(&bomb);
        wire.goodbye_with(ErrorCode::FrameTooLarge);
        let mut wire = test.connect();
        wire.hello("mallory-device");
        wire.send_bytes(&bomb);
        wire.goodbye_with(ErrorCode::FrameTooLarge);
    }
    pair.talk(1);
    for bomb in bombs(FRAME_BYTES_MAX) {
        let mut wire = test.connect();
        resume(&mut wire, "mallory-device", &token);
        wire.beat();
        wire.send_bytes(&bomb);
        let goodbye = wire.goodbye_with(ErrorCode::FrameTooLarge);
        assert!(goodbye.reconnect_after_ms > 0);
    }
    eventually("only the pair is left", || test.handle().connections() == 2);
    pair.talk(1);
}

/// Connections that promise a frame each.
const STRANGERS: usize = 300;
const SESSIONS: usize = 30;

#[test]
fn a_frame_that_is_promised_takes_no_memory_until_it_comes() {
    let server = Server::start(&[
        ("HONGYAN_LIMITS__LOGIN_TIMEOUT_MS", "600000"),
        ("HONGYAN_LIMITS__FRAME_TIMEOUT_MS", "600000"),
        ("HONGYAN_SESSION__HEARTBEAT_MS", "600000"),
    ]);
    let mut pair = Pair::meet(server.address);
    let mut sessions: Vec<Wire> = (0..SESSIONS / 10)
        .flat_map(|number| devices_of(&server, &format!("mallory{number}")))
        .collect();
    let mut strangers: Vec<Wire> = (0..STRANGERS).map(|_| Wire::connect(server.address)).collect();
    let memory = server.memory_bytes();
    for wire in &mut strangers {
        promise(wire, FRAME_BYTES_MAX_UNAUTHENTICATED);
    }
    for wire in &mut sessions {
        promise(wire, FRAME_BYTES_MAX);
    }
    let promised =
        (STRANGERS * FRAME_BYTES_MAX_UNAUTHENTICATED + SESSIONS * FRAME_BYTES_MAX) as u64;
    pair.talk(10);
    // More than once: the last promises may not have been read at the first.
    for _ in 0..5 {
        let grown = server.memory_bytes().saturating_sub(memory);
        assert!(grown < promised / 10, "{grown} bytes more for a promise of {promised}");
        pair.talk(10);
    }
    // All of them are still there: a frame may take its time.
    server.await_connections(STRANGERS + SESSIONS + 2);
}

/// Ten sessions of a new account.
fn devices_of(server: &Server, name: &str) -> Vec<Wire> {
    (0..10)
        .map(|number| {
            let mut wire = Wire::connect(server.address);
            wire.hello(&format!("{name}-device{number}"));
            if number == 0 {
                wire.register(name);
            } else {
                wire.login(name).unwrap();
            }
            wire
        })
        .collect()
}

/// A length at the limit, and the first bytes of the frame.
fn promise(wire: &mut Wire, limit: usize) {
    let mut bytes = varint(limit as u64);
    bytes.extend_from_slice(&[0x08, 0x20, 0x10, 0x07]);
    wire.send_bytes(&bytes);
}

#[test]
fn a_frame_that_never_ends_is_closed_whoever_began_it() {
    let test = TestNode::start_with(|raw| raw.limits.frame_timeout_ms = 3_000);
    let mut pair = Pair::meet(test.tcp());
    let mut mallory = Person::register(test.tcp(), "mallory");
    // All but the last byte, twice: nothing of it is done.
    let payload = vec![0; FRAME_BYTES_MAX - 64];
    let frame = Frame { opcode: 9_999, request: 7, payload: payload.into() }.to_delimited();
    mallory.wire.send_bytes(&frame[..frame.len() - 1]);
    let mut stranger = test.connect();
    stranger.hello("stranger");
    let register = pb::Register { name: "never".into(), ..pb::Register::default() };
    let frame = Frame::new(Opcode::Register, 7, &register).to_delimited();
    stranger.send_bytes(&frame[..frame.len() - 1]);
    pair.talk(5);
    mallory.wire.goodbye_with(ErrorCode::IdleTimeout);
    stranger.goodbye_with(ErrorCode::LoginTimeout);
    pair.talk(1);
}
