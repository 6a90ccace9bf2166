//! Two people: their conversation, its messages and what the sender is told.

use hongyan_client::{
    AckLevel, Body, Client, ClientError, ClientMsgId, ConversationId, ErrorCode, NewMessage,
    SendState, UserId,
};

use super::stage::Stage;
use super::wait::{direct, me, next_message, next_texts, refusal, say, until, within};

over_both!(
    a_conversation_is_there_once_somebody_writes,
    text_and_opaque_bodies_come_as_they_were_sent,
    the_same_message_again_is_not_a_second_one,
    every_ack_level_is_reached,
    own_messages_are_on_the_other_devices_too,
);

fn body(data: Vec<u8>, summary: &str) -> Body {
    let content_type = "application/vnd.test+cbor".into();
    Body::Opaque { content_type, data: data.into(), summary: summary.into() }
}

async fn a_conversation_is_there_once_somebody_writes(stage: &mut Stage) {
    stage.open();
    let (ann, bob) = (stage.register("ann").await, stage.register("bob").await);
    let chat = direct(&ann, &bob);
    assert_eq!(chat, direct(&bob, &ann));
    assert!(matches!(ann.direct(me(&ann)), Err(ClientError::Invalid(_))));
    assert!(ann.conversations().borrow().is_empty() && bob.conversations().borrow().is_empty());
    say(&ann, chat, "one").await;
    let last = |text: &'static str| {
        move |state: &hongyan_client::ConversationState| {
            state.peer.is_some()
                && state.last_message.as_ref().is_some_and(|m| m.body.text() == Some(text))
        }
    };
    let of_ann = until(&ann, chat, "ann's list", last("one")).await;
    assert_eq!((of_ann.title().as_str(), of_ann.unread, of_ann.last_seq), ("bob", 0, 1));
    let of_bob = until(&bob, chat, "bob's list", last("one")).await;
    assert_eq!((of_bob.title().as_str(), of_bob.unread, of_bob.last_seq), ("ann", 1, 1));
    say(&ann, chat, "two").await;
    until(&bob, chat, "two unread", |state| state.unread == 2).await;
    // Who answers has read.
    say(&bob, chat, "three").await;
    let of_bob = until(&bob, chat, "bob's answer", last("three")).await;
    assert_eq!((of_bob.unread, of_bob.last_seq), (0, 3));
    until(&ann, chat, "one unread", |state| state.unread == 1 && state.last_seq == 3).await;

    let nobody = ann.direct(UserId::new(u64::MAX >> 12).unwrap()).unwrap();
    let sent = ann.send_text(nobody, "is there anybody?").await.unwrap();
    let refused = within("the refusal", sent.wait()).await;
    assert_eq!(refusal(refused), ErrorCode::NoSuchUser);
    assert!(matches!(sent.state(), SendState::Failed { .. }));
    let others = bob.direct(me(&ann)).unwrap();
    let cat = stage.register("cat").await;
    let intruding = cat.send_text(others, "let me in").await;
    assert!(matches!(intruding, Err(ClientError::Invalid(_))), "{intruding:?}");
}

async fn text_and_opaque_bodies_come_as_they_were_sent(stage: &mut Stage) {
    stage.open();
    let (ann, bob) = (stage.register("ann").await, stage.register("bob").await);
    let chat = direct(&ann, &bob);
    let mut heard = bob.events();
    let bodies = [
        Body::from("鸿雁 🪿\n\u{0}\u{202e}"),
        Body::from("z".repeat(16 * 1024)),
        body(vec![0, 255, 10, 13, 26], "a picture"),
        body((0..64 * 1024).map(|at| (at % 251) as u8).collect(), &"s".repeat(256)),
        body(Vec::new(), ""),
    ];
    for sent in &bodies {
        let handle = ann.send_body(chat, sent.clone(), AckLevel::Durable).await.unwrap();
        let ack = within("the ack", handle.wait()).await.unwrap();
        let message = next_message(&mut heard).await;
        assert!(message.body == *sent, "{:?}", message.seq);
        assert_eq!((message.seq, message.message_id), (ack.seq, ack.message_id));
        assert_eq!((message.sender, message.time_ms), (Some(me(&ann)), ack.time_ms));
        assert_eq!(message.client_msg_id, Some(handle.client_msg_id()));
    }
    let (history, more) = bob.history(chat, 1, 0, 0, false).await.unwrap();
    let kept: Vec<_> = history.iter().map(|message| &message.body).collect();
    assert!(kept.iter().copied().eq(&bodies) && !more);
    for bad in [
        Body::from(""),
        Body::from("z".repeat(16 * 1024 + 1)),
        body(vec![0; 64 * 1024 + 1], ""),
        body(vec![0], &"s".repeat(257)),
        Body::Opaque { content_type: String::new(), data: vec![0].into(), summary: "s".into() },
    ] {
        let refused = ann.send_body(chat, bad, AckLevel::Durable).await;
        assert!(matches!(refused, Err(ClientError::Invalid(_))), "{refused:?}");
    }
}

