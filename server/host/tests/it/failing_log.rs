//! A log that is slow, full or broken: nothing false is acknowledged.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use bytes::Buf;
use hongyan::{Config, Event, Node, RawConfig};
use hongyan_core::{Layout, ShardId};
use hongyan_protocol::{ConversationId, ErrorCode, Frame, Opcode, UserId, pb};
use hongyan_store::{Draft, Log, Lsn, Records, StoreError, Tail};

use crate::support::{PATIENCE, TestNode, Wire, direct, text_to};

const WELL: u8 = 0;
const SYNC_FAILS: u8 = 1;
const APPEND_FULL: u8 = 2;
const CORRUPT: u8 = 3;
const SLOW: u8 = 4;
const PANICS: u8 = 5;
const HELD: u8 = 6;

struct FaultyLog {
    inner: Box<dyn Log>,
    fault: Arc<AtomicU8>,
}

impl FaultyLog {
    fn fault(&self) -> u8 {
        self.fault.load(Ordering::SeqCst)
    }
}

fn poisoned() -> StoreError {
    StoreError::Poisoned { first: "made to fail".into() }
}

impl Log for FaultyLog {
    fn append(&mut self, drafts: &[Draft], committed_ms: u64) -> Result<Lsn, StoreError> {
        while self.fault() == HELD {
            std::thread::sleep(Duration::from_millis(5));
        }
        match self.fault() {
            APPEND_FULL => Err(StoreError::DiskFull { free_bytes: 0, needed_bytes: 1 }),
            CORRUPT => Err(StoreError::Corrupt {
                file: "made up".into(),
                offset: 0,
                detail: "made to fail".into(),
            }),
            _ => self.inner.append(drafts, committed_ms),
        }
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        match self.fault() {
            SYNC_FAILS => Err(poisoned()),
            PANICS => panic!("made to panic"),
            SLOW => {
                std::thread::sleep(Duration::from_millis(20));
                self.inner.sync()
            }
            _ => self.inner.sync(),
        }
    }

    fn last(&self) -> Lsn {
        self.inner.last()
    }

    fn durable(&self) -> Lsn {
        self.inner.durable()
    }

    fn first(&self) -> Lsn {
        self.inner.first()
    }

    fn tail(&self, partition: u16) -> Tail {
        self.inner.tail(partition)
    }

    fn read_from(&self, lsn: Lsn) -> Result<Records<'_>, StoreError> {
        self.inner.read_from(lsn)
    }

    fn truncate_before(&mut self, lsn: Lsn) -> Result<(), StoreError> {
        self.inner.truncate_before(lsn)
    }

    fn seal(&mut self) -> Result<(), StoreError> {
        self.inner.seal()
    }
}

/// A node whose log can be made to fail.
fn start() -> (TestNode, Arc<AtomicU8>) {
    start_with(|_| {})
}

/// As [`start`], with other settings.
fn start_with(change: impl FnOnce(&mut RawConfig)) -> (TestNode, Arc<AtomicU8>) {
    let mut test = TestNode::start_with(change);
    test.stop();
    let fault = Arc::new(AtomicU8::new(WELL));
    let given = fault.clone();
    let config = Config::check(&test.raw).unwrap();
    let node = Node::start_with_log(config, |inner| Box::new(FaultyLog { inner, fault: given }));
    test.node = Some(node.unwrap());
    (test, fault)
}

/// Makes the log fail under a send: no ack, a Goodbye, an event with the exit
/// code, red health; and after a restart only what was acknowledged.
fn fails_with(how: u8, expected_exit: u8) {
    let (mut test, fault) = start();
    let mut ann = test.connect();
    ann.hello("a");
    let mut bob = test.connect();
    bob.hello("b");
    let chat = direct(ann.register("ann").user_id, bob.register("bob").user_id);
    ann.say(&chat, "before").unwrap();
    bob.push(Opcode::Message);
    fault.store(how, Ordering::SeqCst);
    let request = ann.request(Opcode::Send, &text_to(&chat, "never"));
    loop {
        let frame = ann.receive().expect("closed without a Goodbye");
        assert_ne!(frame.request, request, "acknowledged: {frame:?}");
        if frame.opcode == Opcode::Goodbye.number() {
            let goodbye: pb::Goodbye = frame.message().unwrap();
            assert_eq!(goodbye.code, ErrorCode::StoreUnavailable.number());
            assert!(goodbye.reconnect_after_ms > 0);
            break;
        }
    }
    // The other side is sent away as well, and is never shown the message.
    bob.goodbye_with(ErrorCode::StoreUnavailable);
    assert!(bob.pushes.iter().all(|push| push.opcode != Opcode::Message.number()));
    match test.handle().next_event(PATIENCE) {
        Some(Event::Failed { exit_code, .. }) => assert_eq!(exit_code, expected_exit),
        other => panic!("the owner heard {other:?}"),
    }
    assert_eq!(test.metric("hongyan_health"), 2.0);
    let stopped = test.node.take().unwrap().shutdown();
    assert!(!stopped.settled);
    test.restart();
    let mut ann = test.connect();
    ann.hello("a");
    ann.login("ann").unwrap();
    let history = pb::History { conversation: Some(chat), ..pb::History::default() };
    let page: pb::HistoryPage = ann.call(Opcode::History, &history).unwrap();
    assert!(!page.messages.is_empty() && page.messages.len() <= 2);
    assert!(ann.say(&chat, "after").unwrap().seq >= 2);
}

#[test]
fn a_failed_sync_acknowledges_nothing_ever_again() {
    fails_with(SYNC_FAILS, 74);
}

