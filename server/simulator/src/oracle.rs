//! The judgement at the end of a run, when nothing moves any more.
//!
//! Compares three things that came about in different ways: what the log
//! says, what devices were told when they sent, and what devices hold after
//! all their pushes, gaps, syncs and crashes.

use std::collections::BTreeSet;

use hongyan_protocol::{ConversationId, UserId, pb};

use crate::device::Device;
use crate::model::{Conversation, Model};
use crate::people::People;
use crate::violation::{Checked, Violation, ensure, violated};

/// What the log must say by itself.
pub(crate) fn check_model(model: &Model) -> Checked {
    model.sends.check_stored_once(&model.log)?;
    model.check_cursors()?;
    let mut expected: std::collections::BTreeMap<UserId, BTreeSet<ConversationId>> =
        std::collections::BTreeMap::new();
    for (id, conversation) in &model.log.conversations {
        conversation.check()?;
        if conversation.last_seq() == 0 {
            continue;
        }
        for user in conversation.members.keys() {
            expected.entry(*user).or_default().insert(*id);
        }
    }
    for (user, list) in &model.log.lists {
        let expected = expected.remove(user).unwrap_or_default();
        ensure!(
            *list == expected,
            "lists equal memberships",
            "{user} has {list:?}, is a member of {expected:?}"
        );
    }
    if let Some((user, missing)) = expected.into_iter().find(|(_, ids)| !ids.is_empty()) {
        violated!("lists equal memberships", "{user} has no list, is a member of {missing:?}")
    }
    Ok(())
}

/// What devices hold, against the log. `cold`: they began from nothing, so
/// the state of every conversation was just told.
pub(crate) fn check_devices(
    devices: &[Device],
    people: &People,
    model: &Model,
    cold: bool,
) -> Checked {
    for device in devices {
        let Some(user) = people.persons[device.person].user else {
            violated!("everybody has an account at the end", "device {}", device.index)
        };
        device.timeline.compare(user, &model.log, cold).map_err(|violation| Violation {
            detail: format!("device {}: {}", device.index, violation.detail),
            ..violation
        })?;
        for (id, held) in &device.timeline.conversations {
            let Some(stored) = model.log.conversations.get(id) else {
                continue;
            };
            match &held.state {
                Some(state) if cold => check_state(user, state, stored)?,
                None if cold => violated!("a sync tells every state", "{user} of {id:?}"),
                _ => {}
            }
        }
    }
    Ok(())
}

/// One conversation as a user was told it, against the log.
fn check_state(user: UserId, state: &pb::Conversation, stored: &Conversation) -> Checked {
    const STATE: &str = "a sync tells the state as it is";
    let id = stored.id;
    let Some(member) = stored.members.get(&user) else {
        violated!(STATE, "{user} is told of {id:?} without being a member")
    };
    ensure!(!state.gone, STATE, "{user} is told that {id:?} is gone");
    let told = (state.last_seq, state.read_seq, state.delivered_seq, state.first_seq);
    let first = stored.first_visible(user).unwrap_or(0);
    let expected = (stored.last_seq(), member.read_seq, member.delivered_seq, first);
    ensure!(
        told == expected,
        STATE,
        "{user} is told {told:?} of {id:?}, the log says {expected:?}"
    );
    let unread = stored.unread_at(user, stored.last_seq(), member.read_seq);
    ensure!(
        unread == Some(state.unread),
        "unread is arithmetic",
        "{user} is told {} of {id:?}, the model says {unread:?}",
        state.unread
    );
    let Some(info) = &stored.group else {
        return check_peer(user, state, stored);
    };
    let Some(group) = &state.group else { violated!(STATE, "{id:?} comes without its group") };
    let told = (group.name.as_str(), group.member_count as usize, group.role, group.dissolved);
    let expected = (info.name.as_str(), stored.members.len(), member.role, info.dissolved);
    ensure!(
        told == expected,
        STATE,
        "{user} is told {told:?} of {id:?}, the log says {expected:?}"
    );
    ensure!(
        group.history_visible == info.history_visible,
        STATE,
        "history of {id:?} is visible: {}",
        info.history_visible
    );
    Ok(())
}

fn check_peer(user: UserId, state: &pb::Conversation, stored: &Conversation) -> Checked {
    let peer = stored.id.peer_of(user).and_then(|peer| stored.members.get(&peer));
    let Some(peer) = peer else { return Ok(()) };
    let told = (state.peer_delivered_seq, state.peer_read_seq);
    ensure!(
        told == (peer.delivered_seq, peer.read_seq),
        "both sides see the same cursors",
        "{user} is told {told:?} of {:?}, the log says {peer:?}",
        stored.id
    );
    Ok(())
}
