//! From a frame to a typed, checked request, for each frame that a session sends often.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hongyan_benches::frames::{HotFrame, hot_frames, sender};
use hongyan_core::testing::parse_command;
use std::hint::black_box;

fn parse(c: &mut Criterion) {
    let mut group = c.benchmark_group("command");
    group.throughput(Throughput::Elements(1));
    for HotFrame { name, opcode, frame } in hot_frames() {
        group.bench_function(name, |b| {
            b.iter(|| black_box(parse_command(opcode, black_box(&frame), sender())).is_ok());
        });
    }
    group.finish();
}

criterion_group!(benches, parse);
criterion_main!(benches);
