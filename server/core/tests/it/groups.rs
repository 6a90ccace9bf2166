//! Groups.

use hongyan_core::testing::{Client, World};
use hongyan_protocol::ids::GroupId;
use hongyan_protocol::{ConversationId, ErrorCode, Opcode, pb};

use crate::on_any_server;

pub(crate) fn create(
    world: &mut World,
    owner: &mut Client,
    members: &[&Client],
    history_visible: bool,
) -> (u64, ConversationId) {
    let ask = pb::CreateGroup {
        client_group_id: vec![1; 16].into(),
        name: "friends".into(),
        members: members.iter().map(|member| member.session.user_id).collect(),
        history_visible,
    };
    let group: pb::Group = owner.ask(world, Opcode::CreateGroup, &ask).unwrap();
    let again: pb::Group = owner.ask(world, Opcode::CreateGroup, &ask).unwrap();
    assert_eq!(group.id, again.id, "a retry finds the group");
    (group.id, ConversationId::Group(GroupId::new(group.id).unwrap()))
}

fn members(world: &mut World, client: &mut Client, group: u64) -> Vec<(u64, i32)> {
    let ask = pb::ListMembers { group, ..Default::default() };
    let page: pb::Members = client.ask(world, Opcode::ListMembers, &ask).unwrap();
    page.members.iter().map(|member| (member.user, member.role)).collect()
}

#[test]
fn a_group_is_made_used_and_ended() {
    on_any_server(|world| {
        let mut alice = Client::register(world, 0, "alice");
        let mut bob = Client::register(world, 1, "bobby");
        let mut carol = Client::register(world, 2, "carol");
        let (group, id) = create(world, &mut alice, &[&bob], true);
        let appeared = bob.take::<pb::ConversationChanged>(world, Opcode::ConversationChanged);
        assert_eq!(appeared.len(), 1);
        let seen = appeared[0].conversation.as_ref().unwrap().group.as_ref().unwrap();
        assert_eq!((seen.role, seen.member_count), (3, 2));
        assert_eq!(carol.send(world, id, 1, "let me in"), Err(ErrorCode::NotMember));
        let invite = pb::InviteMembers { group, users: vec![carol.session.user_id] };
        let denied = bob.ask::<pb::Group>(world, Opcode::InviteMembers, &invite);
        assert_eq!(denied, Err(ErrorCode::NotAllowed));
        let grown: pb::Group = alice.ask(world, Opcode::InviteMembers, &invite).unwrap();
        assert_eq!(grown.member_count, 3);
        alice.take::<pb::Message>(world, Opcode::Message);
        carol.take::<pb::Message>(world, Opcode::Message);
        assert_eq!(bob.send(world, id, 1, "welcome").unwrap().seq, 3);
        for client in [&mut alice, &mut carol] {
            let pushed = client.take::<pb::Message>(world, Opcode::Message);
            assert_eq!(pushed.iter().map(|m| m.seq).collect::<Vec<_>>(), [3]);
        }
        assert_eq!(carol.cold_start(world).conversations.len(), 1);
        let dissolve = pb::DissolveGroup { group };
        let denied = bob.ask::<pb::Empty>(world, Opcode::DissolveGroup, &dissolve);
        assert_eq!(denied, Err(ErrorCode::NotAllowed));
        alice.ask::<pb::Empty>(world, Opcode::DissolveGroup, &dissolve).unwrap();
        assert_eq!(bob.send(world, id, 2, "hello?"), Err(ErrorCode::GroupDissolved));
        assert_eq!(bob.history(world, id).len(), 4);
    });
}

