//! A body with fields that nobody knows yet, from one device to another and
//! onto its disk.

use bytes::Bytes;
use hongyan_client::{
    Body, Client, ConversationId, FileLocalStore, LocalStore, Message, Opcode, UserId, pb,
};
use hongyan_protocol::raw;
use prost::Message as _;

use super::stage::{Stage, run, say, until};

/// A text and an unknown field behind it.
fn newer(text: &str) -> Bytes {
    let known = pb::Body { kind: Some(pb::body::Kind::Text(text.into())) };
    [known.encode_to_vec(), vec![0x9a, 0x06, 3, 7, 8, 9]].concat().into()
}

/// Sends a body as it is, as a newer client would.
async fn send(client: &Client, id: ConversationId, number: u8, body: Bytes) -> u64 {
    let message = raw::Send {
        conversation: Some(id.to_wire()),
        client_msg_id: vec![number; 16].into(),
        body,
        level: 0,
    };
    client.request::<pb::SendAck>(Opcode::Send, &message).await.expect("it is stored").seq
}

fn check(message: &Message, text: &str) {
    assert_eq!(message.body, Body::from(text));
    assert_eq!(message.encoded_body(), newer(text));
}

#[test]
fn unknown_fields_survive_push_history_sync_and_the_store() {
    run(async |stage| {
        let ann = stage.register("ann").await;
        let bob = stage.register("bob").await;
        let me = |client: &Client| client.account().expect("signed in").user;
        let chat = ann.direct(me(&bob)).expect("two people");
        let dir = tempfile::tempdir().expect("a directory can be made");
        let path = dir.path().join("store");
        let opened = || FileLocalStore::open(&path).expect("the store opens");
        let kept = stage.builder().store(opened()).build().await.expect("the settings are valid");
        kept.login("bob", super::stage::PASSWORD).await.expect("the password is right");
        kept.wait_live().await.expect("it goes live");
        // Pushed.
        send(&ann, chat, 1, newer("pushed")).await;
        let mut timeline = kept.timeline(chat).await.expect("the client runs");
        let view = timeline.wait_for(|view| view.messages.len() == 1).await;
        check(&view.expect("the client runs").messages[0], "pushed");
        // Missed, and brought by the next session.
        kept.disconnect().await.expect("the client runs");
        send(&ann, chat, 2, newer("synced")).await;
        say(&ann, chat, "plain").await;
        kept.resume().await.expect("the tokens are good");
        let view = timeline.wait_for(|view| view.messages.len() == 3).await;
        let view = view.expect("the client runs");
        check(&view.messages[1], "synced");
        assert_eq!(view.messages[2].newer_body, None);
        // Read by range.
        let (page, _) = kept.history(chat, 1, 2, 0, false).await.expect("it is there");
        check(&page[0], "pushed");
        check(&page[1], "synced");
        // On the device's own disk.
        drop(timeline);
        kept.shutdown().await;
        let stored = opened().load().expect("the store is whole");
        check(&stored.messages[&chat][&1], "pushed");
        check(&stored.messages[&chat][&2], "synced");
        let again = stage.builder().store(opened()).build().await.expect("the settings are valid");
        let timeline = again.timeline(chat).await.expect("the client runs");
        check(&timeline.view().messages[0], "pushed");
        again.shutdown().await;
        cold_start(stage, chat, me(&bob)).await;
    });
}

/// A device that starts from nothing gets the last message with the list, and
/// pages the others in.
async fn cold_start(stage: &Stage, chat: ConversationId, bob: UserId) {
    let ann = stage.login("ann").await;
    send(&ann, chat, 3, newer("last")).await;
    let fresh = stage.login("bob").await;
    assert_eq!(fresh.account().map(|account| account.user), Some(bob));
    let state = until(&fresh, chat, |state| state.last_message.is_some()).await;
    check(state.last_message.as_deref().expect("it was found"), "last");
    let mut timeline = fresh.timeline(chat).await.expect("the client runs");
    while timeline.view().has_older {
        timeline.load_older(0).await.expect("the server is there");
    }
    let view = timeline.wait_for(|view| view.messages.len() == 4).await;
    check(&view.expect("the client runs").messages[0], "pushed");
}
