//! A client that does not read for a while: what it is not sent, it asks
//! for, and its timeline has no hole.

use std::sync::mpsc;
use std::thread::JoinHandle;

use hongyan_client::{AckLevel, Body, Client};

use super::stage::{Stage, registered};
use super::sync::texts_without_a_hole;
use super::wait::{direct, next_message, say, until, within};

over_both!(a_dropped_push_is_asked_for, many_dropped_pushes_are_read_back);

/// A client on a thread of its own, which can be made to stand still.
struct Standing {
    client: Client,
    orders: Option<tokio::sync::mpsc::Sender<mpsc::Receiver<()>>>,
    thread: Option<JoinHandle<()>>,
}

impl Standing {
    async fn register(stage: &Stage, name: &'static str) -> Self {
        let builder = stage.builder();
        let (orders, mut ordered) = tokio::sync::mpsc::channel::<mpsc::Receiver<()>>(1);
        let (made, client) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                made.send(registered(builder, name).await).unwrap();
                while let Some(until) = ordered.recv().await {
                    // Blocks the one thread that the client has. An error
                    // says that the test has ended.
                    let _ = until.recv();
                }
            });
        });
        let client = client.await.unwrap();
        Self { client, orders: Some(orders), thread: Some(thread) }
    }

    /// Makes the client stand still until the answer is dropped.
    async fn stand(&self) -> mpsc::SyncSender<()> {
        let (go_on, until) = mpsc::sync_channel(0);
        self.orders.as_ref().unwrap().send(until).await.unwrap();
        go_on
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        self.orders = None;
        let joined = self.thread.take().map(JoinHandle::join);
        assert!(joined.is_some_and(|end| end.is_ok()) || std::thread::panicking());
    }
}

/// Fills what the kernel and the server keep for a reader who stands still,
/// until a push is dropped; then sends `more`. The reader goes on, and
/// catches up.
async fn overrun(stage: &mut Stage, more: usize) {
    stage.open_with(|raw| {
        raw.limits.out_queue_soft_bytes = 16 * 1024;
        // One shard releases ack and push at the same moment, so once a
        // message is acknowledged its push is queued or dropped.
        raw.listen.shards = 1;
    });
    let ann = stage.register("ann").await;
    let bob = Standing::register(stage, "bob").await;
    let chat = direct(&ann, &bob.client);
    let mut timeline = bob.client.timeline(chat).await.unwrap();
    let mut heard = bob.client.events();
    say(&ann, chat, "first").await;
    assert_eq!(next_message(&mut heard).await.seq, 1);

    let go_on = bob.stand().await;
    let mut texts = vec!["first".to_owned()];
    let mut left = None;
    while left != Some(0) {
        left = left.map(|left: usize| left - 1);
        if left.is_none() && stage.node().metric("hongyan_pushes_dropped_total") > 0.0 {
            left = Some(more);
            continue;
        }
        let text = format!("{:0>16000}", texts.len());
        let sent = ann.send_body(chat, Body::from(text.as_str()), AckLevel::Durable).await;
        within("the ack", sent.unwrap().wait()).await.unwrap();
        texts.push(text);
        assert!(texts.len() < 20_000, "nothing was ever dropped");
    }
    drop(go_on);

    let last_seq = texts.len() as u64;
    let all = timeline.wait_for(|view| !view.catching_up && view.last_seq == last_seq);
    let view = within("the end of it", all).await.unwrap();
    assert!(texts.ends_with(&texts_without_a_hole(&view)));
    while timeline.load_older(0).await.unwrap() > 0 {}
    let view = within("the first", timeline.wait_for(|view| !view.has_older)).await.unwrap();
    assert!(texts_without_a_hole(&view) == texts, "{} of {last_seq}", view.messages.len());
    until(&bob.client, chat, "all unread", |state| state.unread == last_seq).await;
    // Each was told of once, in order, also those that the timeline left out.
    let end = say(&ann, chat, "the end").await.seq;
    for seq in 2..=end {
        assert_eq!(next_message(&mut heard).await.seq, seq);
    }
}

async fn a_dropped_push_is_asked_for(stage: &mut Stage) {
    overrun(stage, 0).await;
}

async fn many_dropped_pushes_are_read_back(stage: &mut Stage) {
    overrun(stage, 30).await;
}
