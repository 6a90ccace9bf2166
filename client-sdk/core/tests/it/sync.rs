//! Catching up, gaps, cursors and unread.

use hongyan_client_core::event::RequestToken;
use hongyan_client_core::{ConversationId, Event, GroupId, Listening, Opcode, Status, pb};

use crate::server::{ME, PEER, changed, direct, user};
use crate::world::World;

fn group(number: u64) -> ConversationId {
    ConversationId::Group(GroupId::new(number << 12 | 1).expect("not zero"))
}

fn unread(world: &World, id: ConversationId) -> u64 {
    world.core.conversation(id).map_or(0, |state| state.unread)
}

/// A world that lost its connection after the first of so many messages, more
/// than a sync brings.
fn away_for(messages: u64) -> World {
    let mut world = World::live();
    world.server.say(direct(), PEER, "0", true);
    world.run();
    world.reachable = false;
    world.cut();
    world.server.too_old_after = 10;
    for number in 1..messages {
        world.server.say(direct(), PEER, &number.to_string(), false);
    }
    world
}

#[test]
fn a_cold_start_pages_through_all_conversations() {
    let mut world = World::new();
    world.server.page_conversations = 3;
    for number in 1..=10 {
        world.server.now_ms = number * 1_000;
        world.server.conversation(group(number)).group = Some(pb::Group {
            id: number << 12 | 1,
            name: format!("group {number}"),
            role: 3,
            ..pb::Group::default()
        });
        for text in ["a", "b"] {
            world.server.say(group(number), PEER, text, false);
        }
    }
    world.login();
    world.run();
    assert_eq!(world.core.status(), Status::Live);
    let list = world.core.conversations();
    assert_eq!(list.len(), 10);
    assert!(list.is_sorted_by_key(|state| std::cmp::Reverse(state.activity_ms)));
    assert_eq!(list[0].title(), "group 10");
    assert!(list.iter().all(|state| state.unread == 2));
}

#[test]
fn what_was_missed_comes_with_the_session() {
    let mut world = World::live();
    world.server.say(direct(), PEER, "one", true);
    world.run();
    world.reachable = false;
    world.cut();
    world.server.say(direct(), PEER, "two", false);
    world.server.say(direct(), PEER, "three", false);
    world.reachable = true;
    world.pass(1_000);
    assert_eq!(world.texts(direct()), ["one", "two", "three"]);
    assert_eq!(world.heard(), ["one", "two", "three"]);
    assert_eq!(unread(&world, direct()), 3);
    assert!(!world.server.seen.contains(&Opcode::History));
}

#[test]
fn too_much_missed_starts_a_new_stretch_that_pages_back() {
    let mut world = away_for(50);
    world.reachable = true;
    world.pass(1_000);
    let texts = world.texts(direct());
    assert_eq!(texts.len(), 10);
    assert_eq!(texts.last().map(String::as_str), Some("49"));
    assert!(world.core.timeline(direct()).has_older);
    while world.core.timeline(direct()).has_older {
        let older = world.core.load_older(world.now_ms, RequestToken(9), direct(), 15);
        assert_eq!(older, Ok(()));
        world.run();
    }
    let wanted: Vec<_> = (0..50).map(|number| number.to_string()).collect();
    assert_eq!(world.texts(direct()), wanted);
    assert_eq!(unread(&world, direct()), 50);
}

#[test]
fn paging_back_twice_at_once_does_not_end_the_history() {
    let mut world = away_for(60);
    world.core.set_listening(Listening::No);
    world.reachable = true;
    world.pass(1_000);
    for token in [1, 2] {
        let older = world.core.load_older(world.now_ms, RequestToken(token), direct(), 15);
        assert_eq!(older, Ok(()));
    }
    world.run();
    let timeline = world.core.timeline(direct());
    assert_eq!(timeline.messages.len(), 25, "the second answer is the same page");
    assert!(timeline.has_older);
}

#[test]
fn a_lost_push_is_fetched_after_the_grace() {
    let mut world = World::live();
    world.server.say(direct(), PEER, "one", true);
    world.server.say(direct(), PEER, "two", false);
    world.server.say(direct(), PEER, "three", true);
    world.run();
    assert_eq!(world.texts(direct()), ["one"], "what lies above a gap waits");
    assert!(world.core.timeline(direct()).catching_up);
    world.pass(299);
    assert!(!world.server.seen.contains(&Opcode::History));
    world.pass(1);
    assert_eq!(world.texts(direct()), ["one", "two", "three"]);
    assert!(!world.core.timeline(direct()).catching_up);
    assert_eq!(unread(&world, direct()), 3);
}

