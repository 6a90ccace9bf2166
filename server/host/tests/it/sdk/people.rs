//! Finding people, their names, and who is on line.

use hongyan_client::{ErrorCode, Event, Events, Presence, PresenceWatch, UserId};

use super::stage::Stage;
use super::wait::{direct, me, next, refusal, say, until};
use crate::support::PASSWORD;

over_both!(people_are_found_by_name_and_by_id, who_is_on_line_is_told);

async fn people_are_found_by_name_and_by_id(stage: &mut Stage) {
    stage.open();
    let ann = stage.builder().build().await.unwrap();
    ann.register("ann", PASSWORD, "安娜 A.").await.unwrap();
    ann.wait_live().await.unwrap();
    let bob = stage.register("Bob.2").await;
    for name in ["ann", "ANN"] {
        let found = bob.find_user(name).await.unwrap();
        assert_eq!((found.user, found.name.as_str()), (me(&ann), "ann"));
        assert_eq!(found.display_name, "安娜 A.");
    }
    let found = ann.find_user("bob.2").await.unwrap();
    assert_eq!((found.name.as_str(), found.display_name.as_str()), ("bob.2", "Bob.2"));
    assert_eq!(refusal(bob.find_user("an").await), ErrorCode::InvalidField);
    assert_eq!(refusal(bob.find_user("anne").await), ErrorCode::NoSuchUser);

    // Those who are not known are left out; more than one request's worth.
    let mut users: Vec<_> = (1..=250).filter_map(|n| UserId::new(u64::MAX / 2 + n)).collect();
    users.extend([me(&bob), me(&ann)]);
    let mut names: Vec<_> =
        ann.profiles(&users).await.unwrap().into_iter().map(|profile| profile.name).collect();
    names.sort();
    assert_eq!(names, ["ann", "bob.2"]);
    // A list names whom it is about.
    say(&ann, direct(&ann, &bob), "hello").await;
    let state = until(&bob, direct(&bob, &ann), "the name", |state| state.peer.is_some()).await;
    assert_eq!(state.title(), "安娜 A.");
    // Names that were heard are there without a connection, too.
    bob.disconnect().await.unwrap();
    assert_eq!(bob.profile(me(&ann)).await.unwrap().display_name, "安娜 A.");
}

/// Waits until `user` is told to be on line, or not to be.
async fn until_online(events: &mut Events, user: UserId, online: bool) -> Presence {
    next(events, &format!("on line: {online}"), |event| match event {
        Event::Presence(list) => {
            list.into_iter().find(|presence| presence.user == user && presence.online == online)
        }
        _ => None,
    })
    .await
}

async fn who_is_on_line_is_told(stage: &mut Stage) {
    stage.open();
    let (ann, bob) = (stage.register("ann").await, stage.register("bob").await);
    let user = me(&bob);
    // Nobody is told of strangers; but the wish stands.
    let mut events = ann.events();
    let told = ann.watch_presence(&[user]).await.unwrap();
    assert_eq!(told, [PresenceWatch { user, watched: false }]);
    let chat = direct(&ann, &bob);
    say(&ann, chat, "hello").await;
    until_online(&mut events, user, true).await;
    let told = ann.watch_presence(&[user]).await.unwrap();
    assert_eq!(told, [PresenceWatch { user, watched: true }]);
    until_online(&mut events, user, true).await;
    // On line is who has a session on any device.
    let desktop = stage.login("bob").await;
    bob.disconnect().await.unwrap();
    desktop.disconnect().await.unwrap();
    let seen = until_online(&mut events, user, false).await;
    assert!(seen.last_seen_ms > 0);
    bob.resume().await.unwrap();
    until_online(&mut events, user, true).await;
    // The client asks again by itself after a reconnect.
    ann.disconnect().await.unwrap();
    bob.disconnect().await.unwrap();
    let mut events = ann.events();
    ann.resume().await.unwrap();
    until_online(&mut events, user, false).await;
    bob.resume().await.unwrap();
    until_online(&mut events, user, true).await;
    // Nobody is watched any more: only the message is told.
    ann.watch_presence(&[]).await.unwrap();
    let mut events = ann.events();
    bob.disconnect().await.unwrap();
    bob.resume().await.unwrap();
    bob.wait_live().await.unwrap();
    say(&bob, chat, "back").await;
    next(&mut events, "the message", |event| match event {
        Event::Presence(list) => panic!("told of {list:?}"),
        Event::Message(_) => Some(()),
        _ => None,
    })
    .await;
}
