//! Good frames around requests that are wrong: not known, not now, not the
//! message that the opcode names, or refused for what they say.

use hongyan_protocol::limits::{
    CONTENT_TYPE_BYTES_MAX, INVITE_USERS_MAX, OPAQUE_BYTES_MAX, PROFILES_MAX, SUMMARY_BYTES_MAX,
    TEXT_BYTES_MAX, WATCHED_MAX,
};
use hongyan_protocol::opcode::Stage as Taken;
use hongyan_protocol::{ErrorCode, Frame, Opcode, WireError, pb, raw};
use prost::Message;

use super::{Answer, Case, Stage, around, case};
use crate::samples::{self, Direction, client_id};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = unknown();
    cases.extend(not_now());
    cases.extend(not_the_message());
    cases.extend(not_utf8());
    cases.extend(conversations());
    cases.extend(bodies());
    cases.extend(fields());
    cases
}

/// Whether the payload is the message of `opcode`, decoded as a server does.
pub(super) fn decodes(opcode: Opcode, frame: &Frame) -> Result<(), WireError> {
    fn as_message<M: Message + Default>(frame: &Frame) -> Result<(), WireError> {
        frame.message::<M>().map(|_| ())
    }
    match opcode {
        Opcode::Hello => as_message::<pb::Hello>(frame),
        Opcode::Register => as_message::<pb::Register>(frame),
        Opcode::Login => as_message::<pb::Login>(frame),
        Opcode::Refresh => as_message::<pb::Refresh>(frame),
        Opcode::LoginExternal => as_message::<pb::LoginExternal>(frame),
        Opcode::Logout => as_message::<pb::Logout>(frame),
        Opcode::ListDevices => as_message::<pb::ListDevices>(frame),
        Opcode::RevokeDevice => as_message::<pb::RevokeDevice>(frame),
        Opcode::ChangePassword => as_message::<pb::ChangePassword>(frame),
        Opcode::Deactivate => as_message::<pb::Deactivate>(frame),
        Opcode::FindUser => as_message::<pb::FindUser>(frame),
        Opcode::GetProfiles => as_message::<pb::GetProfiles>(frame),
        Opcode::Send => as_message::<raw::Send>(frame),
        Opcode::MoveCursor => as_message::<pb::MoveCursor>(frame),
        Opcode::History => as_message::<pb::History>(frame),
        Opcode::CreateGroup => as_message::<pb::CreateGroup>(frame),
        Opcode::InviteMembers => as_message::<pb::InviteMembers>(frame),
        Opcode::LeaveGroup => as_message::<pb::LeaveGroup>(frame),
        Opcode::RemoveMember => as_message::<pb::RemoveMember>(frame),
        Opcode::SetRole => as_message::<pb::SetRole>(frame),
        Opcode::UpdateGroup => as_message::<pb::UpdateGroup>(frame),
        Opcode::DissolveGroup => as_message::<pb::DissolveGroup>(frame),
        Opcode::ListMembers => as_message::<pb::ListMembers>(frame),
        Opcode::Sync => as_message::<pb::SyncRequest>(frame),
        Opcode::WatchPresence => as_message::<pb::WatchPresence>(frame),
        other => panic!("{other:?} is no request that a client sends"),
    }
}

fn unknown() -> Vec<Case> {
    let mut cases = Vec::new();
    for number in [3, 15, 28, 31, 38, 47, 56, 63, 66, 79, 82, 127, 128, 16_384, 1 << 31, u32::MAX] {
        let answer = Answer::Error(ErrorCode::UnknownOpcode);
        let name = format!("unknown-opcode-{number:010}");
        let why = format!("opcode {number} is not known");
        cases.push(case(name, Stage::Session, around(number, b""), answer, why));
    }
    cases
}

/// Every opcode in every stage that it does not belong to.
fn not_now() -> Vec<Case> {
    let mut cases = Vec::new();
    let answer = Answer::Error(ErrorCode::OutOfOrder);
    for opcode in Opcode::ALL.iter().copied().filter(|o| *o != Opcode::Heartbeat) {
        for stage in [Stage::Hello, Stage::Login, Stage::Session] {
            let pushed = opcode.stage() == Taken::Push;
            // Hello may be said again until there is a session.
            let again = opcode == Opcode::Hello && stage == Stage::Login;
            if (Stage::of(opcode) == stage || again) && !pushed {
                continue;
            }
            let why = if pushed {
                format!("only a server sends {opcode:?}")
            } else {
                format!("{opcode:?} is not taken in this stage")
            };
            let name = format!("not-now-{}-{:02}", stage.name(), opcode.number());
            cases.push(case(name, stage, around(opcode.number(), b""), answer, why));
        }
    }
    cases
}

