//! What typed lines do: text is sent, commands are carried out.

use hongyan_client::{ConversationId, GroupId};

use super::{Focus, Model, Overlay};
use crate::io::Command;
use crate::slash::{self, Slash, Typed};

impl Model {
    /// A line of plain mode.
    pub(super) fn on_line(&mut self, line: &str, commands: &mut Vec<Command>) {
        match slash::parse(line) {
            Ok(Typed::Text(text)) if text.trim().is_empty() => {}
            Ok(Typed::Text(text)) => {
                self.send(text, commands);
            }
            Ok(Typed::Command(command)) => self.act(command, commands),
            Err(error) => self.complain(error.to_string()),
        }
    }

    /// Enter in the typing box. What cannot be done stays in it.
    pub(super) fn submit(&mut self, commands: &mut Vec<Command>) {
        let typed = self.composer().text().to_owned();
        match slash::parse(&typed) {
            Ok(Typed::Text(text)) if text.trim().is_empty() => {}
            Ok(Typed::Text(text)) => {
                if self.send(text, commands) {
                    self.composer_mut().take();
                }
            }
            Ok(Typed::Command(command)) => {
                self.composer_mut().take();
                self.act(command, commands);
            }
            Err(error) => self.complain(error.to_string()),
        }
    }

    /// Sends text to the open conversation; false when there is none.
    fn send(&mut self, text: String, commands: &mut Vec<Command>) -> bool {
        if self.open_id().is_some_and(|id| self.is_gone(id)) {
            self.complain("you are no longer in this group");
            return false;
        }
        let Some(chat) = &mut self.chat else {
            self.complain("no conversation is open: /chat NAME opens one");
            return false;
        };
        chat.scroll = 0;
        chat.unread = None;
        commands.push(Command::Send { conversation: chat.id, text });
        true
    }

    /// Carries a command out.
    pub(super) fn act(&mut self, command: Slash, commands: &mut Vec<Command>) {
        match command {
            Slash::Chat(name) => self.start_chat(name, commands),
            Slash::Devices => self.show_devices(commands),
            Slash::Discard => self.on_failed(Command::Discard, commands),
            Slash::Group { name, members } => {
                commands.push(Command::CreateGroup { name, members });
            }
            Slash::Help => self.overlay = Some(Overlay::Help(0)),
            Slash::List => self.focus = Focus::List,
            Slash::Logout => commands.push(Command::Logout),
            Slash::Older => self.load_older(commands),
            Slash::Quit => self.quit(commands),
            Slash::Resume => commands.push(Command::Resume),
            Slash::Retry => self.on_failed(Command::Retry, commands),
            Slash::Revoke(named) => {
                commands.push(Command::RevokeDevice(self.device_named(&named)));
            }
            Slash::Dissolve
            | Slash::History(_)
            | Slash::Invite(_)
            | Slash::Leave
            | Slash::Members
            | Slash::Remove(_)
            | Slash::Rename(_)
            | Slash::SetRole { .. } => self.act_on_group(command, commands),
        }
    }

    fn act_on_group(&mut self, command: Slash, commands: &mut Vec<Command>) {
        let Some(group) = self.open_group() else {
            self.complain("the open conversation is not a group");
            return;
        };
        match command {
            Slash::Dissolve => commands.push(Command::Dissolve(group)),
            Slash::History(visible) => commands.push(Command::SetHistory { group, visible }),
            Slash::Invite(names) => commands.push(Command::Invite { group, names }),
            Slash::Leave => {
                self.leaving.insert(ConversationId::Group(group));
                commands.push(Command::Leave(group));
            }
            Slash::Members if self.members.is_some() => self.members = None,
            Slash::Members => self.show_members(commands),
            Slash::Remove(name) => commands.push(Command::Remove { group, name }),
            Slash::Rename(name) => commands.push(Command::Rename { group, name }),
            Slash::SetRole { name, role } => commands.push(Command::SetRole { group, name, role }),
            _ => {}
        }
    }

    /// Opens a conversation by a title in the list, or by a person's name.
    pub(super) fn start_chat(&mut self, name: String, commands: &mut Vec<Command>) {
        let titled = self.entries().into_iter().find(|id| self.is_called(*id, &name));
        match titled {
            Some(id) => self.open(id, commands),
            None => commands.push(Command::StartChat(name)),
        }
    }

    fn is_called(&self, id: ConversationId, name: &str) -> bool {
        match self.state(id).and_then(|state| state.peer.as_ref()) {
            // Display names are not unique: a person goes by the account name.
            Some(peer) => peer.name == name,
            None => matches!(id, ConversationId::Group(_)) && self.title(id) == name,
        }
    }

    /// Does something with every message that could not be sent.
    pub(super) fn on_failed(
        &mut self,
        command: impl Fn(hongyan_client::ClientMsgId) -> Command,
        commands: &mut Vec<Command>,
    ) {
        let failed = self.chat.iter().flat_map(super::Chat::failed);
        let failed: Vec<_> = failed.map(|message| command(message.client_msg_id)).collect();
        if failed.is_empty() {
            self.say("everything here was sent");
        }
        commands.extend(failed);
    }

    pub(super) fn quit(&mut self, commands: &mut Vec<Command>) {
        self.quitting = true;
        commands.push(Command::Quit);
    }

    fn open_group(&self) -> Option<GroupId> {
        match self.open_id()? {
            ConversationId::Group(group) => Some(group),
            ConversationId::Direct(..) => None,
        }
    }
}
