//! What must hold for any bytes. Called by the fuzz targets, and by a test
//! with the committed corpus.

use bytes::Bytes;
use hongyan_protocol::{Frame, Opcode, UserId};

use super::{Client, World};
use crate::command::Command;

/// Any payload of any opcode is parsed or refused; never a panic. The first
/// byte is the opcode.
pub fn command_parse(data: &[u8]) {
    let Some((opcode, payload)) = data.split_first() else {
        return;
    };
    let Some(opcode) = Opcode::from_number(u32::from(*opcode)) else {
        return;
    };
    let own = UserId::compose(1, hongyan_protocol::Slot::new(7));
    let payload = Bytes::copy_from_slice(payload);
    let frame = Frame { opcode: opcode.number(), request: 1, payload };
    if let Ok(command) = Command::parse(opcode, &frame, own) {
        assert_eq!(command, Command::parse(opcode, &frame, own).expect("parsing has no state"));
    }
}

/// Any frames in any order, before and after a session is open: no panic, one
/// reply to each request, and the server goes on. Chunks of `opcode, length,
/// payload`; the high bit of the opcode chooses the connection.
pub fn shard_inputs(data: &[u8]) {
    let world = &mut World::new(2);
    let mut live = Client::register(world, 0, "alice");
    let mut silent = Client::silent(world, 1, "other");
    let mut rest = data;
    while let [opcode, length, tail @ ..] = rest {
        let (payload, tail) = tail.split_at(tail.len().min(usize::from(*length)));
        rest = tail;
        let client = if opcode & 0x80 == 0 { &mut live } else { &mut silent };
        let request = client.say_raw(world, u32::from(opcode & 0x7f), payload);
        let replies = client.replies(world, request);
        assert!(replies <= 1, "{replies} replies to one request");
        let replied = replies == 1 || client.is_closed(world);
        // A frame of opcode zero with a payload is not a heartbeat.
        assert!(replied, "no reply to opcode {}", opcode & 0x7f);
    }
    world.settle();
    world.crash(1);
    let mut bob = Client::register(world, 0, "bobby");
    assert!(bob.cold_start(world).conversations.is_empty());
}