#[test]
fn a_late_push_needs_no_fetching() {
    let mut world = World::live();
    world.server.say(direct(), PEER, "one", false);
    world.server.say(direct(), PEER, "two", true);
    world.run();
    world.server.push_message(direct(), 1);
    world.pass(10_000);
    assert_eq!(world.texts(direct()), ["one", "two"]);
    assert!(!world.server.seen.contains(&Opcode::History));
}

#[test]
fn pushes_that_come_twice_count_once() {
    let mut world = World::live();
    world.server.say(direct(), PEER, "one", true);
    world.server.push_message(direct(), 1);
    world.run();
    world.server.push_message(direct(), 1);
    world.run();
    assert_eq!(world.heard(), ["one"]);
    assert_eq!(unread(&world, direct()), 1);
}

#[test]
fn a_gap_that_the_server_does_not_show_is_closed() {
    let mut world = World::live();
    world.server.say(direct(), PEER, "one", true);
    world.run();
    for _ in 0..3 {
        world.server.say(direct(), PEER, "hidden", false);
    }
    world.server.conversation(direct()).joined_seq = 6;
    world.server.say(direct(), PEER, "five", true);
    world.pass(60_000);
    assert!(!world.core.timeline(direct()).catching_up);
    let asked = world.server.seen.iter().filter(|seen| **seen == Opcode::History).count();
    assert_eq!(asked, 1);
}

#[test]
fn a_late_answer_about_one_gap_does_not_give_another_one_up() {
    let mut world = World::live();
    world.server.say(direct(), PEER, "one", true);
    world.server.say(direct(), PEER, "two", false);
    world.server.say(direct(), PEER, "three", true);
    world.run();
    world.now_ms += 300;
    world.core.handle_timeout(world.now_ms);
    world.settle();
    world.deliver_to_server();
    let answer = std::mem::take(&mut world.server.outgoing);
    assert!(world.server.seen.contains(&Opcode::History));
    // The lost push comes after all, and another one is lost.
    world.server.push_message(direct(), 2);
    world.server.say(direct(), PEER, "four", false);
    world.server.say(direct(), PEER, "five", true);
    world.deliver_to_client();
    world.server.outgoing.extend(answer);
    world.pass(1_000);
    assert_eq!(world.texts(direct()), ["one", "two", "three", "four", "five"]);
    assert_eq!(world.heard(), ["one", "two", "three", "four", "five"]);
}

#[test]
fn a_wide_gap_takes_the_newest_page() {
    let mut world = World::live();
    world.server.say(direct(), PEER, "0", true);
    world.run();
    for number in 1..=2_000 {
        world.server.say(direct(), PEER, &number.to_string(), false);
    }
    world.server.say(direct(), PEER, "last", true);
    world.pass(1_000);
    let texts = world.texts(direct());
    assert_eq!(texts.len(), 101);
    assert_eq!(texts.last().map(String::as_str), Some("last"));
    assert!(world.core.timeline(direct()).has_older);
}

#[test]
fn dropped_pushes_bring_a_sync() {
    let mut world = World::live();
    world.server.say(direct(), PEER, "one", false);
    world.server.push(Opcode::SyncNeeded, &pb::SyncNeeded {});
    world.run();
    assert_eq!(world.texts(direct()), ["one"]);
    assert_eq!(world.core.status(), Status::Live);
}

/// A world whose list takes two pages, and which is about to get the first:
/// behind it comes SyncNeeded, for a message that the page does not have.
fn overtaken_page(mut world: World) -> World {
    world.server.page_conversations = 1;
    assert!(direct() < group(1), "the direct conversation is on the first page");
    world.settle();
    assert!(world.deliver_to_server());
    world.server.say(direct(), PEER, "dropped", false);
    world.server.push(Opcode::SyncNeeded, &pb::SyncNeeded {});
    world.server.seen.clear();
    world
}

/// A live world with something in the direct conversation and in a group.
fn with_two_conversations() -> World {
    let mut world = World::live();
    world.server.say(direct(), PEER, "one", true);
    world.server.say(group(1), PEER, "other", true);
    world.run();
    world
}

fn syncs(world: &World) -> usize {
    world.server.seen.iter().filter(|seen| **seen == Opcode::Sync).count()
}

#[test]
fn pushes_dropped_while_a_sync_runs_bring_another_one() {
    let mut world = with_two_conversations();
    world.server.push(Opcode::SyncNeeded, &pb::SyncNeeded {});
    world.deliver_to_client();
    let mut world = overtaken_page(world);
    world.run();
    // The second page, and both pages of the next sync.
    assert_eq!(syncs(&world), 3);
    assert_eq!(world.texts(direct()), ["one", "dropped"]);
    assert_eq!(world.core.status(), Status::Live);
}

