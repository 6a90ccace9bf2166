//! Two people.

use hongyan_core::testing::{Client, World, text_message};
use hongyan_protocol::{ConversationId, ErrorCode, Opcode, UserId, pb};

use crate::on_any_server;

#[test]
fn a_message_arrives_with_the_seq_that_was_acknowledged() {
    on_any_server(|world| {
        let mut alice = Client::register(world, 0, "alice");
        let mut bob = Client::register(world, 1, "bobby");
        let to = alice.with(&bob);
        for n in 1..=3 {
            let ack = alice.send(world, to, n, "hi").unwrap();
            assert_eq!(ack.seq, u64::from(n));
            let pushed = bob.take::<pb::Message>(world, Opcode::Message);
            assert_eq!(pushed.len(), 1);
            assert_eq!((pushed[0].seq, pushed[0].message_id), (ack.seq, ack.message_id));
            assert_eq!(pushed[0].sender, alice.session.user_id);
        }
        let ack = bob.send(world, to, 1, "hello").unwrap();
        assert_eq!(ack.seq, 4);
        assert_eq!(alice.take::<pb::Message>(world, Opcode::Message).len(), 1);
    });
}

#[test]
fn other_devices_of_the_sender_see_the_message_once() {
    on_any_server(|world| {
        let mut phone = Client::register(world, 0, "alice");
        let mut tablet = Client::login(world, 1, "alice", "tablet");
        let bob = Client::register(world, 1, "bobby");
        phone.send(world, phone.with(&bob), 1, "hi").unwrap();
        assert_eq!(tablet.take::<pb::Message>(world, Opcode::Message).len(), 1);
        assert_eq!(phone.take::<pb::Message>(world, Opcode::Message).len(), 0);
    });
}

#[test]
fn a_retry_gets_the_first_ack_again_and_another_body_is_a_conflict() {
    on_any_server(|world| {
        let mut alice = Client::register(world, 0, "alice");
        let mut bob = Client::register(world, 1, "bobby");
        let to = alice.with(&bob);
        let first = alice.send(world, to, 1, "hi").unwrap();
        alice.send(world, to, 2, "more").unwrap();
        // Another sender's ids are its own.
        assert_eq!(bob.send(world, to, 1, "mine").unwrap().seq, 3);
        for restart in [false, true] {
            if restart {
                world.settle();
                world.crash(2);
                (alice, _) = alice.resume(world, 0, None).unwrap();
                (bob, _) = bob.resume(world, 0, None).unwrap();
            }
            let again = alice.send(world, to, 1, "hi").unwrap();
            assert!(again.repeated_send);
            let ack = |ack: &pb::SendAck| (ack.seq, ack.message_id, ack.time_ms);
            assert_eq!(ack(&again), ack(&first));
            assert_eq!(alice.send(world, to, 1, "ho"), Err(ErrorCode::IdConflict));
            assert_eq!(bob.send(world, to, 1, "mine").unwrap().seq, 3);
            assert_eq!(alice.history(world, to).len(), 3);
        }
    });
}

#[test]
fn nobody_is_told_before_the_log_is_durable() {
    on_any_server(|world| {
        let mut alice = Client::register(world, 0, "alice");
        let mut bob = Client::register(world, 1, "bobby");
        let to = alice.with(&bob);
        alice.send(world, to, 1, "hi").unwrap();
        bob.take::<pb::Message>(world, Opcode::Message);
        world.auto_sync = false;
        let request = alice.say(world, Opcode::Send, &text_message(to, 2, "wait"));
        assert!(alice.reply::<pb::SendAck>(world, request).is_none());
        assert!(bob.take::<pb::Message>(world, Opcode::Message).is_empty());
        world.sync_log();
        assert_eq!(alice.reply::<pb::SendAck>(world, request).unwrap().unwrap().seq, 2);
        assert_eq!(bob.take::<pb::Message>(world, Opcode::Message).len(), 1);
    });
}