/// Each request that has fields: cut by one byte, and with a field 1 of a
/// type that it cannot have.
fn not_the_message() -> Vec<Case> {
    let mut cases = Vec::new();
    let answer = Answer::Error(ErrorCode::MalformedPayload);
    let mut seen = None;
    for sample in samples::all() {
        if sample.direction != Direction::Request
            || sample.frame.payload.is_empty()
            || seen == Some(sample.opcode)
        {
            continue;
        }
        let opcode = sample.opcode;
        seen = Some(opcode);
        let stage = Stage::of(opcode);
        let number = opcode.number();
        let payload = &sample.frame.payload;
        cases.push(case(
            format!("payload-cut-{number:02}"),
            stage,
            around(number, &payload[..payload.len() - 1]),
            answer,
            format!("a {opcode:?} whose last byte is missing"),
        ));
        cases.push(case(
            format!("payload-wire-type-{number:02}"),
            stage,
            around(number, &[0x0d, 0, 0, 0, 0]),
            answer,
            format!("a {opcode:?} whose field 1 is a fixed32"),
        ));
    }
    cases
}

fn not_utf8() -> Vec<Case> {
    let answer = Answer::Error(ErrorCode::MalformedPayload);
    [
        (Opcode::Hello, 1_u8),
        (Opcode::Hello, 4),
        (Opcode::Register, 1),
        (Opcode::Register, 2),
        (Opcode::Register, 3),
        (Opcode::Login, 1),
        (Opcode::Login, 2),
        (Opcode::Refresh, 1),
        (Opcode::LoginExternal, 1),
        (Opcode::RevokeDevice, 1),
        (Opcode::FindUser, 1),
        (Opcode::CreateGroup, 2),
        (Opcode::UpdateGroup, 2),
    ]
    .into_iter()
    .map(|(opcode, field)| {
        case(
            format!("payload-utf8-{:02}-{field}", opcode.number()),
            Stage::of(opcode),
            around(opcode.number(), &[field << 3 | 2, 2, 0xc3, 0x28]),
            answer,
            format!("field {field} of {opcode:?} is not UTF-8"),
        )
    })
    .collect()
}

fn text(text: &str) -> Vec<u8> {
    pb::Body { kind: Some(pb::body::Kind::Text(text.to_owned())) }.encode_to_vec()
}

fn send(conversation: Option<pb::ConversationId>, id: &[u8], body: Vec<u8>) -> Vec<u8> {
    let send =
        raw::Send { conversation, client_msg_id: id.to_vec().into(), body: body.into(), level: 0 };
    around(Opcode::Send.number(), &send.encode_to_vec())
}

fn conversations() -> Vec<Case> {
    let id = |group, low_user, high_user| Some(pb::ConversationId { group, low_user, high_user });
    let mut cases = Vec::new();
    for (name, conversation, why) in [
        ("missing", None, "no conversation"),
        ("empty", id(0, 0, 0), "all zero"),
        ("one-user", id(0, 5, 0), "only one person"),
        ("other-user", id(0, 0, 5), "only the other person"),
        ("same-user", id(0, 5, 5), "with oneself"),
        ("swapped", id(0, 6, 5), "the higher user first"),
        ("both-kinds", id(9, 5, 6), "a group and two people"),
        ("group-and-one", id(9, 5, 0), "a group and one person"),
    ] {
        let history = pb::History { conversation, ..Default::default() };
        let cursor = pb::MoveCursor { conversation, delivered_seq: 1, read_seq: 1 };
        for (request, bytes) in [
            ("send", send(conversation, &client_id(0x20), text("x"))),
            ("history", around(Opcode::History.number(), &history.encode_to_vec())),
            ("cursor", around(Opcode::MoveCursor.number(), &cursor.encode_to_vec())),
        ] {
            let answer = Answer::Error(ErrorCode::InvalidConversation);
            let name = format!("conversation-{name}-{request}");
            cases.push(case(name, Stage::Session, bytes, answer, why));
        }
    }
    cases
}

fn bodies() -> Vec<Case> {
    let opaque = |content_type: &str, data: usize, summary: usize| {
        let opaque = pb::Opaque {
            content_type: content_type.to_owned(),
            data: vec![0; data].into(),
            summary: "s".repeat(summary),
        };
        pb::Body { kind: Some(pb::body::Kind::Opaque(opaque)) }.encode_to_vec()
    };
    let event = pb::Body { kind: Some(pb::body::Kind::Event(pb::GroupEvent::default())) };
    let mut twice = text("a");
    twice.extend(text("b"));
    let mut both = text("a");
    both.extend(opaque("a/b", 1, 0));
    let long_type = "t".repeat(CONTENT_TYPE_BYTES_MAX + 1);
    let group = Some(pb::ConversationId { group: 9, low_user: 0, high_user: 0 });
    let wrong = Answer::Error(ErrorCode::InvalidBody);
    [
        ("missing", Vec::new(), "no body"),
        ("empty-text", text(""), "a text of no bytes"),
        ("long-text", text(&"x".repeat(TEXT_BYTES_MAX + 1)), "a text one byte too long"),
        ("text-not-utf8", vec![0x0a, 2, 0xc3, 0x28], "a text that is not UTF-8"),
        ("text-cut", vec![0x0a, 9, b'x'], "a text shorter than it says"),
        ("text-as-number", vec![0x08, 1], "a text with wire type 0"),
        ("text-twice", twice, "two texts"),
        ("two-kinds", both, "a text and a typed body"),
        ("untyped", opaque("", 1, 0), "a typed body without its type"),
        ("long-type", opaque(&long_type, 1, 0), "a type one byte too long"),
        ("long-data", opaque("a/b", OPAQUE_BYTES_MAX + 1, 0), "data one byte too long"),
        ("long-summary", opaque("a/b", 1, SUMMARY_BYTES_MAX + 1), "a summary one byte too long"),
        ("event", event.encode_to_vec(), "only the server tells of events"),
        ("future-kind", vec![0x22, 1, b'x'], "a kind that this version does not know"),
        ("only-unknown", vec![0x82, 0x01, 1, 7], "a field that says nothing"),
        ("noise", vec![0xff; 32], "no protobuf"),
    ]
    .into_iter()
    .map(|(name, body, why)| {
        let bytes = send(group, &client_id(0x20), body);
        case(format!("body-{name}"), Stage::Session, bytes, wrong, why)
    })
    .collect()
}

