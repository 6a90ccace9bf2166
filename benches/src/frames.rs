//! Frames that a client in a session sends, with contents of ordinary size.
//!
//! The same bytes in every run: what costs more in a later one is the code.

use bytes::Bytes;
use hongyan_protocol::ids::GroupId;
use hongyan_protocol::raw::StoredMessage;
use hongyan_protocol::{ConversationId, Frame, Opcode, UserId, limits, pb};
use prost::Message;

/// Cursors in the sync of a device that was away.
const HELD: u64 = 100;
/// People asked about at once.
const PEOPLE: u64 = 50;

/// A request by name.
#[derive(Debug, Clone)]
pub struct HotFrame {
    /// Of the bench.
    pub name: &'static str,
    /// What the payload is.
    pub opcode: Opcode,
    /// With a request number.
    pub frame: Frame,
}

/// What an open session says again and again, the most frequent first.
#[must_use]
pub fn hot_frames() -> Vec<HotFrame> {
    let hot = |name, opcode, frame| HotFrame { name, opcode, frame };
    let group = GroupId::derive(sender(), &[1; limits::CLIENT_ID_BYTES]);
    let group = ConversationId::Group(group);
    vec![
        hot("send_direct", Opcode::Send, send_frame(conversation(), &[1; 16], 1)),
        hot("send_group", Opcode::Send, send_frame(group, &[1; 16], 1)),
        hot("move_cursor", Opcode::MoveCursor, asking(Opcode::MoveCursor, &cursor_move())),
        hot("history", Opcode::History, asking(Opcode::History, &history_of(50))),
        hot("sync_100_held", Opcode::Sync, asking(Opcode::Sync, &sync_request())),
        hot("get_profiles_50", Opcode::GetProfiles, asking(Opcode::GetProfiles, &profiles())),
        hot("watch_50", Opcode::WatchPresence, asking(Opcode::WatchPresence, &watch())),
    ]
}

/// Whose session it is.
///
/// # Panics
/// Never: the number is not zero.
#[must_use]
pub fn sender() -> UserId {
    user(1_000)
}

/// A direct conversation of the sender.
///
/// # Panics
/// Never: they are two.
#[must_use]
pub fn conversation() -> ConversationId {
    ConversationId::direct(sender(), user(2_000)).expect("two users")
}

/// A durable send of 128 bytes of text.
#[must_use]
pub fn send_frame(to: ConversationId, client_msg_id: &[u8], request: u64) -> Frame {
    let send = pb::Send {
        conversation: Some(to.to_wire()),
        client_msg_id: Bytes::copy_from_slice(client_msg_id),
        body: Some(pb::Body { kind: Some(pb::body::Kind::Text("x".repeat(128))) }),
        level: pb::AckLevel::Durable.into(),
    };
    Frame::new(Opcode::Send, request, &send)
}

/// `count` sends of the sender, each with an id of its own.
#[must_use]
pub fn sends(count: usize) -> Vec<Frame> {
    (0..count as u64)
        .map(|number| {
            let mut id = [0; limits::CLIENT_ID_BYTES];
            id[..8].copy_from_slice(&number.to_le_bytes());
            send_frame(conversation(), &id, number + 1)
        })
        .collect()
}

/// The message that such a send becomes, as it is pushed.
#[must_use]
pub fn stored_message() -> StoredMessage {
    let text = pb::Body { kind: Some(pb::body::Kind::Text("x".repeat(128))) };
    StoredMessage {
        conversation: Some(conversation().to_wire()),
        seq: 1_000,
        message_id: 7 << 51 | 123_456,
        sender: sender().get(),
        time_ms: 1_760_000_000_000,
        client_msg_id: Bytes::from_static(&[1; limits::CLIENT_ID_BYTES]),
        body: text.encode_to_vec().into(),
    }
}

fn user(number: u64) -> UserId {
    UserId::new(number << 12 | 7).expect("not zero")
}

fn asking(opcode: Opcode, message: &impl Message) -> Frame {
    Frame::new(opcode, 1, message)
}

fn cursor_move() -> pb::MoveCursor {
    pb::MoveCursor {
        conversation: Some(conversation().to_wire()),
        delivered_seq: 1_000,
        read_seq: 990,
    }
}

fn history_of(limit: u32) -> pb::History {
    pb::History {
        conversation: Some(conversation().to_wire()),
        from_seq: 1,
        to_seq: 0,
        limit,
        backwards: true,
    }
}

fn sync_request() -> pb::SyncRequest {
    let held = (0..HELD).map(|number| {
        let id = ConversationId::direct(sender(), user(3_000 + number)).expect("two users");
        pb::HeldCursor { conversation: Some(id.to_wire()), seq: 1_000 + number }
    });
    pb::SyncRequest { held: held.collect(), page: 0, max_bytes: 0 }
}

fn profiles() -> pb::GetProfiles {
    pb::GetProfiles { users: (0..PEOPLE).map(|number| user(3_000 + number).get()).collect() }
}

fn watch() -> pb::WatchPresence {
    pb::WatchPresence { users: (0..PEOPLE).map(|number| user(3_000 + number).get()).collect() }
}

#[cfg(test)]
mod tests {
    use hongyan_core::testing::parse_command;

    use super::*;

    #[test]
    fn every_hot_frame_is_a_request_that_a_session_may_make() {
        for HotFrame { name, opcode, frame } in hot_frames() {
            let parsed = parse_command(opcode, &frame, sender());
            assert!(parsed.is_ok(), "{name}: {:?}", parsed.err());
        }
    }
}
