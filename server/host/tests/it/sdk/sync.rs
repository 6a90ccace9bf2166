//! Catching up: a device gets all that it missed, in order and once, however
//! much that is.

use std::collections::{BTreeMap, BTreeSet};

use hongyan_client::{
    AckLevel, Body, Client, ConversationId, ErrorCode, Event, Events, Opcode, TimelineView, pb,
};

use super::stage::{Stage, registered};
use super::wait::{direct, me, next_texts, refusal, say, text_of, until, within};

over_both!(
    a_device_that_was_away_gets_everything_once,
    more_than_a_page_is_read_back_page_by_page,
    more_than_a_page_is_told_of_in_order,
    what_lies_too_far_back_is_said_to_be_skipped,
    a_new_device_gets_a_long_list_in_pages,
    history_is_read_by_range_from_either_end,
);

/// Says many things at once; they are stored in order.
pub(super) async fn say_many(client: &Client, chat: ConversationId, texts: &[String]) {
    let mut sent = Vec::new();
    for text in texts {
        let body = Body::from(text.as_str());
        sent.push(client.send_body(chat, body, AckLevel::Accepted).await.unwrap());
    }
    for handle in sent {
        within("the ack", handle.wait()).await.unwrap();
    }
}

pub(super) fn numbered(what: &str, count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("{what} {number}")).collect()
}

/// The texts of a timeline, which must have no hole.
pub(super) fn texts_without_a_hole(view: &TimelineView) -> Vec<String> {
    let seqs = view.messages.iter().map(|message| message.seq);
    let first = view.messages.first().map_or(1, |message| message.seq);
    assert!(seqs.eq(first..first + view.messages.len() as u64), "a hole: {view:?}");
    view.messages.iter().map(|message| text_of(message)).collect()
}

async fn a_device_that_was_away_gets_everything_once(stage: &mut Stage) {
    stage.open();
    let (ann, bob, cat) =
        (stage.register("ann").await, stage.register("bob").await, stage.register("cat").await);
    let (of_ann, of_cat) = (direct(&ann, &bob), direct(&cat, &bob));
    let mut events = bob.events();
    say(&ann, of_ann, "before").await;
    assert_eq!(next_texts(&mut events, 1).await, ["before"]);
    for round in 1..=3 {
        bob.disconnect().await.unwrap();
        // Something in a known conversation, something in a new one.
        let missed = numbered(&format!("round {round}"), 40);
        say_many(&ann, of_ann, &missed).await;
        say(&cat, of_cat, "psst").await;
        bob.resume().await.unwrap();
        bob.wait_live().await.unwrap();
        say(&ann, of_ann, "after").await;
        let mut heard = next_texts(&mut events, 42).await;
        let psst = heard.iter().position(|text| text == "psst").expect("cat is heard");
        heard.remove(psst);
        assert_eq!((&heard[..40], heard[40].as_str()), (missed.as_slice(), "after"));
        until(&bob, of_ann, "all of it", |state| state.last_seq == 1 + 41 * round).await;
        let unread = |state: &hongyan_client::ConversationState| state.unread;
        assert_eq!(bob.conversation(of_ann).as_deref().map(unread), Some(1 + 41 * round));
        assert_eq!(bob.conversation(of_cat).as_deref().map(unread), Some(round));
    }
    // Nothing came twice, nothing else came.
    say(&cat, of_cat, "the end").await;
    assert_eq!(next_texts(&mut events, 1).await, ["the end"]);
    let mut timeline = bob.timeline(of_ann).await.unwrap();
    let view = within("all of it", timeline.wait_for(|view| view.messages.len() == 124)).await;
    let texts = texts_without_a_hole(&view.unwrap());
    assert_eq!(texts.iter().collect::<BTreeSet<_>>().len(), 1 + 3 * 40 + 1);
}

