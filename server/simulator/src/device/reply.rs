//! What a device makes of the frames that it receives.
//!
//! Judges each reply against what was asked: a refusal must have had a cause
//! at some time between the request and the reply.

use hongyan_protocol::pb::{self};
use hongyan_protocol::{ConversationId, ErrorCode, Frame, Opcode, UserId};

use super::{Device, HistoryAsk, Next, Pending, Sent, Stage, Surroundings};
use crate::violation::{Checked, ensure, violated};

const DECODES: &str = "what the server sends can be decoded";
const CAUSE: &str = "a refusal has a cause";

impl Device {
    pub(super) fn on_push(&mut self, frame: &Frame) -> Checked {
        match Opcode::from_number(frame.opcode) {
            Some(Opcode::Message) => self.timeline.on_pushed(&decode(frame)?)?,
            Some(Opcode::ConversationChanged) => {
                let changed: pb::ConversationChanged = decode(frame)?;
                self.timeline.on_state(&changed.conversation.unwrap_or_default());
            }
            Some(Opcode::SyncNeeded) => self.sync_wanted = true,
            _ => {}
        }
        Ok(())
    }

    pub(super) fn on_reply(
        &mut self,
        frame: &Frame,
        around: &mut Surroundings<'_>,
    ) -> Checked<Next> {
        let Some(sent) = self.pending.remove(&frame.request) else {
            violated!("a reply is to a request", "device {} has no {}", self.index, frame.request)
        };
        if frame.opcode == Opcode::Error.number() {
            let error: pb::Error = decode(frame)?;
            let Some(code) = ErrorCode::from_number(error.code) else {
                violated!("an error has a known code", "{}", error.code)
            };
            return self.on_refused(&sent, code, &error, around);
        }
        match &sent.what {
            Pending::Hello => self.on_welcome(&decode(frame)?, around),
            Pending::Register | Pending::Login { .. } | Pending::Refresh => {
                let session: pb::Session = decode(frame)?;
                self.on_session(&session, around)
            }
            Pending::Send { client_msg_id } => {
                self.on_send_ack(client_msg_id, &decode(frame)?, around).map(|()| Next::Stay)
            }
            Pending::History(ask) => {
                let page: pb::HistoryPage = decode(frame)?;
                check_history(ask, &page)?;
                self.timeline.on_history(ask.conversation, &page.messages)?;
                if let Some(held) = self.timeline.conversations.get_mut(&ask.conversation) {
                    held.last_heard = held.last_heard.max(page.last_seq);
                    held.first_seq = page.first_seq;
                }
                Ok(Next::Stay)
            }
            Pending::Sync => self.on_sync_page(&decode(frame)?, around).map(|()| Next::Stay),
            Pending::Group { opcode: Opcode::LeaveGroup, conversation } => {
                // Only the other devices are told that it is gone.
                self.timeline.conversations.remove(conversation);
                Ok(Next::Stay)
            }
            Pending::Cursor { .. }
            | Pending::Group { .. }
            | Pending::Members { .. }
            | Pending::Watch { .. }
            | Pending::Other => Ok(Next::Stay),
            Pending::Revoke => {
                around.coverage.note("reply: devices signed out");
                Ok(Next::Stay)
            }
        }
    }

    fn on_welcome(
        &mut self,
        welcome: &pb::Welcome,
        around: &mut Surroundings<'_>,
    ) -> Checked<Next> {
        match &welcome.session {
            Some(session) => {
                let actions = self.on_session(session, around)?;
                if let Some(page) = &welcome.resumed {
                    self.on_sync_page(page, around)?;
                }
                Ok(actions)
            }
            None => {
                self.stage = Stage::Entering;
                Ok(Next::Stay)
            }
        }
    }

    fn on_session(
        &mut self,
        session: &pb::Session,
        around: &mut Surroundings<'_>,
    ) -> Checked<Next> {
        let person = &mut around.people.persons[self.person];
        let Some(user) = UserId::new(session.user_id) else { violated!(DECODES, "user zero") };
        ensure!(
            person.user.is_none_or(|known| known == user),
            "a name has one user for ever",
            "{} was {:?} and is {user}",
            person.name,
            person.user
        );
        ensure!(session.name == person.name, DECODES, "{} for {}", session.name, person.name);
        person.user = Some(user);
        if let Some(tokens) = &session.tokens {
            self.access = Some(tokens.access_token.clone());
            self.refresh = Some(tokens.refresh_token.clone());
            self.access_doubtful = false;
            self.refresh_doubtful = false;
        }
        self.stage = Stage::Live;
        Ok(Next::Stay)
    }

