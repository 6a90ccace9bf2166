//! Groups: who comes, who goes, what newcomers see, how a group ends.

use hongyan_client::pb::{self, group_event::Kind};
use hongyan_client::{Body, Client, ConversationId, ErrorCode, GroupInfo, Message, UserId};

use super::stage::Stage;
use super::wait::{me, next, next_texts, refusal, say, until, within};

over_both!(
    a_group_is_made_and_everybody_has_it,
    members_come_and_go,
    who_was_away_learns_who_went,
    newcomers_see_what_the_group_allows,
    a_dissolved_group_can_only_be_read,
    members_are_listed_in_pages,
);

/// Accounts of these names.
pub(super) async fn people<const N: usize>(stage: &Stage, names: [&str; N]) -> [Client; N] {
    let mut clients = Vec::new();
    for name in names {
        clients.push(stage.register(name).await);
    }
    clients.try_into().unwrap()
}

/// A group of `owner` and `others`; everybody has it in the list.
pub(super) async fn group(owner: &Client, others: &[&Client], history_visible: bool) -> GroupInfo {
    let users: Vec<_> = others.iter().map(|client| me(client)).collect();
    let made = owner.create_group("us", &users, history_visible).await.unwrap();
    for client in others.iter().chain([&owner]) {
        until(client, made.conversation(), "the group", |state| state.group.is_some()).await;
    }
    made
}

/// Tries to say something; the code of the refusal.
pub(super) async fn unsaid(client: &Client, chat: ConversationId) -> ErrorCode {
    let sent = client.send_text(chat, "never said").await.unwrap();
    refusal(within("the refusal", sent.wait()).await)
}

/// All that a client may read.
async fn all(client: &Client, chat: ConversationId) -> Vec<Message> {
    let (messages, more) = client.history(chat, 1, 0, 500, false).await.unwrap();
    assert!(!more);
    messages
}

fn event(message: &Message) -> &pb::GroupEvent {
    match &message.body {
        Body::Event(event) => event,
        other => panic!("no event: {other:?}"),
    }
}

async fn a_group_is_made_and_everybody_has_it(stage: &mut Stage) {
    stage.open();
    let [ann, bob, cat] = people(stage, ["ann", "bob", "cat"]).await;
    let nobody = UserId::new(u64::MAX >> 12).unwrap();
    let refused = ann.create_group("us", &[me(&bob), nobody], true).await;
    assert_eq!(refusal(refused), ErrorCode::NoSuchUser);
    assert_eq!(refusal(ann.create_group("", &[], true).await), ErrorCode::InvalidField);
    let made = group(&ann, &[&bob, &cat], false).await;
    let chat = made.conversation();
    assert_eq!((made.name.as_str(), made.member_count, made.history_visible), ("us", 3, false));
    assert_eq!((made.role, made.dissolved), (pb::Role::Owner, false));
    for (client, role) in
        [(&ann, pb::Role::Owner), (&bob, pb::Role::Member), (&cat, pb::Role::Member)]
    {
        let state = client.conversation(chat).unwrap();
        assert_eq!((state.title().as_str(), state.gone), ("us", false));
        let seen = state.group.clone().unwrap();
        assert_eq!((seen.role, seen.member_count, seen.id), (role, 3, made.id));
        let messages = all(client, chat).await;
        let created = event(&messages[0]);
        assert_eq!((created.kind(), created.actor), (Kind::Created, me(&ann).get()));
    }
    let mut heard = [bob.events(), cat.events()];
    say(&ann, chat, "hello").await;
    for events in &mut heard {
        assert_eq!(next_texts(events, 1).await, ["hello"]);
    }
    say(&cat, chat, "hi").await;
    until(&bob, chat, "all unread", |state| state.last_seq == 3 && state.unread == 3).await;
    until(&cat, chat, "nothing unread", |state| state.last_seq == 3 && state.unread == 0).await;
}

