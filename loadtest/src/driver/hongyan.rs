//! Hongyan itself, over plain TCP or TLS.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::{Bytes, BytesMut};
use hongyan_protocol::ids::GroupId;
use hongyan_protocol::limits::WATCHED_MAX;
use hongyan_protocol::{
    ConversationId, ErrorCode, FrameDecoder, Opcode, UserId, frame, limits, pb,
};

use crate::catchup;
use crate::driver::send_form::{SendForm, SendTail};
use crate::driver::{Driver, Event, Link, LinkError, Missed, Return, Tag};
use crate::engine::payload::{Stamp, TextForm};
use crate::engine::topology::{Seat, Talk, Topology};
use crate::plan::{Plan, Receipts};
use crate::roster::{self, Account};
use crate::session::{Wire, refusal};
use crate::stream::{Endpoint, Stream};
use crate::wire::{Fields, FrameView, Value, bytes_field};

const SEND: u32 = Opcode::Send.number();
const MESSAGE: u32 = Opcode::Message.number();
const ERROR: u32 = Opcode::Error.number();
const GOODBYE: u32 = Opcode::Goodbye.number();
const PRESENCE_CHANGED: u32 = Opcode::PresenceChanged.number();
const SYNC_NEEDED: u32 = Opcode::SyncNeeded.number();

/// Tries until the talks that were begun before a run are in their people's lists.
const WATCH_TRIES: usize = 1_000;
const WATCH_WAIT: Duration = Duration::from_millis(20);

/// Opens sessions of the roster's accounts. A run may be longer than a token lives: where one is
/// about to expire, the account gets a new pair first.
#[derive(Debug)]
pub struct HongyanDriver {
    endpoint: Endpoint,
    accounts: Mutex<Vec<Account>>,
    groups: Vec<GroupId>,
    watches: bool,
    plan: Plan,
}

impl HongyanDriver {
    /// For the server at `endpoint`; seats' users are numbers of `accounts`.
    #[must_use]
    pub const fn new(endpoint: Endpoint, accounts: Vec<Account>, plan: Plan) -> Self {
        Self { endpoint, accounts: Mutex::new(accounts), groups: Vec::new(), watches: false, plan }
    }

    /// The same with groups, which seats' talks name by number.
    #[must_use]
    pub fn with_groups(self, groups: Vec<GroupId>) -> Self {
        Self { groups, ..self }
    }

    /// The same with sessions that come back watching who is there, of those that their seats talk
    /// to directly. Something must have been said in each of these talks before.
    #[must_use]
    pub fn watching(self) -> Self {
        Self { watches: true, ..self }
    }

    /// Watches who is there. A conversation may take a moment to be in the user's list.
    fn watch(&self, wire: &mut Wire, seat: &Seat) -> anyhow::Result<()> {
        let peers = Topology::peers_of(seat);
        let users = peers.iter().filter_map(|peer| self.user_id(*peer)).map(UserId::get);
        let request = pb::WatchPresence { users: users.take(WATCHED_MAX).collect() };
        for _ in 0..WATCH_TRIES {
            match wire.ask::<pb::Presences>(Opcode::WatchPresence, &request)? {
                Ok(_) => return Ok(()),
                Err(error) if error.code == ErrorCode::NotAllowed.number() => {
                    std::thread::sleep(WATCH_WAIT);
                }
                Err(error) => return Err(refusal("watching who is there", &error)),
            }
        }
        bail!("the server does not let {} watch those it talks to", seat.user);
    }

    /// The accounts, with the tokens that are in force now.
    #[must_use]
    pub fn accounts(&self) -> Vec<Account> {
        self.roster().clone()
    }

    fn roster(&self) -> std::sync::MutexGuard<'_, Vec<Account>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The account of a seat's user, with a token in force.
    pub(crate) fn account(&self, index: usize, user: usize) -> anyhow::Result<Account> {
        let known = self.roster().get(user).cloned().context("the roster is too short")?;
        let account = roster::in_force(&self.endpoint, index, &known)?;
        if account.access_token != known.access_token {
            self.roster()[user] = account.clone();
        }
        Ok(account)
    }

    fn user_id(&self, user: usize) -> Option<UserId> {
        self.roster().get(user).and_then(|account| UserId::new(account.user_id))
    }

    /// Where the server is.
    #[must_use]
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The server's names of talks.
    ///
    /// # Errors
    /// The roster or the groups are too short.
    pub(crate) fn conversations(&self, talks: &[Talk]) -> anyhow::Result<Vec<pb::ConversationId>> {
        talks.iter().map(|talk| self.conversation(*talk)).collect()
    }

