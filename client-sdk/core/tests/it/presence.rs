//! Watching who is on line.

use std::collections::BTreeSet;

use hongyan_client_core::event::{PresenceWatch, RequestToken};
use hongyan_client_core::{ClientError, ConversationId, ErrorCode, Event, Opcode, UserId, pb};
use proptest::prelude::*;

use crate::server::{ME, PEER, direct, error, user};
use crate::world::World;

fn with(other: u64) -> ConversationId {
    ConversationId::direct(user(ME), user(other)).expect("two people")
}

/// A live client who talks to these people.
fn talking_to(others: impl IntoIterator<Item = u64>) -> World {
    let mut world = World::live();
    for other in others {
        world.server.say(with(other), other, "hello", true);
    }
    world.run();
    world.server.seen.clear();
    world.events.clear();
    world
}

fn watch(world: &mut World, token: u64, users: &[u64]) {
    let users: Vec<UserId> = users.iter().map(|id| user(*id)).collect();
    assert_eq!(world.core.watch_presence(RequestToken(token), &users), Ok(()));
}

/// What came of a call: whom it was for, and whether they are watched.
fn result(world: &World, wanted: u64) -> Result<Vec<(u64, bool)>, ClientError> {
    let told = world.events.iter().find_map(|event| match event {
        Event::Watching { token, people } if *token == RequestToken(wanted) => {
            let told = |it: &PresenceWatch| (it.user.get(), it.watched);
            Some(Ok(people.iter().map(told).collect()))
        }
        Event::Reply { token, result: Err(error) } if *token == RequestToken(wanted) => {
            Some(Err(error.clone()))
        }
        _ => None,
    });
    told.expect("each call has one result")
}

fn asked(world: &World) -> usize {
    world.server.seen.iter().filter(|seen| **seen == Opcode::WatchPresence).count()
}

#[test]
fn who_may_be_watched_is_watched_and_the_others_are_named() {
    let stranger = 9 << 12;
    let mut world = talking_to([PEER]);
    watch(&mut world, 3, &[stranger, PEER, ME, PEER]);
    world.run();
    assert_eq!(result(&world, 3), Ok(vec![(stranger, false), (PEER, true), (ME, false)]));
    assert_eq!(world.server.watched, [PEER]);
    assert_eq!(asked(&world), 1, "strangers are known without asking");
    assert!(world.events.iter().any(|event| matches!(
        event,
        Event::Presence(presences) if presences[0].user == user(PEER) && presences[0].online
    )));
    // Once something is said, they are watched without another call.
    world.server.say(with(stranger), stranger, "now we talk", true);
    world.run();
    assert_eq!(world.server.watched, [stranger, PEER]);
    assert!(world.core.watch_presence(RequestToken(4), &[]).is_ok());
    world.run();
    assert_eq!(result(&world, 4), Ok(vec![]));
    assert!(world.server.watched.is_empty());
}

#[test]
fn a_refusal_that_could_not_be_foreseen_is_for_one_person_only() {
    let others: Vec<u64> = (1..=40).map(|number| number << 13).collect();
    let mut world = talking_to(others.iter().copied());
    let strange = [others[7], others[39]];
    world.server.strangers.extend(strange);
    watch(&mut world, 3, &others);
    world.run();
    let wanted: Vec<_> = others.iter().map(|id| (*id, !strange.contains(id))).collect();
    assert_eq!(result(&world, 3), Ok(wanted));
    assert_eq!(world.server.watched.len(), 38);
    // The server may list the conversation a moment later.
    world.server.strangers.clear();
    world.pass(1_000);
    assert_eq!(world.server.watched.len(), 40);
    let before = asked(&world);
    world.pass(100_000);
    assert_eq!(asked(&world), before);
}

#[test]
fn nobody_is_watched_any_more_when_nobody_new_may_be() {
    let other = 9 << 12;
    let mut world = talking_to([PEER, other]);
    watch(&mut world, 3, &[PEER]);
    world.run();
    world.server.strangers.insert(other);
    watch(&mut world, 4, &[other]);
    world.run();
    assert_eq!(result(&world, 4), Ok(vec![(other, false)]));
    assert!(world.server.watched.is_empty());
    // It is tried a few times, then left.
    world.pass(1_000_000);
    assert!(asked(&world) < 20, "{}", asked(&world));
}

