//! Groups: what replies and events make of the state that is shown.

use bytes::Bytes;
use hongyan_client_core::event::RequestToken;
use hongyan_client_core::pb::group_event::Kind;
use hongyan_client_core::pb::{self, Role};
use hongyan_client_core::{ConversationId, ErrorCode, GroupId, Opcode};
use proptest::prelude::*;
use prost::Message as _;

use crate::server::{ME, PEER, changed, error};
use crate::world::World;

const GROUP: u64 = 5 << 12 | 1;
const OTHER: u64 = 12_289;

fn id() -> ConversationId {
    ConversationId::Group(GroupId::new(GROUP).expect("not zero"))
}

fn event(kind: Kind, actor: u64, users: &[u64]) -> pb::GroupEvent {
    pb::GroupEvent {
        kind: kind.into(),
        actor,
        users: users.to_vec(),
        user_count: users.len() as u32,
        ..pb::GroupEvent::default()
    }
}

fn renamed(actor: u64, name: &str) -> pb::GroupEvent {
    pb::GroupEvent { name: name.into(), ..event(Kind::Updated, actor, &[]) }
}

fn role_given(actor: u64, user: u64, role: Role) -> pb::GroupEvent {
    pb::GroupEvent { role: role as u32, ..event(Kind::RoleChanged, actor, &[user]) }
}

/// The server's copy of the group after an event, by the definition in
/// group.proto and not by the client's code.
fn carry_out(group: &mut pb::Group, event: &pb::GroupEvent) {
    match Kind::try_from(event.kind).expect("a known kind") {
        Kind::Invited => group.member_count += event.user_count,
        Kind::Left | Kind::Removed => group.member_count -= event.user_count,
        Kind::RoleChanged if event.users == [ME] => group.role = event.role,
        Kind::RoleChanged if event.role == Role::Owner as u32 && event.actor == ME => {
            group.role = Role::Admin as u32;
        }
        Kind::Updated => group.name.clone_from(&event.name),
        Kind::Dissolved => group.dissolved = true,
        _ => {}
    }
}

/// Decides a change at the server and tells it, or not, by its event.
fn change(world: &mut World, event: &pb::GroupEvent, push: bool) -> pb::Group {
    let body = pb::Body { kind: Some(pb::body::Kind::Event(event.clone())) };
    let body = body.encode_to_vec().into();
    let last_seq = world.server.say_body(id(), event.actor, body, push);
    let group = world.server.conversation(id()).group.as_mut().expect("it is a group");
    carry_out(group, event);
    group.last_seq = last_seq;
    group.clone()
}

/// A live client in a group of three in which something was said.
fn in_group(role: Role) -> World {
    let mut world = World::live();
    world.server.conversation(id()).group = Some(pb::Group {
        id: GROUP,
        name: "geese".into(),
        member_count: 3,
        role: role as u32,
        last_seq: 1,
        ..pb::Group::default()
    });
    world.server.say(id(), PEER, "hello", false);
    let told = changed(id(), &world.server.conversations[&id()]);
    world.server.push(Opcode::ConversationChanged, &told);
    world.run();
    assert_eq!(shown(&world), ("geese".into(), role, 3, false));
    world
}

fn shown(world: &World) -> (String, Role, u32, bool) {
    let group = world.core.conversation(id()).expect("it is listed").group.expect("a group");
    (group.name, group.role, group.member_count, group.dissolved)
}

fn request(world: &mut World, opcode: Opcode, message: &impl prost::Message) {
    let payload: Bytes = message.encode_to_vec().into();
    let asked = world.core.request(world.now_ms, RequestToken(9), opcode, payload);
    assert_eq!(asked, Ok(()));
}

