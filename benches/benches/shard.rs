//! The rules alone: what a shard does with a direct message and with a cursor.

use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hongyan_benches::ring::Ring;
use hongyan_benches::world::OneShard;
use hongyan_core::Input;
use std::hint::black_box;

const RING: usize = 200;
/// Sends that one wake takes.
const WAKE: usize = 64;
const SETTLE_EVERY: u64 = 512;

/// Time of `iters` wakes, without making their inputs and without settling between them.
fn timed_wakes(ring: &mut Ring, iters: u64, make: impl Fn(&mut Ring) -> Vec<Input>) -> Duration {
    let mut total = Duration::ZERO;
    for wake in 1..=iters {
        let inputs = make(ring);
        let began = Instant::now();
        black_box(ring.world.wake(inputs));
        total += began.elapsed();
        if wake.is_multiple_of(SETTLE_EVERY) {
            ring.world.settle();
        }
    }
    ring.world.settle();
    total
}

fn direct(c: &mut Criterion) {
    let mut group = c.benchmark_group("shard");
    let mut ring = Ring::new(OneShard::new(), RING);
    group.throughput(Throughput::Elements(WAKE as u64));
    group.bench_function("direct_durable_64_per_wake", |b| {
        b.iter_custom(|iters| timed_wakes(&mut ring, iters, |ring| ring.sends(WAKE)));
    });
    group.throughput(Throughput::Elements(1));
    group.bench_function("direct_durable_1_per_wake", |b| {
        b.iter_custom(|iters| timed_wakes(&mut ring, iters, |ring| ring.sends(1)));
    });
    group.bench_function("move_cursor", |b| {
        b.iter_custom(|iters| {
            timed_wakes(&mut ring, iters, |ring| {
                let send = ring.sends(1);
                ring.world.wake(send);
                vec![ring.receipt(ring.last_pair(), u64::MAX >> 1)]
            })
        });
    });
    group.finish();
}

criterion_group!(benches, direct);
criterion_main!(benches);
