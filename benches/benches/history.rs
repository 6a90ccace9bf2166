//! Reading back: a page of messages through the shard, from memory, from the views' pages, and
//! when nothing of the conversation is in memory.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hongyan_benches::ring::Ring;
use hongyan_benches::world::{OneShard, WakeCount};
use std::hint::black_box;

/// Messages of the conversation.
const MESSAGES: usize = 2_000;
/// Messages between two settle rounds.
const SETTLE_EVERY: usize = 100;

/// Two people who have said [`MESSAGES`] things to each other.
fn talk(world: OneShard, settled: bool) -> Ring {
    let mut ring = Ring::new(world, 2);
    for said in 1..=MESSAGES {
        let send = ring.sends(1);
        ring.world.wake(send);
        if settled && said.is_multiple_of(SETTLE_EVERY) {
            ring.world.settle();
        }
    }
    ring
}

fn read(ring: &mut Ring, to_seq: u64, limit: u32) -> WakeCount {
    let ask = ring.history(0, to_seq, limit);
    black_box(ring.world.wake([ask]))
}

fn history(c: &mut Criterion) {
    let mut group = c.benchmark_group("history");
    let mut hot = talk(OneShard::new(), false);
    let mut settled = talk(OneShard::new(), true);
    let mut cold = talk(OneShard::forgetful(), true);
    for limit in [50_u32, 100] {
        group.throughput(Throughput::Elements(u64::from(limit)));
        // Nothing was settled, so even the oldest is in memory.
        group.bench_function(format!("{limit}_hot"), |b| {
            b.iter(|| assert_eq!(read(&mut hot, 0, limit).page_reads, 0));
        });
        group.bench_function(format!("{limit}_settled"), |b| {
            b.iter(|| assert_eq!(read(&mut settled, u64::from(limit), limit).page_reads, 1));
        });
        group.bench_function(format!("{limit}_cold"), |b| {
            b.iter_custom(|iters| {
                let mut total = std::time::Duration::ZERO;
                for _ in 0..iters {
                    cold.world.forget();
                    let began = std::time::Instant::now();
                    let count = read(&mut cold, u64::from(limit), limit);
                    total += began.elapsed();
                    assert!(count.loads > 0 && count.page_reads == 1, "{count:?}");
                }
                total
            });
        });
    }
    group.finish();
}

criterion_group!(benches, history);
criterion_main!(benches);