#[test]
fn events_change_what_other_members_see() {
    let mut world = in_group(Role::Member);
    change(&mut world, &renamed(PEER, "swans"), true);
    change(&mut world, &event(Kind::Invited, PEER, &[OTHER, OTHER + 1]), true);
    change(&mut world, &role_given(PEER, ME, Role::Admin), true);
    change(&mut world, &role_given(PEER, OTHER, Role::Admin), true);
    change(&mut world, &event(Kind::Removed, PEER, &[OTHER]), true);
    change(&mut world, &event(Kind::Left, OTHER + 1, &[OTHER + 1]), true);
    world.run();
    assert_eq!(shown(&world), ("swans".into(), Role::Admin, 3, false));
    // The owner hands over to this user, who hands over in turn.
    change(&mut world, &role_given(PEER, ME, Role::Owner), true);
    world.run();
    assert_eq!(shown(&world).1, Role::Owner);
    change(&mut world, &role_given(ME, PEER, Role::Owner), true);
    change(&mut world, &event(Kind::Dissolved, PEER, &[]), true);
    world.run();
    assert_eq!(shown(&world), ("swans".into(), Role::Admin, 3, true));
    assert!(!world.server.seen.ends_with(&[Opcode::Sync]), "nobody had to ask");
    // A restart finds it as it was.
    world.restart(false);
    assert_eq!(shown(&world), ("swans".into(), Role::Admin, 3, true));
}

#[test]
fn a_reply_and_its_event_count_once_whichever_comes_first() {
    let invite = pb::InviteMembers { group: GROUP, users: vec![OTHER] };
    let invited = event(Kind::Invited, ME, &[OTHER]);
    for event_first in [true, false] {
        let mut world = in_group(Role::Owner);
        let group = change(&mut world, &invited, event_first);
        let seq = group.last_seq;
        world.run();
        world.server.groups.push_back(group);
        request(&mut world, Opcode::InviteMembers, &invite);
        world.run();
        assert_eq!(shown(&world).2, 4, "at once, without the event");
        world.server.push_message(id(), seq);
        world.run();
        assert_eq!(shown(&world).2, 4, "event first: {event_first}");
        // The next change counts on.
        change(&mut world, &event(Kind::Left, OTHER, &[OTHER]), true);
        world.run();
        assert_eq!(shown(&world).2, 3);
    }
}

#[test]
fn an_event_above_a_gap_waits_for_those_below() {
    let mut world = in_group(Role::Member);
    change(&mut world, &renamed(PEER, "first"), false);
    change(&mut world, &renamed(PEER, "second"), true);
    world.run();
    assert_eq!(shown(&world).0, "geese");
    world.pass(1_000);
    assert_eq!(shown(&world).0, "second");
}

#[test]
fn a_stretch_that_is_given_up_is_made_good_by_a_sync() {
    let mut world = in_group(Role::Member);
    change(&mut world, &renamed(PEER, "missed"), false);
    for _ in 0..2_000 {
        world.server.say(id(), PEER, "x", false);
    }
    world.server.say(id(), PEER, "last", true);
    world.server.seen.clear();
    world.pass(1_000);
    assert_eq!(shown(&world).0, "missed");
    assert!(world.server.seen.contains(&Opcode::Sync));
}

#[test]
fn replies_to_ones_own_changes_are_seen_at_once() {
    let mut world = in_group(Role::Owner);
    let group = change(&mut world, &renamed(ME, "swans"), false);
    world.server.groups.push_back(group);
    let rename = pb::UpdateGroup { group: GROUP, name: "swans".into(), history: 0 };
    request(&mut world, Opcode::UpdateGroup, &rename);
    world.run();
    assert_eq!(shown(&world), ("swans".into(), Role::Owner, 3, false));
    let group = change(&mut world, &event(Kind::Removed, ME, &[PEER]), false);
    world.server.groups.push_back(group);
    request(&mut world, Opcode::RemoveMember, &pb::RemoveMember { group: GROUP, user: PEER });
    world.run();
    assert_eq!(shown(&world).2, 2);
    let group = change(&mut world, &role_given(ME, OTHER, Role::Owner), false);
    world.server.groups.push_back(group);
    let give = pb::SetRole { group: GROUP, user: OTHER, role: Role::Owner.into() };
    request(&mut world, Opcode::SetRole, &give);
    world.run();
    assert_eq!(shown(&world).1, Role::Admin);
    request(&mut world, Opcode::DissolveGroup, &pb::DissolveGroup { group: GROUP });
    world.run();
    assert_eq!(shown(&world), ("swans".into(), Role::Admin, 2, true));
}