    fn link(&self, talks: Vec<pb::ConversationId>, seat: &Seat) -> HongyanLink {
        let text = TextForm::new(self.plan.bytes, self.plan.seed);
        let tail = SendTail::new(self.plan.level, &text, self.plan.window);
        HongyanLink::new(talks, seat, tail, self.plan.receipts == Receipts::Read)
    }

    fn conversation(&self, talk: Talk) -> anyhow::Result<pb::ConversationId> {
        let conversation = match talk {
            Talk::Direct { me, with } => self
                .user_id(me)
                .zip(self.user_id(with))
                .and_then(|(me, with)| ConversationId::direct(me, with)),
            Talk::Group { group } => self.groups.get(group).copied().map(ConversationId::Group),
        };
        conversation
            .map(ConversationId::to_wire)
            .with_context(|| format!("the roster has nobody, or the same user twice, for {talk:?}"))
    }
}

impl Driver for HongyanDriver {
    type Link = HongyanLink;

    fn open(&self, index: usize, seat: &Seat) -> anyhow::Result<(Stream, HongyanLink)> {
        let account = self.account(index, seat.user)?;
        let mut wire = Wire::connect(&self.endpoint, index)?;
        let welcome = wire.greet(&account.device_id, account.access_token)?;
        welcome.session.with_context(|| format!("no session for {}", account.name))?;
        let talks = self.conversations(&seat.talks)?;
        Ok((wire.into_stream(), self.link(talks, seat)))
    }

    fn reopen(
        &self,
        index: usize,
        seat: &Seat,
        held: Option<&[u64]>,
    ) -> anyhow::Result<Return<HongyanLink>> {
        let account = self.account(index, seat.user)?;
        let talks = self.conversations(&seat.talks)?;
        let mut caught = match held {
            None => catchup::begin(&self.endpoint, index, &account, &talks)?,
            Some(held) => {
                let held: Vec<_> = talks.iter().copied().zip(held.iter().copied()).collect();
                catchup::resume(&self.endpoint, index, &account, &held)?
            }
        };
        if self.watches {
            self.watch(&mut caught.wire, seat)?;
            caught.settle()?;
        }
        let mut missed = Vec::new();
        for (slot, kept) in caught.kept.iter().enumerate() {
            missed.extend(kept.missed.iter().map(|message| Missed {
                slot,
                seq: message.seq,
                text: text_of(message),
            }));
        }
        Ok(Return {
            held: caught.kept.iter().map(|kept| kept.seq).collect(),
            missed,
            traffic: caught.wire.traffic,
            stream: caught.wire.into_stream(),
            link: self.link(talks, seat),
        })
    }
}

/// What this generator wrote into a message; empty when it is something else.
pub(crate) fn text_of(message: &pb::Message) -> Bytes {
    match message.body.as_ref().and_then(|body| body.kind.as_ref()) {
        Some(pb::body::Kind::Text(text)) => Bytes::copy_from_slice(text.as_bytes()),
        _ => Bytes::new(),
    }
}

/// One session's bytes.
#[derive(Debug)]
pub struct HongyanLink {
    talks: Vec<pb::ConversationId>,
    /// By slot; none where nothing is sent.
    forms: Vec<Option<SendForm>>,
    tail: Arc<SendTail>,
    /// What arrived counts as read.
    reads: bool,
    decoder: FrameDecoder,
}

impl HongyanLink {
    fn new(talks: Vec<pb::ConversationId>, seat: &Seat, tail: Arc<SendTail>, reads: bool) -> Self {
        let mut forms: Vec<Option<SendForm>> = talks.iter().map(|_| None).collect();
        for lane in &seat.sends {
            forms[lane.slot] = Some(SendForm::new(talks[lane.slot], &tail));
        }
        let decoder = FrameDecoder::new(limits::FRAME_BYTES_MAX);
        Self { talks, forms, tail, reads, decoder }
    }
}

impl Link for HongyanLink {
    fn encode_send(&mut self, slot: usize, tag: Tag, stamp: &Stamp, out: &mut BytesMut) {
        if let Some(form) = &self.forms[slot] {
            form.encode(tag, stamp, out);
        }
    }

    fn encode_receipt(&mut self, slot: usize, seq: u64, out: &mut BytesMut) {
        let receipt = pb::MoveCursor {
            conversation: Some(self.talks[slot]),
            delivered_seq: seq,
            read_seq: if self.reads { seq } else { 0 },
        };
        frame::encode_message(Opcode::MoveCursor, 0, &receipt, out);
    }

