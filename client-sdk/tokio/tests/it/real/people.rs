//! Names that are asked for once, and who is on line.

use hongyan_client::{Client, ErrorCode, Event, Events, PresenceWatch, UserId};

use super::stage::{run, say, until};

fn me(client: &Client) -> UserId {
    client.account().expect("signed in").user
}

fn nobody() -> UserId {
    UserId::new(u64::MAX / 2).expect("not zero")
}

#[test]
fn names_are_asked_for_once() {
    run(async |stage| {
        let ann = stage.register("ann").await;
        let bob = stage.register("bob").await;
        let profile = ann.profile(me(&bob)).await.expect("there is one");
        assert_eq!(
            (profile.name.as_str(), profile.display_name.as_str()),
            ("bob", "bob the goose")
        );
        let missing = ann.profile(nobody()).await.expect_err("there is nobody");
        assert!(missing.is(ErrorCode::NoSuchUser));
        let eve = stage.register("eve").await;
        let wanted = [me(&eve), nobody(), me(&bob), me(&eve)];
        let names = |profiles: Vec<hongyan_client::Profile>| -> Vec<String> {
            profiles.into_iter().map(|profile| profile.name).collect()
        };
        let found = ann.profiles(&wanted).await.expect("the server is there");
        assert_eq!(names(found), ["eve", "bob", "eve"]);
        // From then on they are known without the server.
        ann.disconnect().await.expect("the client runs");
        let found = ann.profiles(&[me(&bob), me(&eve)]).await.expect("they are known");
        assert_eq!(names(found), ["bob", "eve"]);
        assert!(ann.profile(nobody()).await.is_err());
    });
}

async fn until_online(events: &mut Events, user: UserId, online: bool) {
    loop {
        if let Event::Presence(list) = events.recv().await.expect("the client runs")
            && list.iter().any(|presence| presence.user == user && presence.online == online)
        {
            return;
        }
    }
}

#[test]
fn one_stranger_does_not_keep_others_from_being_watched() {
    run(async |stage| {
        let ann = stage.register("ann").await;
        let bob = stage.register("bob").await;
        let eve = stage.register("eve").await;
        let chat = ann.direct(me(&bob)).expect("two people");
        say(&ann, chat, "hello").await;
        until(&bob, chat, |state| state.last_seq == 1).await;
        let mut events = ann.events();
        let told = ann.watch_presence(&[me(&eve), me(&bob)]).await.expect("the server is there");
        let watch = |user, watched| PresenceWatch { user, watched };
        assert_eq!(told, [watch(me(&eve), false), watch(me(&bob), true)]);
        until_online(&mut events, me(&bob), true).await;
        bob.disconnect().await.expect("the client runs");
        until_online(&mut events, me(&bob), false).await;
        // The stranger is watched once they talk, without another call.
        let other = ann.direct(me(&eve)).expect("two people");
        say(&eve, other, "hi").await;
        until_online(&mut events, me(&eve), true).await;
    });
}
