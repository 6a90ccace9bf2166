//! Two people talk through a whole server, frames only.

use hongyan_protocol::{Opcode, pb};

use crate::support::{TestNode, Wire, direct};

/// A session of a new account, and its id.
fn person(test: &TestNode, name: &str) -> (Wire, u64) {
    let mut wire = test.connect();
    wire.hello(&format!("{name}-device"));
    let session = wire.register(name);
    (wire, session.user_id)
}

#[test]
fn a_message_is_acknowledged_pushed_and_found_again() {
    let mut test = TestNode::start();
    let (mut ann, ann_id) = person(&test, "ann");
    let (mut bob, bob_id) = person(&test, "bob");
    let chat = direct(ann_id, bob_id);
    let ack = ann.say(&chat, "hello bob").unwrap();
    assert_eq!((ack.seq, ack.level), (1, pb::AckLevel::Durable as i32));
    let pushed: pb::Message = bob.push(Opcode::Message).message().unwrap();
    assert_eq!((pushed.seq, pushed.sender), (1, ann_id));
    bob.say(&chat, "hello ann").unwrap();
    let pushed: pb::Message = ann.push(Opcode::Message).message().unwrap();
    assert_eq!(pushed.seq, 2);
    drop((ann, bob));
    test.restart();
    let mut ann = test.connect();
    ann.hello("another device");
    ann.login("ann").unwrap();
    let history = pb::History { conversation: Some(chat), ..pb::History::default() };
    let page: pb::HistoryPage = ann.call(Opcode::History, &history).unwrap();
    let seqs: Vec<u64> = page.messages.iter().map(|message| message.seq).collect();
    assert_eq!(seqs, [1, 2]);
}

#[test]
fn the_same_message_again_gets_the_first_ack_again() {
    let test = TestNode::start();
    let (mut ann, ann_id) = person(&test, "ann");
    let (_bob, bob_id) = person(&test, "bob");
    let message = crate::support::text_to(&direct(ann_id, bob_id), "once");
    let first: pb::SendAck = ann.call(Opcode::Send, &message).unwrap();
    let again: pb::SendAck = ann.call(Opcode::Send, &message).unwrap();
    assert_eq!((again.seq, again.message_id), (first.seq, first.message_id));
    assert!(again.repeated_send && !first.repeated_send);
}

#[test]
fn every_ack_level_is_answered() {
    let test = TestNode::start();
    let (mut ann, ann_id) = person(&test, "ann");
    let (_bob, bob_id) = person(&test, "bob");
    for level in [pb::AckLevel::Accepted, pb::AckLevel::Written, pb::AckLevel::Durable] {
        let mut message = crate::support::text_to(&direct(ann_id, bob_id), "x");
        message.level = level as i32;
        let ack: pb::SendAck = ann.call(Opcode::Send, &message).unwrap();
        assert!(ack.level <= level as i32, "asked {level:?}, got {}", ack.level);
    }
    assert!(test.metric("hongyan_log_syncs_total") >= 1.0);
}

#[test]
fn many_people_on_many_shards_talk_at_once() {
    let test = TestNode::start_with(|raw| raw.listen.shards = 4);
    let mut people: Vec<(Wire, u64)> =
        (0..12).map(|number| person(&test, &format!("user{number}"))).collect();
    let ids: Vec<u64> = people.iter().map(|(_, id)| *id).collect();
    // Everybody writes to everybody, pipelined.
    let mut asked = Vec::new();
    for (from, (wire, id)) in people.iter_mut().enumerate() {
        for to in &ids {
            if to != id {
                let message = crate::support::text_to(&direct(*id, *to), "hi");
                asked.push((from, wire.request(Opcode::Send, &message)));
            }
        }
    }
    for (from, request) in asked {
        assert_eq!(people[from].0.reply(request).opcode, Opcode::Send.number());
    }
    for (wire, _) in &mut people {
        for _ in 0..11 {
            let message: pb::Message = wire.push(Opcode::Message).message().unwrap();
            assert!(message.seq <= 2);
        }
    }
}

#[test]
fn cold_state_is_loaded_after_a_restart() {
    let mut test = TestNode::start();
    let (mut ann, ann_id) = person(&test, "ann");
    let (bob, bob_id) = person(&test, "bob");
    let chat = direct(ann_id, bob_id);
    for number in 0..300 {
        ann.say(&chat, &format!("{number:0>500}")).unwrap();
    }
    drop((ann, bob));
    test.restart();
    let mut bob = test.connect();
    bob.hello("bob-device");
    bob.login("bob").unwrap();
    let mut seen = Vec::new();
    let mut to_seq = 0;
    loop {
        let history = pb::History {
            conversation: Some(chat),
            from_seq: 1,
            to_seq,
            limit: 70,
            backwards: true,
        };
        let page: pb::HistoryPage = bob.call(Opcode::History, &history).unwrap();
        let mut seqs: Vec<u64> = page.messages.iter().map(|message| message.seq).collect();
        to_seq = seqs[0] - 1;
        seqs.append(&mut seen);
        seen = seqs;
        if !page.more {
            break;
        }
    }
    assert_eq!(seen, (1..=300).collect::<Vec<_>>());
    assert!(test.metric("hongyan_loads_total") > 0.0);
}