#[test]
fn a_session_is_live_only_after_the_sync_that_was_wanted_meanwhile() {
    let mut world = with_two_conversations();
    world.cut();
    world.core.start(world.now_ms);
    let mut world = overtaken_page(world);
    world.events.clear();
    // Preface, Welcome with the first page, SyncNeeded.
    assert!(world.deliver_to_client());
    world.settle();
    assert!(world.deliver_to_server(), "asks for the second page");
    assert!(world.deliver_to_client());
    world.settle();
    assert_eq!(world.statuses(), [Status::Syncing]);
    world.run();
    assert_eq!(world.statuses(), [Status::Syncing, Status::Live]);
    assert_eq!(world.texts(direct()), ["one", "dropped"]);
}

#[test]
fn a_wanted_sync_is_not_forgotten_when_the_one_before_it_fails() {
    let mut world = with_two_conversations();
    world.server.push(Opcode::SyncNeeded, &pb::SyncNeeded {});
    world.deliver_to_client();
    let mut world = overtaken_page(world);
    let busy = crate::server::error(hongyan_client_core::ErrorCode::Busy, 500);
    world.server.refusals.push_back((Opcode::Sync, busy));
    world.run();
    assert_eq!(world.texts(direct()), ["one"]);
    // The whole of it again, from the first page on.
    world.pass(1_000);
    assert_eq!(world.texts(direct()), ["one", "dropped"]);
}

#[test]
fn a_push_from_an_unknown_conversation_brings_a_sync() {
    let mut world = World::live();
    for text in ["one", "two", "three"] {
        world.server.say(group(3), PEER, text, false);
    }
    world.server.push_message(group(3), 3);
    world.pass(1_000);
    assert_eq!(world.texts(group(3)), ["one", "two", "three"]);
    assert_eq!(world.heard().len(), 3, "none of it was on any device of the user");
}

#[test]
fn a_refused_sync_is_tried_again() {
    let mut world = World::new();
    let busy = crate::server::error(hongyan_client_core::ErrorCode::Busy, 2_000);
    world.server.refusals.push_back((Opcode::Sync, busy));
    world.login();
    world.pass(1_999);
    assert_eq!(world.core.status(), Status::Syncing);
    world.pass(1);
    assert_eq!(world.core.status(), Status::Live);
}

#[test]
fn one_delivered_mark_per_conversation_and_burst() {
    let mut world = World::live();
    world.server.seen.clear();
    for _ in 0..100 {
        world.server.say(direct(), PEER, "x", true);
    }
    world.run();
    let moves = world.server.seen.iter().filter(|seen| **seen == Opcode::MoveCursor).count();
    assert_eq!(moves, 1);
    assert_eq!(world.server.conversation(direct()).delivered[&ME], 100);
}

#[test]
fn a_delivered_mark_that_was_lost_goes_again() {
    let mut world = World::live();
    world.server.say(direct(), PEER, "x", true);
    world.deliver_to_client();
    world.settle();
    world.cut();
    assert_eq!(world.server.conversation(direct()).delivered.get(&ME), None);
    world.pass(1_000);
    assert_eq!(world.server.conversation(direct()).delivered.get(&ME), Some(&1));
}

#[test]
fn own_messages_need_no_delivered_mark() {
    let mut world = World::live();
    world.server.seen.clear();
    world.send(direct(), "x");
    world.run();
    assert!(!world.server.seen.contains(&Opcode::MoveCursor));
}

#[test]
fn reading_offline_reaches_the_server_later_even_after_a_restart() {
    let mut world = World::live();
    for _ in 0..5 {
        world.server.say(direct(), PEER, "x", true);
    }
    world.run();
    world.reachable = false;
    world.cut();
    world.core.mark_read(direct(), 3);
    world.settle();
    assert_eq!(unread(&world, direct()), 2);
    world.restart(false);
    assert_eq!(unread(&world, direct()), 2);
    world.reachable = true;
    world.pass(31_000);
    assert_eq!(world.server.conversation(direct()).read[&ME], 3);
    assert_eq!(unread(&world, direct()), 2);
}

