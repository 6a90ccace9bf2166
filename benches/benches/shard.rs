//! The rules alone: what a shard does with a direct message, and with reading it again.

use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hongyan_benches::world::{OneShard, Person, replayed};
use hongyan_core::Input;
use hongyan_protocol::{ConversationId, Frame, Opcode, pb};
use std::hint::black_box;

const RING: usize = 200;
/// Sends that one wake takes.
const WAKE: usize = 64;
const SETTLE_EVERY: usize = 512;

struct Ring {
    world: OneShard,
    people: Vec<Person>,
    turn: usize,
    wakes: usize,
}

impl Ring {
    fn new() -> Self {
        let mut world = OneShard::new();
        let people = (0..RING).map(|index| world.register(&format!("ring-{index}"))).collect();
        let mut ring = Self { world, people, turn: 0, wakes: 0 };
        for _ in 0..RING / WAKE + 1 {
            let inputs = ring.inputs(WAKE);
            ring.world.wake(inputs);
        }
        ring
    }

    fn pair(&self, index: usize) -> (Person, ConversationId) {
        let (from, to) = (self.people[index % RING], self.people[(index + 1) % RING]);
        (from, ConversationId::direct(from.user, to.user).expect("two users"))
    }

    fn inputs(&mut self, count: usize) -> Vec<Input> {
        (0..count)
            .map(|_| {
                self.turn += 1;
                let (from, id) = self.pair(self.turn);
                self.world.send_input(from, id)
            })
            .collect()
    }

    /// Time of `iters` wakes, without making their inputs and without settling between them.
    fn timed_wakes(&mut self, iters: u64, make: fn(&mut Self) -> Vec<Input>) -> Duration {
        let mut total = Duration::ZERO;
        for _ in 0..iters {
            let inputs = make(self);
            let began = Instant::now();
            black_box(self.world.wake(inputs));
            total += began.elapsed();
            self.wakes += 1;
            if self.wakes.is_multiple_of(SETTLE_EVERY) {
                self.world.settle();
            }
        }
        total
    }
}

fn direct(c: &mut Criterion) {
    let mut group = c.benchmark_group("shard");
    let mut ring = Ring::new();
    group.throughput(Throughput::Elements(WAKE as u64));
    group.bench_function("direct_durable_64_per_wake", |b| {
        b.iter_custom(|iters| ring.timed_wakes(iters, |ring| ring.inputs(WAKE)));
    });
    group.throughput(Throughput::Elements(1));
    group.bench_function("direct_durable_1_per_wake", |b| {
        b.iter_custom(|iters| ring.timed_wakes(iters, |ring| ring.inputs(1)));
    });
    group.bench_function("move_cursor", |b| {
        b.iter_custom(|iters| {
            ring.timed_wakes(iters, |ring| {
                let mut inputs = ring.inputs(1);
                let (_, id) = ring.pair(ring.turn);
                let receiver = ring.people[(ring.turn + 1) % RING];
                ring.world.wake(inputs.drain(..));
                let receipt = pb::MoveCursor {
                    conversation: Some(id.to_wire()),
                    delivered_seq: u64::MAX >> 1,
                    read_seq: 0,
                };
                let frame = Frame::new(Opcode::MoveCursor, 0, &receipt);
                vec![Input::Frame { conn: receiver.conn, frame }]
            })
        });
    });
    group.finish();
}

fn history(c: &mut Criterion) {
    let mut group = c.benchmark_group("history");
    group.throughput(Throughput::Elements(100));
    for (name, settled) in [("newest_100_in_memory", false), ("oldest_100_from_pages", true)] {
        let mut ring = Ring::new();
        let (from, id) = ring.pair(0);
        for _ in 0..2_000 {
            let send = ring.world.send_input(from, id);
            ring.world.wake([send]);
            if settled && ring.wakes.is_multiple_of(100) {
                ring.world.settle();
            }
            ring.wakes += 1;
        }
        let ask = pb::History {
            conversation: Some(id.to_wire()),
            from_seq: 1,
            to_seq: if settled { 100 } else { 0 },
            limit: 100,
            backwards: true,
        };
        group.bench_function(name, |b| {
            b.iter(|| {
                let frame = Frame::new(Opcode::History, 1, &ask);
                black_box(ring.world.wake([Input::Frame { conn: from.conn, frame }]))
            });
        });
    }
    group.finish();
}

fn replay(c: &mut Criterion) {
    const MESSAGES: usize = 20_000;
    let mut world = OneShard::new();
    world.kept_log = Some(Vec::new());
    let people = (0..RING).map(|index| world.register(&format!("ring-{index}"))).collect();
    let mut ring = Ring { world, people, turn: 0, wakes: 0 };
    for _ in 0..MESSAGES / WAKE {
        let inputs = ring.inputs(WAKE);
        ring.world.wake(inputs);
    }
    let log = ring.world.kept_log.take().expect("it was kept");
    let mut group = c.benchmark_group("replay");
    group.sample_size(10);
    group.throughput(Throughput::Elements(MESSAGES as u64));
    group.bench_function("20000_messages_of_200_conversations", |b| {
        b.iter(|| black_box(replayed(&log)));
    });
    group.finish();
}

criterion_group!(benches, direct, history, replay);
criterion_main!(benches);
