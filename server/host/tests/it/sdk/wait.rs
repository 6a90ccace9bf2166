//! Waiting for what clients see, and asking them for small things.

use std::sync::Arc;

use hongyan_client::{
    Client, ClientError, ConversationId, ConversationState, ErrorCode, Event, Events, Message,
    SendAck, SendHandle, SendState, SignOutReason, Status, UserId,
};

use crate::support::PATIENCE;

/// Waits for `future`; panics with `what` when nothing comes of it.
pub(super) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("never: {what}"),
    }
}

/// Who is signed in.
pub(super) fn me(client: &Client) -> UserId {
    client.account().expect("somebody is signed in").user
}

/// The conversation of two people.
pub(super) fn direct(a: &Client, b: &Client) -> ConversationId {
    a.direct(me(b)).unwrap()
}

/// Sends a text and waits until it is stored.
pub(super) async fn say(client: &Client, chat: ConversationId, text: &str) -> SendAck {
    let sent = client.send_text(chat, text).await.unwrap();
    within("the ack", sent.wait()).await.unwrap()
}

/// Waits until a conversation is as `wanted`.
pub(super) async fn until(
    client: &Client,
    chat: ConversationId,
    what: &str,
    wanted: impl Fn(&ConversationState) -> bool,
) -> Arc<ConversationState> {
    let mut list = client.conversations();
    let seen = list.wait_for(|list| list.iter().any(|state| state.id == chat && wanted(state)));
    match tokio::time::timeout(PATIENCE, seen).await {
        Ok(list) => {
            let list = list.expect("the client runs");
            list.iter().find(|state| state.id == chat).unwrap().clone()
        }
        Err(_) => panic!("never: {what}; but {:?}", client.conversation(chat)),
    }
}

/// Waits until a sent message got as far as `wanted`.
pub(super) async fn until_sent(sent: &mut SendHandle, wanted: SendState) {
    within(&format!("{wanted:?}"), async {
        while sent.state() != wanted {
            sent.next_state().await.expect("more states come");
        }
    })
    .await;
}

/// Waits until the session has ended for good, and says why.
pub(super) async fn signed_out(client: &Client) -> SignOutReason {
    let mut status = client.connection_status();
    let ended = status.wait_for(|status| matches!(status, Status::SignedOut { .. }));
    match *within("signed out", ended).await.expect("the client runs") {
        Status::SignedOut { reason } => reason,
        other => panic!("waited for the end, got {other:?}"),
    }
}

/// The next event that `choose` takes.
pub(super) async fn next<T>(
    events: &mut Events,
    what: &str,
    choose: impl Fn(Event) -> Option<T>,
) -> T {
    within(what, async {
        loop {
            if let Some(chosen) = choose(events.recv().await.expect("no event is lost")) {
                return chosen;
            }
        }
    })
    .await
}

/// The next message that a client is told of.
pub(super) async fn next_message(events: &mut Events) -> Arc<Message> {
    next(events, "a message", |event| match event {
        Event::Message(message) => Some(message),
        _ => None,
    })
    .await
}

/// The texts of the next `count` messages that a client is told of.
pub(super) async fn next_texts(events: &mut Events, count: usize) -> Vec<String> {
    let mut texts = Vec::new();
    while texts.len() < count {
        let message = next_message(events).await;
        texts.push(text_of(&message));
    }
    texts
}

/// The text of a message; empty for other bodies.
pub(super) fn text_of(message: &Message) -> String {
    message.body.text().unwrap_or_default().to_owned()
}

/// The code of a refusal.
pub(super) fn refusal<T: std::fmt::Debug>(result: Result<T, ClientError>) -> ErrorCode {
    match result {
        Err(error) => error.code().unwrap_or_else(|| panic!("not refused, but {error:?}")),
        Ok(value) => panic!("not refused: {value:?}"),
    }
}
