//! Frames and messages: bytes in, bytes out.

use bytes::BytesMut;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hongyan_benches::world::send_frame;
use hongyan_loadtest::wire::FrameView;
use hongyan_protocol::raw::StoredMessage;
use hongyan_protocol::{ConversationId, FrameDecoder, Opcode, UserId, body, frame, limits, raw};
use std::hint::black_box;

const FRAMES: usize = 64;

fn conversation() -> ConversationId {
    let user = |number: u64| UserId::new(number << 12 | 7).expect("not zero");
    ConversationId::direct(user(1_000), user(2_000)).expect("two users")
}

fn frames(c: &mut Criterion) {
    let mut group = c.benchmark_group("frame");
    group.throughput(Throughput::Elements(FRAMES as u64));
    let sends: Vec<_> =
        (0..FRAMES as u64).map(|id| send_frame(conversation(), &[id as u8; 16], id + 1)).collect();
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
    let send: raw::Send = send_frame(conversation(), &[1; 16], 1).message().expect("a send");
    c.bench_function("body/check", |b| {
        b.iter(|| body::check(black_box(&send.body)));
    });
    let stored = StoredMessage {
        conversation: Some(conversation().to_wire()),
        seq: 1_000,
        message_id: 7 << 51 | 123_456,
        sender: 1_000 << 12 | 7,
        time_ms: 1_760_000_000_000,
        client_msg_id: send.client_msg_id.clone(),
        body: send.body.clone(),
    };
    c.bench_function("message/encode_push", |b| {
        let mut out = BytesMut::with_capacity(512);
        b.iter(|| {
            out.clear();
            frame::encode_message(Opcode::Message, 0, black_box(&stored), &mut out);
            black_box(out.len())
        });
    });
}

criterion_group!(benches, frames, messages);
criterion_main!(benches);
