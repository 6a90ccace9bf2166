//! A session that takes one byte at a time while it is sent far more.
//!
//! Its kernel buffers are made small, so that the server's queue is what
//! fills. The deadline of a stalled connection is set out of reach: that it
//! closes one is tested elsewhere, here the slow one must live.

use std::collections::BTreeSet;

use hongyan_protocol::{Opcode, pb};

use super::{Pair, Person};
use crate::support::{PATIENCE, TestNode, Wire, direct, text_to};

/// Text of one message: large, so that few of them fill a queue.
const TEXT_BYTES: usize = 16_000;
/// Messages sent to the slow reader once the server has given up on it. A
/// queue without a limit would hold all of them: 32 MB.
const FLOOD: u64 = 2_000;
/// More messages than the server's queue and the kernel's buffers hold: the
/// kernel takes 4 MiB at most for one that does not read.
const QUEUED_MAX: u64 = 600;

#[test]
fn a_reader_of_single_bytes_costs_a_bounded_queue_and_syncs_afterwards() {
    let test = TestNode::start_with(|raw| {
        raw.limits.out_queue_soft_bytes = 64 * 1024;
        raw.limits.write_stall_timeout_ms = 600_000;
        raw.session.heartbeat_ms = 600_000;
    });
    let mut pair = Pair::meet(test.tcp());
    let mut ann = Person::register(test.tcp(), "ann");
    let mut bob = connect_small(&test);
    bob.hello("bob-device");
    let chat = direct(ann.user, bob.register("bob").user_id);
    let mut sent = 0;
    while test.metric("hongyan_connections_behind_total") < 1.0 {
        send_many(&mut ann.wire, &chat, 10);
        sent += 10;
        bob.sip();
        assert!(sent < 20_000, "the reader was never behind");
    }
    // From here on nothing more is queued for him.
    for _ in 0..FLOOD / 100 {
        send_many(&mut ann.wire, &chat, 100);
        bob.sip();
        pair.talk(1);
    }
    sent += FLOOD;
    assert_eq!(test.metric("hongyan_connections_behind_total"), 1.0);

    socket2::SockRef::from(&bob.stream).set_recv_buffer_size(1 << 20).unwrap();
    let queued = catch_up(&mut bob, &chat, sent);
    assert!(queued < QUEUED_MAX, "{queued} messages were queued for him");
    // Each of the others was dropped, and counted.
    let dropped = test.metric("hongyan_pushes_dropped_total");
    assert_eq!(queued as f64 + dropped, sent as f64);
    pair.talk(1);
}

/// Sends `count` messages and waits for their acks.
fn send_many(wire: &mut Wire, chat: &pb::ConversationId, count: u64) {
    let text = "x".repeat(TEXT_BYTES);
    let requests: Vec<u64> =
        (0..count).map(|_| wire.request(Opcode::Send, &text_to(chat, &text))).collect();
    for request in requests {
        assert_eq!(wire.reply(request).opcode, Opcode::Send.number());
    }
}

/// A connection that the kernel keeps as little for as it can.
fn connect_small(test: &TestNode) -> Wire {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    socket.connect_timeout(&test.tcp().into(), PATIENCE).unwrap();
    let stream = std::net::TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut wire = Wire::over(stream);
    wire.exchange_prefaces();
    wire
}

/// The slow one reads on, at full speed now: what was queued comes in order,
/// then the word to sync, and with that and the history nothing is missing.
/// Returns how many messages had been queued.
fn catch_up(bob: &mut Wire, chat: &pb::ConversationId, sent: u64) -> u64 {
    let mut held = 0;
    loop {
        let frame = bob.receive().expect("closed");
        if frame.opcode == Opcode::SyncNeeded.number() {
            break;
        }
        assert_eq!(frame.opcode, Opcode::Message.number());
        let message: pb::Message = frame.message().unwrap();
        assert_eq!(message.seq, held + 1);
        held = message.seq;
    }
    assert!(0 < held && held < sent, "{held} of {sent}");

    let cursor = pb::HeldCursor { conversation: Some(*chat), seq: held };
    let sync = pb::SyncRequest { held: vec![cursor], ..pb::SyncRequest::default() };
    let page: pb::SyncPage = bob.call(Opcode::Sync, &sync).unwrap();
    let synced =
        page.conversations.iter().find(|one| one.state.as_ref().unwrap().id == Some(*chat));
    let synced = synced.expect("the conversation is in the sync");
    assert_eq!(synced.state.as_ref().unwrap().last_seq, sent);
    assert!(synced.too_old, "more than a page was missed");
    let mut seen: BTreeSet<u64> = synced.messages.iter().map(|message| message.seq).collect();
    assert_eq!(seen.last(), Some(&sent));

    // The hole between what he holds and the newest ones is history.
    let to_seq = seen.first().unwrap() - 1;
    let mut from_seq = held + 1;
    while from_seq <= to_seq {
        let history =
            pb::History { conversation: Some(*chat), from_seq, to_seq, ..pb::History::default() };
        let page: pb::HistoryPage = bob.call(Opcode::History, &history).unwrap();
        for message in &page.messages {
            assert!(seen.insert(message.seq), "seq {} twice", message.seq);
        }
        from_seq = page.messages.last().expect("a page is not empty").seq + 1;
    }
    assert!(seen.into_iter().eq(held + 1..=sent), "something is missing");
    held
}
