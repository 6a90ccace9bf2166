//! Groups: what the one who changes one and those who hear of it see, without
//! a sync and without asking.

use hongyan_client::pb::Role;
use hongyan_client::{Client, ClientError, ErrorCode, GroupId, UserId};

use super::stage::{run, say, until};

fn me(client: &Client) -> UserId {
    client.account().expect("signed in").user
}

/// Title, own role and count, as the list shows a group now.
fn shown(client: &Client, group: GroupId) -> (String, Role, u32) {
    let state = client.conversation(hongyan_client::ConversationId::Group(group));
    let group = state.expect("it is listed").group.clone().expect("a group");
    (group.name, group.role, group.member_count)
}

#[test]
fn a_change_is_seen_by_all_without_a_sync() {
    run(async |stage| {
        let ann = stage.register("ann").await;
        let bob = stage.register("bob").await;
        let eve = stage.register("eve").await;
        let group = ann.create_group("geese", &[me(&bob)], true).await.expect("it is made");
        let (group, chat) = (group.id, group.conversation());
        // Whoever makes a change sees it with the reply.
        assert_eq!(shown(&ann, group), ("geese".into(), Role::Owner, 2));
        until(&bob, chat, |state| state.group.is_some()).await;
        assert_eq!(shown(&bob, group), ("geese".into(), Role::Member, 2));
        ann.update_group(group, Some("swans"), None).await.expect("the owner may");
        assert_eq!(shown(&ann, group).0, "swans");
        until(&bob, chat, |state| state.title() == "swans").await;
        ann.set_role(group, me(&bob), Role::Admin).await.expect("the owner may");
        let role = |wanted: Role| {
            move |state: &hongyan_client::ConversationState| {
                state.group.as_ref().is_some_and(|group| group.role == wanted)
            }
        };
        until(&bob, chat, role(Role::Admin)).await;
        bob.invite_members(group, &[me(&eve)]).await.expect("an admin may");
        assert_eq!(shown(&bob, group).2, 3);
        let count = |wanted: u32| {
            move |state: &hongyan_client::ConversationState| {
                state.group.as_ref().is_some_and(|group| group.member_count == wanted)
            }
        };
        until(&ann, chat, count(3)).await;
        until(&eve, chat, count(3)).await;
        // After as many messages as there were events, nothing was counted
        // twice.
        let seq = say(&eve, chat, "hello").await;
        for client in [&ann, &bob, &eve] {
            until(client, chat, |state| state.last_seq >= seq).await;
            assert_eq!(shown(client, group).2, 3);
        }
        ann.set_role(group, me(&bob), Role::Owner).await.expect("the owner may");
        assert_eq!(shown(&ann, group).1, Role::Admin);
        until(&bob, chat, role(Role::Owner)).await;
        bob.remove_member(group, me(&eve)).await.expect("the owner may");
        assert_eq!(shown(&bob, group).2, 2);
        until(&ann, chat, count(2)).await;
        let gone = until(&eve, chat, |state| state.gone).await;
        assert_eq!((gone.title(), gone.unread), ("swans".into(), 0));
        bob.dissolve_group(group).await.expect("the owner may");
        let ended = |client: &Client| {
            let state = client.conversation(chat).expect("it is listed");
            state.group.as_ref().is_some_and(|group| group.dissolved)
        };
        assert!(ended(&bob));
        until(&ann, chat, |state| state.group.as_ref().is_some_and(|it| it.dissolved)).await;
    });
}

#[test]
fn who_leaves_is_gone_at_once_and_comes_back_when_invited() {
    run(async |stage| {
        let ann = stage.register("ann").await;
        let bob = stage.register("bob").await;
        let phone = stage.login("bob").await;
        let group = ann.create_group("geese", &[me(&bob)], true).await.expect("it is made");
        let (group, chat) = (group.id, group.conversation());
        say(&ann, chat, "hello").await;
        for device in [&bob, &phone] {
            until(device, chat, |state| state.last_seq == 2 && state.group.is_some()).await;
        }
        bob.leave_group(group).await.expect("a member may");
        let state = bob.conversation(chat).expect("what was held stays");
        assert!(state.gone);
        assert_eq!((state.title(), state.unread), ("geese".into(), 0));
        until(&phone, chat, |state| state.gone).await;
        until(&ann, chat, |it| it.group.as_ref().is_some_and(|it| it.member_count == 1)).await;
        let again = bob.leave_group(group).await.expect_err("nobody leaves twice");
        assert!(again.is(ErrorCode::NotMember));
        // What was held is still there after a sync.
        bob.disconnect().await.expect("the client runs");
        bob.resume().await.expect("the tokens are good");
        bob.wait_live().await.expect("it goes live");
        let timeline = bob.timeline(chat).await.expect("the client runs");
        assert_eq!(timeline.view().messages.len(), 2);
        let refused = bob.send_text(chat, "still here?").await.expect("it is kept").wait().await;
        assert!(matches!(refused, Err(ClientError::Refused { .. })), "{refused:?}");
        ann.invite_members(group, &[me(&bob)]).await.expect("the owner may");
        for device in [&bob, &phone] {
            until(device, chat, |state| !state.gone).await;
            assert_eq!(shown(device, group), ("geese".into(), Role::Member, 2));
        }
        assert_eq!(shown(&ann, group).2, 2);
    });
}