#[test]
fn a_weaker_level_is_acknowledged_sooner_but_never_overtakes() {
    on_any_server(|world| {
        let mut alice = Client::register(world, 0, "alice");
        let mut bob = Client::register(world, 1, "bobby");
        let to = alice.with(&bob);
        alice.send(world, to, 1, "hi").unwrap();
        bob.take::<pb::Message>(world, Opcode::Message);
        world.auto_sync = false;
        let durable = alice.say(world, Opcode::Send, &text_message(to, 2, "safe"));
        let level = pb::AckLevel::Written.into();
        let quick = pb::Send { level, ..text_message(to, 3, "quick") };
        let quick = alice.say(world, Opcode::Send, &quick);
        assert!(alice.reply::<pb::SendAck>(world, durable).is_none());
        assert_eq!(alice.reply::<pb::SendAck>(world, quick).unwrap().unwrap().seq, 3);
        assert!(bob.take::<pb::Message>(world, Opcode::Message).is_empty());
        world.sync_log();
        let seqs: Vec<_> =
            bob.take::<pb::Message>(world, Opcode::Message).iter().map(|m| m.seq).collect();
        assert_eq!(seqs, [2, 3]);
    });
}

#[test]
fn cursors_move_forward_only_and_tell_the_other() {
    on_any_server(|world| {
        let mut alice = Client::register(world, 0, "alice");
        let mut bob = Client::register(world, 1, "bobby");
        let to = alice.with(&bob);
        for n in 1..=5 {
            alice.send(world, to, n, "hi").unwrap();
        }
        let cursor = |delivered_seq, read_seq| pb::MoveCursor {
            conversation: Some(to.to_wire()),
            delivered_seq,
            read_seq,
        };
        bob.ask::<pb::Empty>(world, Opcode::MoveCursor, &cursor(4, 2)).unwrap();
        bob.ask::<pb::Empty>(world, Opcode::MoveCursor, &cursor(1, 1)).unwrap();
        bob.ask::<pb::Empty>(world, Opcode::MoveCursor, &cursor(0, 99)).unwrap();
        let told = alice.take::<pb::CursorMoved>(world, Opcode::CursorMoved);
        let told: Vec<_> = told.iter().map(|c| (c.delivered_seq, c.read_seq)).collect();
        assert_eq!(told, [(4, 2), (5, 5)]);
        let page = bob.cold_start(world);
        let state = page.conversations[0].state.as_ref().unwrap();
        assert_eq!((state.unread, state.read_seq), (0, 5));
    });
}

#[test]
fn strangers_are_refused() {
    on_any_server(|world| {
        let mut alice = Client::register(world, 0, "alice");
        let bob = Client::register(world, 1, "bobby");
        let mut carol = Client::register(world, 1, "carol");
        alice.send(world, alice.with(&bob), 1, "secret").unwrap();
        let theirs = alice.with(&bob);
        assert_eq!(carol.send(world, theirs, 1, "me too"), Err(ErrorCode::NotMember));
        let ask = pb::History { conversation: Some(theirs.to_wire()), ..Default::default() };
        let answer = carol.ask::<pb::HistoryPage>(world, Opcode::History, &ask);
        assert_eq!(answer, Err(ErrorCode::NotMember));
        let nobody = UserId::compose(1 << 40, alice.user().slot());
        let nobody = ConversationId::direct(alice.user(), nobody).unwrap();
        assert_eq!(alice.send(world, nobody, 2, "anyone?"), Err(ErrorCode::NoSuchUser));
    });
}

#[test]
fn presence_is_told_to_who_watches() {
    on_any_server(|world: &mut World| {
        let mut alice = Client::register(world, 0, "alice");
        let bob = Client::register(world, 1, "bobby");
        let watch = pb::WatchPresence { users: vec![bob.session.user_id] };
        let refused = alice.ask::<pb::Presences>(world, Opcode::WatchPresence, &watch);
        assert_eq!(refused, Err(ErrorCode::NotAllowed));
        alice.send(world, alice.with(&bob), 1, "hi").unwrap();
        alice.ask::<pb::Presences>(world, Opcode::WatchPresence, &watch).unwrap();
        let online = |world: &mut World, alice: &mut Client| -> Vec<bool> {
            let told = alice.take::<pb::Presences>(world, Opcode::PresenceChanged);
            told.iter().flat_map(|p| &p.presences).map(|p| p.online).collect()
        };
        assert_eq!(online(world, &mut alice), [true]);
        bob.disconnect(world);
        assert_eq!(online(world, &mut alice), [false]);
        let (_bob, _) = bob.resume(world, 0, None).unwrap();
        assert_eq!(online(world, &mut alice), [true]);
    });
}
