//! What people are called and who is on line.
//!
//! Asks for names that something on the screen needs, once per connection and
//! once before the first (those of an earlier run are kept on this device),
//! and watches the other side of every direct conversation.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hongyan_client::{Body, ConversationState, Message, Presence, Profile, TimelineView, UserId};
use hongyan_protocol::limits::WATCHED_MAX;

use crate::io::{Command, Member};
use crate::text;

/// Names and presence.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct People {
    profiles: BTreeMap<UserId, Profile>,
    presence: BTreeMap<UserId, Presence>,
    asked: BTreeSet<UserId>,
    watched: BTreeSet<UserId>,
}

impl People {
    /// Takes a name in.
    pub fn note_profile(&mut self, profile: Profile) {
        self.asked.remove(&profile.user);
        self.profiles.insert(profile.user, profile);
    }

    /// Takes in who is on line.
    pub fn note_presence(&mut self, presences: Vec<Presence>) {
        for presence in presences {
            self.presence.insert(presence.user, presence);
        }
    }

    /// What was asked may be asked again: on a new connection.
    pub fn forget_unanswered(&mut self) {
        self.asked.clear();
    }

    /// What to call a person: their display name, or a number until it is
    /// known. Safe to show.
    pub fn name(&self, user: UserId) -> String {
        match self.profiles.get(&user) {
            Some(profile) if !profile.display_name.is_empty() => {
                text::clean_line(&profile.display_name)
            }
            Some(profile) => text::clean_line(&profile.name),
            None => format!("#{}", user.get()),
        }
    }

    /// Whether a person's name is known.
    pub fn knows(&self, user: UserId) -> bool {
        self.profiles.contains_key(&user)
    }

    /// How a person stands, when it is known.
    pub fn presence(&self, user: UserId) -> Option<Presence> {
        self.presence.get(&user).copied()
    }

    /// Asks for what is missing.
    pub fn settle(
        &mut self,
        live: bool,
        me: Option<UserId>,
        list: &[Arc<ConversationState>],
        view: Option<&TimelineView>,
        members: Option<&[Member]>,
        commands: &mut Vec<Command>,
    ) {
        let Some(me) = me else {
            return;
        };
        if live {
            self.watch(me, list, commands);
        }
        let mut missing = BTreeSet::new();
        let newest = list.iter().filter_map(|state| state.last_message.as_ref());
        let shown = view.into_iter().flat_map(|view| &view.messages);
        for message in newest.chain(shown) {
            missing.extend(mentioned(message));
        }
        let peer = view.and_then(|view| view.conversation.peer_of(me));
        missing.extend(peer);
        missing.extend(members.into_iter().flatten().map(|member| member.user));
        missing.retain(|user| !self.profiles.contains_key(user) && !self.asked.contains(user));
        if !missing.is_empty() {
            self.asked.extend(&missing);
            commands.push(Command::FindProfiles(missing.into_iter().collect()));
        }
    }

    fn watch(&mut self, me: UserId, list: &[Arc<ConversationState>], commands: &mut Vec<Command>) {
        // Until the first message is stored, the server does not know them
        // for people who talk to each other.
        let listed = list.iter().filter(|state| state.last_seq > 0);
        let peers = listed.filter_map(|state| state.id.peer_of(me));
        let watched: BTreeSet<_> = peers.take(WATCHED_MAX).collect();
        if watched != self.watched {
            commands.push(Command::WatchPresence(watched.iter().copied().collect()));
            self.watched = watched;
        }
    }
}

/// Who sent a message, and whom it tells of.
pub fn mentioned(message: &Message) -> BTreeSet<UserId> {
    let mut users: BTreeSet<_> = message.sender.into_iter().collect();
    if let Body::Event(event) = &message.body {
        users.extend(UserId::new(event.actor));
        users.extend(event.users.iter().filter_map(|user| UserId::new(*user)));
    }
    users
}