/// Sends under a given id.
async fn send_as(
    client: &Client,
    chat: ConversationId,
    id: ClientMsgId,
    text: &str,
) -> Result<hongyan_client::SendAck, ClientError> {
    let body = Body::from(text);
    let level = AckLevel::Durable;
    let message = NewMessage { client_msg_id: id, conversation: chat, body, level };
    let sent = client.send_message(message).await?;
    within("the result", sent.wait()).await
}

async fn the_same_message_again_is_not_a_second_one(stage: &mut Stage) {
    stage.open();
    let (ann, bob) = (stage.register("ann").await, stage.register("bob").await);
    let desktop = stage.login("ann").await;
    let chat = direct(&ann, &bob);
    let mut heard = bob.events();
    let id = ClientMsgId::new([7; 16]);
    let first = send_as(&ann, chat, id, "once").await.unwrap();
    assert!(!first.repeated_send);
    // Also from another device, and after more was said.
    say(&bob, chat, "between").await;
    for client in [&ann, &desktop] {
        let again = send_as(client, chat, id, "once").await.unwrap();
        assert!(again.repeated_send);
        assert_eq!((again.seq, again.message_id), (first.seq, first.message_id));
        assert_eq!((again.time_ms, again.level), (first.time_ms, first.level));
    }
    let conflict = send_as(&ann, chat, id, "something else").await;
    assert_eq!(refusal(conflict), ErrorCode::IdConflict);
    // The id is the sender's: the other one may have the same.
    let other = send_as(&bob, chat, id, "twice").await.unwrap();
    assert!(!other.repeated_send && other.seq == 3, "{other:?}");
    say(&ann, chat, "last").await;
    assert_eq!(next_texts(&mut heard, 2).await, ["once", "last"]);
    let (history, _) = ann.history(chat, 1, 0, 0, false).await.unwrap();
    let texts: Vec<_> = history.iter().filter_map(|message| message.body.text()).collect();
    assert_eq!(texts, ["once", "between", "twice", "last"]);
}

async fn every_ack_level_is_reached(stage: &mut Stage) {
    stage.open();
    let (ann, bob) = (stage.register("ann").await, stage.register("bob").await);
    let chat = direct(&ann, &bob);
    let mut heard = bob.events();
    let levels = [AckLevel::Accepted, AckLevel::Written, AckLevel::Durable];
    for (seq, level) in (1..).zip(levels.into_iter().cycle().take(9)) {
        let sent = ann.send_body(chat, Body::from("x"), level).await.unwrap();
        let ack = within("the ack", sent.wait()).await.unwrap();
        assert!(ack.seq == seq && ack.level >= level, "asked {level:?}, got {ack:?}");
        let message = next_message(&mut heard).await;
        assert_eq!((message.seq, message.message_id), (seq, ack.message_id));
    }
}

async fn own_messages_are_on_the_other_devices_too(stage: &mut Stage) {
    stage.open();
    let (phone, bob) = (stage.register("ann").await, stage.register("bob").await);
    let desktop = stage.login("ann").await;
    let chat = direct(&phone, &bob);
    let (mut on_phone, mut on_desktop) = (phone.events(), desktop.events());
    for (client, text) in [(&desktop, "a"), (&phone, "b"), (&bob, "c"), (&desktop, "d")] {
        say(client, chat, text).await;
    }
    // Each device is told of what it did not send itself.
    assert_eq!(next_texts(&mut on_phone, 3).await, ["a", "c", "d"]);
    assert_eq!(next_texts(&mut on_desktop, 2).await, ["b", "c"]);
    for client in [&phone, &desktop] {
        let mut timeline = client.timeline(chat).await.unwrap();
        let view = within("all four", timeline.wait_for(|view| view.messages.len() == 4)).await;
        let seqs: Vec<_> = view.unwrap().messages.iter().map(|message| message.seq).collect();
        assert_eq!(seqs, [1, 2, 3, 4]);
        until(client, chat, "nothing unread", |state| state.unread == 0).await;
    }
}