    fn on_send_ack(
        &mut self,
        client_msg_id: &bytes::Bytes,
        ack: &pb::SendAck,
        around: &mut Surroundings<'_>,
    ) -> Checked {
        if ack.repeated_send {
            around.coverage.note("ack: repeated send");
        }
        let at = self.outbox.iter().position(|o| o.client_msg_id == *client_msg_id);
        let Some(outgoing) = at.and_then(|at| self.outbox.remove(at)) else {
            return Ok(());
        };
        let message = pb::Message {
            conversation: Some(outgoing.conversation.to_wire()),
            seq: ack.seq,
            message_id: ack.message_id,
            ..pb::Message::default()
        };
        // An ack that comes again may be for a group that the user has left since.
        if !ack.repeated_send || self.timeline.conversations.contains_key(&outgoing.conversation) {
            self.timeline.on_pushed(&message)?;
        }
        self.acked.push_back(outgoing);
        if self.acked.len() > 4 {
            self.acked.pop_front();
        }
        Ok(())
    }

    fn on_sync_page(&mut self, page: &pb::SyncPage, around: &mut Surroundings<'_>) -> Checked {
        let Some(run) = &mut self.sync else {
            return Ok(());
        };
        let mut told = Vec::new();
        for synced in &page.conversations {
            let id = synced.state.as_ref().and_then(|state| state.id.as_ref());
            let asked = run.held.iter().find(|held| held.conversation.as_ref() == id);
            self.timeline.on_synced(synced, asked.map(|held| held.seq))?;
            if synced.too_old {
                around.coverage.note("sync: too old");
            }
            if synced.state.as_ref().is_some_and(|state| state.gone) {
                around.coverage.note("sync: gone");
            }
            if let Some(id) = id.and_then(ConversationId::from_wire) {
                ensure!(!told.contains(&id), "a page tells a conversation once", "{id:?}");
                told.push(id);
            }
        }
        run.page = page.next_page;
        if page.next_page != 0 {
            around.coverage.note("sync: more pages");
        }
        if page.next_page == 0 {
            self.sync = None;
            self.syncs_done += 1;
        }
        Ok(())
    }

    fn on_refused(
        &mut self,
        sent: &Sent,
        code: ErrorCode,
        error: &pb::Error,
        around: &mut Surroundings<'_>,
    ) -> Checked<Next> {
        around.coverage.note(code.name());
        match code {
            ErrorCode::Busy | ErrorCode::RateLimited | ErrorCode::StoreUnavailable => {
                return Ok(self.on_busy(sent));
            }
            // The host's work failed, as it does on purpose.
            ErrorCode::Internal if is_sign_in(&sent.what) => return Ok(Next::Disconnect),
            ErrorCode::Internal
            | ErrorCode::MalformedFrame
            | ErrorCode::MalformedPayload
            | ErrorCode::UnknownOpcode
            | ErrorCode::OutOfOrder => {
                violated!(CAUSE, "{code:?} ({}) for {:?}", error.message, sent.what)
            }
            ErrorCode::AccountBanned => {
                let ever = around.people.persons[self.person].ever_banned;
                ensure!(ever, CAUSE, "{code:?} for somebody who never was");
                return Ok(Next::Disconnect);
            }
            _ => {}
        }
        match &sent.what {
            Pending::Hello | Pending::Refresh | Pending::Register | Pending::Login { .. } => {
                self.on_sign_in_refused(sent, code, error, around)
            }
            Pending::Send { client_msg_id } => {
                self.on_send_refused(client_msg_id, sent, code, around)
            }
            _ => self.on_request_refused(sent, code, error, around),
        }
    }