    fn parse<'a>(&'a mut self, bytes: &'a [u8]) -> Result<Option<(usize, Event<'a>)>, LinkError> {
        let Some(frame) = FrameView::peek(&self.decoder, bytes)? else {
            return Ok(None);
        };
        let answered =
            || self.tail.tag_of(frame.request).ok_or(LinkError::Unexpected("an answer to nothing"));
        let event = match frame.opcode {
            SEND => Event::Acked { tag: answered()?, seq: number(frame.payload, 2) },
            MESSAGE => delivered(frame.payload)?,
            ERROR => Event::Refused {
                tag: answered()?,
                code: u32::try_from(number(frame.payload, 1)).unwrap_or(u32::MAX),
            },
            GOODBYE => {
                Event::Closing { code: u32::try_from(number(frame.payload, 1)).unwrap_or(u32::MAX) }
            }
            PRESENCE_CHANGED => Event::Presence,
            SYNC_NEEDED => Event::Shed,
            _ => Event::Other,
        };
        Ok(Some((frame.whole_bytes, event)))
    }
}

fn delivered(message: &[u8]) -> Result<Event<'_>, LinkError> {
    let mut seq = 0;
    let mut body = None;
    for field in Fields::new(message) {
        match field.ok_or(LinkError::Unexpected("a message that is not protobuf"))? {
            (2, Value::Varint(value)) => seq = value,
            (7, Value::Bytes(value)) => body = Some(value),
            _ => {}
        }
    }
    // A body without text was not written by this generator; an empty text says so too.
    let text = body.and_then(|body| bytes_field(body, 1)).unwrap_or_default();
    Ok(Event::Delivered { seq, text })
}

/// The integer in field `wanted`; zero when it is absent.
fn number(message: &[u8], wanted: u32) -> u64 {
    Fields::new(message)
        .find_map(|field| match field {
            Some((found, Value::Varint(value))) if found == wanted => Some(value),
            _ => None,
        })
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use hongyan_protocol::Frame;

    use super::*;

    fn link() -> HongyanLink {
        let tail = SendTail::new(crate::plan::Level::Durable, &TextForm::new(64, 1), 4);
        let seat = Seat {
            user: 0,
            role: crate::engine::topology::Role::Both,
            talks: Vec::new(),
            sends: Vec::new(),
            hears: Vec::new(),
        };
        HongyanLink::new(Vec::new(), &seat, tail, false)
    }

    #[test]
    fn every_answer_becomes_its_event() {
        let ack =
            pb::SendAck { message_id: 1, seq: 500, time_ms: 2, level: 1, repeated_send: false };
        let message = pb::Message {
            seq: 7,
            sender: 4097,
            body: Some(pb::Body { kind: Some(pb::body::Kind::Text("hello".into())) }),
            ..pb::Message::default()
        };
        let error = pb::Error { code: 500, message: "slower".into(), retry_after_ms: 10 };
        let goodbye = pb::Goodbye { code: 600, ..pb::Goodbye::default() };
        for (frame, event) in [
            (Frame::new(Opcode::Send, 3, &ack), Event::Acked { tag: 2, seq: 500 }),
            (Frame::new(Opcode::Message, 0, &message), Event::Delivered { seq: 7, text: b"hello" }),
            (Frame::new(Opcode::Error, 1, &error), Event::Refused { tag: 0, code: 500 }),
            (Frame::new(Opcode::Goodbye, 0, &goodbye), Event::Closing { code: 600 }),
            (Frame::new(Opcode::SyncNeeded, 0, &pb::SyncNeeded {}), Event::Shed),
            (Frame::new(Opcode::PresenceChanged, 0, &pb::Presences::default()), Event::Presence),
            (Frame::new(Opcode::CursorMoved, 0, &pb::CursorMoved::default()), Event::Other),
            (Frame::HEARTBEAT, Event::Other),
        ] {
            let bytes = frame.to_delimited();
            let mut link = link();
            assert_eq!(link.parse(&bytes), Ok(Some((bytes.len(), event))));
            assert_eq!(link.parse(&bytes[..bytes.len() - 1]), Ok(None));
        }
    }

    #[test]
    fn an_answer_to_nothing_is_refused() {
        let bytes = Frame::new(Opcode::Send, 0, &pb::SendAck::default()).to_delimited();
        assert!(link().parse(&bytes).is_err());
    }
}
