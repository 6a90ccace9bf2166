//! The log: append and sync by batch size, for each engine. `HONGYAN_BENCH_DIR` names a directory
//! on the disk in question; the system's directory for temporary files otherwise.

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hongyan_store::{Draft, Engine, Log, MemoryLog, Options, open};

/// A message in the log with what surrounds it.
const RECORD_BYTES: usize = 220;

fn commit(log: &mut dyn Log, messages: usize) {
    let idx = log.tail(3).idx + 1;
    let draft =
        Draft { partition: 3, idx, payload: Bytes::from(vec![0x5a; messages * RECORD_BYTES]) };
    log.append(&[draft], 1_760_000_000_000).expect("append");
    log.sync().expect("sync");
}

fn log_commit(c: &mut Criterion) {
    let mut group = c.benchmark_group("log_commit");
    group.sample_size(20);
    let root = std::env::var_os("HONGYAN_BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    for messages in [1_usize, 16, 256, 4_096] {
        group.throughput(Throughput::Elements(messages as u64));
        let mut memory = MemoryLog::new();
        group.bench_function(format!("memory/{messages}"), |b| {
            b.iter(|| {
                commit(&mut memory, messages);
                let last = memory.last();
                memory.truncate_before(last).expect("truncate");
            });
        });
        for engine in [Engine::Segment, Engine::Sled] {
            let dir = tempfile::tempdir_in(&root).expect("a directory");
            let mut options = Options::new(dir.path());
            options.engine = engine;
            options.reserve_bytes = 0;
            let mut store = open(&options).expect("a new store");
            group.bench_function(format!("{}/{messages}", engine.name()), |b| {
                b.iter(|| commit(store.log.as_mut(), messages));
                let last = store.log.last();
                store.log.truncate_before(last).expect("truncate");
            });
        }
    }
    group.finish();
}

criterion_group!(benches, log_commit);
criterion_main!(benches);
