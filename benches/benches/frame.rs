//! Frames and messages: bytes in, bytes out.

use bytes::BytesMut;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hongyan_benches::frames;
use hongyan_loadtest::wire::FrameView;
use hongyan_protocol::{FrameDecoder, Opcode, body, frame, limits, raw};
use std::hint::black_box;

const FRAMES: usize = 64;

fn whole_frames(c: &mut Criterion) {
    let mut group = c.benchmark_group("frame");
    group.throughput(Throughput::Elements(FRAMES as u64));
    let sends = frames::sends(FRAMES);
    let mut wire = BytesMut::new();
    for send in &sends {
        send.encode_delimited(&mut wire);
    }
    let decoder = FrameDecoder::new(limits::FRAME_BYTES_MAX);
    group.bench_function("encode", |b| {
        let mut out = BytesMut::with_capacity(wire.len());
        b.iter(|| {
            out.clear();
            for send in &sends {
                send.encode_delimited(&mut out);
            }
            black_box(out.len())
        });
    });
    group.bench_function("decode", |b| {
        b.iter_batched(
            || wire.clone(),
            |mut buffer| {
                let mut count = 0;
                while let Ok(Some(frame)) = decoder.decode(&mut buffer) {
                    count += black_box(frame).payload.len();
                }
                count
            },
            criterion::BatchSize::SmallInput,
        );
    });
    group.bench_function("view", |b| {
        b.iter(|| {
            let mut rest = &wire[..];
            let mut count = 0;
            while let Ok(Some(view)) = FrameView::peek(&decoder, rest) {
                count += black_box(view).payload.len();
                rest = &rest[view.whole_bytes..];
            }
            count
        });
    });
    group.bench_function("parse_send", |b| {
        b.iter(|| {
            for send in &sends {
                let parsed: raw::Send = send.message().expect("a send");
                black_box(parsed);
            }
        });
    });
    group.finish();
}

fn messages(c: &mut Criterion) {
    let send: raw::Send = frames::sends(1)[0].message().expect("a send");
    c.bench_function("body/check", |b| {
        b.iter(|| body::check(black_box(&send.body)));
    });
    let stored = frames::stored_message();
    c.bench_function("message/encode_push", |b| {
        let mut out = BytesMut::with_capacity(512);
        b.iter(|| {
            out.clear();
            frame::encode_message(Opcode::Message, 0, black_box(&stored), &mut out);
            black_box(out.len())
        });
    });
}

criterion_group!(benches, whole_frames, messages);
criterion_main!(benches);
