//! An app that only listens to events: it misses nothing, hears each message
//! once and in the order of seqs, however much it was away for.

use hongyan_client_core::{ConversationId, ErrorCode, Event, GroupId, Listening, Opcode};

use crate::server::{ME, PEER, direct, error};
use crate::world::{World, config};

/// What a sync brings of a conversation, as the real server.
const PAGE: u64 = 200;

fn group() -> ConversationId {
    ConversationId::Group(GroupId::new(1 << 12 | 1).expect("not zero"))
}

/// A world where `before` was said and heard, then the connection broke.
fn away(mut world: World) -> World {
    world.login();
    world.run();
    world.server.too_old_after = PAGE;
    for id in [direct(), group()] {
        world.server.say(id, PEER, "before", true);
    }
    world.pass(1_000);
    world.events.clear();
    world.server.seen.clear();
    world.reachable = false;
    world.cut();
    world
}

fn say(world: &mut World, id: ConversationId, count: u64) {
    for _ in 0..count {
        let text = (world.server.conversation(id).last_seq() + 1).to_string();
        world.server.say(id, PEER, &text, false);
    }
}

fn back(world: &mut World) {
    world.reachable = true;
    world.core.start(world.now_ms);
    world.pass(60_000);
}

fn told(world: &World, id: ConversationId) -> Vec<u64> {
    let messages = world.events.iter().filter_map(|event| match event {
        Event::Message(message) if message.conversation == id => Some(message.seq),
        _ => None,
    });
    messages.collect()
}

fn skipped(world: &World) -> Vec<(u64, u64)> {
    let skipped = world.events.iter().filter_map(|event| match event {
        Event::MessagesSkipped { from_seq, to_seq, .. } => Some((*from_seq, *to_seq)),
        _ => None,
    });
    skipped.collect()
}

fn asked(world: &World) -> usize {
    world.server.seen.iter().filter(|seen| **seen == Opcode::History).count()
}

fn all(range: std::ops::RangeInclusive<u64>) -> Vec<u64> {
    range.collect()
}

#[test]
fn what_a_sync_left_out_is_told_in_order() {
    for missed in [199, 200, 201, 202, 401, 1_234, 5_000] {
        let mut world = away(World::new());
        say(&mut world, direct(), missed);
        back(&mut world);
        assert_eq!(told(&world, direct()), all(2..=missed + 1), "{missed} missed");
        assert_eq!(skipped(&world), []);
        assert_eq!(world.server.conversation(direct()).delivered[&ME], missed + 1);
        // What is shown does not wait, and pages back as before.
        let texts = world.texts(direct());
        assert_eq!(texts.last(), Some(&(missed + 1).to_string()));
        assert!(texts.len() as u64 <= PAGE + 50);
    }
}

#[test]
fn two_conversations_are_read_beside_each_other() {
    let mut world = away(World::new());
    say(&mut world, direct(), 1_100);
    say(&mut world, group(), 700);
    back(&mut world);
    assert_eq!(told(&world, direct()), all(2..=1_101));
    assert_eq!(told(&world, group()), all(2..=701));
    assert_eq!(asked(&world), 5 + 3);
}

#[test]
fn what_is_pushed_meanwhile_comes_behind_it() {
    let mut world = away(World::new());
    say(&mut world, direct(), 1_100);
    world.server.silent.push(Opcode::History);
    back(&mut world);
    for _ in 0..700 {
        world.server.say(direct(), PEER, "pushed", true);
    }
    world.run();
    assert_eq!(told(&world, direct()), [], "what lies above what was missed waits");
    // The window is too small for what was pushed: it is read, too.
    world.server.silent.clear();
    world.pass(60_000);
    assert_eq!(told(&world, direct()), all(2..=1_801));
}

#[test]
fn a_connection_lost_on_the_way_changes_nothing() {
    for pages in 0..6 {
        let mut world = away(World::new());
        say(&mut world, direct(), 1_100);
        say(&mut world, group(), 900);
        world.reachable = true;
        world.core.start(world.now_ms);
        while asked(&world) < pages {
            let busy = world.step();
            assert!(busy || world.skip_to_timeout(), "it goes on by itself");
        }
        world.cut();
        say(&mut world, direct(), 300);
        back(&mut world);
        assert_eq!(told(&world, direct()), all(2..=1_401), "cut after {pages}");
        assert_eq!(told(&world, group()), all(2..=901), "cut after {pages}");
    }
}

#[test]
fn an_app_killed_on_the_way_goes_on_where_it_was() {
    let mut world = away(World::new());
    say(&mut world, direct(), 1_100);
    world.reachable = true;
    world.core.start(world.now_ms);
    while asked(&world) < 3 {
        assert!(world.step() || world.skip_to_timeout(), "it goes on by itself");
    }
    let before = told(&world, direct());
    assert!((100..1_000).contains(&before.len()), "in the middle: {}", before.len());
    world.restart(false);
    back(&mut world);
    assert_eq!(told(&world, direct()), all(2..=1_101));
}

