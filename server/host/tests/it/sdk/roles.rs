//! What each role of a group may do and may not do.

use hongyan_client::pb::Role::{self, Admin, Member, Owner};
use hongyan_client::{Client, ClientError, ConversationState, ErrorCode, GroupId, UserId};

use super::groups::{group, people};
use super::stage::Stage;
use super::wait::{me, refusal, say, until};

over_both!(what_each_role_may_do, a_group_is_handed_over);

/// Everything that is about somebody's right in a group, tried by one person.
#[derive(Debug, Clone, Copy)]
enum Act {
    Dissolve,
    Invite(UserId),
    Leave,
    Remove(UserId),
    SetRole(UserId, Role),
    Update,
}

async fn attempt(client: &Client, id: GroupId, act: Act) -> Result<(), ClientError> {
    match act {
        Act::Dissolve => client.dissolve_group(id).await,
        Act::Invite(user) => client.invite_members(id, &[user]).await.map(drop),
        Act::Leave => client.leave_group(id).await,
        Act::Remove(user) => client.remove_member(id, user).await.map(drop),
        Act::SetRole(user, role) => client.set_role(id, user, role).await.map(drop),
        Act::Update => client.update_group(id, Some("another name"), Some(true)).await.map(drop),
    }
}

async fn what_each_role_may_do(stage: &mut Stage) {
    stage.open();
    let [ann, bob, cat, dan, eve, fay] =
        people(stage, ["ann", "bob", "cat", "dan", "eve", "fay"]).await;
    let made = group(&ann, &[&bob, &cat, &dan, &eve], true).await;
    let (id, chat) = (made.id, made.conversation());
    ann.set_role(id, me(&bob), Admin).await.unwrap();
    ann.set_role(id, me(&eve), Admin).await.unwrap();
    let (owner, admin, member) = (me(&ann), me(&bob), me(&cat));
    let denied = ErrorCode::NotAllowed;
    // dan is a plain member, bob an admin, fay a stranger.
    for (client, act, code) in [
        (&dan, Act::Invite(me(&fay)), denied),
        (&dan, Act::Remove(member), denied),
        (&dan, Act::Remove(admin), denied),
        (&dan, Act::Remove(owner), denied),
        (&dan, Act::SetRole(member, Admin), denied),
        (&dan, Act::SetRole(me(&dan), Admin), denied),
        (&dan, Act::SetRole(me(&dan), Owner), denied),
        (&dan, Act::Update, denied),
        (&dan, Act::Dissolve, denied),
        (&bob, Act::Remove(owner), denied),
        (&bob, Act::Remove(me(&eve)), denied),
        (&bob, Act::SetRole(member, Admin), denied),
        (&bob, Act::SetRole(me(&bob), Owner), denied),
        (&bob, Act::SetRole(owner, Member), denied),
        (&bob, Act::Dissolve, denied),
        (&ann, Act::Remove(owner), denied),
        (&ann, Act::SetRole(owner, Member), denied),
        (&ann, Act::SetRole(me(&fay), Admin), ErrorCode::NoSuchUser),
        (&ann, Act::Leave, ErrorCode::OwnerCannotLeave),
        (&fay, Act::Invite(me(&fay)), ErrorCode::NotMember),
        (&fay, Act::Remove(member), ErrorCode::NotMember),
        (&fay, Act::Update, ErrorCode::NotMember),
        (&fay, Act::Leave, ErrorCode::NotMember),
        (&fay, Act::Dissolve, ErrorCode::NotMember),
    ] {
        let name = client.account().unwrap().name;
        let refused = attempt(client, id, act).await;
        assert_eq!(refusal(refused), code, "{name} {act:?}");
    }
    // None of that left a trace: a message is the third after two roles.
    assert_eq!(say(&dan, chat, "hello").await.seq, 4);
    let list = dan.group_members(id, None, 0).await.unwrap().members;
    assert_eq!(list.len(), 5);

    for (client, act) in [
        (&bob, Act::Update),
        (&bob, Act::Invite(me(&fay))),
        (&bob, Act::Remove(me(&fay))),
        (&bob, Act::Remove(member)),
        (&dan, Act::Leave),
        (&ann, Act::SetRole(me(&eve), Member)),
        (&bob, Act::Remove(me(&eve))),
        (&ann, Act::Remove(admin)),
        (&ann, Act::Dissolve),
    ] {
        let name = client.account().unwrap().name;
        let done = attempt(client, id, act).await;
        assert!(done.is_ok(), "{name} {act:?}: {done:?}");
    }
    for client in [&bob, &cat, &dan, &eve, &fay] {
        until(client, chat, "out of it", |state| state.gone).await;
    }
}

async fn a_group_is_handed_over(stage: &mut Stage) {
    stage.open();
    let [ann, bob] = people(stage, ["ann", "bob"]).await;
    let made = group(&ann, &[&bob], true).await;
    let (id, chat) = (made.id, made.conversation());
    let after = ann.set_role(id, me(&bob), Owner).await.unwrap();
    assert_eq!(after.role, Admin);
    let denied = ann.set_role(id, me(&bob), Member).await;
    assert_eq!(refusal(denied), ErrorCode::NotAllowed);
    // Whoever is there learns it at once, a device that comes now all the same.
    let desktop = stage.login("bob").await;
    for (client, role) in [(&bob, Owner), (&desktop, Owner), (&ann, Admin)] {
        let is = |state: &ConversationState| state.group.as_ref().is_some_and(|g| g.role == role);
        until(client, chat, "the new role", is).await;
    }
    bob.update_group(id, Some("theirs"), None).await.unwrap();
    for client in [&ann, &desktop] {
        until(client, chat, "the new name", |state| state.title() == "theirs").await;
    }
    ann.leave_group(id).await.unwrap();
    let alone =
        |state: &ConversationState| state.group.as_ref().is_some_and(|g| g.member_count == 1);
    until(&desktop, chat, "one less", alone).await;
    assert_eq!(say(&bob, chat, "alone").await.seq, 5);
    // The last one to leave ends it.
    bob.leave_group(id).await.unwrap();
    until(&bob, chat, "left it", |state| state.gone).await;
    assert_eq!(refusal(bob.invite_members(id, &[me(&ann)]).await), ErrorCode::NotMember);
}
