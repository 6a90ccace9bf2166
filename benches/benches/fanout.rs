//! One message to many: the shard's part of a delivery in groups of 2, 101 and 10,000 members, all
//! of them on line. The last is as large as a group can be.

use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hongyan_benches::world::OneShard;
use hongyan_protocol::ConversationId;
use std::hint::black_box;

fn fanout(c: &mut Criterion) {
    let mut group = c.benchmark_group("fanout");
    for receivers in [1_usize, 100, 9_999] {
        let mut world = OneShard::new();
        let people: Vec<_> =
            (0..=receivers).map(|index| world.register(&format!("fan-{index}"))).collect();
        let id = ConversationId::Group(world.make_group(&people));
        group.throughput(Throughput::Elements(receivers as u64));
        group.bench_function(format!("{receivers}_on_line"), |b| {
            b.iter_custom(|iters| {
                let mut total = Duration::ZERO;
                for _ in 0..iters {
                    let send = world.send_input(people[0], id);
                    let began = Instant::now();
                    let count = black_box(world.wake([send]));
                    total += began.elapsed();
                    assert_eq!(count.pushes, receivers);
                }
                world.settle();
                total
            });
        });
    }
    group.finish();
}

criterion_group!(benches, fanout);
criterion_main!(benches);
