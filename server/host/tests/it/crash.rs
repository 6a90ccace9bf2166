//! Kills: what was acknowledged is there afterwards.

use hongyan_protocol::{Opcode, pb};
use rustix::process::Signal;

use crate::support::{ChildNode, Wire, direct, text_to};

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    // Rounds of settling in between, so that kills meet them too.
    let settings = [("HONGYAN_STORE__SETTLE_SECONDS", "1")];
    let mut acked: Vec<(u64, u64)> = Vec::new();
    let mut chat = pb::ConversationId::default();
    for round in 0..4 {
        let server = ChildNode::start(&data, &settings);
        let mut ann = Wire::connect(server.tcp);
        ann.hello("a");
        if round == 0 {
            let ann_id = ann.register("ann").user_id;
            let mut bob = Wire::connect(server.tcp);
            bob.hello("b");
            chat = direct(ann_id, bob.register("bob").user_id);
        } else {
            ann.login("ann").unwrap();
        }
        // Everything acknowledged so far, in one order, once, and what was written besides.
        let mut found = Vec::new();
        let mut more = round > 0;
        while more {
            let history = pb::History {
                conversation: Some(chat),
                from_seq: found.len() as u64 + 1,
                to_seq: 0,
                limit: 500,
                backwards: false,
            };
            let page: pb::HistoryPage = ann.call(Opcode::History, &history).unwrap();
            found.extend(page.messages.iter().map(|m| (m.seq, m.message_id)));
            more = page.more;
            assert!(!more || !page.messages.is_empty(), "{} of {} found", found.len(), acked.len());
        }
        assert!(found.len() >= acked.len(), "{} of {} found", found.len(), acked.len());
        assert_eq!(found[..acked.len()], acked[..], "round {round}");
        // What was written but not acknowledged may be there as well.
        acked = found;
        for _ in 0..20 {
            let requests: Vec<u64> =
                (0..25).map(|_| ann.request(Opcode::Send, &text_to(&chat, "k"))).collect();
            for request in requests {
                let ack: pb::SendAck = ann.reply(request).message().unwrap();
                assert_eq!(ack.seq, acked.len() as u64 + 1);
                acked.push((ack.seq, ack.message_id));
            }
        }
        // More on their way when it dies.
        for _ in 0..50 {
            ann.request(Opcode::Send, &text_to(&chat, "late"));
        }
        server.kill();
    }
}

#[test]
fn sigterm_tells_clients_and_leaves_nothing_to_replay() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let server = ChildNode::start(&data, &[]);
    let mut ann = Wire::connect(server.tcp);
    ann.hello("a");
    ann.register("ann");
    let reader = std::thread::spawn(move || ann.goodbye());
    let status = server.terminate();
    assert!(status.success(), "{status}");
    reader.join().unwrap();
    let report = hongyan_store::check(&data).unwrap();
    assert_eq!(report.checkpoint, report.last);
    assert!(report.faults.is_empty(), "{:?}", report.faults);
}

#[test]
fn sighup_does_not_end_it() {
    let directory = tempfile::tempdir().unwrap();
    let server = ChildNode::start(&directory.path().join("data"), &[]);
    let mut wire = Wire::connect(server.tcp);
    server.signal(Signal::HUP);
    wire.beat();
    server.signal(Signal::HUP);
    wire.beat();
    assert!(server.terminate().success());
}