    /// A way in was refused.
    fn on_sign_in_refused(
        &mut self,
        sent: &Sent,
        code: ErrorCode,
        error: &pb::Error,
        around: &mut Surroundings<'_>,
    ) -> Checked<Next> {
        match &sent.what {
            Pending::Hello => self.on_token_refused(code, true, around),
            Pending::Refresh => self.on_token_refused(code, false, around),
            Pending::Register => {
                ensure!(code == ErrorCode::NameTaken, CAUSE, "{code:?} for a name");
                Ok(Next::Disconnect)
            }
            Pending::Login { known } => {
                ensure!(
                    code == ErrorCode::BadCredentials
                        && (!*known || around.people.persons[self.person].passwords.len() > 1),
                    CAUSE,
                    "{code:?} ({}) for a login, known: {known}",
                    error.message
                );
                Ok(Next::Disconnect)
            }
            other => violated!(CAUSE, "{code:?} ({}) for {other:?}", error.message),
        }
    }

    /// A request of an open session was refused.
    fn on_request_refused(
        &mut self,
        sent: &Sent,
        code: ErrorCode,
        error: &pb::Error,
        around: &mut Surroundings<'_>,
    ) -> Checked<Next> {
        match &sent.what {
            Pending::Cursor { conversation }
            | Pending::History(HistoryAsk { conversation, .. })
            | Pending::Members { conversation } => {
                self.check_not_member(*conversation, sent, code, around)?;
                Ok(Next::Stay)
            }
            Pending::Group { opcode, conversation } => {
                ensure!(
                    matches!(
                        code,
                        ErrorCode::NotMember
                            | ErrorCode::NotAllowed
                            | ErrorCode::NoSuchGroup
                            | ErrorCode::NoSuchUser
                            | ErrorCode::GroupDissolved
                            | ErrorCode::OwnerCannotLeave
                    ),
                    CAUSE,
                    "{code:?} ({}) for {opcode:?} of {conversation:?}",
                    error.message
                );
                self.check_not_member(*conversation, sent, code, around)?;
                Ok(Next::Stay)
            }
            Pending::Watch { listed } => {
                ensure!(
                    code == ErrorCode::NotAllowed && !listed,
                    CAUSE,
                    "{code:?} ({}) for watching people who are all listed",
                    error.message
                );
                Ok(Next::Stay)
            }
            Pending::Revoke => {
                ensure!(
                    matches!(code, ErrorCode::NoSuchDevice | ErrorCode::BadCredentials),
                    CAUSE,
                    "{code:?} ({}) for signing devices out",
                    error.message
                );
                Ok(Next::Stay)
            }
            other => violated!(CAUSE, "{code:?} ({}) for {other:?}", error.message),
        }
    }

    /// Nothing was done: what must be done is tried again later.
    fn on_busy(&mut self, sent: &Sent) -> Next {
        match &sent.what {
            Pending::Send { client_msg_id } => {
                if let Some(outgoing) =
                    self.outbox.iter_mut().find(|o| o.client_msg_id == *client_msg_id)
                {
                    outgoing.request = None;
                }
                Next::Stay
            }
            Pending::Sync => {
                self.sync = None;
                self.sync_wanted = true;
                Next::Stay
            }
            Pending::Hello | Pending::Register | Pending::Login { .. } | Pending::Refresh => {
                Next::Disconnect
            }
            _ => Next::Stay,
        }
    }

    fn on_token_refused(
        &mut self,
        code: ErrorCode,
        access: bool,
        around: &Surroundings<'_>,
    ) -> Checked<Next> {
        let revoked = around.people.persons[self.person].revoked || self.signs_in_astray;
        let doubtful = revoked
            || if access {
                self.access_doubtful || around.clock_set_back
            } else {
                self.refresh_doubtful
            };
        ensure!(
            code == ErrorCode::TokenExpired || doubtful,
            CAUSE,
            "{code:?} for {} of device {}",
            if access { "the access token" } else { "the refresh token" },
            self.index
        );
        self.access = None;
        if !access {
            self.refresh = None;
        }
        Ok(Next::Disconnect)
    }

