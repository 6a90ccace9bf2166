//! Whole screens, compared cell by cell with what is kept in `snapshots/`.
//! HONGYAN_BLESS=1 writes them anew: look at the difference before it is kept.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crossterm::event::KeyCode;
use hongyan_chat::io::{Command, Input, Member, Outcome};
use hongyan_chat::model::MARKS;
use hongyan_chat::view::theme;
use hongyan_client::pb::{self, Role};
use hongyan_client::{
    AckLevel, Body, ClientError, ConversationId, ErrorCode, Message, SendState, Status,
    TimelineView,
};

use crate::world::{
    DAY_MS, MINUTE_MS, NOW_MS, World, direct, group, lines, pending, profile, said, user, view,
};

fn check(world: &mut World, name: &str) {
    for (columns, rows) in [(80, 24), (40, 20)] {
        let buffer = world.draw(columns, rows);
        let mut drawn = lines(&buffer).join("\n");
        drawn.push('\n');
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("tests/it/snapshots")
            .join(format!("{name}_{columns}x{rows}.txt"));
        if std::env::var_os("HONGYAN_BLESS").is_some() {
            std::fs::write(&path, &drawn).expect("the snapshot can be written");
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(drawn == kept, "{name} at {columns}x{rows}:\n{drawn}\nkept:\n{kept}");
    }
}

fn talk() -> TimelineView {
    let mut first = said(
        direct(2),
        1,
        2,
        "Are we still on for tonight? I have booked a table for six at the place by the river.",
    );
    first.time_ms = NOW_MS - DAY_MS;
    let messages = vec![
        first,
        said(direct(2), 2, 1, "yes"),
        said(direct(2), 3, 1, "我带上小明，可以吗？他想认识大家 👍"),
        said(direct(2), 4, 2, "of course\nthe more the merrier"),
        said(direct(2), 5, 1, "good"),
    ];
    TimelineView {
        read_seq: 5,
        peer_delivered_seq: 4,
        peer_read_seq: 3,
        ..view(direct(2), messages)
    }
}

#[test]
fn the_login_screen() {
    let mut world = World::signed_out(false);
    world.type_text("alice");
    world.key(KeyCode::Tab);
    world.type_text("correct horse");
    check(&mut world, "login");
    world.key(KeyCode::Enter);
    let error = ClientError::Connect("Connection refused (os error 111)".into());
    world.put(Input::Done(Outcome::Authenticated(Err(error))));
    check(&mut world, "login_unreachable");
    world.key(KeyCode::Esc);
    world.key(KeyCode::F(2));
    let taken = ClientError::Refused {
        code: ErrorCode::NameTaken.number(),
        message: String::new(),
        retry_after_ms: 0,
    };
    world.put(Input::Done(Outcome::Authenticated(Err(taken))));
    check(&mut world, "register_taken");
}

#[test]
fn the_list_and_a_chat() {
    let mut world = World::live(false);
    check(&mut world, "list");
    world.open(direct(2), talk());
    world.type_text("see 你 there");
    check(&mut world, "chat");
}

#[test]
fn every_send_state_has_its_mark() {
    let mut world = World::live(false);
    let error = ClientError::Refused {
        code: ErrorCode::NotMember.number(),
        message: String::new(),
        retry_after_ms: 0,
    };
    let messages = ["this was read", "this was delivered", "this is on disk"];
    let messages = (1..).zip(messages).map(|(seq, text)| said(direct(2), seq, 1, text));
    let view = TimelineView {
        peer_read_seq: 1,
        peer_delivered_seq: 2,
        pending: vec![
            pending(10, "this is on its way", SendState::Sending),
            pending(11, "this was refused", SendState::Failed { error }),
        ],
        ..view(direct(2), messages.collect())
    };
    world.open(direct(2), view);
    check(&mut world, "states");
    // Read and delivered differ by colour, too.
    let buffer = world.draw(80, 24);
    let marks = buffer.content.iter().filter(|cell| cell.symbol() == "✓");
    let colours: Vec<_> = marks.map(|cell| cell.fg).collect();
    let (read, faint) = (theme::READ.fg, theme::FAINT.fg);
    let expected = [read, read, read, faint, faint, faint].map(|it| it.expect("a colour"));
    assert_eq!(colours, expected);
}

#[test]
fn marks_differ_without_colours_and_the_help_explains_each() {
    let error = ClientError::Offline;
    let states = [
        SendState::Sending,
        SendState::Saved { level: AckLevel::Durable },
        SendState::Delivered,
        SendState::Read,
        SendState::Failed { error },
    ];
    let signs = states.map(|state| theme::mark(&state).0.trim());
    let explained: Vec<_> = MARKS.iter().map(|(sign, _)| *sign).collect();
    assert_eq!(explained, signs);
    assert_eq!(BTreeSet::from(signs).len(), signs.len());
    let mut world = World::live(false);
    world.key(KeyCode::F(1));
    for size in [(80, 24), (40, 20)] {
        let mut seen = String::new();
        for _ in 0..100 {
            seen.push_str(&lines(&world.draw(size.0, size.1)).join("\n"));
            world.key(KeyCode::Down);
        }
        for (sign, what) in MARKS {
            let what: String = what.chars().take(30).collect();
            assert!(seen.contains(sign) && seen.contains(&what), "{size:?}: {sign} {what}");
        }
        assert!(seen.contains("/quit"), "the last line is reached at {size:?}");
        for _ in 0..100 {
            world.key(KeyCode::Up);
        }
    }
}

#[test]
fn a_profile_that_stands_in_is_named() {
    for mut world in [World::signed_out(false), World::live(false)] {
        world.model.setup.profile = "2".into();
        assert!(!lines(&world.draw(80, 24)).join("\n").contains("another hongyan-chat"));
        world.model.setup.stands_in = true;
        let shown = lines(&world.draw(80, 24)).join("\n");
        assert!(shown.contains("profile 2"), "{shown}");
        world.model.say_profile();
        let shown = lines(&world.draw(80, 24)).join("\n");
        assert!(shown.contains("another hongyan-chat runs"), "{shown}");
    }
}

#[test]
fn a_group_with_its_members() {
    let mut world = World::live(false);
    let event = |seq, kind: pb::group_event::Kind, users: Vec<u64>| Message {
        body: Body::Event(pb::GroupEvent {
            kind: kind.into(),
            actor: 1,
            user_count: users.len() as u32,
            users,
            name: "weekend".into(),
            role: Role::Admin as u32,
        }),
        sender: None,
        client_msg_id: None,
        ..said(group(), seq, 1, "")
    };
    let messages = vec![
        event(1, pb::group_event::Kind::Created, vec![2, 3]),
        said(group(), 2, 2, "who brings the tent?"),
        event(3, pb::group_event::Kind::RoleChanged, vec![2]),
        said(group(), 4, 3, "我来"),
        said(group(), 5, 1, "thank you"),
    ];
    world.open(group(), view(group(), messages));
    check(&mut world, "group");
    world.key(KeyCode::F(2));
    assert!(world.take().iter().any(|it| matches!(it, Command::ListMembers(_))));
    let ConversationId::Group(id) = group() else {
        unreachable!("the group is a group");
    };
    let roles = [(1, Role::Owner), (2, Role::Admin), (3, Role::Member)];
    let members = roles.map(|(id, role)| Member { user: user(id), role: role as u32 });
    world.put(Input::Done(Outcome::Members { group: id, members: members.into() }));
    check(&mut world, "group_members");
}

#[test]
fn a_lost_connection_counts_down() {
    let mut world = World::live(false);
    world.open(direct(2), talk());
    world
        .put(Input::Disconnected(ClientError::Connect("Connection refused (os error 111)".into())));
    world.put(Input::Status(Status::WaitingToReconnect { until_ms: NOW_MS + 3_500 }));
    check(&mut world, "reconnect");
    world.put(Input::Tick(NOW_MS + MINUTE_MS));
    world.put(Input::Status(Status::Connecting));
    let shown = lines(&world.draw(80, 24)).join("\n");
    assert!(shown.contains("offline since 10:00 · connecting"), "{shown}");
    world.put(Input::Status(Status::Live));
    let shown = lines(&world.draw(80, 24)).join("\n");
    assert!(!shown.contains("offline"), "{shown}");
}

#[test]
fn a_long_complaint_is_read_whole() {
    let mut world = World::live(false);
    world.put(Input::Done(Outcome::Failed {
        what: "cannot leave the group".into(),
        error: ClientError::Refused {
            code: ErrorCode::OwnerCannotLeave.number(),
            message: String::new(),
            retry_after_ms: 0,
        },
    }));
    check(&mut world, "complaint");
    world.put(Input::Tick(NOW_MS + MINUTE_MS));
    let shown = lines(&world.draw(80, 24)).join("\n");
    assert!(!shown.contains("cannot leave"), "{shown}");
}

#[test]
fn help_and_devices_lie_over_the_screen() {
    let mut world = World::live(false);
    world.key(KeyCode::F(1));
    check(&mut world, "help");
    world.key(KeyCode::Esc);
    world.key(KeyCode::F(3));
    let device = |name: &str, current, online| hongyan_chat::io::Device {
        id: name.into(),
        name: name.into(),
        online,
        current,
        last_seen_ms: NOW_MS - 2 * DAY_MS,
    };
    world.put(Input::Done(Outcome::Devices(vec![
        device("hongyan-chat (linux)", true, true),
        device("手机", false, true),
        device("tablet", false, false),
    ])));
    check(&mut world, "devices");
}

#[test]
fn no_size_is_too_small_and_no_text_too_wide() {
    let mut world = World::live(false);
    world.open(direct(2), talk());
    world.key(KeyCode::F(1));
    world.type_text("你好👍");
    for columns in [1, 2, 19, 20, 21, 33, 59, 60, 61, 95, 96, 200] {
        for rows in [1, 2, 5, 6, 7, 12, 60] {
            world.draw(columns, rows);
        }
    }
}

#[test]
fn what_a_peer_writes_cannot_drive_the_terminal() {
    let mut world = World::live(false);
    world.put(Input::Done(Outcome::Profiles(vec![profile(2, "b\u{1b}[31mob")])));
    let evil = said(direct(2), 1, 2, "\u{1b}]0;owned\u{7} a\u{202e}b");
    world.open(direct(2), view(direct(2), vec![evil]));
    let buffer = world.draw(80, 24);
    for cell in &buffer.content {
        assert!(!cell.symbol().chars().any(char::is_control), "{:?}", cell.symbol());
    }
}
