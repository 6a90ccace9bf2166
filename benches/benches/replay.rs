//! A restart: records of the log back into a shard, and the same from a store on the disk.
//! `HONGYAN_BENCH_DIR` names a directory on the disk in question.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use hongyan_benches::records::{Written, drafts, replayed};
use hongyan_core::{PartitionId, RecordDraft};
use hongyan_store::{Lsn, Options, Record, StoreError, open};

const RING: usize = 200;
const WAKES: usize = 320;
/// Sends that one wake takes.
const WAKE: usize = 64;

fn draft_of(record: Result<Record, StoreError>) -> RecordDraft {
    let Record { partition, idx, payload, .. } = record.expect("what was written is read");
    RecordDraft { partition: PartitionId(partition), idx, payload }
}

fn replay(c: &mut Criterion) {
    let written = Written::by_ring(RING, WAKES, WAKE);
    let mut group = c.benchmark_group("replay");
    group.sample_size(10);
    group.throughput(Throughput::Elements((WAKES * WAKE) as u64));
    group.bench_function("20480_messages_of_200_conversations", |b| {
        b.iter_with_large_drop(|| replayed(written.all().cloned()));
    });

    let root = std::env::var_os("HONGYAN_BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    let dir = tempfile::tempdir_in(root).expect("a directory");
    let mut options = Options::new(dir.path());
    options.reserve_bytes = 0;
    options.free_bytes_min = 0;
    let mut store = open(&options).expect("a new store");
    for wake in std::iter::once(&written.before).chain(&written.wakes) {
        store.log.append(&drafts(wake), 1_760_000_000_000).expect("append");
    }
    store.log.seal().expect("seal");
    group.bench_function("the_same_from_segments", |b| {
        b.iter_with_large_drop(|| {
            replayed(store.log.read_from(Lsn(1)).expect("read").map(draft_of))
        });
    });
    drop(store);
    group.bench_function("the_same_from_a_closed_store", |b| {
        // One store at a time: the next cannot be opened before the last is dropped.
        b.iter_batched(
            || (),
            |()| {
                let store = open(&options).expect("the store");
                let shard = replayed(store.log.read_from(Lsn(1)).expect("read").map(draft_of));
                (store, shard)
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, replay);
criterion_main!(benches);
