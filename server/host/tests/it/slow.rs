//! Readers that do not read.

use std::io::Read;

use hongyan_protocol::{ErrorCode, Opcode, pb};

use crate::support::{TestNode, direct, eventually, text_to};

/// Small windows, so that the server's queue fills and not the kernel's.
fn small_queues(test: &mut hongyan::RawConfig) {
    test.limits.out_queue_soft_bytes = 64 * 1024;
    test.limits.out_queue_hard_bytes = 1024 * 1024;
}

#[test]
fn a_slow_reader_is_told_to_sync_and_hurts_nobody() {
    let test = TestNode::start_with(small_queues);
    let mut ann = test.register("ann");
    let mut bob = test.register("bob");
    let find = |name: &str| pb::FindUser { name: name.into() };
    let user = |found: pb::Profiles| found.profiles[0].user;
    let ann_id = user(bob.call(Opcode::FindUser, &find("ann")).unwrap());
    let bob_id = user(bob.call(Opcode::FindUser, &find("bob")).unwrap());
    let chat = direct(ann_id, bob_id);
    let text = "x".repeat(16_000);
    // Bob reads nothing; what the kernel takes for him is bounded, so with
    // enough messages the server must begin to drop pushes.
    let mut sent = 0;
    while test.metric("hongyan_pushes_dropped_total") < 20.0 {
        let requests: Vec<u64> =
            (0..20).map(|_| ann.request(Opcode::Send, &text_to(&chat, &text))).collect();
        for request in requests {
            assert_eq!(ann.reply(request).opcode, Opcode::Send.number());
        }
        sent += 20;
        assert!(sent < 20_000, "nothing was ever dropped");
    }
    ann.beat();
    // Now he reads: messages in order, then word that some are missing.
    let mut last = 0;
    loop {
        let frame = bob.receive().expect("closed");
        if frame.opcode == Opcode::SyncNeeded.number() {
            break;
        }
        if frame.opcode == Opcode::Message.number() {
            let message: pb::Message = frame.message().unwrap();
            assert!(message.seq > last);
            last = message.seq;
        }
    }
    assert!(last < sent);
    // And what he missed is there.
    let history = pb::History {
        conversation: Some(chat),
        from_seq: last + 1,
        to_seq: 0,
        limit: 10,
        backwards: false,
    };
    let page: pb::HistoryPage = bob.call(Opcode::History, &history).unwrap();
    assert_eq!(page.messages[0].seq, last + 1);
    assert_eq!(page.last_seq, sent);
}

#[test]
fn a_reader_who_takes_nothing_for_long_is_closed() {
    let test = TestNode::start_with(|raw| {
        small_queues(raw);
        raw.limits.write_stall_timeout_ms = 500;
        // Heartbeats must not be what closes it.
        raw.session.heartbeat_ms = 600_000;
    });
    let mut ann = test.register("ann");
    let profiles = pb::GetProfiles { users: Vec::new() };
    let _: pb::Profiles = ann.call(Opcode::GetProfiles, &profiles).unwrap();
    let me = ann.call::<pb::Profiles>(Opcode::FindUser, &pb::FindUser { name: "ann".into() });
    let me = me.unwrap().profiles[0].user;
    let mut bob = test.register("bob");
    let bob_id = bob.call::<pb::Profiles>(Opcode::FindUser, &pb::FindUser { name: "bob".into() });
    let chat = direct(me, bob_id.unwrap().profiles[0].user);
    for _ in 0..40 {
        ann.say(&chat, &"y".repeat(16_000)).unwrap();
    }
    // Bob asks for the same pages again and again and reads no answer: his
    // requests stay unread too, so writing ends as well.
    bob.stream.set_write_timeout(Some(std::time::Duration::from_millis(50))).unwrap();
    let history = pb::History {
        conversation: Some(chat),
        from_seq: 1,
        to_seq: 0,
        limit: 40,
        backwards: false,
    };
    let frame = hongyan_protocol::Frame::new(Opcode::History, 9, &history).to_delimited();
    eventually("the stalled connection is closed", || {
        let _ = std::io::Write::write(&mut bob.stream, &frame);
        let text = test.handle().metrics();
        crate::support::metric(&text, "hongyan_connections_closed_total") >= 1.0
    });
    assert!(
        test.handle().metrics().lines().any(|line| {
            (line.contains("reason=\"stalled\"") || line.contains("reason=\"slow_consumer\""))
                && !line.ends_with(" 0")
        }),
        "closed for another reason"
    );
    ann.beat();
}

#[test]
fn a_session_that_reads_slowly_but_reads_gets_everything_it_asked_for() {
    let test = TestNode::start_with(small_queues);
    let mut ann = test.register("ann");
    let mut bob = test.register("bob");
    let id = |wire: &mut crate::support::Wire, name: &str| {
        let found =
            wire.call::<pb::Profiles>(Opcode::FindUser, &pb::FindUser { name: name.into() });
        found.unwrap().profiles[0].user
    };
    let chat = direct(id(&mut ann, "ann"), id(&mut bob, "bob"));
    for number in 0..100 {
        ann.say(&chat, &format!("{number:0>8000}")).unwrap();
    }
    let history = pb::History {
        conversation: Some(chat),
        from_seq: 1,
        to_seq: 0,
        limit: 20,
        backwards: false,
    };
    let requests: Vec<u64> = (0..40).map(|_| ann.request(Opcode::History, &history)).collect();
    std::thread::sleep(std::time::Duration::from_millis(200));
    for request in requests {
        let page: pb::HistoryPage = ann.reply(request).message().unwrap();
        assert_eq!(page.messages.len(), 20);
    }
}

#[test]
fn a_closed_socket_is_noticed() {
    let test = TestNode::start();
    let ann = test.register("ann");
    assert_eq!(test.handle().connections(), 1);
    ann.stream.shutdown(std::net::Shutdown::Both).unwrap();
    eventually("it is gone", || test.handle().connections() == 0);
}

#[test]
fn an_end_right_behind_the_last_bytes_is_noticed() {
    let test = TestNode::start_with(|raw| {
        raw.limits.login_timeout_ms = 600_000;
        raw.session.heartbeat_ms = 600_000;
    });
    let mut wires: Vec<_> = (0..50).map(|_| test.connect()).collect();
    for wire in &mut wires {
        // A length whose second byte does not come, and the end in the same
        // moment.
        wire.send_bytes(&[0x81]);
        wire.stream.shutdown(std::net::Shutdown::Write).unwrap();
    }
    eventually("they are gone", || test.handle().connections() == 0);
}

#[test]
fn the_end_of_a_refused_connection_is_an_end_and_no_reset() {
    let test = TestNode::start();
    let mut wire = test.connect();
    // Bytes that the server will never read are on their way when it closes.
    let mut bytes = vec![0xff, 0xff, 0xff, 0x7f];
    bytes.resize(200_000, 1);
    wire.send_bytes(&bytes);
    wire.goodbye_with(ErrorCode::FrameTooLarge);
    let mut rest = [0; 1];
    assert_eq!(wire.stream.read(&mut rest).unwrap(), 0);
}
