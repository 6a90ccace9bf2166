//! Groups.

use std::sync::Arc;

use crossterm::event::KeyCode;
use hongyan_chat::io::{Command, Input, Member, Outcome};
use hongyan_client::pb::{self, Role};
use hongyan_client::{
    Body, ClientError, ConversationId, ConversationState, ErrorCode, GroupId, Message,
};

use crate::world::{World, direct, group, group_state, lines, said, user, view};

fn id() -> GroupId {
    match group() {
        ConversationId::Group(id) => id,
        ConversationId::Direct(..) => unreachable!("the group is a group"),
    }
}

fn enter(world: &mut World, line: &str) -> Vec<Command> {
    world.type_text(line);
    world.key(KeyCode::Enter);
    world.take()
}

#[test]
fn commands_act_on_the_open_group() {
    let mut world = World::live(false);
    world.open(group(), view(group(), vec![]));
    world.take();
    let group = id();
    let name = || "bob".to_owned();
    let invite = Command::Invite { group, names: vec![name(), "eve".into()] };
    assert_eq!(enter(&mut world, "/invite bob eve"), [invite]);
    let remove = Command::Remove { group, name: name() };
    assert_eq!(enter(&mut world, "/remove bob"), [remove]);
    let role = Command::SetRole { group, name: name(), role: Role::Admin };
    assert_eq!(enter(&mut world, "/role bob admin"), [role]);
    assert_eq!(enter(&mut world, "/leave"), [Command::Leave(group)]);
    assert_eq!(enter(&mut world, "/dissolve"), [Command::Dissolve(group)]);
}

#[test]
fn a_direct_conversation_is_no_group() {
    let mut world = World::live(false);
    world.open(direct(2), view(direct(2), vec![]));
    world.take();
    assert_eq!(enter(&mut world, "/leave"), []);
    let notice = world.model.notice.as_ref().expect("a complaint");
    assert!(notice.is_error && notice.text.contains("not a group"));
}

#[test]
fn a_new_group_is_made_and_opened() {
    let mut world = World::live(false);
    let create = Command::CreateGroup { name: "week end".into(), members: vec!["bob".into()] };
    assert_eq!(enter(&mut world, "/group \"week end\" bob"), [create]);
    // The list has it before the answer comes.
    world.put(Input::Conversations(Arc::new(vec![Arc::new(group_state("week end"))])));
    world.put(Input::Done(Outcome::Started { conversation: group(), peer: None }));
    assert_eq!(world.take(), [Command::WatchPresence(vec![]), Command::Open(group())]);
    assert_eq!(world.model.title(group()), "week end");
}

/// The list as it is, with the group changed.
fn change(world: &mut World, change: impl Fn(&mut ConversationState)) {
    let changed = world.model.list.iter().map(|state| {
        let mut state = ConversationState::clone(state);
        if state.id == group() {
            change(&mut state);
        }
        Arc::new(state)
    });
    let list = Arc::new(changed.collect());
    world.put(Input::Conversations(list));
}

#[test]
fn what_others_change_is_shown_at_once() {
    let mut world = World::live(false);
    world.open(group(), view(group(), vec![]));
    change(&mut world, |state| {
        let group = state.group.as_mut().expect("a group");
        group.name = "hiking".into();
        group.member_count = 8;
        group.role = Role::Admin;
    });
    let shown = lines(&world.draw(120, 24)).join("\n");
    assert!(shown.contains("8 members, you are admin"), "{shown}");
    assert!(shown.contains("# hiking") && !shown.contains("weekend"), "{shown}");
}

#[test]
fn a_group_that_was_left_goes_away() {
    let mut world = World::live(false);
    world.open(group(), view(group(), vec![said(group(), 1, 2, "hi")]));
    world.take();
    assert_eq!(enter(&mut world, "/leave"), [Command::Leave(id())]);
    change(&mut world, |state| state.gone = true);
    assert!(world.model.notice.is_none(), "the user knows");
    world.put(Input::Done(Outcome::Left(id())));
    assert_eq!(world.model.open_id(), None);
    assert_eq!(world.model.entries(), [direct(2), direct(3)]);
    let shown = lines(&world.draw(120, 24)).join("\n");
    assert!(shown.contains("you left weekend") && !shown.contains("# weekend"), "{shown}");
    // It can be neither found nor written to; it comes back with an invitation.
    enter(&mut world, "/chat weekend");
    assert_eq!(world.model.open_id(), None);
    change(&mut world, |state| state.gone = false);
    assert_eq!(world.model.entries().len(), 3);
}

#[test]
fn who_was_removed_is_told_and_can_read_what_is_open() {
    let mut world = World::live(false);
    world.open(group(), view(group(), vec![said(group(), 1, 2, "bye")]));
    world.take();
    change(&mut world, |state| state.gone = true);
    let shown = lines(&world.draw(120, 24)).join("\n");
    assert!(shown.contains("you are no longer in weekend"), "{shown}");
    assert!(shown.contains("bye"), "{shown}");
    assert_eq!(enter(&mut world, "wait"), []);
    assert_eq!(world.model.composer().text(), "wait", "what was typed is not lost");
    let notice = world.model.notice.as_ref().expect("a complaint");
    assert!(notice.is_error && notice.text.contains("no longer in this group"));
    world.open(direct(2), view(direct(2), vec![]));
    assert_eq!(world.model.entries(), [direct(2), direct(3)]);
}

#[test]
fn leaving_that_failed_keeps_the_group_and_the_news() {
    let mut world = World::live(false);
    world.open(group(), view(group(), vec![]));
    world.take();
    enter(&mut world, "/leave");
    let error = ClientError::Refused {
        code: ErrorCode::OwnerCannotLeave.number(),
        message: String::new(),
        retry_after_ms: 0,
    };
    world.put(Input::Done(Outcome::Failed { what: "cannot leave the group".into(), error }));
    assert_eq!(world.model.open_id(), Some(group()));
    change(&mut world, |state| state.gone = true);
    let notice = world.model.notice.as_ref().expect("it is news");
    assert_eq!(notice.text, "you are no longer in weekend");
}

#[test]
fn the_members_are_asked_for_again_when_they_change() {
    let mut world = World::live(false);
    world.open(group(), view(group(), vec![said(group(), 1, 2, "hi")]));
    world.take();
    assert_eq!(enter(&mut world, "/members"), [Command::ListMembers(id())]);
    let member = |user_id, role: Role| Member { user: user(user_id), role: role as u32 };
    world.put(Input::Done(Outcome::Members {
        group: id(),
        members: vec![member(2, Role::Member), member(1, Role::Owner)],
    }));
    world.take();
    let shown = lines(&world.draw(120, 24)).join("\n");
    assert!(shown.contains("2 members") && shown.contains("owner"), "{shown}");
    let event = Message {
        body: Body::Event(pb::GroupEvent {
            kind: pb::group_event::Kind::Left.into(),
            actor: 2,
            ..Default::default()
        }),
        sender: None,
        ..said(group(), 2, 2, "")
    };
    let messages = vec![said(group(), 1, 2, "hi"), event];
    world.put(Input::Timeline(Arc::new(view(group(), messages))));
    assert!(world.take().contains(&Command::ListMembers(id())));
    let shown = lines(&world.draw(120, 24)).join("\n");
    assert!(shown.contains("bob left"), "{shown}");
    assert_eq!(enter(&mut world, "/members"), []);
    assert!(world.model.members.is_none());
}
