//! A hop from one worker to another: an envelope through the server's mailbox.
//!
//! `awake` is the queue and the flag alone. `asleep` adds what a sleeping worker costs both sides:
//! the sender's write to the waker and the receiver's poll. The last two are real threads, so what
//! the scheduler adds is in them.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hongyan::reactor::mailbox::{Mailbox, MailboxSender, mailbox};
use hongyan_benches::frames::sender;
use hongyan_core::Envelope;
use hongyan_core::envelope::Receivers;

/// What a worker posts to another: all that one wake has for it.
type Post = Vec<Envelope>;

/// As many as the mailbox of a worker holds.
const MAILBOX_LEN: usize = 4_096;

/// A worker's mailbox and its poll.
struct Worker {
    poll: mio::Poll,
    events: mio::Events,
    mailbox: Mailbox<Post>,
}

impl Worker {
    fn new() -> (MailboxSender<Post>, Self) {
        let poll = mio::Poll::new().expect("a poll");
        let waker = mio::Waker::new(poll.registry(), mio::Token(0)).expect("a waker");
        let (sender, mailbox) = mailbox(MAILBOX_LEN, waker);
        (sender, Self { poll, events: mio::Events::with_capacity(8), mailbox })
    }

    /// As a worker waits: the flag goes up before it looks whether the mailbox is empty.
    fn wait(&mut self, limit: Duration) {
        self.mailbox.fall_asleep();
        let limit = if self.mailbox.is_empty() { limit } else { Duration::ZERO };
        self.poll.poll(&mut self.events, Some(limit)).expect("a poll");
        self.mailbox.wake_up();
    }

    /// The next post, however long it takes.
    fn next(&mut self) -> Post {
        loop {
            if let Some(post) = self.mailbox.take() {
                return post;
            }
            self.wait(Duration::from_secs(1));
        }
    }
}

fn post() -> Post {
    let frame = Bytes::from(vec![7; 200]);
    vec![Envelope::Deliver { to: Receivers::One(sender()), frame, except: None }]
}

fn send(to: &MailboxSender<Post>, mut post: Post) {
    while let Err(back) = to.try_send(post) {
        to.ring();
        post = back;
        std::thread::yield_now();
    }
    to.ring();
}

fn one_thread(c: &mut Criterion) {
    let mut group = c.benchmark_group("mailbox");
    group.throughput(Throughput::Elements(1));
    let (sender, mut worker) = Worker::new();
    let mut held = Some(post());
    group.bench_function("awake", |b| {
        b.iter(|| {
            send(&sender, held.take().expect("it came back"));
            held = black_box(worker.mailbox.take());
        });
    });
    group.bench_function("asleep", |b| {
        b.iter(|| {
            worker.mailbox.fall_asleep();
            send(&sender, held.take().expect("it came back"));
            worker.poll.poll(&mut worker.events, Some(Duration::ZERO)).expect("a poll");
            worker.mailbox.wake_up();
            held = black_box(worker.mailbox.take());
        });
    });
    group.finish();
}

/// Another worker on a thread of its own, which sends back what `answers` says.
struct Neighbour {
    sender: MailboxSender<Post>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Neighbour {
    fn start(home: MailboxSender<Post>, answer_every: usize) -> Self {
        let (sender, mut worker) = Worker::new();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut count = 0;
            loop {
                let post = worker.next();
                if stopped.load(Ordering::Acquire) {
                    return;
                }
                count += 1;
                if count % answer_every == 0 {
                    send(&home, post);
                }
            }
        });
        Self { sender, stop, thread: Some(thread) }
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        send(&self.sender, post());
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by the runtime already.
            let _ = thread.join();
        }
    }
}

fn two_threads(c: &mut Criterion) {
    let mut group = c.benchmark_group("mailbox");
    let (home, mut worker) = Worker::new();
    let echo = Neighbour::start(home.clone(), 1);
    // There and back again: two hops, each to a worker that sleeps or is about to.
    group.throughput(Throughput::Elements(2));
    group.bench_function("there_and_back", |b| {
        b.iter(|| {
            send(&echo.sender, post());
            black_box(worker.next())
        });
    });
    drop(echo);
    let sink = Neighbour::start(home, MAILBOX_LEN);
    group.throughput(Throughput::Elements(MAILBOX_LEN as u64));
    group.bench_function("stream_of_4096", |b| {
        b.iter(|| {
            for _ in 0..MAILBOX_LEN {
                send(&sink.sender, post());
            }
            black_box(worker.next())
        });
    });
    group.finish();
}

criterion_group!(benches, one_thread, two_threads);
criterion_main!(benches);
