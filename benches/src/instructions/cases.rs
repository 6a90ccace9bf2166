//! What is counted: one row per case, with inputs that are the same in every run.
//!
//! To add a case, add a row and a function that prepares it. A step must do the same work each
//! time it is called; what it takes from is prepared before, so that only the work is counted.

use std::hint::black_box;

use bytes::BytesMut;
use hongyan_core::Input;
use hongyan_core::testing::parse_command;
use hongyan_protocol::{ConversationId, FrameDecoder, Opcode, frame, limits};
use hongyan_store::{Draft, Log, MemoryLog, OpenStore, Options, open};

use crate::frames;
use crate::records::{Written, drafts};
use crate::ring::Ring;
use crate::world::OneShard;

/// One call of a case.
pub type Step = Box<dyn FnMut()>;

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// What `--case` takes.
    pub name: &'static str,
    /// What is counted as one.
    pub operation: &'static str,
    /// Operations in one call.
    pub per_call: usize,
    /// Calls that are counted, and calls before them.
    pub calls: usize,
    /// Prepares for so many calls.
    pub prepare: fn(usize) -> Step,
}

/// Frames in a buffer, messages of a wake.
const BATCH: usize = 64;
/// People in a ring.
const RING: usize = 200;
/// Receivers of a group message.
const RECEIVERS: usize = 100;
const NOW_MS: u64 = 1_760_000_000_000;

/// Every case but those of tokens, in the order of the table. Those are the program's own: they
/// need the host, which nothing else here does.
pub const CASES: &[Case] = &[
    Case {
        name: "frame_decode",
        operation: "frame of a Send, taken off a buffer of 64",
        per_call: BATCH,
        calls: 128,
        prepare: frame_decode,
    },
    Case {
        name: "frame_encode",
        operation: "frame of a Send, into a buffer",
        per_call: BATCH,
        calls: 128,
        prepare: frame_encode,
    },
    Case {
        name: "push_encode",
        operation: "stored message as a push, into a buffer",
        per_call: BATCH,
        calls: 128,
        prepare: push_encode,
    },
    Case {
        name: "command_parse_send",
        operation: "Send, parsed and checked",
        per_call: BATCH,
        calls: 128,
        prepare: command_parse_send,
    },
    Case {
        name: "direct_64_per_wake",
        operation: "direct message, from the send to ack, push and record",
        per_call: BATCH,
        calls: 64,
        prepare: direct_64_per_wake,
    },
    Case {
        name: "direct_1_per_wake",
        operation: "the same, alone in its wake",
        per_call: 1,
        calls: 2_048,
        prepare: direct_1_per_wake,
    },
    Case {
        name: "move_cursor",
        operation: "delivered cursor, from the frame to the push and record",
        per_call: 1,
        calls: 2_000,
        prepare: move_cursor,
    },
    Case {
        name: "fan_out_100",
        operation: "receiver of a group message to 100",
        per_call: RECEIVERS,
        calls: 128,
        prepare: fan_out_100,
    },
    Case {
        name: "log_append_64_memory",
        operation: "records of a wake of 64 messages, appended to the log in memory",
        per_call: 1,
        calls: 128,
        prepare: log_append_64_memory,
    },
    Case {
        name: "log_append_64_segment",
        operation: "the same, encoded for a segment file and written",
        per_call: 1,
        calls: 128,
        prepare: log_append_64_segment,
    },
    Case {
        name: "history_50_hot",
        operation: "page of the newest 50 messages, in memory",
        per_call: 1,
        calls: 128,
        prepare: history_50_hot,
    },
    Case {
        name: "history_50_settled",
        operation: "page of the oldest 50 messages, from the views' pages",
        per_call: 1,
        calls: 128,
        prepare: history_50_settled,
    },
];

impl Case {
    /// Prepares for twice `calls` calls, makes the first half of them, and then those that are
    /// [`counted`].
    pub fn run(&self, calls: usize) {
        let mut step = (self.prepare)(2 * calls);
        for _ in 0..calls {
            step();
        }
        counted(&mut step, calls);
    }
}

/// Makes `calls` calls. Valgrind finds this function by its name and collects while it runs.
#[inline(never)]
pub fn counted(step: &mut Step, calls: usize) {
    for _ in 0..calls {
        step();
    }
}

fn frame_decode(calls: usize) -> Step {
    let decoder = FrameDecoder::new(limits::FRAME_BYTES_MAX);
    let mut wire = BytesMut::new();
    for send in frames::sends(BATCH) {
        send.encode_delimited(&mut wire);
    }
    let mut buffers: Vec<_> = (0..calls).map(|_| wire.clone()).collect();
    Box::new(move || {
        let mut buffer = buffers.pop().expect("prepared");
        while let Some(frame) = decoder.decode(&mut buffer).expect("whole frames") {
            black_box(frame);
        }
    })
}

fn frame_encode(_: usize) -> Step {
    let sends = frames::sends(BATCH);
    let mut out = BytesMut::with_capacity(BATCH * 512);
    Box::new(move || {
        out.clear();
        for send in &sends {
            black_box(send).encode_delimited(&mut out);
        }
        black_box(out.len());
    })
}

