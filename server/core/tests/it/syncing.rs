//! Catching up.

use hongyan_core::testing::{Client, World};
use hongyan_protocol::{ConversationId, Opcode, pb};

use crate::groups::create;
use crate::on_any_server;

fn holds(id: ConversationId) -> Vec<pb::HeldCursor> {
    vec![pb::HeldCursor { conversation: Some(id.to_wire()), seq: 1 }]
}

#[test]
fn a_device_resumes_in_one_round_trip() {
    on_any_server(|world| {
        let mut alice = Client::register(world, 0, "alice");
        let bob = Client::register(world, 1, "bobby");
        let carol = Client::register(world, 2, "carol");
        let with_bob = alice.with(&bob);
        alice.send(world, with_bob, 1, "one").unwrap();
        alice.send(world, alice.with(&carol), 2, "other").unwrap();
        bob.disconnect(world);
        for n in 3..=5 {
            alice.send(world, with_bob, n, "missed").unwrap();
        }
        let held = pb::HeldCursor { conversation: Some(with_bob.to_wire()), seq: 1 };
        let resume = pb::SyncRequest { held: vec![held], ..Default::default() };
        let (_bob, welcome) = bob.resume(world, 0, Some(resume)).unwrap();
        assert_eq!(welcome.session.unwrap().user_id, bob.session.user_id);
        let page = welcome.resumed.unwrap();
        assert_eq!(page.next_page, 0);
        let conversation = &page.conversations[0];
        let seqs: Vec<_> = conversation.messages.iter().map(|m| m.seq).collect();
        assert_eq!((seqs, conversation.too_old), (vec![2, 3, 4], false));
        assert_eq!(conversation.state.as_ref().unwrap().unread, 4);
        assert_eq!(page.profiles[0].name, "alice");
    });
}

#[test]
fn who_missed_too_much_gets_the_newest() {
    on_any_server(|world| {
        let mut alice = Client::register(world, 0, "alice");
        let mut bob = Client::register(world, 1, "bobby");
        let to = alice.with(&bob);
        for n in 0..=250 {
            alice.send(world, to, n, "many").unwrap();
        }
        let held = pb::HeldCursor { conversation: Some(to.to_wire()), seq: 0 };
        let resume = pb::SyncRequest { held: vec![held], ..Default::default() };
        let page: pb::SyncPage = bob.ask(world, Opcode::Sync, &resume).unwrap();
        let conversation = &page.conversations[0];
        assert!(conversation.too_old);
        assert_eq!(conversation.messages.len(), 200);
        assert_eq!(conversation.messages.last().unwrap().seq, 251);
        assert!(conversation.messages.is_sorted_by_key(|m| m.seq));
        assert_eq!(bob.history(world, to).len(), 251);
    });
}

#[test]
fn a_cold_start_is_paged_by_bytes_and_complete() {
    on_any_server(|world| {
        let mut alice = Client::register(world, 0, "alice");
        let text = "x".repeat(2_000);
        for n in 0..12 {
            let friend = Client::register(world, n, &format!("friend{n}"));
            alice.send(world, alice.with(&friend), n as u8, &text).unwrap();
        }
        let mut seen = Vec::new();
        let mut page = 0;
        for _ in 0..20 {
            let ask = pb::SyncRequest { page, max_bytes: 5_000, ..Default::default() };
            let answer: pb::SyncPage = alice.ask(world, Opcode::Sync, &ask).unwrap();
            assert!(answer.conversations.len() <= 2);
            seen.extend(answer.conversations.into_iter().map(|c| c.state.unwrap().id.unwrap()));
            page = answer.next_page;
            if page == 0 {
                break;
            }
        }
        seen.sort_by_key(|id| (id.low_user, id.high_user));
        seen.dedup();
        assert_eq!(seen.len(), 12);
    });
}

#[test]
fn a_page_of_what_is_gone_is_not_taken_for_the_last() {
    on_any_server(|world| {
        let mut alice = Client::register(world, 0, "alice");
        let mut bob = Client::register(world, 1, "bobby");
        let (group, id) = create(world, &mut alice, &[&bob], true);
        let remove = pb::RemoveMember { group, user: bob.session.user_id };
        alice.ask::<pb::Group>(world, Opcode::RemoveMember, &remove).unwrap();
        alice.send(world, alice.with(&bob), 1, &"x".repeat(2_000)).unwrap();
        // No room for more than the first conversation.
        let mut ask = pb::SyncRequest { held: holds(id), max_bytes: 1, ..Default::default() };
        let first: pb::SyncPage = bob.ask(world, Opcode::Sync, &ask).unwrap();
        let told = first.conversations[0].state.as_ref().unwrap();
        assert_eq!((told.id, told.gone), (Some(id.to_wire()), true));
        let mut listed: Vec<_> = first.conversations[1..].to_vec();
        ask.page = first.next_page;
        while ask.page > 0 {
            let page: pb::SyncPage = bob.ask(world, Opcode::Sync, &ask).unwrap();
            listed.extend(page.conversations);
            ask.page = page.next_page;
        }
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].state.as_ref().unwrap().id, Some(alice.with(&bob).to_wire()));
    });
}

#[test]
fn a_page_older_than_a_departure_is_followed_by_a_call_to_sync() {
    let world = &mut World::new(1);
    let mut alice = Client::register(world, 0, "alice");
    let mut bob = Client::register(world, 0, "bobby");
    let (group, id) = create(world, &mut alice, &[&bob], true);
    bob.take::<pb::SyncNeeded>(world, Opcode::SyncNeeded);
    world.auto_sync = false;
    // What bob reads waits for the sync, and the departure overtakes it.
    alice.say(world, Opcode::InviteMembers, &pb::InviteMembers { group, users: Vec::new() });
    alice.say(world, Opcode::UpdateGroup, &pb::UpdateGroup { group, ..Default::default() });
    let page = bob.say(world, Opcode::Sync, &pb::SyncRequest::default());
    let leave = bob.say(world, Opcode::LeaveGroup, &pb::LeaveGroup { group });
    world.sync_log();
    let page = bob.reply::<pb::SyncPage>(world, page).unwrap().unwrap();
    assert_eq!(page.conversations[0].state.as_ref().unwrap().id, Some(id.to_wire()));
    bob.reply::<pb::Empty>(world, leave).unwrap().unwrap();
    // Once for the page, once because the list itself changes after it was read.
    assert_eq!(bob.take::<pb::SyncNeeded>(world, Opcode::SyncNeeded).len(), 2);
    world.auto_sync = true;
    world.sync_log();
    assert!(bob.cold_start(world).conversations.is_empty());
}
