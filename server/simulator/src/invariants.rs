//! What must hold at every single step.
//!
//! Owns the memory of what left the server: which message was told for which
//! place, how far each connection was pushed, which requests are open. Each
//! frame is judged when the executor releases it, before any network can
//! hide it. Refuses to change anything.

use std::collections::BTreeMap;

use hongyan_protocol::pb::{self, AckLevel};
use hongyan_protocol::{ConversationId, Frame, Opcode, UserId};
use prost::Message as _;

use crate::model::{Ack, Model, Stored};
use crate::network::LinkId;
use crate::trace::fingerprint;
use crate::violation::{Checked, ensure, violated};

const DECODES: &str = "what the server sends can be decoded";
const TOO_EARLY: &str = "nothing is told before it is as safe as its level says";
const CONTRADICTION: &str = "one place of a conversation has one message";

/// What a message is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Claim {
    message_id: u64,
    sender: u64,
    time_ms: u64,
    body: Option<u64>,
    /// What its sender asked for; not part of what is compared.
    level: AckLevel,
}

/// What is known of one connection.
#[derive(Debug, Default)]
struct Seen {
    user: Option<UserId>,
    pushed: BTreeMap<ConversationId, u64>,
    open: BTreeMap<u64, Open>,
}

#[derive(Debug)]
struct Open {
    opcode: u32,
    since_us: u64,
    what: Asked,
}

/// What of a request its reply is judged by.
#[derive(Debug)]
enum Asked {
    Cursor(ConversationId, u64),
    Other,
    Send(bytes::Bytes),
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Invariants {
    claims: BTreeMap<(ConversationId, u64), Claim>,
    links: BTreeMap<LinkId, Seen>,
}

/// What the judge may look at.
pub(crate) struct Scene<'a> {
    pub(crate) model: &'a mut Model,
    /// Records up to here survive a power cut.
    pub(crate) durable: u64,
}

impl Invariants {
    /// The server takes a request from a connection.
    pub(crate) fn on_request(&mut self, link: LinkId, frame: &Frame, now_us: u64) {
        if frame.request == 0 {
            return;
        }
        let what = match Opcode::from_number(frame.opcode) {
            Some(Opcode::Send) => {
                frame.message::<pb::Send>().ok().map(|s| Asked::Send(s.client_msg_id))
            }
            Some(Opcode::MoveCursor) => frame.message::<pb::MoveCursor>().ok().and_then(|moved| {
                let id = ConversationId::from_wire(&moved.conversation?)?;
                Some(Asked::Cursor(id, moved.read_seq))
            }),
            _ => None,
        };
        let open =
            Open { opcode: frame.opcode, since_us: now_us, what: what.unwrap_or(Asked::Other) };
        self.links.entry(link).or_default().open.insert(frame.request, open);
    }

    /// The connection has a session now.
    pub(crate) fn on_session(&mut self, link: LinkId, user: UserId) -> Checked {
        let seen = self.links.entry(link).or_default();
        ensure!(
            seen.user.is_none_or(|known| known == user),
            "a connection has one user",
            "{link:?} of {:?} is given to {user}",
            seen.user
        );
        seen.user = Some(user);
        Ok(())
    }

    /// The connection is gone.
    pub(crate) fn on_closed(&mut self, link: LinkId) {
        self.links.remove(&link);
    }

