//! Messages, cursors, history and catching up.

use bytes::Bytes;
use hongyan_protocol::{Opcode, pb};

use super::{
    ALICE, BOB, CAROL, Direction, NOW_MS, Sample, client_id, direct, group, push, reply, request,
    sample, with_unknown,
};

pub(super) fn samples() -> Vec<Sample> {
    let mut samples = sends();
    samples.extend(messages());
    samples.extend(cursors());
    samples.extend(history());
    samples.extend(catching_up());
    samples
}

fn text(text: &str) -> Option<pb::Body> {
    Some(pb::Body { kind: Some(pb::body::Kind::Text(text.to_owned())) })
}

fn opaque() -> Option<pb::Body> {
    let opaque = pb::Opaque {
        content_type: "application/vnd.example.location".to_owned(),
        data: Bytes::from_static(&[0x00, 0xff, 0x80, 0x0a, 0x7f, 0xc3, 0x28]),
        summary: "位置 📍".to_owned(),
    };
    Some(pb::Body { kind: Some(pb::body::Kind::Opaque(opaque)) })
}

fn sends() -> Vec<Sample> {
    let send = |body, level: pb::AckLevel| pb::Send {
        conversation: Some(direct()),
        client_msg_id: client_id(0x10),
        body,
        level: level as i32,
    };
    let plain = send(text("hi"), pb::AckLevel::Durable);
    vec![
        request(Opcode::Send, "text", "The shortest useful message.", &plain),
        request(
            Opcode::Send,
            "emoji",
            "Text outside the basic plane, joined by U+200D, and Chinese.",
            &send(text("👩‍🚀 你好，鸿雁 🪿"), pb::AckLevel::Durable),
        ),
        request(
            Opcode::Send,
            "opaque",
            "A typed body whose bytes are not UTF-8.",
            &send(opaque(), pb::AckLevel::Written),
        ),
        request(
            Opcode::Send,
            "group",
            "To a group, acknowledged from memory.",
            &pb::Send {
                conversation: Some(group()),
                ..send(text("all of you"), pb::AckLevel::Accepted)
            },
        ),
        with_unknown(
            request(
                Opcode::Send,
                "unknown-fields",
                "Fields 19 (fixed64), 20 (fixed32) and 21 (bytes) come from a later version.",
                &plain,
            ),
            &[0x99, 0x01, 1, 2, 3, 4, 5, 6, 7, 8, 0xa5, 0x01, 1, 2, 3, 4, 0xaa, 0x01, 2, 0xff, 0],
            &[],
        ),
        reply(
            Opcode::Send,
            "",
            "Stored and synced.",
            &pb::SendAck {
                message_id: 0x0018_0000_0000_0007,
                seq: 42,
                time_ms: NOW_MS,
                level: pb::AckLevel::Durable as i32,
                repeated_send: false,
            },
        ),
        reply(
            Opcode::Send,
            "repeated",
            "The first ack again, for a resend.",
            &pb::SendAck {
                message_id: 0x0018_0000_0000_0007,
                seq: 42,
                time_ms: NOW_MS,
                level: pb::AckLevel::Durable as i32,
                repeated_send: true,
            },
        ),
    ]
}

fn message(seq: u64, sender: u64, body: Option<pb::Body>) -> pb::Message {
    pb::Message {
        conversation: Some(direct()),
        seq,
        message_id: 0x0018_0000_0000_0000 + seq,
        sender,
        time_ms: NOW_MS + seq,
        client_msg_id: client_id(0x10),
        body,
    }
}