async fn more_than_a_page_is_read_back_page_by_page(stage: &mut Stage) {
    stage.open();
    let (ann, bob) = (stage.register("ann").await, stage.register("bob").await);
    let chat = direct(&ann, &bob);
    let mut events = bob.events();
    say(&ann, chat, "first").await;
    assert_eq!(next_texts(&mut events, 1).await, ["first"]);
    bob.disconnect().await.unwrap();
    let missed = numbered("missed", 300);
    say_many(&ann, chat, &missed).await;
    bob.resume().await.unwrap();
    let mut timeline = bob.timeline(chat).await.unwrap();
    let view = timeline.wait_for(|view| !view.catching_up && view.last_seq == 301);
    let view = within("the newest", view).await.unwrap();
    // The newest are there; what is older is paged in when somebody scrolls.
    let texts = texts_without_a_hole(&view);
    assert!(missed.ends_with(&texts) && !texts.is_empty() && view.has_older, "{}", texts.len());
    while timeline.load_older(70).await.unwrap() > 0 {}
    let view = within("the first", timeline.wait_for(|view| !view.has_older)).await.unwrap();
    let texts = texts_without_a_hole(&view);
    assert_eq!((texts[0].as_str(), &texts[1..]), ("first", missed.as_slice()));
    until(&bob, chat, "all unread", |state| state.unread == 301).await;
}

/// The numbers of the next messages, until `of` conversations have come to
/// `end`, and what was skipped.
pub(super) async fn told(
    events: &mut Events,
    of: usize,
    end: u64,
) -> (BTreeMap<ConversationId, Vec<u64>>, Vec<(u64, u64)>) {
    let (mut told, mut skipped) = (BTreeMap::<_, Vec<u64>>::new(), Vec::new());
    let at_end = |told: &BTreeMap<_, Vec<u64>>| {
        told.values().filter(|seqs| seqs.last() == Some(&end)).count() == of
    };
    while !at_end(&told) {
        let event = within("everything that was said", events.recv()).await;
        match event.expect("no event is lost") {
            Event::Message(message) => {
                told.entry(message.conversation).or_default().push(message.seq);
            }
            Event::MessagesSkipped { from_seq, to_seq, .. } => skipped.push((from_seq, to_seq)),
            _ => {}
        }
    }
    (told, skipped)
}

async fn more_than_a_page_is_told_of_in_order(stage: &mut Stage) {
    stage.open();
    let (ann, cat) = (stage.register("ann").await, stage.register("cat").await);
    // The queue of events is shorter than what is to come.
    let bob = registered(stage.builder().events_max(1_024), "bob").await;
    let chats = [direct(&ann, &bob), direct(&cat, &bob)];
    let mut events = bob.events();
    for (missed, end) in [(250, 252), (1_200, 1_453)] {
        for (other, chat) in [&ann, &cat].into_iter().zip(chats) {
            if end == 252 {
                say(other, chat, "first").await;
                assert_eq!(next_texts(&mut events, 1).await, ["first"]);
            }
        }
        bob.disconnect().await.unwrap();
        for (other, chat) in [&ann, &cat].into_iter().zip(chats) {
            say_many(other, chat, &numbered("missed", missed)).await;
        }
        bob.resume().await.unwrap();
        bob.wait_live().await.unwrap();
        // What is said meanwhile comes behind it.
        for (other, chat) in [&ann, &cat].into_iter().zip(chats) {
            say(other, chat, "the end").await;
        }
        let (told, skipped) = told(&mut events, 2, end).await;
        let from = end - missed as u64;
        for chat in chats {
            assert_eq!(told[&chat], (from..=end).collect::<Vec<_>>());
        }
        assert_eq!(skipped, []);
        // And then everything is marked as delivered.
        until(&ann, chats[0], "delivered", |state| state.peer_delivered_seq == end).await;
    }
}

async fn what_lies_too_far_back_is_said_to_be_skipped(stage: &mut Stage) {
    stage.open();
    let ann = stage.register("ann").await;
    let builder = stage.builder().configure(|config| config.missed_max = 100);
    let bob = registered(builder, "bob").await;
    let chat = direct(&ann, &bob);
    let mut events = bob.events();
    say(&ann, chat, "first").await;
    assert_eq!(next_texts(&mut events, 1).await, ["first"]);
    bob.disconnect().await.unwrap();
    say_many(&ann, chat, &numbered("missed", 400)).await;
    bob.resume().await.unwrap();
    let (told, skipped) = told(&mut events, 1, 401).await;
    assert_eq!(skipped, [(2, 101)]);
    assert_eq!(told[&chat], (102..=401).collect::<Vec<_>>());
}

