//! Coming in: what a token costs to check, what the shard does around it, and what a password
//! costs, which is meant to be slow.

use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hongyan_benches::arrivals::Arrivals;
use hongyan_core::AccessTokens;
use std::hint::black_box;

use self::signed::{NOW_MS, claims, signed_tokens};

#[path = "../src/signed.rs"]
mod signed;

const ACCOUNTS: usize = 1_000;
/// Devices that one wake lets in.
const WAKE: usize = 64;

fn token(c: &mut Criterion) {
    let mut group = c.benchmark_group("token");
    group.throughput(Throughput::Elements(1));
    let (tokens, token) = signed::token();
    let claims = claims();
    group.bench_function("issue", |b| b.iter(|| tokens.issue(black_box(&claims))));
    group.bench_function("verify", |b| b.iter(|| tokens.verify(black_box(&token), NOW_MS)));
    let mut forged = token.clone();
    forged.replace_range(token.len() - 8.., "AAAAAAAA");
    group.bench_function("verify_forged", |b| {
        b.iter(|| assert!(tokens.verify(black_box(&forged), NOW_MS).is_err()));
    });
    group.finish();
}

/// Time of `iters` wakes that let `count` devices in, without sending them away again.
fn timed(arrivals: &mut Arrivals, iters: u64, count: usize, resume: bool) -> Duration {
    let mut total = Duration::ZERO;
    for _ in 0..iters {
        let inputs = arrivals.arrive(count, resume);
        let began = Instant::now();
        let done = black_box(arrivals.world.wake(inputs));
        total += began.elapsed();
        assert_eq!(done.sessions, count);
        arrivals.leave();
    }
    total
}

fn login(c: &mut Criterion) {
    let mut group = c.benchmark_group("login");
    let mut arrivals = Arrivals::new(Box::new(signed_tokens()), ACCOUNTS);
    for (name, count) in [("token_1_per_wake", 1), ("token_64_per_wake", WAKE)] {
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(name, |b| {
            b.iter_custom(|iters| timed(&mut arrivals, iters, count, false));
        });
    }
    group.throughput(Throughput::Elements(1));
    for conversations in [20, 1_000] {
        let tokens = Box::new(signed_tokens());
        let mut arrivals = Arrivals::with_conversations(tokens, conversations);
        group.bench_function(format!("token_and_sync_of_{conversations}"), |b| {
            b.iter_custom(|iters| timed(&mut arrivals, iters, 1, true));
        });
    }
    group.finish();
}

fn password(c: &mut Criterion) {
    let mut group = c.benchmark_group("password");
    group.sample_size(10);
    group.bench_function("argon2id", |b| {
        b.iter(|| hongyan::offload::hash_password(black_box("correct horse")).expect("a hash"));
    });
    group.finish();
}

criterion_group!(benches, token, login, password);
criterion_main!(benches);
