//! What comes back from commands.

use hongyan_client::ClientError;

use super::{Focus, Model, Overlay};
use crate::io::{Command, Outcome};
use crate::words;

impl Model {
    pub(super) fn on_outcome(&mut self, outcome: Outcome, commands: &mut Vec<Command>) {
        match outcome {
            Outcome::Authenticated(Ok(account)) => {
                self.note_account(Some(account));
                self.login = None;
            }
            Outcome::Authenticated(Err(error)) => {
                let now_ms = self.now_ms;
                if let Some(login) = &mut self.login {
                    login.on_error(&error, now_ms, commands);
                }
            }
            Outcome::Devices(devices) => self.on_devices(devices),
            Outcome::Failed { what, error } => {
                if matches!(&self.overlay, Some(Overlay::Devices { devices: None, .. })) {
                    self.overlay = None;
                }
                self.leaving.clear();
                self.complain(format!("{what}: {}", words::explain(&error)));
            }
            Outcome::Finished => {}
            Outcome::Left(group) => self.on_left(hongyan_client::ConversationId::Group(group)),
            Outcome::Members { group, members } => {
                if let Some(pane) = &mut self.members
                    && pane.conversation == hongyan_client::ConversationId::Group(group)
                {
                    pane.members = Some(members);
                }
            }
            Outcome::NotSent { conversation, text, error } => {
                let draft = self.draft_mut(conversation);
                if draft.is_empty() {
                    draft.set(&text);
                }
                self.complain(format!("not sent: {}", words::explain(&error)));
            }
            Outcome::Older { conversation, result } => self.on_older(conversation, result),
            Outcome::Profiles(profiles) => {
                for profile in profiles {
                    self.people.note_profile(profile);
                }
            }
            Outcome::Said(text) => self.say(text),
            Outcome::Started { conversation, peer } => {
                if let Some(peer) = peer {
                    self.people.note_profile(peer);
                }
                self.open(conversation, commands);
            }
        }
    }

    /// The user left a group: it goes away.
    fn on_left(&mut self, id: hongyan_client::ConversationId) {
        self.leaving.remove(&id);
        self.drafts.remove(&id);
        self.say(format!("you left {}", self.title(id)));
        if self.open_id() == Some(id) {
            self.chat = None;
            self.members = None;
            self.focus = Focus::List;
            self.selected = self.entries().first().copied();
        }
    }

    fn on_older(
        &mut self,
        conversation: hongyan_client::ConversationId,
        result: Result<usize, ClientError>,
    ) {
        if let Some(chat) = &mut self.chat
            && chat.id == conversation
        {
            chat.loading_older = false;
            if let Err(error) = result {
                self.complain(format!("older messages: {}", words::explain(&error)));
            }
        }
    }
}