#[test]
fn a_group_that_was_made_is_there_with_the_reply() {
    let mut world = World::live();
    let made = pb::Group {
        id: GROUP,
        name: "new".into(),
        member_count: 2,
        role: Role::Owner as u32,
        created_ms: world.now_ms,
        last_seq: 1,
        ..pb::Group::default()
    };
    world.server.groups.push_back(made.clone());
    request(&mut world, Opcode::CreateGroup, &pb::CreateGroup::default());
    world.run();
    assert_eq!(shown(&world), ("new".into(), Role::Owner, 2, false));
    // Its event comes after it and is the first message.
    world.server.conversation(id()).group = Some(made);
    let created = pb::GroupEvent { name: "new".into(), ..event(Kind::Created, ME, &[PEER]) };
    change(&mut world, &created, true);
    world.run();
    assert_eq!(shown(&world), ("new".into(), Role::Owner, 2, false));
    assert_eq!(world.core.timeline(id()).messages.len(), 1);
    assert!(!world.server.seen.contains(&Opcode::History));
}

#[test]
fn an_invitation_costs_no_sync() {
    let mut world = World::live();
    world.server.conversation(id()).group = Some(pb::Group {
        id: GROUP,
        name: "geese".into(),
        member_count: 2,
        role: Role::Member as u32,
        ..pb::Group::default()
    });
    world.server.say(id(), PEER, "before", false);
    world.server.conversation(id()).joined_seq = 2;
    world.server.seen.clear();
    // The event, then the state, as the server sends them; what is said next
    // may come between the two.
    change(&mut world, &event(Kind::Invited, PEER, &[ME]), true);
    let told = changed(id(), &world.server.conversations[&id()]);
    world.server.say(id(), PEER, "welcome", true);
    world.server.push(Opcode::ConversationChanged, &told);
    world.pass(1_000);
    assert_eq!(shown(&world), ("geese".into(), Role::Member, 3, false));
    assert_eq!(world.texts(id()), ["welcome"]);
    assert_eq!(world.core.conversation(id()).map(|state| state.unread), Some(2));
    assert!(!world.server.seen.contains(&Opcode::Sync));
    // Without the state a sync finds out what it is.
    let other = ConversationId::Group(GroupId::new(GROUP + 1).expect("not zero"));
    world.server.say(other, PEER, "one", false);
    world.server.say(other, PEER, "two", true);
    world.pass(299);
    assert!(!world.server.seen.contains(&Opcode::Sync));
    world.pass(1);
    assert_eq!(world.server.seen.iter().filter(|seen| **seen == Opcode::Sync).count(), 1);
    assert!(world.core.conversation(other).is_some());
}

#[test]
fn a_group_that_a_retry_found_is_synced() {
    let mut world = World::live();
    for number in 1..=3 {
        world.server.say(id(), PEER, &number.to_string(), false);
    }
    let group = pb::Group { id: GROUP, name: "old".into(), last_seq: 3, ..pb::Group::default() };
    world.server.conversation(id()).group = Some(group.clone());
    world.server.groups.push_back(group);
    request(&mut world, Opcode::CreateGroup, &pb::CreateGroup::default());
    world.pass(1_000);
    assert_eq!(shown(&world).0, "old");
    assert_eq!(world.texts(id()), ["1", "2", "3"]);
}

#[test]
fn who_leaves_is_gone_with_the_reply() {
    let mut world = in_group(Role::Member);
    world.server.say(id(), PEER, "unread", true);
    world.run();
    request(&mut world, Opcode::LeaveGroup, &pb::LeaveGroup { group: GROUP });
    assert!(!world.core.conversation(id()).expect("it is listed").gone, "not before");
    world.run();
    let state = world.core.conversation(id()).expect("it is listed");
    assert!(state.gone);
    assert_eq!((state.title().as_str(), state.unread), ("geese", 0));
    // Invited again, with the state that the server tells.
    change(&mut world, &event(Kind::Invited, PEER, &[ME]), false);
    let told = changed(id(), &world.server.conversations[&id()]);
    world.server.push(Opcode::ConversationChanged, &told);
    world.run();
    assert!(!world.core.conversation(id()).expect("it is listed").gone);
    assert_eq!(shown(&world).2, 4);
}