    fn on_send_refused(
        &mut self,
        client_msg_id: &bytes::Bytes,
        sent: &Sent,
        code: ErrorCode,
        around: &mut Surroundings<'_>,
    ) -> Checked<Next> {
        let at = self.outbox.iter().position(|o| o.client_msg_id == *client_msg_id);
        let Some(send) = around.model.sends.find(client_msg_id) else {
            return Ok(Next::Stay);
        };
        let conversation = send.conversation;
        if code == ErrorCode::IdConflict {
            ensure!(send.bodies.len() > 1, CAUSE, "{code:?} for a send with one body");
            return Ok(Next::Stay);
        }
        if let Some(at) = at {
            self.outbox.remove(at);
            around.model.sends.refuse(client_msg_id);
        }
        ensure!(
            matches!(
                code,
                ErrorCode::NotMember
                    | ErrorCode::NoSuchGroup
                    | ErrorCode::GroupDissolved
                    | ErrorCode::NoSuchUser
            ),
            CAUSE,
            "{code:?} for a send into {conversation:?}"
        );
        self.check_not_member(conversation, sent, code, around)?;
        Ok(Next::Stay)
    }

    /// `NotMember` and its like are told only to those who were not members
    /// for the whole time since they asked.
    fn check_not_member(
        &self,
        conversation: ConversationId,
        sent: &Sent,
        code: ErrorCode,
        around: &Surroundings<'_>,
    ) -> Checked {
        let Some(user) = around.people.persons[self.person].user else {
            return Ok(());
        };
        let stored = around.model.log.conversations.get(&conversation);
        match code {
            ErrorCode::NotMember | ErrorCode::NoSuchGroup => {
                let stay = stored.and_then(|c| c.stays.get(&user)).and_then(|stays| stays.last());
                let stayed =
                    stay.is_some_and(|stay| stay.to.is_none() && stay.since_lsn <= sent.written);
                let direct = matches!(conversation, ConversationId::Direct(..));
                ensure!(
                    !stayed || direct && stored.is_none_or(|c| c.last_seq() == 0),
                    CAUSE,
                    "{code:?} for {user}, a member of {conversation:?} all the time"
                );
            }
            ErrorCode::GroupDissolved => ensure!(
                stored.is_none_or(|c| c.is_dissolved()),
                CAUSE,
                "{code:?} of {conversation:?}, which is not"
            ),
            ErrorCode::NoSuchUser => ensure!(
                !matches!(conversation, ConversationId::Direct(..)),
                CAUSE,
                "{code:?} for {conversation:?}, whose users exist"
            ),
            _ => {}
        }
        Ok(())
    }
}

fn is_sign_in(what: &Pending) -> bool {
    matches!(what, Pending::Register | Pending::Login { .. } | Pending::Refresh | Pending::Revoke)
}

/// A page is what was asked for, without a hole.
fn check_history(ask: &HistoryAsk, page: &pb::HistoryPage) -> Checked {
    const PAGE: &str = "a page of history is what was asked for";
    let seqs: Vec<u64> = page.messages.iter().map(|message| message.seq).collect();
    let id = ask.conversation;
    ensure!(seqs.windows(2).all(|pair| pair[1] == pair[0] + 1), PAGE, "{seqs:?} of {id:?}");
    let limit = if ask.limit == 0 { 100 } else { ask.limit };
    ensure!(seqs.len() <= limit as usize, PAGE, "{} for a limit of {limit}", seqs.len());
    let low = ask.from_seq.max(page.first_seq).max(1);
    let high = if ask.to_seq == 0 { page.last_seq } else { ask.to_seq.min(page.last_seq) };
    let (Some(first), Some(last)) = (seqs.first(), seqs.last()) else {
        ensure!(
            low > high || page.first_seq == 0,
            PAGE,
            "nothing of {low}..={high} of {id:?} ({ask:?})"
        );
        return Ok(());
    };
    ensure!(*first >= low && *last <= high, PAGE, "{seqs:?} for {low}..={high} of {id:?}");
    if page.more {
        let anchored = if ask.backwards { *last == high } else { *first == low };
        ensure!(anchored, PAGE, "{seqs:?} is no end of {low}..={high} of {id:?}");
    } else {
        ensure!(
            *first == low && *last == high,
            PAGE,
            "{seqs:?} is not all of {low}..={high} of {id:?}, and no more"
        );
    }
    Ok(())
}

fn decode<M: prost::Message + Default>(frame: &Frame) -> Checked<M> {
    match frame.message() {
        Ok(message) => Ok(message),
        Err(error) => violated!(DECODES, "opcode {}: {error}", frame.opcode),
    }
}