#[test]
fn a_full_log_acknowledges_nothing() {
    fails_with(APPEND_FULL, 74);
}

#[test]
fn a_corrupt_log_asks_for_a_human() {
    fails_with(CORRUPT, 78);
}

#[test]
fn a_panic_takes_the_node_down_in_order() {
    fails_with(PANICS, 70);
}

#[test]
fn a_slow_log_makes_larger_batches() {
    let (test, fault) = start();
    let mut ann = test.connect();
    ann.hello("a");
    let mut bob = test.connect();
    bob.hello("b");
    let chat = direct(ann.register("ann").user_id, bob.register("bob").user_id);
    fault.store(SLOW, Ordering::SeqCst);
    let syncs = test.metric("hongyan_log_syncs_total");
    let requests: Vec<u64> = (0..400)
        .map(|number| {
            if number % 40 == 0 {
                // Some pauses, so that it is not all one wake.
                std::thread::sleep(Duration::from_millis(5));
            }
            ann.request(Opcode::Send, &text_to(&chat, "x"))
        })
        .collect();
    for request in requests {
        assert_eq!(ann.reply(request).opcode, Opcode::Send.number());
    }
    let syncs = test.metric("hongyan_log_syncs_total") - syncs;
    assert!(syncs <= 100.0, "{syncs} syncs for 400 messages");
}

/// Half of them may be senders, who do not wait for acks.
const PEOPLE: usize = 24;
/// What all of them have to say.
const SENT_BYTES: usize = 960_000_000;
/// Half of that. A worker may have 32 MiB under way; what was read before
/// the others heard of it is decided as well, and depends on the machine.
const TAKEN_BYTES_MAX: f64 = 480e6;

#[test]
fn a_log_that_stands_still_ends_the_reading_whoever_sends() {
    let (test, fault) = start_with(|raw| {
        // Shorter than the log stands still: who is not read is not late.
        raw.limits.frame_timeout_ms = 2_500;
        raw.session.heartbeat_ms = 600_000;
    });
    // All connections are the second worker's, all conversations the first's: the one that reads is
    // not the one that waits for the log.
    let layout = Layout::new(2);
    let mut people = (0..PEOPLE).map(|number| {
        let mut wire = test.connect();
        wire.hello("a");
        let id = wire.register(&format!("person{number}")).user_id;
        (wire, UserId::new(id).unwrap())
    });
    let others: Vec<UserId> = people.by_ref().take(PEOPLE / 2).map(|(_, id)| id).collect();
    let mut senders: Vec<(Wire, pb::ConversationId)> = people
        .filter(|(_, me)| layout.shard_of(me.slot()) == ShardId(1))
        .filter_map(|(wire, me)| {
            let chats = others.iter().filter_map(|other| ConversationId::direct(me, *other));
            let far = |chat: &ConversationId| layout.shard_of(chat.slot()) == ShardId(0);
            Some((wire, chats.into_iter().find(far)?.to_wire()))
        })
        .collect();
    assert!(!senders.is_empty());
    let count = senders.len();
    fault.store(HELD, Ordering::SeqCst);
    let _released = Released(fault.clone());
    let taken = test.metric("hongyan_bytes_in_total");
    let sent: Vec<Sent> = std::thread::scope(|scope| {
        let flood = |(wire, chat): &mut (Wire, pb::ConversationId)| {
            send_until_blocked(wire, chat, SENT_BYTES / count)
        };
        let threads: Vec<_> =
            senders.iter_mut().map(|sender| scope.spawn(move || flood(sender))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let taken = test.metric("hongyan_bytes_in_total") - taken;
    assert!(taken < TAKEN_BYTES_MAX, "{taken} bytes were taken while nothing could be written");
    // Whatever was taken is done once it can be.
    fault.store(WELL, Ordering::SeqCst);
    for ((wire, _), sent) in senders.iter_mut().zip(&sent) {
        wire.stream.set_write_timeout(Some(PATIENCE)).unwrap();
        wire.send_bytes(&sent.rest);
    }
    for ((wire, _), sent) in senders.iter_mut().zip(sent) {
        for request in sent.requests {
            assert_eq!(wire.reply(request).opcode, Opcode::Send.number());
        }
    }
}

/// Lets the log go on when it is dropped: a test that fails must be able to
/// stop its node.
struct Released(Arc<AtomicU8>);

impl Drop for Released {
    fn drop(&mut self) {
        self.0.store(WELL, Ordering::SeqCst);
    }
}

/// What a sender has said.
struct Sent {
    /// Also the one that is cut off.
    requests: Vec<u64>,
    /// What is missing of the last frame.
    rest: Vec<u8>,
}

/// Sends until all is sent, or the server has taken nothing for longer than a frame may take.
fn send_until_blocked(wire: &mut Wire, chat: &pb::ConversationId, bytes: usize) -> Sent {
    wire.stream.set_write_timeout(Some(Duration::from_secs(4))).unwrap();
    let text = "x".repeat(16_000);
    let mut sent = Sent { requests: Vec::new(), rest: Vec::new() };
    for request in 1_000..1_000 + (bytes / text.len()) as u64 {
        let mut frame = Frame::new(Opcode::Send, request, &text_to(chat, &text)).to_delimited();
        sent.requests.push(request);
        while !frame.is_empty() {
            match wire.stream.write(&frame) {
                Ok(written) => frame.advance(written),
                Err(_) => {
                    sent.rest = frame.to_vec();
                    return sent;
                }
            }
        }
    }
    sent
}
