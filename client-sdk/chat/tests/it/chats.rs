//! Conversations: opening, typing, reading, scrolling, presence.

use std::sync::Arc;

use crossterm::event::{KeyCode, KeyModifiers};
use hongyan_chat::io::{Command, Input, Outcome};
use hongyan_chat::model::Focus;
use hongyan_client::{
    ClientError, ConversationId, ConversationState, ErrorCode, SendState, Status, TimelineView,
};

use crate::world::{
    NOW_MS, World, direct, group, group_state, lines, pending, profile, said, user, view,
};

fn many(id: ConversationId, from: u64, to: u64) -> TimelineView {
    let messages = (from..=to).map(|seq| said(id, seq, 2, &format!("line {seq}")));
    TimelineView { has_older: from > 1, read_seq: to, ..view(id, messages.collect()) }
}

#[test]
fn enter_in_the_list_opens_and_reading_is_told() {
    let mut world = World::live(false);
    world.key(KeyCode::Enter);
    assert_eq!(world.take(), [Command::Open(direct(2))]);
    assert_eq!(world.model.focus, Focus::Chat);
    let messages = vec![said(direct(2), 1, 2, "hi"), said(direct(2), 2, 1, "ho")];
    world.put(Input::Timeline(Arc::new(view(direct(2), messages))));
    let read = Command::MarkRead { conversation: direct(2), seq: 1 };
    assert_eq!(world.take(), [read]);
    world.put(Input::Tick(NOW_MS + 1));
    assert_eq!(world.take(), []);
}

#[test]
fn nothing_counts_as_read_that_could_not_be_seen() {
    let mut world = World::live(false);
    world.put(Input::Focus(false));
    world.open(direct(2), view(direct(2), vec![said(direct(2), 1, 2, "hi")]));
    assert_eq!(world.take(), [Command::Open(direct(2))]);
    world.key(KeyCode::F(1));
    world.put(Input::Focus(true));
    assert_eq!(world.take(), []);
    world.key(KeyCode::Esc);
    assert!(matches!(world.take()[..], [Command::MarkRead { seq: 1, .. }]));
}

#[test]
fn text_is_sent_and_new_lines_are_typed() {
    let mut world = World::live(false);
    world.open(direct(2), view(direct(2), vec![]));
    world.take();
    world.type_text("one");
    world.key_with(KeyCode::Enter, KeyModifiers::ALT);
    world.type_text("two");
    world.key_with(KeyCode::Enter, KeyModifiers::SHIFT);
    world.type_text("三");
    assert_eq!(world.take(), []);
    world.key(KeyCode::Enter);
    let send = Command::Send { conversation: direct(2), text: "one\ntwo\n三".into() };
    assert_eq!(world.take(), [send]);
    assert!(world.model.composer().is_empty());
    world.key(KeyCode::Enter);
    assert_eq!(world.take(), []);
}

#[test]
fn drafts_stay_with_their_conversation() {
    let mut world = World::live(false);
    world.open(direct(2), view(direct(2), vec![]));
    world.type_text("for bob");
    world.key_with(KeyCode::Down, KeyModifiers::ALT);
    assert_eq!(world.model.open_id(), Some(direct(3)));
    assert!(world.model.composer().is_empty());
    world.type_text("for the other");
    world.key_with(KeyCode::Up, KeyModifiers::ALT);
    assert_eq!(world.model.composer().text(), "for bob");
    let shown = lines(&world.draw(80, 24)).join("\n");
    assert!(shown.contains("draft: for the"), "{shown}");
}

#[test]
fn what_was_not_taken_comes_back_into_the_box() {
    let mut world = World::live(false);
    world.open(direct(2), view(direct(2), vec![]));
    world.type_text("hello");
    world.key(KeyCode::Enter);
    world.put(Input::Done(Outcome::NotSent {
        conversation: direct(2),
        text: "hello".into(),
        error: ClientError::OutboxFull { limit: 1 },
    }));
    assert_eq!(world.model.composer().text(), "hello");
    assert!(world.model.notice.as_ref().is_some_and(|it| it.is_error));
}

#[test]
fn a_refused_message_can_be_sent_again_or_forgotten() {
    let mut world = World::live(false);
    let error = ClientError::Refused {
        code: ErrorCode::NotMember.number(),
        message: String::new(),
        retry_after_ms: 0,
    };
    let mut failed = view(direct(2), vec![]);
    failed.pending = vec![
        pending(1, "sent", SendState::Sending),
        pending(2, "refused", SendState::Failed { error }),
    ];
    let id = failed.pending[1].client_msg_id;
    world.open(direct(2), failed);
    world.take();
    world.key_with(KeyCode::Char('r'), KeyModifiers::CONTROL);
    world.key_with(KeyCode::Char('x'), KeyModifiers::CONTROL);
    assert_eq!(world.take(), [Command::Retry(id), Command::Discard(id)]);
}