async fn a_new_device_gets_a_long_list_in_pages(stage: &mut Stage) {
    stage.open();
    let ann = stage.register("ann").await;
    let bob = stage.register("bob").await;
    let mut expected = BTreeSet::new();
    let mut sent = Vec::new();
    for number in 0..40 {
        let name = format!("group {number}");
        let group = ann.create_group(&name, &[me(&bob)], true).await.unwrap();
        // The list has the last message of each, so it takes several pages.
        let text = number.to_string().repeat(16_000 / 2);
        sent.push(ann.send_text(group.conversation(), text).await.unwrap());
        expected.insert((name, 2));
    }
    say(&bob, direct(&ann, &bob), "and one more").await;
    expected.insert(("ann".to_owned(), 1));
    for handle in sent {
        within("the ack", handle.wait()).await.unwrap();
    }
    let mut pages = 0;
    let mut request = pb::SyncRequest::default();
    loop {
        let page: pb::SyncPage = bob.request(Opcode::Sync, &request).await.unwrap();
        pages += 1;
        request.page = page.next_page;
        if page.next_page == 0 {
            break;
        }
    }
    assert!(pages >= 3, "{pages} pages");

    let new = stage.login("bob").await;
    let listed = |new: &Client| -> BTreeSet<_> {
        let list = new.conversations().borrow().clone();
        list.iter().map(|state| (state.title(), state.last_seq)).collect()
    };
    assert_eq!(listed(&new), expected);
    for state in new.conversations().borrow().iter() {
        let unread = if state.peer.is_some() { 0 } else { 2 };
        assert_eq!(state.unread, unread, "{}", state.title());
        assert!(state.last_message.as_ref().is_some_and(|last| last.seq == state.last_seq));
    }
    // All of that again, with nothing new in it.
    let mut events = new.events();
    new.disconnect().await.unwrap();
    new.resume().await.unwrap();
    new.wait_live().await.unwrap();
    assert_eq!(listed(&new), expected);
    while let Some(event) = events.try_recv().unwrap() {
        assert!(!matches!(event, Event::Message(_)), "{event:?}");
    }
}

async fn history_is_read_by_range_from_either_end(stage: &mut Stage) {
    stage.open();
    let (ann, bob) = (stage.register("ann").await, stage.register("bob").await);
    let chat = direct(&ann, &bob);
    say_many(&ann, chat, &numbered("text", 60)).await;
    // from, to, limit, backwards: what comes, and whether there is more.
    for (from, to, limit, backwards, expected, more) in [
        (1, 0, 0, false, 1..61, false),
        (1, 0, 10, false, 1..11, true),
        (1, 0, 10, true, 51..61, true),
        (11, 20, 0, false, 11..21, false),
        (11, 20, 0, true, 11..21, false),
        (11, 20, 4, false, 11..15, true),
        (11, 20, 4, true, 17..21, true),
        (20, 20, 0, true, 20..21, false),
        (55, 99, 0, false, 55..61, false),
        (61, 0, 0, false, 61..61, false),
        (0, 5, 0, false, 1..6, false),
    ] {
        let page = bob.history(chat, from, to, limit, backwards).await.unwrap();
        let seqs: Vec<_> = page.0.iter().map(|message| message.seq).collect();
        let case = (from, to, limit, backwards);
        assert_eq!((seqs, page.1), (expected.collect::<Vec<_>>(), more), "{case:?}");
        assert!(page.0.iter().all(|m| text_of(m) == format!("text {}", m.seq)), "{case:?}");
    }
    // Forwards from the beginning, as an export would.
    let (mut seqs, mut from) = (Vec::new(), 1);
    loop {
        let (messages, more) = ann.history(chat, from, 0, 7, false).await.unwrap();
        seqs.extend(messages.iter().map(|message| message.seq));
        from = seqs.len() as u64 + 1;
        if !more {
            break;
        }
    }
    assert_eq!(seqs, (1..=60).collect::<Vec<_>>());
    let cat = stage.register("cat").await;
    assert_eq!(refusal(cat.history(chat, 1, 0, 0, false).await), ErrorCode::NotMember);
}