fn messages() -> Vec<Sample> {
    let event = pb::GroupEvent {
        kind: pb::group_event::Kind::Invited as i32,
        actor: ALICE,
        users: vec![BOB, CAROL],
        user_count: 2,
        name: String::new(),
        role: 0,
    };
    let told = pb::Message {
        conversation: Some(group()),
        client_msg_id: Bytes::new(),
        ..message(9, ALICE, Some(pb::Body { kind: Some(pb::body::Kind::Event(event)) }))
    };
    vec![
        push(Opcode::Message, "text", "A text arrives.", &message(42, ALICE, text("hi"))),
        push(Opcode::Message, "opaque", "A typed body arrives.", &message(43, BOB, opaque())),
        push(Opcode::Message, "event", "The server tells of an invitation.", &told),
        push(
            Opcode::Message,
            "largest-ids",
            "Every 64-bit field at its largest: JSON needs strings for them.",
            &pb::Message {
                conversation: Some(pb::ConversationId {
                    group: 0,
                    low_user: CAROL,
                    high_user: u64::MAX,
                }),
                seq: u64::MAX,
                message_id: u64::MAX,
                sender: u64::MAX,
                time_ms: u64::MAX,
                client_msg_id: client_id(0xf0),
                body: text("0"),
            },
        ),
        push(
            Opcode::ConversationChanged,
            "",
            "A group that the user was removed from.",
            &pb::ConversationChanged {
                conversation: Some(pb::Conversation {
                    id: Some(group()),
                    last_seq: 9,
                    gone: true,
                    ..Default::default()
                }),
            },
        ),
    ]
}

fn cursors() -> Vec<Sample> {
    let cursor = pb::MoveCursor { conversation: Some(direct()), delivered_seq: 42, read_seq: 41 };
    vec![
        request(Opcode::MoveCursor, "", "Wants a reply.", &cursor),
        sample(
            (Opcode::MoveCursor, Direction::Request, "no-reply"),
            "Request zero: wants no reply.",
            0,
            &cursor,
        ),
        reply(Opcode::MoveCursor, "", "Done.", &pb::Empty {}),
        push(
            Opcode::CursorMoved,
            "",
            "Bob has read up to 41.",
            &pb::CursorMoved {
                conversation: Some(direct()),
                user: BOB,
                delivered_seq: 42,
                read_seq: 41,
            },
        ),
    ]
}

fn history() -> Vec<Sample> {
    vec![
        request(
            Opcode::History,
            "",
            "The twenty before seq 42.",
            &pb::History {
                conversation: Some(direct()),
                from_seq: 1,
                to_seq: 41,
                limit: 20,
                backwards: true,
            },
        ),
        reply(
            Opcode::History,
            "",
            "Two messages; there are more.",
            &pb::HistoryPage {
                messages: vec![message(40, BOB, text("a")), message(41, ALICE, text("b"))],
                more: true,
                first_seq: 1,
                last_seq: 42,
            },
        ),
        reply(Opcode::History, "empty", "Nothing there.", &pb::HistoryPage::default()),
    ]
}

fn catching_up() -> Vec<Sample> {
    let state = pb::Conversation {
        id: Some(direct()),
        last_seq: 42,
        delivered_seq: 42,
        read_seq: 40,
        unread: 1,
        first_seq: 1,
        last_message: Some(message(42, BOB, text("last"))),
        peer_delivered_seq: 41,
        peer_read_seq: 41,
        group: None,
        gone: false,
    };
    let in_group = pb::Conversation {
        id: Some(group()),
        last_seq: 900,
        unread: 900,
        first_seq: 1,
        group: Some(pb::Group {
            id: super::GROUP,
            name: "Geese 🪿".to_owned(),
            member_count: 3,
            history_visible: true,
            role: pb::Role::Owner as u32,
            created_ms: NOW_MS,
            dissolved: false,
            last_seq: 900,
        }),
        ..Default::default()
    };
    let page = pb::SyncPage {
        conversations: vec![
            pb::SyncedConversation {
                state: Some(state),
                messages: vec![message(42, BOB, text("last"))],
                too_old: false,
            },
            pb::SyncedConversation { state: Some(in_group), messages: vec![], too_old: true },
        ],
        profiles: vec![pb::Profile {
            user: BOB,
            name: "bob".to_owned(),
            display_name: "Bob".to_owned(),
        }],
        next_page: 2,
        server_time_ms: NOW_MS,
    };
    vec![
        request(Opcode::Sync, "cold", "A device that holds nothing.", &pb::SyncRequest::default()),
        request(
            Opcode::Sync,
            "page",
            "The second page of a sync.",
            &pb::SyncRequest {
                held: vec![pb::HeldCursor { conversation: Some(direct()), seq: 41 }],
                page: 2,
                max_bytes: 262_144,
            },
        ),
        reply(Opcode::Sync, "", "One caught up, one too old, more to come.", &page),
        push(Opcode::SyncNeeded, "", "Pushes were dropped.", &pb::SyncNeeded {}),
    ]
}
