//! Messages on their way out.

use hongyan_client_core::{
    AckLevel, ClientError, ErrorCode, Opcode, SendState, SendUpdate, Status,
};

use crate::server::{PEER, direct, error};
use crate::world::{World, config};

#[test]
fn a_message_is_kept_before_it_is_shown_or_sent() {
    let mut world = World::live();
    world.store_stalled = true;
    let id = world.send(direct(), "hello");
    world.run();
    assert_eq!(world.updates(id), []);
    assert!(world.core.timeline(direct()).pending.is_empty());
    assert!(world.server.sends_seen.is_empty());
    let before = world.batches_durable;
    world.unstall_store();
    assert!(world.batches_durable > before, "it survives a power cut");
    assert_eq!(world.updates(id)[0], SendUpdate::Sending);
    assert!(matches!(world.updates(id)[1], SendUpdate::Saved(ack) if ack.seq == 1));
    assert_eq!(world.texts(direct()), ["hello"]);
    assert_eq!(world.core.outbox_len(), 0);
}

#[test]
fn an_unanswered_message_goes_again_under_the_same_id() {
    let mut world = World::live();
    let id = world.send(direct(), "hello");
    world.settle();
    world.deliver_to_server();
    // The server has it; its answer is lost.
    world.cut();
    world.server.too_old_after = 0;
    world.pass(500);
    assert_eq!(world.server.conversation(direct()).messages.len(), 1);
    let SendUpdate::Saved(ack) = world.updates(id).last().cloned().expect("it was saved") else {
        panic!("{:?}", world.updates(id));
    };
    assert_eq!(ack.seq, 1);
    assert_eq!(world.texts(direct()), ["hello"]);
}

#[test]
fn a_sync_that_brings_the_message_settles_it() {
    let mut world = World::live();
    world.server.say(direct(), PEER, "first", true);
    world.run();
    world.send(direct(), "mine");
    world.settle();
    world.deliver_to_server();
    world.restart(true);
    world.server.sends_seen.clear();
    world.run();
    assert_eq!(world.texts(direct()), ["first", "mine"]);
    assert_eq!(world.core.outbox_len(), 0);
    assert!(world.server.sends_seen.is_empty(), "nothing had to be sent again");
}

#[test]
fn resends_carry_the_same_id() {
    let mut world = World::live();
    world.server.silent.push(Opcode::Send);
    let id = world.send(direct(), "hello");
    world.pass(16_000);
    world.cut();
    world.pass(1_000);
    assert!(world.server.sends_seen.len() >= 2);
    assert!(world.server.sends_seen.iter().all(|sent| sent == id.as_bytes()));
    assert_eq!(world.updates(id), [SendUpdate::Sending]);
    world.server.silent.clear();
    world.pass(60_000);
    assert_eq!(world.texts(direct()), ["hello"]);
}

#[test]
fn messages_go_in_order_within_the_window() {
    let mut world = World::live();
    for number in 0..200 {
        world.send(direct(), &number.to_string());
    }
    world.settle();
    world.deliver_to_server();
    assert_eq!(world.server.sends_seen.len(), 64);
    world.run();
    let wanted: Vec<_> = (0..200).map(|number| number.to_string()).collect();
    assert_eq!(world.texts(direct()), wanted);
}

#[test]
fn a_refusal_for_good_fails_the_message_and_no_other() {
    let mut world = World::live();
    world.server.refusals.push_back((Opcode::Send, error(ErrorCode::NotMember, 0)));
    let bad = world.send(direct(), "bad");
    let good = world.send(direct(), "good");
    world.run();
    assert!(matches!(
        world.updates(bad).last(),
        Some(SendUpdate::Failed(error)) if error.is(ErrorCode::NotMember)
    ));
    assert!(matches!(world.updates(good).last(), Some(SendUpdate::Saved(_))));
    let pending = world.core.timeline(direct()).pending;
    assert_eq!(pending.len(), 1);
    assert!(matches!(
        &pending[0].state,
        SendState::Failed { error } if error.is(ErrorCode::NotMember)
    ));
    world.restart(true);
    world.run();
    assert_eq!(world.core.timeline(direct()).pending.len(), 1, "a failure survives a restart");
    assert_eq!(world.core.retry(bad), Ok(()));
    world.run();
    assert_eq!(world.texts(direct()), ["good", "bad"]);
    assert!(world.core.retry(bad).is_err());
}

#[test]
fn a_failed_message_can_be_discarded() {
    let mut world = World::live();
    world.server.refusals.push_back((Opcode::Send, error(ErrorCode::IdConflict, 0)));
    let id = world.send(direct(), "bad");
    world.run();
    assert_eq!(world.core.discard(id), Ok(()));
    world.run();
    assert!(world.core.timeline(direct()).pending.is_empty());
    assert!(world.stored.outbox.is_empty());
    assert!(world.core.discard(id).is_err());
}