    /// A reply leaves the server.
    pub(crate) fn on_reply(
        &mut self,
        link: LinkId,
        frame: &Frame,
        scene: &mut Scene<'_>,
    ) -> Checked {
        const ONE_REPLY: &str = "every request has one reply";
        if frame.is_heartbeat() {
            return Ok(());
        }
        let seen = self.links.entry(link).or_default();
        let user = seen.user;
        let Some(open) = seen.open.remove(&frame.request) else {
            violated!(ONE_REPLY, "{link:?} gets opcode {} for {}", frame.opcode, frame.request)
        };
        ensure!(
            frame.opcode == open.opcode || frame.opcode == Opcode::Error.number(),
            ONE_REPLY,
            "opcode {} for a request of {}",
            frame.opcode,
            open.opcode
        );
        match Opcode::from_number(frame.opcode) {
            Some(Opcode::Send) => self.judge_ack(user, &open, frame, scene),
            Some(Opcode::MoveCursor) => judge_cursor(known(user, frame)?, &open, scene),
            Some(Opcode::Hello) => {
                let welcome: pb::Welcome = decode(frame)?;
                match (welcome.resumed, user) {
                    (Some(page), Some(user)) => self.judge_page(user, &page, scene),
                    _ => Ok(()),
                }
            }
            Some(Opcode::Sync) => self.judge_page(known(user, frame)?, &decode(frame)?, scene),
            Some(Opcode::History) => {
                let page: pb::HistoryPage = decode(frame)?;
                for message in &page.messages {
                    self.judge_message(known(user, frame)?, message, false, scene)?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// A push leaves the server.
    pub(crate) fn on_push(
        &mut self,
        link: LinkId,
        frame: &Frame,
        scene: &mut Scene<'_>,
    ) -> Checked {
        ensure!(frame.request == 0, "a push answers no request", "opcode {}", frame.opcode);
        let seen = self.links.entry(link).or_default();
        let user = known(seen.user, frame)?;
        match Opcode::from_number(frame.opcode) {
            Some(Opcode::Message) => {
                let message: pb::Message = decode(frame)?;
                let id = conversation_of(&message.conversation)?;
                let pushed = seen.pushed.entry(id).or_default();
                ensure!(
                    message.seq > *pushed,
                    "pushes of a conversation ascend on each connection",
                    "{link:?} of {user} gets {} of {id:?} after {pushed}",
                    message.seq
                );
                *pushed = message.seq;
                self.judge_message(user, &message, true, scene)
            }
            Some(Opcode::ConversationChanged) => {
                let changed: pb::ConversationChanged = decode(frame)?;
                self.judge_state(user, &changed.conversation.unwrap_or_default(), scene)
            }
            Some(Opcode::CursorMoved) => {
                let moved: pb::CursorMoved = decode(frame)?;
                let id = conversation_of(&moved.conversation)?;
                let last = scene.model.log.conversations.get(&id).map_or(0, |c| c.last_seq());
                ensure!(
                    moved.read_seq <= moved.delivered_seq,
                    "what was read was delivered",
                    "{} > {} in {id:?} of {last}",
                    moved.read_seq,
                    moved.delivered_seq
                );
                Ok(())
            }
            Some(Opcode::SyncNeeded | Opcode::PresenceChanged) => Ok(()),
            other => violated!(DECODES, "push of {other:?}"),
        }
    }

    /// A request that has waited for too long, as long as nothing is broken
    /// on purpose.
    pub(crate) fn check_answered(&self, now_us: u64, patience_us: u64) -> Checked {
        for (link, seen) in &self.links {
            for (request, open) in &seen.open {
                ensure!(
                    now_us.saturating_sub(open.since_us) < patience_us,
                    "every request is answered",
                    "opcode {} (request {request}) of {link:?} since {} us",
                    open.opcode,
                    open.since_us
                );
            }
        }
        Ok(())
    }

    /// How many requests the server has not answered yet.
    pub(crate) fn open_requests(&self) -> usize {
        self.links.values().map(|seen| seen.open.len()).sum()
    }

    /// After a crash the model was reread. What was told must still be there,
    /// if its level promises that; weaker claims are forgotten.
    pub(crate) fn on_crash(&mut self, model: &Model, power_cut: bool) -> Checked {
        self.links.clear();
        let mut lost = Vec::new();
        for (place, claim) in &self.claims {
            let stored = model.log.conversations.get(&place.0).and_then(|c| c.message(place.1));
            if stored.is_some_and(|stored| claim.is(stored)) {
                continue;
            }
            let may_be_lost = match claim.level {
                AckLevel::Durable => false,
                AckLevel::Written => power_cut,
                AckLevel::Accepted => true,
            };
            ensure!(
                may_be_lost,
                "what somebody saw survives as its level says",
                "{place:?} of {claim:?}"
            );
            lost.push(*place);
        }
        for place in lost {
            self.claims.remove(&place);
        }
        Ok(())
    }

    fn judge_ack(
        &mut self,
        user: Option<UserId>,
        open: &Open,
        frame: &Frame,
        scene: &mut Scene<'_>,
    ) -> Checked {
        let ack: pb::SendAck = decode(frame)?;
        let user = known(user, frame)?;
        let Asked::Send(client_msg_id) = &open.what else {
            violated!(DECODES, "an ack of a send that could not be decoded")
        };
        let Some(send) = scene.model.sends.find(client_msg_id) else {
            violated!(DECODES, "an ack of a send that nobody made")
        };
        let reached = ack.level();
        ensure!(
            reached as i32 <= send.level as i32,
            "an ack reaches the level asked for",
            "{reached:?} for {:?}",
            send.level
        );
        let (id, told) = (
            send.conversation,
            Ack { message_id: ack.message_id, seq: ack.seq, time_ms: ack.time_ms },
        );
        let stored = scene.model.log.conversations.get(&id).and_then(|c| c.message(ack.seq));
        match stored {
            Some(stored) => {
                ensure!(
                    stored.message_id == ack.message_id
                        && stored.time_ms == ack.time_ms
                        && stored.sender == user.get()
                        && stored.client_msg_id == *client_msg_id,
                    CONTRADICTION,
                    "{user} is told {told:?} of {id:?}, the log has {stored:?}"
                );
                ensure!(
                    reached != AckLevel::Durable || stored.lsn <= scene.durable,
                    TOO_EARLY,
                    "ack of seq {} of {id:?} as durable, synced are {} of {} records",
                    ack.seq,
                    scene.durable,
                    stored.lsn
                );
            }
            None => ensure!(
                reached == AckLevel::Accepted,
                TOO_EARLY,
                "ack of seq {} of {id:?} as {reached:?}, which is not in the log",
                ack.seq
            ),
        }
        let claim = Claim {
            message_id: ack.message_id,
            sender: user.get(),
            time_ms: ack.time_ms,
            body: None,
            level: send.level,
        };
        self.claim(id, ack.seq, claim)?;
        let Model { log, sends, .. } = &mut *scene.model;
        sends.acknowledge(client_msg_id, told, reached, log)
    }

    fn judge_message(
        &mut self,
        user: UserId,
        message: &pb::Message,
        pushed: bool,
        scene: &Scene<'_>,
    ) -> Checked {
        let id = conversation_of(&message.conversation)?;
        let seq = message.seq;
        let conversation = scene.model.log.conversations.get(&id);
        let sent = scene.model.sends.find(&message.client_msg_id);
        let level = sent.map_or(AckLevel::Durable, |send| send.level);
        let claim = Claim {
            message_id: message.message_id,
            sender: message.sender,
            time_ms: message.time_ms,
            body: Some(message.body.as_ref().map_or(0, |body| fingerprint(&body.encode_to_vec()))),
            level,
        };
        match conversation.and_then(|c| c.message(seq)) {
            None => ensure!(
                level == AckLevel::Accepted,
                TOO_EARLY,
                "{user} sees seq {seq} of {id:?} ({level:?}), which is not in the log"
            ),
            Some(stored) => {
                ensure!(
                    claim.is(stored),
                    CONTRADICTION,
                    "{user} sees {claim:?} at seq {seq} of {id:?}, the log has {stored:?}"
                );
                ensure!(
                    level != AckLevel::Durable || stored.lsn <= scene.durable,
                    TOO_EARLY,
                    "{user} sees seq {seq} of {id:?} (record {}), synced are {}",
                    stored.lsn,
                    scene.durable
                );
            }
        }
        if let Some(conversation) = conversation.filter(|c| c.last_seq() >= seq) {
            let allowed = if pushed {
                conversation.was_present(user, seq)
            } else {
                conversation.was_readable(user, seq)
            };
            ensure!(
                allowed,
                "messages are for members only",
                "{user} gets seq {seq} of {id:?} (push: {pushed})"
            );
        }
        self.claim(id, seq, claim)
    }

    fn judge_page(&mut self, user: UserId, page: &pb::SyncPage, scene: &Scene<'_>) -> Checked {
        for synced in &page.conversations {
            let state = synced.state.clone().unwrap_or_default();
            self.judge_state(user, &state, scene)?;
            for message in &synced.messages {
                self.judge_message(user, message, false, scene)?;
            }
        }
        Ok(())
    }

    fn judge_state(
        &mut self,
        user: UserId,
        state: &pb::Conversation,
        scene: &Scene<'_>,
    ) -> Checked {
        let id = conversation_of(&state.id)?;
        if let Some(last) = &state.last_message {
            ensure!(
                last.seq == state.last_seq,
                "a conversation's last message has its last seq",
                "{} and {} of {id:?}",
                last.seq,
                state.last_seq
            );
            self.judge_message(user, last, false, scene)?;
        }
        let Some(conversation) = scene.model.log.conversations.get(&id) else {
            return Ok(());
        };
        if state.gone || conversation.last_seq() < state.last_seq {
            return Ok(());
        }
        let expected = conversation.unread_at(user, state.last_seq, state.read_seq);
        ensure!(
            expected == Some(state.unread),
            "unread is arithmetic",
            "{user} is told {} of {id:?} at {} (read {}), the model says {expected:?}",
            state.unread,
            state.last_seq,
            state.read_seq
        );
        Ok(())
    }

    fn claim(&mut self, id: ConversationId, seq: u64, claim: Claim) -> Checked {
        let known = self.claims.entry((id, seq)).or_insert(claim);
        ensure!(
            known.agrees(&claim),
            CONTRADICTION,
            "seq {seq} of {id:?} was {known:?} and is {claim:?}"
        );
        known.body = known.body.or(claim.body);
        Ok(())
    }
}

/// A cursor that was acknowledged as read is as safe as it can be.
fn judge_cursor(user: UserId, open: &Open, scene: &mut Scene<'_>) -> Checked {
    let Asked::Cursor(id, asked) = open.what else {
        return Ok(());
    };
    let Some(stored) = scene.model.log.conversations.get(&id) else {
        return Ok(());
    };
    let read = stored.cursor_moves.iter().rev().find(|moved| {
        let (lsn, mover, _, _) = moved;
        *mover == user && *lsn <= scene.durable
    });
    let read = read.map_or(0, |(_, _, _, read)| *read);
    ensure!(
        read >= asked || asked > stored.last_seq() || !stored.stayed_throughout(user),
        TOO_EARLY,
        "cursor of {user} at {asked} of {id:?} is acknowledged, synced is {read}"
    );
    if asked <= stored.last_seq() && stored.stayed_throughout(user) {
        let known = scene.model.cursors.entry((id, user)).or_default();
        *known = asked.max(*known);
    }
    Ok(())
}

impl Claim {
    fn is(&self, stored: &Stored) -> bool {
        self.message_id == stored.message_id
            && self.sender == stored.sender
            && self.time_ms == stored.time_ms
            && self.body.is_none_or(|body| body == stored.body)
    }

    fn agrees(&self, other: &Self) -> bool {
        let bodies = self.body.zip(other.body);
        self.message_id == other.message_id
            && self.sender == other.sender
            && self.time_ms == other.time_ms
            && bodies.is_none_or(|(one, another)| one == another)
    }
}

fn decode<M: prost::Message + Default>(frame: &Frame) -> Checked<M> {
    match frame.message() {
        Ok(message) => Ok(message),
        Err(error) => violated!(DECODES, "opcode {}: {error}", frame.opcode),
    }
}

fn known(user: Option<UserId>, frame: &Frame) -> Checked<UserId> {
    match user {
        Some(user) => Ok(user),
        None => violated!("only sessions get data", "opcode {} before a session", frame.opcode),
    }
}

fn conversation_of(id: &Option<pb::ConversationId>) -> Checked<ConversationId> {
    match id.as_ref().and_then(ConversationId::from_wire) {
        Some(id) => Ok(id),
        None => violated!(DECODES, "no conversation: {id:?}"),
    }
}
