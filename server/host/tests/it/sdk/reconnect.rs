//! The server goes away and comes back: clients find it again, and nothing
//! is lost or said twice.

use std::collections::BTreeSet;

use hongyan_client::{
    Client, ClientError, ConversationId, ErrorCode, Event, Events, SendHandle, SendState, Status,
};

use super::child::Server;
use super::stage::{Stage, registered};
use super::sync::{numbered, say_many, texts_without_a_hole, told};
use super::wait::{direct, next, next_message, next_texts, say, within};
use crate::support::PASSWORD;

over_both!(
    a_restart_loses_and_doubles_nothing,
    a_killed_server_loses_and_doubles_nothing,
    a_server_killed_while_much_is_caught_up_changes_nothing,
    an_outbox_outlives_its_client,
    a_stopping_server_spreads_its_clients,
);

/// Puts texts into the outbox, one after the other.
async fn post(client: &Client, chat: ConversationId, texts: &[String]) -> Vec<SendHandle> {
    let mut handles = Vec::new();
    for text in texts {
        handles.push(client.send_text(chat, text.as_str()).await.unwrap());
    }
    handles
}

/// Everything that was sent is stored once, in order, under its own id, and
/// was told to the reader once.
async fn arrived(
    reader: &Client,
    chat: ConversationId,
    heard: &mut Events,
    texts: &[String],
    handles: &[SendHandle],
) {
    for (seq, handle) in (1..).zip(handles) {
        let ack = within("the ack", handle.wait()).await.unwrap();
        assert_eq!(ack.seq, seq);
    }
    let told = next_texts(heard, texts.len()).await;
    assert_eq!(told.iter().collect::<BTreeSet<_>>(), texts.iter().collect());
    let mut timeline = reader.timeline(chat).await.unwrap();
    let all = |view: &hongyan_client::TimelineView| view.messages.len() >= texts.len();
    let view = within("every message", timeline.wait_for(all)).await.unwrap();
    assert_eq!(texts_without_a_hole(&view), texts);
    let (history, more) = reader.history(chat, 1, 0, 500, false).await.unwrap();
    let stored = history.iter().map(|message| message.client_msg_id.unwrap());
    assert!(stored.eq(handles.iter().map(SendHandle::client_msg_id)) && !more);
    while let Some(event) = heard.try_recv().unwrap() {
        assert!(!matches!(event, Event::Message(_)), "told twice: {event:?}");
    }
}

async fn a_restart_loses_and_doubles_nothing(stage: &mut Stage) {
    stage.open();
    let (ann, bob) = (stage.register("ann").await, stage.register("bob").await);
    let chat = direct(&ann, &bob);
    let mut heard = bob.events();
    let texts = numbered("text", 90);
    let mut handles = post(&ann, chat, &texts[..30]).await;
    stage.stop().await;
    handles.extend(post(&ann, chat, &texts[30..60]).await);
    assert_eq!(handles[59].state(), SendState::Sending);
    stage.start_again().await;
    handles.extend(post(&ann, chat, &texts[60..]).await);
    arrived(&bob, chat, &mut heard, &texts, &handles).await;
}

async fn a_server_killed_while_much_is_caught_up_changes_nothing(stage: &mut Stage) {
    let mut server = Server::start(stage.over, &[]);
    let ann = server.register("ann").await;
    // Whoever listens sets the pace: the rest is not asked for before.
    let bob = registered(server.builder().events_max(512), "bob").await;
    let chat = direct(&ann, &bob);
    let mut heard = bob.events();
    say(&ann, chat, "first").await;
    assert_eq!(next_texts(&mut heard, 1).await, ["first"]);
    bob.disconnect().await.unwrap();
    say_many(&ann, chat, &numbered("missed", 1_500)).await;
    say(&ann, chat, "on disk").await;
    bob.resume().await.unwrap();
    bob.wait_live().await.unwrap();
    for (seq, more) in (2..).zip([true, true, false]) {
        assert_eq!(next_message(&mut heard).await.seq, seq);
        if more {
            server.kill();
            server.start_again();
        }
    }
    let (told, skipped) = told(&mut heard, 1, 1_502).await;
    assert_eq!(skipped, []);
    assert_eq!(told[&chat], (5..=1_502).collect::<Vec<_>>());
}