#[test]
fn a_refusal_can_say_that_one_is_no_member() {
    let mut world = in_group(Role::Member);
    let refusal = || error(ErrorCode::NotMember, 0);
    world.server.refusals.push_back((Opcode::LeaveGroup, refusal()));
    request(&mut world, Opcode::LeaveGroup, &pb::LeaveGroup { group: GROUP });
    world.run();
    assert!(world.core.conversation(id()).expect("it is listed").gone);
    let mut world = in_group(Role::Member);
    world.server.refusals.push_back((Opcode::Send, refusal()));
    world.send(id(), "too late");
    world.run();
    assert!(world.core.conversation(id()).expect("it is listed").gone);
    // Any other refusal leaves it as it is.
    let mut world = in_group(Role::Owner);
    let owner = error(ErrorCode::OwnerCannotLeave, 0);
    world.server.refusals.push_back((Opcode::LeaveGroup, owner));
    request(&mut world, Opcode::LeaveGroup, &pb::LeaveGroup { group: GROUP });
    world.run();
    assert!(!world.core.conversation(id()).expect("it is listed").gone);
}

#[derive(Debug, Clone)]
enum Step {
    Change(pb::GroupEvent, bool),
    Cut,
    Pass,
    PushAgain(u64),
    Reply,
    Restart,
    Say(bool),
    SyncNeeded,
}

fn step() -> impl Strategy<Value = Step> {
    let change = prop_oneof![
        (1_u64..4).prop_map(|number| renamed(PEER, &format!("name {number}"))),
        Just(event(Kind::Invited, PEER, &[OTHER])),
        Just(event(Kind::Removed, ME, &[OTHER])),
        Just(role_given(PEER, ME, Role::Admin)),
        Just(role_given(PEER, ME, Role::Member)),
    ];
    prop_oneof![
        6 => (change, any::<bool>()).prop_map(|(event, push)| Step::Change(event, push)),
        1 => Just(Step::Cut),
        2 => Just(Step::Pass),
        2 => (1_u64..30).prop_map(Step::PushAgain),
        2 => Just(Step::Reply),
        1 => Just(Step::Restart),
        2 => any::<bool>().prop_map(Step::Say),
        1 => Just(Step::SyncNeeded),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Whatever is lost, late or told twice, in the end the group is what the
    /// server has.
    #[test]
    fn in_the_end_the_group_is_the_servers(steps in prop::collection::vec(step(), 1..40)) {
        let mut world = in_group(Role::Member);
        for step in steps {
            match step {
                Step::Change(event, push) => {
                    let members = world.server.conversations[&id()].group.as_ref();
                    let leaves = event.kind == i32::from(Kind::Removed);
                    if !leaves || members.is_some_and(|group| group.member_count > 3) {
                        change(&mut world, &event, push);
                    }
                }
                Step::Cut => world.cut(),
                Step::Pass => world.pass(400),
                Step::PushAgain(seq) => {
                    if seq <= world.server.conversation(id()).last_seq() {
                        world.server.push_message(id(), seq);
                    }
                }
                Step::Reply => {
                    // A change that changed nothing is answered all the same.
                    let group = world.server.conversations[&id()].group.clone();
                    world.server.groups.extend(group);
                    let payload = pb::UpdateGroup::default().encode_to_vec().into();
                    let token = RequestToken(9);
                    let now_ms = world.now_ms;
                    let asked = world.core.request(now_ms, token, Opcode::UpdateGroup, payload);
                    if asked.is_ok() {
                        world.run();
                    }
                    world.server.groups.clear();
                }
                Step::Restart => world.restart(false),
                Step::Say(push) => {
                    world.server.say(id(), PEER, "x", push);
                }
                Step::SyncNeeded => world.server.push(Opcode::SyncNeeded, &pb::SyncNeeded {}),
            }
        }
        world.pass(100_000);
        // The server owes this where it dropped pushes.
        world.server.push(Opcode::SyncNeeded, &pb::SyncNeeded {});
        world.pass(10_000);
        let group = world.server.conversations[&id()].group.clone().expect("it is a group");
        let (name, role, member_count, _) = shown(&world);
        prop_assert_eq!((name, role as u32), (group.name, group.role));
        prop_assert_eq!(member_count, group.member_count);
    }
}