/// Fields that are missing, too long, or out of range.
fn fields() -> Vec<Case> {
    let group = Some(pb::ConversationId { group: 9, low_user: 0, high_user: 0 });
    let named = |name: &str, password: &str, shown: usize| {
        let register = pb::Register {
            name: name.to_owned(),
            password: password.to_owned(),
            display_name: "d".repeat(shown),
        };
        around(Opcode::Register.number(), &register.encode_to_vec())
    };
    let hello = |id: usize, client: usize| {
        let hello = pb::Hello {
            client: "c".repeat(client),
            device: Some(pb::Device { id: "i".repeat(id), class: 1, name: String::new() }),
            ..Default::default()
        };
        around(Opcode::Hello.number(), &hello.encode_to_vec())
    };
    let create = |id: usize, name: usize, members: usize| {
        let create = pb::CreateGroup {
            client_group_id: vec![1; id].into(),
            name: "n".repeat(name),
            members: (1..=members as u64).map(|number| number << 12).collect(),
            history_visible: false,
        };
        around(Opcode::CreateGroup.number(), &create.encode_to_vec())
    };
    let users = |count: usize| (1..=count as u64).map(|number| number << 12).collect::<Vec<_>>();
    let profiles = pb::GetProfiles { users: users(PROFILES_MAX + 1) };
    let watch = pb::WatchPresence { users: users(WATCHED_MAX + 1) };
    let role = pb::SetRole { group: 9, user: 4096, role: 9 };
    let (login, session, first) = (Stage::Login, Stage::Session, Stage::Hello);
    [
        ("msg-id-missing", session, send(group, b"", text("x")), "no client_msg_id"),
        ("msg-id-short", session, send(group, &[1; 15], text("x")), "15 bytes, not 16"),
        ("msg-id-long", session, send(group, &[1; 17], text("x")), "17 bytes, not 16"),
        ("name-short", login, named("ab", "12345678", 0), "a name of 2 bytes"),
        ("name-long", login, named(&"a".repeat(33), "12345678", 0), "a name of 33 bytes"),
        ("name-space", login, named("a b c", "12345678", 0), "a space in a name"),
        ("name-unicode", login, named("爱丽丝", "12345678", 0), "letters beyond a-z in a name"),
        ("password-short", login, named("alice", "1234567", 0), "a password of 7 bytes"),
        ("password-long", login, named("alice", &"p".repeat(257), 0), "a password of 257 bytes"),
        ("display-name-long", login, named("alice", "12345678", 65), "65 bytes of display name"),
        ("device-missing", first, around(Opcode::Hello.number(), b""), "a Hello without a device"),
        ("device-id-long", first, hello(65, 1), "a device id of 65 bytes"),
        ("client-long", first, hello(1, 65), "65 bytes of client name"),
        ("group-id-short", session, create(15, 1, 0), "a client_group_id of 15 bytes"),
        ("group-name-missing", session, create(16, 0, 0), "a group without a name"),
        ("group-name-long", session, create(16, 65, 0), "a group name of 65 bytes"),
        ("members-many", session, create(16, 1, INVITE_USERS_MAX + 1), "1,001 members at once"),
        (
            "profiles-many",
            session,
            around(Opcode::GetProfiles.number(), &profiles.encode_to_vec()),
            "201 profiles at once",
        ),
        (
            "watched-many",
            session,
            around(Opcode::WatchPresence.number(), &watch.encode_to_vec()),
            "501 people watched",
        ),
        (
            "role-unknown",
            session,
            around(Opcode::SetRole.number(), &role.encode_to_vec()),
            "role 9 does not exist",
        ),
    ]
    .into_iter()
    .map(|(name, stage, bytes, why)| {
        let answer = Answer::Error(ErrorCode::InvalidField);
        case(format!("field-value-{name}"), stage, bytes, answer, why)
    })
    .collect()
}
