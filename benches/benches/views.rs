//! The views: settling what changed, and reading it back.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use hongyan_benches::world::OneShard;
use hongyan_protocol::ConversationId;
use hongyan_store::{MemoryViews, Options, Views, open};
use std::hint::black_box;

const PEOPLE: usize = 100;
const ROUNDS: usize = 40;

/// A shard in which every pair of neighbours has said [`ROUNDS`] things since the last round.
fn busy() -> OneShard {
    let mut world = OneShard::new();
    let people: Vec<_> =
        (0..PEOPLE).map(|index| world.register(&format!("busy-{index}"))).collect();
    world.settle();
    for _ in 0..ROUNDS {
        for (index, from) in people.iter().enumerate() {
            let to = people[(index + 1) % PEOPLE];
            let id = ConversationId::direct(from.user, to.user).expect("two users");
            let send = world.send_input(*from, id);
            world.wake([send]);
        }
    }
    world
}

fn settle(c: &mut Criterion) {
    let mut group = c.benchmark_group("settle");
    group.sample_size(10);
    group.throughput(Throughput::Elements((PEOPLE * ROUNDS) as u64));
    group.bench_function("pages_of_4000_messages", |b| {
        b.iter_batched(
            busy,
            // Given back, so that dropping the world is not measured.
            |mut world| (world.settle_entries(), world),
            BatchSize::PerIteration,
        );
    });
    let entries = busy().settle_entries();
    let memory = MemoryViews::new();
    group.bench_function("write_memory", |b| {
        b.iter(|| memory.write(&entries).expect("write"));
    });
    let root = std::env::var_os("HONGYAN_BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    let dir = tempfile::tempdir_in(root).expect("a directory");
    let mut options = Options::new(dir.path());
    options.reserve_bytes = 0;
    let store = open(&options).expect("a new store");
    group.bench_function("write_sled", |b| {
        b.iter(|| store.views.write(&entries).expect("write"));
    });
    group.finish();

    let mut group = c.benchmark_group("views_read");
    for (name, views) in [("memory", &memory as &dyn Views), ("sled", store.views.as_ref())] {
        let mut turn = 0;
        group.bench_function(name, |b| {
            b.iter(|| {
                turn += 1;
                black_box(views.read(&entries[turn % entries.len()].0).expect("read"))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, settle);
criterion_main!(benches);