async fn members_come_and_go(stage: &mut Stage) {
    stage.open();
    let [ann, bob, cat, dan] = people(stage, ["ann", "bob", "cat", "dan"]).await;
    let made = group(&ann, &[&bob], true).await;
    let (id, chat) = (made.id, made.conversation());
    assert_eq!(unsaid(&cat, chat).await, ErrorCode::NotMember);
    assert_eq!(refusal(cat.history(chat, 1, 0, 0, false).await), ErrorCode::NotMember);
    // Who is in it already is passed over.
    let after = ann.invite_members(id, &[me(&cat), me(&bob), me(&dan)]).await.unwrap();
    assert_eq!(after.member_count, 4);
    for client in [&cat, &dan] {
        until(client, chat, "the group", |state| !state.gone).await;
        say(client, chat, "hello").await;
    }
    until(&bob, chat, "both hellos", |state| state.last_seq == 4).await;

    let mut on_cat = cat.events();
    let after = ann.remove_member(id, me(&cat)).await.unwrap();
    assert_eq!(after.member_count, 3);
    until(&cat, chat, "out of it", |state| state.gone).await;
    assert_eq!(unsaid(&cat, chat).await, ErrorCode::NotMember);
    dan.leave_group(id).await.unwrap();
    until(&dan, chat, "left it", |state| state.gone).await;
    assert_eq!(refusal(dan.leave_group(id).await), ErrorCode::NotMember);
    assert_eq!(refusal(ann.leave_group(id).await), ErrorCode::OwnerCannotLeave);
    assert_eq!(refusal(ann.remove_member(id, me(&dan)).await), ErrorCode::NoSuchUser);

    let messages = all(&bob, chat).await;
    let told: Vec<_> = messages
        .iter()
        .filter(|message| matches!(message.body, Body::Event(_)))
        .map(|message| (event(message).kind(), event(message).users.clone()))
        .collect();
    let ids = |clients: &[&Client]| {
        let mut ids: Vec<_> = clients.iter().map(|client| me(client).get()).collect();
        ids.sort_unstable();
        ids
    };
    let expected: [(Kind, Vec<u64>); 4] = [
        (Kind::Created, ids(&[&bob])),
        (Kind::Invited, ids(&[&cat, &dan])),
        (Kind::Removed, ids(&[&cat])),
        (Kind::Left, ids(&[&dan])),
    ];
    assert_eq!(told, expected);
    // Somebody who comes back goes on with the same conversation.
    ann.invite_members(id, &[me(&cat)]).await.unwrap();
    until(&cat, chat, "in it again", |state| !state.gone).await;
    let again = say(&ann, chat, "welcome back").await.seq;
    next(&mut on_cat, "the welcome", |event| match event {
        hongyan_client::Event::Message(message) => (message.seq == again).then_some(()),
        _ => None,
    })
    .await;
}

async fn who_was_away_learns_who_went(stage: &mut Stage) {
    stage.open();
    let [ann, bob, cat] = people(stage, ["ann", "bob", "cat"]).await;
    let made = group(&ann, &[&bob, &cat], true).await;
    let (id, chat) = (made.id, made.conversation());
    say(&bob, chat, "hello").await;
    until(&cat, chat, "the message", |state| state.last_seq == 2).await;
    cat.disconnect().await.unwrap();
    ann.remove_member(id, me(&cat)).await.unwrap();
    say(&ann, chat, "not for cat").await;
    cat.resume().await.unwrap();
    let state = until(&cat, chat, "out of it", |state| state.gone).await;
    // What was heard before stays on the device, and counts no more.
    assert_eq!((state.title().as_str(), state.last_seq, state.unread), ("us", 2, 0));
    let view = cat.timeline(chat).await.unwrap().view();
    let texts: Vec<_> = view.messages.iter().filter_map(|message| message.body.text()).collect();
    assert_eq!(texts, ["hello"]);
    // A new device does not hear of the group at all.
    let new = stage.login("cat").await;
    assert_eq!(new.conversation(chat), None);
}