async fn a_killed_server_loses_and_doubles_nothing(stage: &mut Stage) {
    let mut server = Server::start(stage.over, &[]);
    let (ann, bob) = (server.register("ann").await, server.register("bob").await);
    let chat = direct(&ann, &bob);
    let mut heard = bob.events();
    let texts = numbered("text", 200);
    let mut handles = post(&ann, chat, &texts[..60]).await;
    within("the ack", handles[20].wait()).await.unwrap();
    for round in [60..120, 120..180] {
        handles.extend(post(&ann, chat, &texts[round]).await);
        // Some are stored by now, some on their way, some not yet sent.
        server.kill();
        server.start_again();
    }
    handles.extend(post(&ann, chat, &texts[180..]).await);
    arrived(&bob, chat, &mut heard, &texts, &handles).await;
}

async fn an_outbox_outlives_its_client(stage: &mut Stage) {
    stage.open();
    let bob = stage.register("bob").await;
    let ann = stage.reopen("ann").await;
    ann.register("ann", PASSWORD, "").await.unwrap();
    ann.wait_live().await.unwrap();
    let chat = direct(&ann, &bob);
    let mut heard = bob.events();
    let texts = numbered("text", 6);
    let mut handles = post(&ann, chat, &texts[..2]).await;
    within("the ack", handles[1].wait()).await.unwrap();
    stage.stop().await;
    // Two processes write, one after the other, while nobody listens.
    handles.extend(post(&ann, chat, &texts[2..4]).await);
    let kept = stage.close("ann", ann).await;
    assert_eq!(kept.outbox.len(), 2);
    assert_eq!(handles[3].wait().await, Err(ClientError::Closed));
    let ann = stage.reopen("ann").await;
    handles.extend(post(&ann, chat, &texts[4..]).await);
    let kept = stage.close("ann", ann).await;
    assert_eq!(kept.outbox.len(), 4);
    stage.start_again().await;

    let ann = stage.reopen("ann").await;
    let ids: Vec<_> = handles.iter().map(SendHandle::client_msg_id).collect();
    assert_eq!(next_texts(&mut heard, 6).await, texts);
    let (history, _) = bob.history(chat, 1, 0, 0, false).await.unwrap();
    assert!(history.iter().map(|message| message.client_msg_id.unwrap()).eq(ids));
    assert_eq!(say(&ann, chat, "the end").await.seq, 7);
    assert_eq!(stage.close("ann", ann).await.outbox.len(), 0);
    assert_eq!(next_texts(&mut heard, 1).await, ["the end"]);
}

async fn a_stopping_server_spreads_its_clients(stage: &mut Stage) {
    const SPREAD_MS: u32 = 20_000;
    let spread = SPREAD_MS.to_string();
    let variables = [("HONGYAN_SESSION__DRAIN_SPREAD_MS", spread.as_str())];
    let mut server = Server::start(stage.over, &variables);
    let mut clients = Vec::new();
    for number in 0..8 {
        let client = server.register(&format!("user{number}")).await;
        let events = client.events();
        clients.push((client, events));
    }
    server.ask_to_stop();
    let mut hints = BTreeSet::new();
    for (client, events) in &mut clients {
        let ended = next(events, "the goodbye", |event| match event {
            Event::Disconnected(error) => Some(error),
            _ => None,
        });
        let ended = ended.await;
        assert!(ended.is(ErrorCode::GoingAway), "{ended:?}");
        let hint_ms = ended.retry_after_ms().expect("it says when to come back");
        // Half a second at least: the next server must be up first.
        assert!((500..=500 + SPREAD_MS).contains(&hint_ms), "{hint_ms}");
        hints.insert(hint_ms);
        let mut status = client.connection_status();
        let waits = status.wait_for(|status| matches!(status, Status::WaitingToReconnect { .. }));
        within("waiting for its time", waits).await.unwrap();
    }
    assert!(hints.len() >= 4, "{hints:?}");
    assert!(server.ended_well().await);
}
