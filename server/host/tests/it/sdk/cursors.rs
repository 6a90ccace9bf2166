//! Delivered and read: the sender's receipts, and unread on every device.

use hongyan_client::{AckLevel, Event, SendState};

use super::stage::Stage;
use super::wait::{direct, me, next, say, until, until_sent, within};

over_both!(
    receipts_come_back_to_the_sender,
    what_is_read_on_one_device_is_read_on_all,
    what_is_read_without_a_connection_is_told_later,
    members_of_a_group_see_each_others_cursors,
);

async fn receipts_come_back_to_the_sender(stage: &mut Stage) {
    stage.open();
    let (ann, bob) = (stage.register("ann").await, stage.register("bob").await);
    let chat = direct(&ann, &bob);
    bob.disconnect().await.unwrap();
    let mut first = ann.send_text(chat, "one").await.unwrap();
    within("the ack", first.wait()).await.unwrap();
    let mut second = ann.send_text(chat, "two").await.unwrap();
    within("the ack", second.wait()).await.unwrap();
    assert_eq!(first.state(), SendState::Saved { level: AckLevel::Durable });
    let state = ann.conversation(chat).unwrap();
    assert_eq!((state.peer_delivered_seq, state.peer_read_seq), (0, 0));

    bob.resume().await.unwrap();
    until_sent(&mut first, SendState::Delivered).await;
    until_sent(&mut second, SendState::Delivered).await;
    bob.mark_read(chat, 1).await.unwrap();
    until_sent(&mut first, SendState::Read).await;
    let state = until(&ann, chat, "one is read", |state| state.peer_read_seq == 1).await;
    assert_eq!(state.peer_delivered_seq, 2);
    assert_eq!(second.state(), SendState::Delivered);
    // A mark past the end is the end, a lower one changes nothing.
    bob.mark_read(chat, 99).await.unwrap();
    until_sent(&mut second, SendState::Read).await;
    bob.mark_read(chat, 1).await.unwrap();
    say(&ann, chat, "three").await;
    let of_bob = until(&bob, chat, "one unread", |state| state.last_seq == 3).await;
    assert_eq!((of_bob.read_seq, of_bob.unread), (2, 1));
    until(&ann, chat, "three is there", |state| state.peer_delivered_seq == 3).await;
    assert_eq!(ann.conversation(chat).unwrap().peer_read_seq, 2);
    // The timeline says the same of each message.
    let timeline = ann.timeline(chat).await.unwrap();
    let view = timeline.view();
    let states: Vec<_> = view.messages.iter().map(|message| view.send_state(message)).collect();
    let expected = [SendState::Read, SendState::Read, SendState::Delivered].map(Some);
    assert_eq!(states, expected);
}

async fn what_is_read_on_one_device_is_read_on_all(stage: &mut Stage) {
    stage.open();
    let (ann, phone) = (stage.register("ann").await, stage.register("bob").await);
    let desktop = stage.login("bob").await;
    let away = stage.login("bob").await;
    away.disconnect().await.unwrap();
    let chat = direct(&ann, &phone);
    for text in ["one", "two", "three"] {
        say(&ann, chat, text).await;
    }
    for client in [&phone, &desktop] {
        until(client, chat, "three unread", |state| state.unread == 3).await;
    }
    phone.mark_read(chat, 2).await.unwrap();
    assert_eq!(phone.conversation(chat).unwrap().unread, 1);
    until(&desktop, chat, "one unread", |state| state.unread == 1 && state.read_seq == 2).await;
    desktop.mark_read(chat, 3).await.unwrap();
    until(&phone, chat, "nothing unread", |state| state.unread == 0).await;
    // Also on the device that was away, and on a new one.
    away.resume().await.unwrap();
    until(&away, chat, "nothing unread", |state| state.last_seq == 3 && state.unread == 0).await;
    let new = stage.login("bob").await;
    until(&new, chat, "nothing unread", |state| state.last_seq == 3 && state.unread == 0).await;
}

async fn what_is_read_without_a_connection_is_told_later(stage: &mut Stage) {
    stage.open();
    let (ann, bob) = (stage.register("ann").await, stage.register("bob").await);
    let desktop = stage.login("bob").await;
    let chat = direct(&ann, &bob);
    let mut sent = ann.send_text(chat, "one").await.unwrap();
    until_sent(&mut sent, SendState::Delivered).await;
    until(&bob, chat, "one unread", |state| state.unread == 1).await;
    bob.disconnect().await.unwrap();
    bob.mark_read(chat, 1).await.unwrap();
    assert_eq!(bob.conversation(chat).unwrap().unread, 0);
    assert_eq!(desktop.conversation(chat).unwrap().unread, 1);
    bob.resume().await.unwrap();
    until_sent(&mut sent, SendState::Read).await;
    until(&desktop, chat, "nothing unread", |state| state.unread == 0).await;
}

async fn members_of_a_group_see_each_others_cursors(stage: &mut Stage) {
    stage.open();
    let (ann, bob, cat) =
        (stage.register("ann").await, stage.register("bob").await, stage.register("cat").await);
    let mut on_ann = ann.events();
    let group = ann.create_group("us", &[me(&bob), me(&cat)], true).await.unwrap();
    let (id, chat) = (group.id, group.conversation());
    let seq = say(&ann, chat, "hello").await.seq;
    for client in [&bob, &cat] {
        until(client, chat, "the message", |state| state.last_seq == seq).await;
    }
    cat.mark_read(chat, seq).await.unwrap();
    let who = next(&mut on_ann, "a receipt", |event| match event {
        Event::CursorMoved { conversation, user, read_seq, .. } if read_seq == seq => {
            Some((conversation, user))
        }
        _ => None,
    });
    assert_eq!(who.await, (chat, me(&cat)));
    assert_eq!(cat.conversation(chat).unwrap().unread, 0);
    until(&bob, chat, "still unread", |state| state.unread == 2).await;
    within("every cursor", async {
        loop {
            let list = ann.group_members(id, None, 0).await.unwrap().members;
            let of = |client| list.iter().find(|m| m.user == me(client).get()).unwrap();
            let (bob, cat) = (of(&bob), of(&cat));
            if bob.delivered_seq == seq {
                assert_eq!((bob.read_seq, cat.read_seq, cat.delivered_seq), (0, seq, seq));
                break;
            }
        }
    })
    .await;
}
