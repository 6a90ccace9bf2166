//! What survives: replay, settling, cold state, another number of shards.

use hongyan_core::CoreConfig;
use hongyan_core::testing::{Client, World};
use hongyan_protocol::{ErrorCode, Opcode, pb};

fn texts(messages: &[pb::Message]) -> Vec<(u64, u64)> {
    messages.iter().map(|message| (message.seq, message.message_id)).collect()
}

#[test]
fn everything_is_there_after_a_crash_with_or_without_settling() {
    for settle in [false, true] {
        let world = &mut World::new(2);
        let mut alice = Client::register(world, 0, "alice");
        let mut bob = Client::register(world, 1, "bobby");
        let to = alice.with(&bob);
        for n in 1..=40 {
            alice.send(world, to, n, &"x".repeat(500)).unwrap();
            if settle && n % 15 == 0 {
                world.settle();
            }
        }
        let cursor =
            pb::MoveCursor { conversation: Some(to.to_wire()), delivered_seq: 0, read_seq: 30 };
        bob.ask::<pb::Empty>(world, Opcode::MoveCursor, &cursor).unwrap();
        let before = texts(&bob.history(world, to));
        for shards in [1, 3, 2] {
            world.crash(shards);
            (bob, _) = bob.resume(world, 0, None).unwrap();
            (alice, _) = alice.resume(world, 0, None).unwrap();
            assert_eq!(texts(&bob.history(world, to)), before, "settle {settle}");
            let state = bob.cold_start(world).conversations.remove(0).state.unwrap();
            assert_eq!((state.unread, state.read_seq, state.last_seq), (10, 30, 40));
            assert!(alice.send(world, to, 1, &"x".repeat(500)).unwrap().repeated_send);
        }
        assert_eq!(alice.send(world, to, 41, "next").unwrap().seq, 41);
    }
}

#[test]
fn cold_state_is_loaded_when_it_is_needed() {
    let config = CoreConfig { entities_max: 4, requests_per_second: 0, ..CoreConfig::default() };
    let world = &mut World::with_config(2, config);
    let mut alice = Client::register(world, 0, "alice");
    let friends: Vec<_> =
        (0..10).map(|n| Client::register(world, n, &format!("friend{n}"))).collect();
    for round in 0..4 {
        for (n, friend) in friends.iter().enumerate() {
            let id = round * 10 + n as u8;
            let ack = alice.send(world, alice.with(friend), id, "hi").unwrap();
            assert_eq!(ack.seq, u64::from(round) + 1);
        }
        world.settle();
        world.pass(1_100);
        world.pass(1_100);
    }
    let entities: usize = (0..2).map(|shard| world.shard(shard).stats().entities).sum();
    assert!(entities < 25, "{entities} entities in memory");
    for friend in &friends {
        assert_eq!(alice.history(world, alice.with(friend)).len(), 4);
    }
    assert_eq!(alice.cold_start(world).conversations.len(), 10);
}

#[test]
fn a_store_that_fails_is_told_and_tried_again() {
    let world = &mut World::new(2);
    let mut alice = Client::register(world, 0, "alice");
    let bob = Client::register(world, 1, "bobby");
    alice.send(world, alice.with(&bob), 1, "hi").unwrap();
    world.settle();
    world.crash(2);
    world.views_fail = true;
    let mut failing = Client::connect(world, 0, "alice-phone");
    let login = pb::Login { name: "alice".into(), password: "alice-password".into() };
    let answer = failing.ask::<pb::Session>(world, Opcode::Login, &login);
    assert_eq!(answer, Err(ErrorCode::StoreUnavailable));
    world.views_fail = false;
    assert!(failing.ask::<pb::Session>(world, Opcode::Login, &login).is_ok());
}

#[test]
fn what_was_not_synced_is_gone_and_was_not_acknowledged() {
    let world = &mut World::new(2);
    let mut alice = Client::register(world, 0, "alice");
    let bob = Client::register(world, 1, "bobby");
    let to = alice.with(&bob);
    alice.send(world, to, 1, "kept").unwrap();
    world.auto_sync = false;
    let send = hongyan_core::testing::text_message(to, 2, "lost");
    let request = alice.say(world, Opcode::Send, &send);
    assert!(alice.reply::<pb::SendAck>(world, request).is_none());
    world.crash(2);
    world.auto_sync = true;
    (alice, _) = alice.resume(world, 0, None).unwrap();
    assert_eq!(alice.history(world, to).len(), 1);
    let again: pb::SendAck = alice.ask(world, Opcode::Send, &send).unwrap();
    assert_eq!((again.seq, again.repeated_send), (2, false));
}