#[test]
fn an_app_without_a_store_hears_what_no_device_of_the_user_has() {
    let mut world = away(World::new());
    say(&mut world, direct(), 1_100);
    world.stored = Default::default();
    world.restart(false);
    world.login();
    back(&mut world);
    assert_eq!(told(&world, direct()), all(2..=1_101));
    assert_eq!(told(&world, group()), [], "another device had it");
}

#[test]
fn what_lies_too_far_back_is_said_to_be_skipped() {
    let mut settings = config();
    settings.missed_max = 300;
    let mut world = away(World::with_config(settings));
    say(&mut world, direct(), 1_000);
    back(&mut world);
    // The sync brought 802 ..= 1001.
    assert_eq!(skipped(&world), [(2, 501)]);
    assert_eq!(told(&world, direct()), all(502..=1_001));
    assert_eq!(asked(&world), 2);
}

#[test]
fn nothing_is_read_for_nobody() {
    let mut world = away(World::new());
    world.core.set_listening(Listening::No);
    say(&mut world, direct(), 1_000);
    back(&mut world);
    assert_eq!(asked(&world), 0);
    assert_eq!(skipped(&world), []);
    assert_eq!(world.server.conversation(direct()).delivered[&ME], 1_001);
    world.core.set_listening(Listening::Yes);
    world.events.clear();
    world.server.say(direct(), PEER, "now", true);
    world.pass(1_000);
    assert_eq!(told(&world, direct()), [1_002]);
}

#[test]
fn busy_listeners_are_waited_for_but_not_for_ever() {
    let mut world = away(World::new());
    say(&mut world, direct(), 1_000);
    world.core.set_listening(Listening::Busy);
    world.reachable = true;
    world.core.start(world.now_ms);
    world.pass(900);
    assert_eq!(asked(&world), 0);
    world.core.set_listening(Listening::Yes);
    world.pass(20);
    assert_eq!(asked(&world), 4, "all pages, now that there is room");
    let mut world = away(World::new());
    say(&mut world, direct(), 1_000);
    world.core.set_listening(Listening::Busy);
    back(&mut world);
    assert_eq!(told(&world, direct()), all(2..=1_001));
}

#[test]
fn own_messages_that_were_acknowledged_meanwhile_are_not_told() {
    let mut world = away(World::new());
    say(&mut world, direct(), 1_000);
    world.server.silent.push(Opcode::History);
    back(&mut world);
    let sent = world.send(direct(), "mine");
    world.pass(1_000);
    assert_eq!(world.updates(sent).len(), 2, "kept and saved");
    world.server.say(direct(), ME, "mine, elsewhere", true);
    world.server.silent.clear();
    world.pass(60_000);
    let mut wanted = all(2..=1_001);
    wanted.push(1_003);
    assert_eq!(told(&world, direct()), wanted);
}

#[test]
fn a_refusal_for_now_is_waited_out_and_one_for_good_is_told() {
    let mut world = away(World::new());
    say(&mut world, direct(), 1_000);
    world.server.refusals.push_back((Opcode::History, error(ErrorCode::Busy, 3_000)));
    back(&mut world);
    assert_eq!(told(&world, direct()), all(2..=1_001));
    let mut world = away(World::new());
    say(&mut world, direct(), 1_000);
    world.server.refusals.push_back((Opcode::History, error(ErrorCode::NotAllowed, 0)));
    back(&mut world);
    assert_eq!(skipped(&world), [(2, 801)]);
    assert_eq!(told(&world, direct()), all(802..=1_001));
}

#[test]
fn what_came_before_joining_is_not_missed() {
    let mut world = away(World::new());
    say(&mut world, group(), 1_000);
    world.server.conversation(group()).joined_seq = 401;
    back(&mut world);
    assert_eq!(told(&world, group()), all(401..=1_001));
    assert_eq!(skipped(&world), []);
}

#[test]
fn a_gap_too_wide_to_fill_is_told_all_the_same() {
    let mut world = World::live();
    world.server.say(direct(), PEER, "first", true);
    world.run();
    say(&mut world, direct(), 2_000);
    world.server.say(direct(), PEER, "last", true);
    world.pass(60_000);
    assert_eq!(told(&world, direct()), all(1..=2_002));
}

#[test]
fn a_server_that_lost_the_end_is_heard_anew() {
    let mut world = away(World::new());
    say(&mut world, direct(), 1_000);
    back(&mut world);
    world.cut();
    world.server.conversation(direct()).messages.truncate(990);
    world.server.conversation(direct()).delivered.clear();
    back(&mut world);
    world.events.clear();
    world.server.say(direct(), PEER, "another", true);
    world.run();
    assert_eq!(told(&world, direct()), [991]);
}