#[test]
fn who_is_removed_or_leaves_sees_nothing_more() {
    on_any_server(|world| {
        let mut alice = Client::register(world, 0, "alice");
        let mut bob = Client::register(world, 1, "bobby");
        let mut carol = Client::register(world, 2, "carol");
        let (group, id) = create(world, &mut alice, &[&bob, &carol], true);
        let remove = |user: &Client| pb::RemoveMember { group, user: user.session.user_id };
        let denied = bob.ask::<pb::Group>(world, Opcode::RemoveMember, &remove(&carol));
        assert_eq!(denied, Err(ErrorCode::NotAllowed));
        alice.ask::<pb::Group>(world, Opcode::RemoveMember, &remove(&bob)).unwrap();
        let told = bob.take::<pb::ConversationChanged>(world, Opcode::ConversationChanged);
        assert!(told.last().unwrap().conversation.as_ref().unwrap().gone);
        carol.ask::<pb::Empty>(world, Opcode::LeaveGroup, &pb::LeaveGroup { group }).unwrap();
        let stuck = alice.ask::<pb::Empty>(world, Opcode::LeaveGroup, &pb::LeaveGroup { group });
        assert!(stuck.is_ok(), "the last one may go");
        for client in [&mut alice, &mut bob, &mut carol] {
            assert_eq!(client.send(world, id, 9, "still here"), Err(ErrorCode::NotMember));
            assert!(client.cold_start(world).conversations.is_empty());
        }
        let held = pb::HeldCursor { conversation: Some(id.to_wire()), seq: 1 };
        let resume = pb::SyncRequest { held: vec![held], ..Default::default() };
        let page: pb::SyncPage = bob.ask(world, Opcode::Sync, &resume).unwrap();
        assert!(page.conversations[0].state.as_ref().unwrap().gone);
    });
}

#[test]
fn a_retry_gets_its_ack_also_from_who_may_send_no_more() {
    on_any_server(|world| {
        let mut alice = Client::register(world, 0, "alice");
        let mut bob = Client::register(world, 1, "bobby");
        let (group, id) = create(world, &mut alice, &[&bob], true);
        let first = bob.send(world, id, 1, "stored").unwrap();
        let remove = pb::RemoveMember { group, user: bob.session.user_id };
        alice.ask::<pb::Group>(world, Opcode::RemoveMember, &remove).unwrap();
        let again = bob.send(world, id, 1, "stored").unwrap();
        assert_eq!((again.seq, again.repeated_send), (first.seq, true));
        assert_eq!(bob.send(world, id, 1, "other"), Err(ErrorCode::IdConflict));
        assert_eq!(bob.send(world, id, 2, "new"), Err(ErrorCode::NotMember));
        let last = alice.send(world, id, 1, "mine").unwrap();
        alice.ask::<pb::Empty>(world, Opcode::DissolveGroup, &pb::DissolveGroup { group }).unwrap();
        assert_eq!(alice.send(world, id, 1, "mine").unwrap().seq, last.seq);
        assert_eq!(alice.send(world, id, 2, "new"), Err(ErrorCode::GroupDissolved));
    });
}

#[test]
fn newcomers_see_history_when_the_group_says_so() {
    for visible in [true, false] {
        on_any_server(|world| {
            let mut alice = Client::register(world, 0, "alice");
            let bob = Client::register(world, 1, "bobby");
            let mut carol = Client::register(world, 2, "carol");
            let (group, id) = create(world, &mut alice, &[&bob], visible);
            for n in 1..=3 {
                alice.send(world, id, n, "before").unwrap();
            }
            let invite = pb::InviteMembers { group, users: vec![carol.session.user_id] };
            alice.ask::<pb::Group>(world, Opcode::InviteMembers, &invite).unwrap();
            alice.send(world, id, 4, "after").unwrap();
            let first = carol.history(world, id)[0].seq;
            assert_eq!(first, if visible { 1 } else { 5 });
            let page = carol.cold_start(world);
            assert_eq!(page.conversations[0].state.as_ref().unwrap().unread, 2);
        });
    }
}