#[test]
fn a_read_mark_that_is_refused_for_now_goes_again() {
    let mut world = World::live();
    world.server.say(direct(), PEER, "x", true);
    world.run();
    let busy = crate::server::error(hongyan_client_core::ErrorCode::Busy, 3_000);
    world.server.refusals.push_back((Opcode::MoveCursor, busy));
    world.core.mark_read(direct(), 1);
    world.run();
    assert_eq!(world.server.conversation(direct()).read.get(&ME).copied().unwrap_or(0), 0);
    world.pass(3_000);
    assert_eq!(world.server.conversation(direct()).read[&ME], 1);
}

#[test]
fn reading_on_another_device_clears_unread_here() {
    let mut world = World::live();
    world.server.say(direct(), PEER, "x", true);
    world.run();
    assert_eq!(unread(&world, direct()), 1);
    let moved = pb::CursorMoved {
        conversation: Some(direct().to_wire()),
        user: ME,
        delivered_seq: 1,
        read_seq: 1,
    };
    world.server.push(Opcode::CursorMoved, &moved);
    world.run();
    assert_eq!(unread(&world, direct()), 0);
    assert!(
        world
            .events
            .iter()
            .any(|event| matches!(event, Event::CursorMoved { user: who, .. } if *who == user(ME)))
    );
}

#[test]
fn what_the_user_sends_elsewhere_is_read() {
    let mut world = World::live();
    world.server.say(direct(), PEER, "question", true);
    world.server.say(direct(), ME, "answer", true);
    world.run();
    assert_eq!(unread(&world, direct()), 0);
    assert_eq!(world.texts(direct()), ["question", "answer"]);
}

#[test]
fn groups_appear_change_and_go() {
    let mut world = World::live();
    world.server.conversation(group(1)).group =
        Some(pb::Group { id: 1 << 12 | 1, name: "old".into(), role: 3, ..pb::Group::default() });
    world.server.say(group(1), PEER, "welcome", false);
    let change = |world: &mut World| {
        let changed = changed(group(1), &world.server.conversations[&group(1)]);
        world.server.push(Opcode::ConversationChanged, &changed);
        world.run();
        world.core.conversation(group(1)).expect("it is listed")
    };
    let appeared = change(&mut world);
    assert_eq!((appeared.title(), appeared.unread), ("old".into(), 1));
    assert_eq!(world.texts(group(1)), ["welcome"]);
    let conversation = world.server.conversation(group(1));
    conversation.group.as_mut().expect("it is a group").name = "new".into();
    assert_eq!(change(&mut world).title(), "new");
    world.server.conversation(group(1)).gone = true;
    let gone = change(&mut world);
    // What was held of it can still be read, under the name that it had.
    assert!(gone.gone);
    assert_eq!((gone.title(), gone.unread), ("new".into(), 0));
    world.cut();
    world.pass(1_000);
    assert_eq!(world.core.conversation(group(1)), Some(gone));
    assert_eq!(world.texts(group(1)), ["welcome"]);
}

#[test]
fn a_server_that_lost_the_end_wins() {
    let mut world = World::live();
    for text in ["one", "two", "three"] {
        world.server.say(direct(), PEER, text, true);
    }
    world.run();
    world.cut();
    world.server.conversation(direct()).messages.truncate(1);
    world.server.conversation(direct()).delivered.clear();
    world.server.say(direct(), PEER, "another two", false);
    world.server.conversation(direct()).messages.truncate(1);
    world.pass(1_000);
    assert_eq!(world.texts(direct()), ["one"]);
    world.server.say(direct(), PEER, "another two", true);
    world.run();
    assert_eq!(world.texts(direct()), ["one", "another two"]);
    assert_eq!(unread(&world, direct()), 2);
}

#[test]
fn the_peers_name_is_learned() {
    let mut world = World::live();
    world.server.say(direct(), PEER, "hello", true);
    world.run();
    let state = world.core.conversation(direct()).expect("it is listed");
    assert_eq!(state.title(), "User 8194");
    world.restart(false);
    let state = world.core.conversation(direct()).expect("it is listed");
    assert_eq!(state.title(), "User 8194");
}

#[test]
fn memory_and_store_keep_a_window() {
    let mut world = World::live();
    for number in 0..1_000 {
        world.server.say(direct(), PEER, &number.to_string(), true);
        if number % 100 == 0 {
            world.run();
        }
    }
    world.run();
    let texts = world.texts(direct());
    assert!((200..=250).contains(&texts.len()), "{}", texts.len());
    assert_eq!(texts.last().map(String::as_str), Some("999"));
    let stored = world.stored.messages[&direct()].len();
    assert!((200..=300).contains(&stored), "{stored}");
    world.restart(false);
    world.run();
    assert_eq!(world.texts(direct()).last().map(String::as_str), Some("999"));
    assert_eq!(unread(&world, direct()), 1_000);
}