#[test]
fn a_wish_outlives_the_connection() {
    let mut world = talking_to([PEER]);
    watch(&mut world, 3, &[PEER]);
    world.run();
    world.events.clear();
    world.cut();
    world.pass(500);
    assert_eq!(world.server.watched, [PEER]);
    assert!(world.events.iter().any(|event| matches!(event, Event::Presence(_))));
    // Also one that was made without a connection, or lost with it.
    world.reachable = false;
    world.cut();
    let offline = world.core.watch_presence(RequestToken(4), &[]);
    assert_eq!(offline, Err(ClientError::Offline));
    world.reachable = true;
    world.pass(60_000);
    assert!(world.server.watched.is_empty());
    watch(&mut world, 5, &[PEER]);
    world.settle();
    world.cut();
    world.pass(60_000);
    assert_eq!(result(&world, 5), Err(ClientError::TimedOut));
    assert_eq!(world.server.watched, [PEER]);
}

#[test]
fn presence_that_was_dropped_is_asked_for_again() {
    let mut world = talking_to([PEER]);
    watch(&mut world, 3, &[PEER]);
    world.run();
    world.events.clear();
    world.server.push(Opcode::SyncNeeded, &pb::SyncNeeded {});
    world.run();
    assert_eq!(asked(&world), 2);
    assert!(world.events.iter().any(|event| matches!(event, Event::Presence(_))));
}

#[test]
fn not_now_is_told_and_tried_again() {
    let mut world = talking_to([PEER]);
    let busy = error(ErrorCode::Busy, 2_000);
    world.server.refusals.push_back((Opcode::WatchPresence, busy));
    watch(&mut world, 3, &[PEER]);
    world.run();
    assert!(result(&world, 3).is_err_and(|error| error.is(ErrorCode::Busy)));
    world.pass(1_999);
    assert!(world.server.watched.is_empty());
    world.pass(1);
    assert_eq!(world.server.watched, [PEER]);
}

#[test]
fn a_later_call_is_the_one_that_counts() {
    let other = 9 << 12;
    let mut world = talking_to([PEER, other]);
    watch(&mut world, 3, &[PEER]);
    world.settle();
    watch(&mut world, 4, &[other]);
    world.run();
    assert!(matches!(result(&world, 3), Err(ClientError::Invalid(_))));
    assert_eq!(result(&world, 4), Ok(vec![(other, true)]));
    assert_eq!(world.server.watched, [other]);
    let many: Vec<_> = (1..=501).map(user).collect();
    let refused = world.core.watch_presence(RequestToken(5), &many);
    assert!(matches!(refused, Err(ClientError::Invalid(_))));
    assert_eq!(world.core.timeline(direct()).messages.len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whoever is refused, exactly the others are watched, within two requests
    /// a person.
    #[test]
    fn exactly_those_are_watched_who_may_be(
        strange in prop::collection::btree_set(0_usize..20, 0..20),
    ) {
        let others: Vec<u64> = (1..=20).map(|number| number << 13).collect();
        let mut world = talking_to(others.iter().copied());
        let strange: BTreeSet<u64> = strange.into_iter().map(|at| others[at]).collect();
        world.server.strangers.clone_from(&strange);
        watch(&mut world, 3, &others);
        world.run();
        let told = result(&world, 3).expect("the server was asked");
        let wanted: Vec<_> = others.iter().map(|id| (*id, !strange.contains(id))).collect();
        prop_assert_eq!(told, wanted);
        let watched: BTreeSet<u64> = world.server.watched.iter().copied().collect();
        let allowed = others.iter().copied().filter(|id| !strange.contains(id));
        prop_assert_eq!(watched, allowed.collect::<BTreeSet<u64>>());
        prop_assert!(asked(&world) <= 2 * others.len());
    }
}