#[test]
fn roles_are_given_by_the_owner_and_the_owner_can_hand_over() {
    on_any_server(|world| {
        let mut alice = Client::register(world, 0, "alice");
        let mut bob = Client::register(world, 1, "bobby");
        let (group, _) = create(world, &mut alice, &[&bob], true);
        let give = |user: &Client, role: pb::Role| pb::SetRole {
            group,
            user: user.session.user_id,
            role: role.into(),
        };
        let denied = bob.ask::<pb::Group>(world, Opcode::SetRole, &give(&bob, pb::Role::Owner));
        assert_eq!(denied, Err(ErrorCode::NotAllowed));
        alice.ask::<pb::Group>(world, Opcode::SetRole, &give(&bob, pb::Role::Owner)).unwrap();
        let mut expected = vec![(alice.session.user_id, 2), (bob.session.user_id, 1)];
        expected.sort_unstable();
        assert_eq!(members(world, &mut alice, group), expected);
        let rename = pb::UpdateGroup { group, name: "family".into(), ..Default::default() };
        let group: pb::Group = alice.ask(world, Opcode::UpdateGroup, &rename).unwrap();
        assert_eq!(group.name, "family");
    });
}

#[test]
fn a_large_group_is_served_in_steps() {
    let config = hongyan_core::CoreConfig {
        fanout_step: 3,
        requests_per_second: 0,
        ..hongyan_core::CoreConfig::default()
    };
    let world = &mut World::with_config(2, config);
    let mut owner = Client::register(world, 0, "owner");
    let mut others: Vec<_> =
        (0..20).map(|n| Client::register(world, n, &format!("member{n}"))).collect();
    let (_, id) = create(world, &mut owner, &others.iter().collect::<Vec<_>>(), true);
    for n in 1..=5 {
        owner.send(world, id, n, "to all").unwrap();
    }
    for other in &mut others {
        let seqs: Vec<_> =
            other.take::<pb::Message>(world, Opcode::Message).iter().map(|m| m.seq).collect();
        assert_eq!(seqs, [1, 2, 3, 4, 5, 6]);
    }
}

#[test]
fn a_group_of_ten_thousand_takes_one_message_once() {
    let world = &mut World::new(2);
    let mut owner = Client::register(world, 0, "owner");
    let mut watching = Client::register(world, 1, "watching");
    let mut last = Client::register(world, 1, "last");
    let (group, id) = create(world, &mut owner, &[&watching], true);
    let people: Vec<u64> = (2..10_000)
        .map(|n| {
            let client = Client::register(world, 0, &format!("member{n}"));
            client.disconnect(world);
            client.session.user_id
        })
        .collect();
    for users in people.chunks(1_000) {
        let invite = pb::InviteMembers { group, users: users.to_vec() };
        owner.ask::<pb::Group>(world, Opcode::InviteMembers, &invite).unwrap();
    }
    let invite = pb::InviteMembers { group, users: vec![last.session.user_id] };
    let full = owner.ask::<pb::Group>(world, Opcode::InviteMembers, &invite);
    assert_eq!(full, Err(ErrorCode::GroupFull));
    assert_eq!(last.send(world, id, 1, "let me in"), Err(ErrorCode::NotMember));

    watching.take::<pb::Message>(world, Opcode::Message);
    let records = world.log.len();
    let ack = owner.send(world, id, 1, "to all").unwrap();
    assert_eq!(world.log.len(), records + 1, "one stored message, whoever gets it");
    let pushed = watching.take::<pb::Message>(world, Opcode::Message);
    assert_eq!(pushed.iter().map(|m| m.seq).collect::<Vec<_>>(), [ack.seq]);

    let (mut seen, mut after_user) = (0, 0);
    loop {
        let ask = pb::ListMembers { group, after_user, limit: 500 };
        let page: pb::Members = owner.ask(world, Opcode::ListMembers, &ask).unwrap();
        let Some(member) = page.members.last() else { break };
        seen += page.members.len();
        after_user = member.user;
    }
    assert_eq!(seen, 10_000);
    // Lists are told in steps, by tasks that retry. Whoever was away finds the group and its unread.
    for _ in 0..30 {
        world.pass(1_000);
    }
    let mut member = Client::login(world, 1, "member5000", "other");
    let page = member.cold_start(world);
    let state = page.conversations[0].state.as_ref().unwrap();
    assert_eq!(state.last_seq, ack.seq);
    assert!(state.unread >= 1);
}