async fn newcomers_see_what_the_group_allows(stage: &mut Stage) {
    stage.open();
    let [ann, bob, cat, dan] = people(stage, ["ann", "bob", "cat", "dan"]).await;
    let made = group(&ann, &[&bob], false).await;
    let (id, chat) = (made.id, made.conversation());
    for text in ["one", "two"] {
        say(&ann, chat, text).await;
    }
    ann.invite_members(id, &[me(&cat)]).await.unwrap();
    let joined = until(&cat, chat, "the group", |state| state.last_seq == 4).await;
    assert_eq!((joined.first_seq, joined.unread), (4, 1));
    let seen: Vec<_> = all(&cat, chat).await.iter().map(|message| message.seq).collect();
    assert_eq!(seen, [4]);
    let timeline = cat.timeline(chat).await.unwrap();
    assert_eq!(timeline.load_older(100).await.unwrap(), 0);

    // The rule holds for everybody from the moment that it changes.
    let after = ann.update_group(id, None, Some(true)).await.unwrap();
    assert!(after.history_visible && after.name == "us", "{after:?}");
    ann.invite_members(id, &[me(&dan)]).await.unwrap();
    let joined = until(&dan, chat, "the group", |state| state.last_seq == 6).await;
    // What came before is there to be read, and does not count as unread.
    assert_eq!((joined.first_seq, joined.unread), (1, 1));
    let seen: Vec<_> = all(&dan, chat).await.iter().map(|message| message.seq).collect();
    assert_eq!(seen, [1, 2, 3, 4, 5, 6]);
    let timeline = dan.timeline(chat).await.unwrap();
    while timeline.load_older(2).await.unwrap() > 0 {}
    let view = timeline.view();
    assert_eq!((view.messages.len(), view.has_older), (6, false));
}

async fn a_dissolved_group_can_only_be_read(stage: &mut Stage) {
    stage.open();
    let [ann, bob, cat] = people(stage, ["ann", "bob", "cat"]).await;
    let made = group(&ann, &[&bob], true).await;
    let (id, chat) = (made.id, made.conversation());
    say(&bob, chat, "the last word").await;
    ann.dissolve_group(id).await.unwrap();
    for client in [&ann, &bob] {
        until(client, chat, "the end", |state| state.last_seq == 3).await;
        assert_eq!(unsaid(client, chat).await, ErrorCode::GroupDissolved);
        let messages = all(client, chat).await;
        assert_eq!(messages[1].body.text(), Some("the last word"));
        assert_eq!(event(&messages[2]).kind(), Kind::Dissolved);
        assert_eq!(client.group_members(id, None, 0).await.unwrap().members.len(), 2);
    }
    assert_eq!(refusal(ann.dissolve_group(id).await), ErrorCode::GroupDissolved);
    assert_eq!(refusal(ann.invite_members(id, &[me(&cat)]).await), ErrorCode::GroupDissolved);
    assert_eq!(refusal(ann.update_group(id, Some("x"), None).await), ErrorCode::GroupDissolved);
    // A device that hears of it only now is told the same.
    let new = stage.login("bob").await;
    let state = until(&new, chat, "the group", |state| state.last_seq == 3).await;
    assert!(state.group.as_ref().is_some_and(|group| group.dissolved), "{state:?}");
    // Whoever wants it out of the list may leave.
    bob.leave_group(id).await.unwrap();
    until(&bob, chat, "left it", |state| state.gone).await;
    ann.leave_group(id).await.unwrap();
}

async fn members_are_listed_in_pages(stage: &mut Stage) {
    stage.open();
    let names = ["ann", "bob", "cat", "dan", "eve", "fay", "gus"];
    let clients = people(stage, names).await;
    let others: Vec<_> = clients[1..].iter().collect();
    let id = group(&clients[0], &others, true).await.id;
    let mut users = Vec::new();
    let mut pages = Vec::new();
    loop {
        let after = users.last().and_then(|user| UserId::new(*user));
        let page = clients[3].group_members(id, after, 3).await.unwrap();
        assert!(page.members.iter().all(|member| member.joined_seq == 1));
        users.extend(page.members.iter().map(|member| member.user));
        pages.push(page.members.len());
        if !page.more {
            break;
        }
    }
    let mut expected: Vec<_> = clients.iter().map(|client| me(client).get()).collect();
    expected.sort_unstable();
    assert_eq!((users, pages), (expected, vec![3, 3, 1]));
    let all = clients[0].group_members(id, None, 0).await.unwrap();
    assert!(all.members.len() == 7 && !all.more);
    let owners = all.members.iter().filter(|member| member.role() == pb::Role::Owner);
    assert!(owners.map(|member| member.user).eq([me(&clients[0]).get()]));
    let stranger = stage.register("hal").await;
    assert_eq!(refusal(stranger.group_members(id, None, 0).await), ErrorCode::NotMember);
}