#[test]
fn scrolling_up_loads_older_messages_once() {
    let mut world = World::live(false);
    world.open(direct(2), many(direct(2), 50, 60));
    world.take();
    world.key(KeyCode::PageUp);
    assert_eq!(world.take(), [Command::LoadOlder(direct(2))]);
    world.key(KeyCode::PageUp);
    assert_eq!(world.take(), []);
    world.put(Input::Done(Outcome::Older { conversation: direct(2), result: Ok(49) }));
    world.put(Input::Timeline(Arc::new(many(direct(2), 1, 60))));
    world.key(KeyCode::PageUp);
    assert_eq!(world.take(), []);
    let shown = lines(&world.draw(80, 24)).join("\n");
    assert!(!shown.contains("line 60") && shown.contains("line 30"), "{shown}");
}

/// The row of the divider and the one below it.
fn divider(world: &mut World) -> Option<(String, String)> {
    let shown = lines(&world.draw(80, 24));
    let at = shown.iter().position(|row| row.contains("─ new"))?;
    let right = |row: &String| row.split('│').nth(1).unwrap_or_default().trim().to_owned();
    Some((right(&shown[at]), right(&shown[at + 1])))
}

#[test]
fn the_divider_stands_above_the_first_unread_message_however_many_are_held() {
    let held = |from| TimelineView { read_seq: 20, ..many(direct(2), from, 700) };
    let mut world = World::live(false);
    world.open(direct(2), held(455));
    assert_eq!(divider(&mut world), None, "it is far above");
    world.key_with(KeyCode::Home, KeyModifiers::CONTROL);
    let (bar, below) = divider(&mut world).expect("it is at the top");
    assert!(bar.contains("new, 434 more unread above"), "{bar}");
    assert!(below.contains("Sunday"), "{below}");
    world.put(Input::Done(Outcome::Older { conversation: direct(2), result: Ok(254) }));
    // By now the server has taken note that all was read.
    world.put(Input::Timeline(Arc::new(TimelineView { read_seq: 700, ..held(201) })));
    world.key_with(KeyCode::Home, KeyModifiers::CONTROL);
    let (bar, _) = divider(&mut world).expect("it moved to the top");
    assert!(bar.contains("new, 180 more unread above"), "{bar}");
    world.put(Input::Timeline(Arc::new(TimelineView { read_seq: 700, ..held(1) })));
    world.key_with(KeyCode::Home, KeyModifiers::CONTROL);
    // 19 rows are shown, the hint and the day first.
    for _ in 0..10 {
        world.key(KeyCode::Down);
    }
    let (bar, below) = divider(&mut world).expect("it is where reading ended");
    assert!(bar.contains("new") && !bar.contains("more"), "{bar}");
    assert!(below.ends_with("line 21"), "{below}");
    world.type_text("caught up");
    world.key(KeyCode::Enter);
    world.key_with(KeyCode::Home, KeyModifiers::CONTROL);
    assert_eq!(divider(&mut world), None);
}

#[test]
fn what_stands_above_an_own_message_was_read_also_when_it_is_loaded_later() {
    let view = |from: u64| {
        let messages = (from..=60).map(|seq| {
            let sender = if seq == 30 { 1 } else { 2 };
            said(direct(2), seq, sender, &format!("line {seq}"))
        });
        TimelineView { read_seq: 5, has_older: from > 1, ..view(direct(2), messages.collect()) }
    };
    let mut world = World::live(false);
    world.open(direct(2), view(50));
    world.key_with(KeyCode::Home, KeyModifiers::CONTROL);
    let (bar, _) = divider(&mut world).expect("it is at the top");
    assert!(bar.contains("44 more"), "{bar}");
    world.put(Input::Timeline(Arc::new(view(25))));
    world.key_with(KeyCode::Home, KeyModifiers::CONTROL);
    let (bar, below) = divider(&mut world).expect("it is among them");
    assert!(!bar.contains("more") && below.ends_with("line 31"), "{bar} {below}");
}

#[test]
fn a_newcomer_has_no_unread_messages_above_the_first_that_may_be_seen() {
    let mut world = World::live(false);
    let newcomer = ConversationState { first_seq: 40, ..group_state("weekend") };
    world.put(Input::Conversations(Arc::new(vec![Arc::new(newcomer)])));
    world.open(group(), TimelineView { read_seq: 0, ..many(group(), 50, 60) });
    world.key_with(KeyCode::Home, KeyModifiers::CONTROL);
    let (bar, _) = divider(&mut world).expect("it is at the top");
    assert!(bar.contains("10 more"), "{bar}");
}