fn push_encode(_: usize) -> Step {
    let stored = frames::stored_message();
    let mut out = BytesMut::with_capacity(BATCH * 512);
    Box::new(move || {
        out.clear();
        for _ in 0..BATCH {
            frame::encode_message(Opcode::Message, 0, black_box(&stored), &mut out);
        }
        black_box(out.len());
    })
}

fn command_parse_send(_: usize) -> Step {
    let sends = frames::sends(BATCH);
    let own = frames::sender();
    Box::new(move || {
        for send in &sends {
            black_box(parse_command(Opcode::Send, black_box(send), own)).expect("a send");
        }
    })
}

/// Takes what was prepared, a wake at a time.
///
/// # Panics
/// The step: when it is called more often than was prepared for.
#[must_use]
pub fn wakes(mut world: OneShard, prepared: Vec<Vec<Input>>) -> Step {
    let mut prepared = prepared.into_iter();
    Box::new(move || {
        black_box(world.wake(prepared.next().expect("prepared")));
    })
}

fn direct(calls: usize, per_wake: usize) -> Step {
    let mut ring = Ring::new(OneShard::new(), RING);
    ring.world.settle();
    let prepared = (0..calls).map(|_| ring.sends(per_wake)).collect();
    wakes(ring.world, prepared)
}

fn direct_64_per_wake(calls: usize) -> Step {
    direct(calls, BATCH)
}

fn direct_1_per_wake(calls: usize) -> Step {
    direct(calls, 1)
}

/// Each pair has as many messages as its receiver will confirm, one at a time.
fn move_cursor(calls: usize) -> Step {
    let mut ring = Ring::new(OneShard::new(), RING);
    for _ in 0..calls / RING {
        let sends = ring.sends(RING);
        ring.world.wake(sends);
    }
    ring.world.settle();
    let seq_of = |call: usize| (call / RING + 1) as u64;
    let prepared = (0..calls).map(|call| vec![ring.receipt(call, seq_of(call))]).collect();
    wakes(ring.world, prepared)
}

fn fan_out_100(calls: usize) -> Step {
    let mut world = OneShard::new();
    let people: Vec<_> =
        (0..=RECEIVERS).map(|index| world.register(&format!("fan-{index}"))).collect();
    let id = ConversationId::Group(world.make_group(&people));
    world.settle();
    let prepared = (0..calls).map(|_| vec![world.send_input(people[0], id)]).collect();
    wakes(world, prepared)
}

/// Appends of what a ring wrote, and what must be in the log before them.
fn batches(calls: usize) -> (Vec<Draft>, std::vec::IntoIter<Vec<Draft>>) {
    let Written { before, wakes } = Written::by_ring(RING, calls, BATCH);
    let batches: Vec<_> = wakes.iter().map(|wake| drafts(wake)).collect();
    (drafts(&before), batches.into_iter())
}

fn append(mut log: impl AsMut<dyn Log> + 'static, calls: usize) -> Step {
    let (before, mut batches) = batches(calls);
    log.as_mut().append(&before, NOW_MS).expect("append");
    Box::new(move || {
        let batch = batches.next().expect("prepared");
        black_box(log.as_mut().append(&batch, NOW_MS)).expect("append");
    })
}

fn log_append_64_memory(calls: usize) -> Step {
    append(Box::new(MemoryLog::new()) as Box<dyn Log>, calls)
}

/// A store with the directory that it is in, in the order in which they must go.
struct StoreInDir {
    store: OpenStore,
    _dir: tempfile::TempDir,
}

impl AsMut<dyn Log> for StoreInDir {
    fn as_mut(&mut self) -> &mut (dyn Log + 'static) {
        self.store.log.as_mut()
    }
}

fn log_append_64_segment(calls: usize) -> Step {
    let dir = tempfile::tempdir().expect("a directory");
    let mut options = Options::new(dir.path());
    // Room for all of it: no call has to begin another file.
    options.segment_bytes = 8 * 1024 * 1024;
    options.reserve_bytes = 0;
    options.free_bytes_min = 0;
    let store = open(&options).expect("a new store");
    append(StoreInDir { store, _dir: dir }, calls)
}

fn talk(settled: bool) -> Ring {
    const MESSAGES: usize = 500;
    let mut ring = Ring::new(OneShard::new(), 2);
    for said in 1..=MESSAGES {
        let send = ring.sends(1);
        ring.world.wake(send);
        if settled && said.is_multiple_of(100) {
            ring.world.settle();
        }
    }
    ring
}

fn history(ring: Ring, calls: usize, to_seq: u64) -> Step {
    let prepared = (0..calls).map(|_| vec![ring.history(0, to_seq, 50)]).collect();
    wakes(ring.world, prepared)
}

fn history_50_hot(calls: usize) -> Step {
    history(talk(false), calls, 0)
}

fn history_50_settled(calls: usize) -> Step {
    history(talk(true), calls, 50)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_can_make_the_calls_it_prepared_for() {
        for case in CASES {
            assert!(case.calls > 0 && case.per_call > 0, "{}", case.name);
            case.run(2);
        }
    }

    #[test]
    fn names_of_cases_are_unique() {
        for (index, case) in CASES.iter().enumerate() {
            assert!(CASES[..index].iter().all(|other| other.name != case.name), "{}", case.name);
        }
    }
}