#[test]
fn a_refusal_for_now_waits_as_long_as_it_says() {
    for code in
        [ErrorCode::RateLimited, ErrorCode::Busy, ErrorCode::StoreUnavailable, ErrorCode::Internal]
    {
        let mut world = World::live();
        world.server.refusals.push_back((Opcode::Send, error(code, 5_000)));
        let id = world.send(direct(), "patience");
        world.pass(4_999);
        assert_eq!(world.server.sends_seen.len(), 1, "{code:?}");
        assert_eq!(world.updates(id), [SendUpdate::Sending]);
        world.pass(5_000);
        assert_eq!(world.texts(direct()), ["patience"], "{code:?}");
    }
}

#[test]
fn an_internal_error_without_a_hint_is_final() {
    let mut world = World::live();
    world.server.refusals.push_back((Opcode::Send, error(ErrorCode::Internal, 0)));
    let id = world.send(direct(), "x");
    world.run();
    assert!(matches!(world.updates(id).last(), Some(SendUpdate::Failed(_))));
}

#[test]
fn a_full_outbox_says_so() {
    let mut config = config();
    config.outbox_max = 3;
    let mut world = World::with_config(config);
    world.login();
    world.run();
    world.server.silent.push(Opcode::Send);
    for _ in 0..3 {
        world.send(direct(), "x");
    }
    assert_eq!(world.try_send(direct(), "x"), Err(ClientError::OutboxFull { limit: 3 }));
    world.server.silent.clear();
    world.pass(60_000);
    assert!(world.try_send(direct(), "x").is_ok());
}

#[test]
fn what_cannot_be_sent_is_refused_here() {
    let mut world = World::live();
    assert!(matches!(world.try_send(direct(), ""), Err(ClientError::Invalid(_))));
    let others =
        hongyan_client_core::ConversationId::direct(crate::server::user(5), crate::server::user(6))
            .expect("two people");
    assert!(matches!(world.try_send(others, "x"), Err(ClientError::Invalid(_))));
    let mut signed_out = World::new();
    assert_eq!(signed_out.try_send(direct(), "x"), Err(ClientError::Offline));
}

#[test]
fn a_store_that_fails_refuses_messages_and_keeps_the_rest_going() {
    let mut world = World::live();
    let id = world.send(direct(), "lost");
    let batch = world.core.poll_store().expect("the message is to be kept");
    let failure = hongyan_client_core::StoreError::Io("disk full".into());
    world.core.handle_stored(world.now_ms, batch.ticket, Err(failure));
    world.run();
    assert_eq!(world.updates(id), [SendUpdate::Dropped(ClientError::Storage("disk full".into()))]);
    assert!(matches!(world.try_send(direct(), "x"), Err(ClientError::Storage(_))));
    world.server.say(direct(), PEER, "still here", true);
    world.run();
    assert_eq!(world.texts(direct()), ["still here"]);
    world.server.access_token = "another".into();
    world.cut();
    world.pass(1_000);
    assert_eq!(world.core.status(), Status::Live, "a refresh works without the store");
}

#[test]
fn the_peers_cursors_tell_how_far_a_message_got() {
    let mut world = World::live();
    world.send(direct(), "one");
    world.send(direct(), "two");
    world.run();
    assert_eq!(world.core.send_state(direct(), 1), None);
    world.server.peer_moves(direct(), 2, 1);
    world.run();
    assert_eq!(world.core.send_state(direct(), 1), Some(SendState::Read));
    assert_eq!(world.core.send_state(direct(), 2), Some(SendState::Delivered));
    let view = world.core.timeline(direct());
    assert_eq!(view.send_state(&view.messages[1]), Some(SendState::Delivered));
}

#[test]
fn a_power_cut_never_brings_back_more_than_the_server_remembers() {
    let mut world = World::live();
    for number in 0..1_000 {
        world.send(direct(), &number.to_string());
    }
    world.run();
    assert_eq!(world.core.outbox_len(), 0);
    assert!(world.durable.outbox.len() <= 64, "{}", world.durable.outbox.len());
    world.server.too_old_after = 0;
    world.restart(true);
    world.run();
    assert_eq!(world.server.conversation(direct()).messages.len(), 1_000);
}

#[test]
fn the_level_goes_over_the_wire_and_comes_back() {
    let mut world = World::live();
    let id = world.send(direct(), "x");
    world.run();
    assert!(matches!(
        world.updates(id).last(),
        Some(SendUpdate::Saved(ack)) if ack.level == AckLevel::Durable && !ack.repeated_send
    ));
}