#[test]
fn what_is_looked_at_stays_when_messages_come() {
    let mut world = World::live(false);
    world.open(direct(2), many(direct(2), 1, 60));
    world.draw(80, 24);
    world.key(KeyCode::PageUp);
    world.take();
    let row_of = |world: &mut World| {
        let shown = lines(&world.draw(80, 24));
        shown.iter().position(|row| row.ends_with("line 30"))
    };
    let before = row_of(&mut world);
    assert!(before.is_some());
    world.put(Input::Timeline(Arc::new(many(direct(2), 1, 63))));
    assert_eq!(row_of(&mut world), before);
    assert_eq!(world.take(), [], "nothing below was read");
    let shown = lines(&world.draw(80, 24)).join("\n");
    assert!(shown.contains("3 new messages"), "{shown}");
    world.key_with(KeyCode::End, KeyModifiers::CONTROL);
    let shown = lines(&world.draw(80, 24)).join("\n");
    assert!(shown.contains("line 63") && !shown.contains("new messages"), "{shown}");
}

#[test]
fn a_person_is_found_by_name_and_a_known_one_at_once() {
    let mut world = World::live(false);
    world.type_text("/chat dora");
    world.key(KeyCode::Enter);
    assert_eq!(world.take(), [Command::StartChat("dora".into())]);
    world.put(Input::Done(Outcome::Started {
        conversation: direct(9),
        peer: Some(profile(9, "dora")),
    }));
    assert_eq!(world.take(), [Command::Open(direct(9))]);
    assert_eq!(world.model.entries()[0], direct(9));
    assert_eq!(world.model.title(direct(9)), "dora");
    world.key_with(KeyCode::Char('n'), KeyModifiers::CONTROL);
    world.type_text("bob");
    world.key(KeyCode::Enter);
    assert_eq!(world.take(), [Command::Open(direct(2))]);
    world.type_text("/chat weekend");
    world.key(KeyCode::Enter);
    assert_eq!(world.take(), [Command::Open(group())]);
}

#[test]
fn unknown_senders_are_asked_for_once_a_connection() {
    let mut world = World::live(false);
    world.open(group(), view(group(), vec![said(group(), 1, 8, "who am I?")]));
    let asked = world.take();
    assert!(asked.contains(&Command::FindProfiles(vec![user(8)])), "{asked:?}");
    world.put(Input::Tick(NOW_MS + 1));
    assert_eq!(world.take(), []);
    world.put(Input::Done(Outcome::Profiles(vec![profile(8, "eve")])));
    assert_eq!(world.model.people.name(user(8)), "eve");
    world.put(Input::Status(Status::Live));
    assert_eq!(world.take(), []);
}

#[test]
fn names_of_an_earlier_run_are_asked_for_without_a_connection() {
    let mut world = World::live(false);
    world.put(Input::Status(Status::WaitingToReconnect { until_ms: NOW_MS + 9_000 }));
    world.open(group(), view(group(), vec![said(group(), 1, 8, "who am I?")]));
    assert!(world.take().contains(&Command::FindProfiles(vec![user(8)])));
    // Not known on this device: asked for again once there is a connection.
    world.put(Input::Done(Outcome::Profiles(vec![])));
    world.put(Input::Tick(NOW_MS + 1));
    assert_eq!(world.take(), []);
    world.put(Input::Status(Status::Live));
    assert_eq!(world.take(), [Command::FindProfiles(vec![user(8)])]);
}

#[test]
fn a_message_elsewhere_rings_and_one_in_sight_does_not() {
    let mut world = World::live(false);
    world.open(direct(2), view(direct(2), vec![]));
    world.take();
    world.put(Input::Message(Arc::new(said(direct(2), 1, 2, "hi"))));
    assert_eq!(world.take(), []);
    world.put(Input::Message(Arc::new(said(direct(3), 1, 3, "hi"))));
    assert_eq!(world.take(), [Command::Bell]);
}

#[test]
fn the_devices_are_listed_and_another_one_is_signed_out() {
    let device = |id: &str, current| hongyan_chat::io::Device {
        id: id.into(),
        name: id.into(),
        online: true,
        current,
        last_seen_ms: 0,
    };
    let mut world = World::live(false);
    world.type_text("/devices");
    world.key(KeyCode::Enter);
    assert_eq!(world.take(), [Command::ListDevices]);
    let devices = vec![device("here", true), device("phone", false)];
    world.put(Input::Done(Outcome::Devices(devices)));
    world.key(KeyCode::Char('x'));
    assert_eq!(world.take(), [], "not the one that is used");
    world.key(KeyCode::Down);
    world.key(KeyCode::Char('x'));
    let revoke = Command::RevokeDevice("phone".into());
    assert_eq!(world.take(), [revoke, Command::ListDevices]);
}
