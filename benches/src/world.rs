//! One shard with everything around it in memory: what the rules cost, without sockets and disk.
//!
//! [`OneShard`] plays the host: it answers loads from a map, offloads at once, and calls every
//! submission durable as soon as it is made. It counts effects instead of carrying them out.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use bytes::Bytes;
use hongyan_core::input::{FreshSecret, Ticket};
use hongyan_core::key::{page_key, parse_page_key};
use hongyan_core::{
    AccessTokens, ConnId, Effect, Effects, Input, Now, OffloadJob, OffloadOutcome, Peer,
    RecordDraft, Shard,
};
use hongyan_protocol::ids::GroupId;
use hongyan_protocol::{ConversationId, Frame, FrameDecoder, Opcode, UserId, limits, pb};
use prost::Message;

use crate::empty::{NoTokens, empty_shard};
use crate::frames::send_frame;

/// Inputs that answers of the host may still cause before a bench gives up: a bound, not a limit
/// that is ever reached.
const ROUNDS_MAX: usize = 10_000;

/// What a wake produced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WakeCount {
    /// Replies to requests.
    pub replies: usize,
    /// Pushes to connections.
    pub pushes: usize,
    /// Log records.
    pub records: usize,
    /// Bytes of their payloads.
    pub record_bytes: usize,
    /// Entities read from the views.
    pub loads: usize,
    /// Reads of stored pages of messages.
    pub page_reads: usize,
    /// Sessions that were opened.
    pub sessions: usize,
}

/// A person with an open session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Person {
    /// The session's connection.
    pub conn: ConnId,
    /// The account.
    pub user: UserId,
}

/// See the module.
pub struct OneShard {
    shard: Shard,
    now: Now,
    fx: Effects,
    views: BTreeMap<Bytes, Bytes>,
    next_conn: u64,
    secrets: u64,
    message_ids: u64,
    last_reply: Option<Bytes>,
    /// Records of all wakes while it is some.
    pub kept_log: Option<Vec<RecordDraft>>,
}

impl Default for OneShard {
    fn default() -> Self {
        Self::new()
    }
}

impl OneShard {
    /// An empty server of one shard. Its tokens are no tokens, and everything stays in memory.
    #[must_use]
    pub fn new() -> Self {
        Self::around(empty_shard(Box::new(NoTokens), usize::MAX))
    }

    /// As [`OneShard::new`], with `tokens` that can be used again.
    #[must_use]
    pub fn with_tokens(tokens: Box<dyn AccessTokens>) -> Self {
        Self::around(empty_shard(tokens, usize::MAX))
    }

    /// As [`OneShard::new`], but [`OneShard::forget`] lets go of all that the views have.
    #[must_use]
    pub fn forgetful() -> Self {
        Self::around(empty_shard(Box::new(NoTokens), 0))
    }

    fn around(shard: Shard) -> Self {
        Self {
            shard,
            now: Now { unix_ms: 1_760_000_000_000, mono_ms: 1_000 },
            fx: Effects::new(),
            views: BTreeMap::new(),
            next_conn: 0,
            secrets: 0,
            message_ids: 0,
            last_reply: None,
            kept_log: None,
        }
    }

    /// Makes an account and opens its session.
    ///
    /// # Panics
    /// The shard does not answer with a session: a bug in the bench.
    pub fn register(&mut self, name: &str) -> Person {
        self.sign_up(name).0
    }

    /// As [`OneShard::register`]; says also which access token the device has now.
    ///
    /// # Panics
    /// As [`OneShard::register`].
    pub fn sign_up(&mut self, name: &str) -> (Person, String) {
        let (conn, opened) = self.connection();
        self.wake([opened]);
        let _: pb::Welcome = self.ask(conn, Opcode::Hello, &hello(String::new(), None));
        let register = pb::Register {
            name: name.into(),
            password: "only for benches".into(),
            ..pb::Register::default()
        };
        let session: pb::Session = self.ask(conn, Opcode::Register, &register);
        let user = UserId::new(session.user_id).expect("a session has a user");
        let tokens = session.tokens.expect("who registers gets tokens");
        (Person { conn, user }, tokens.access_token)
    }

    /// A connection never used before, and the input that opens it.
    pub fn connection(&mut self) -> (ConnId, Input) {
        self.next_conn += 1;
        let conn = ConnId(self.next_conn);
        let peer = Peer { ip: IpAddr::V4(Ipv4Addr::LOCALHOST), encrypted: false };
        (conn, Input::Opened { conn, peer })
    }

    /// Makes a group of `members`, owned by the first.
    ///
    /// # Panics
    /// As [`OneShard::register`].
    pub fn make_group(&mut self, members: &[Person]) -> GroupId {
        let (owner, others) = members.split_first().expect("a group has an owner");
        let create = pb::CreateGroup {
            client_group_id: vec![7; limits::CLIENT_ID_BYTES].into(),
            name: "bench".into(),
            members: Vec::new(),
            history_visible: true,
        };
        let group: pb::Group = self.ask(owner.conn, Opcode::CreateGroup, &create);
        for some in others.chunks(limits::INVITE_USERS_MAX) {
            let users = some.iter().map(|person| person.user.get()).collect();
            let invite = pb::InviteMembers { group: group.id, users };
            let _: pb::Group = self.ask(owner.conn, Opcode::InviteMembers, &invite);
        }
        GroupId::new(group.id).expect("a group has an id")
    }

    /// A send of 128 bytes of text with an id never used before.
    pub fn send_input(&mut self, from: Person, to: ConversationId) -> Input {
        self.message_ids += 1;
        let mut id = [0; limits::CLIENT_ID_BYTES];
        id[..8].copy_from_slice(&self.message_ids.to_le_bytes());
        let frame = send_frame(to, &id, 1);
        Input::Frame { conn: from.conn, frame }
    }

    /// One wake: takes the inputs, does all backlog, ends the wake and calls it durable. Loads,
    /// page reads and offloads are answered in further rounds of the same wake.
    pub fn wake(&mut self, inputs: impl IntoIterator<Item = Input>) -> WakeCount {
        for input in inputs {
            self.shard.handle(self.now, input, &mut self.fx);
        }
        let mut count = WakeCount::default();
        for _ in 0..ROUNDS_MAX {
            while self.shard.has_backlog() {
                self.shard.work(self.now, &mut self.fx);
            }
            if let Some(submission) = self.shard.end_wake() {
                count.records += submission.records.len();
                count.record_bytes +=
                    submission.records.iter().map(|record| record.payload.len()).sum::<usize>();
                self.shard.durable(submission.number);
                if let Some(log) = &mut self.kept_log {
                    log.extend(submission.records);
                }
            }
            let effects = std::mem::take(&mut self.fx.queue);
            let mut more = false;
            for (_, effect) in effects {
                if let Some(answer) = self.carry_out(effect, &mut count) {
                    self.shard.handle(self.now, answer, &mut self.fx);
                    more = true;
                }
            }
            if !more && self.fx.queue.is_empty() && !self.shard.has_backlog() {
                return count;
            }
        }
        panic!("the shard asks for ever");
    }

    /// A settle round: what changed goes into the views. Gives the entries' number and bytes.
    pub fn settle(&mut self) -> (usize, usize) {
        let (mut entries, mut bytes) = (0, 0);
        while let Some(step) = self.shard.settle(256 * 1024) {
            for (key, value) in step.entries {
                entries += 1;
                bytes += key.len() + value.as_ref().map_or(0, Bytes::len);
                match value {
                    Some(value) => self.views.insert(key, value),
                    None => self.views.remove(&key),
                };
            }
            if step.marks.is_some() {
                self.wake([Input::Settled { round: step.round }]);
                break;
            }
        }
        (entries, bytes)
    }

    /// Lets everything go from memory that the views have: what is not used between two sweeps,
    /// and those are a second apart. Only in a world that is [`OneShard::forgetful`].
    pub fn forget(&mut self) {
        for _ in 0..2 {
            self.now.mono_ms += 1_000;
            // An input that changes nothing, so that the wake has a time.
            self.wake([Input::Timeout]);
        }
    }

    /// The entries of a settle round, for writing somewhere else; the shard is told that they are
    /// settled.
    pub fn settle_entries(&mut self) -> Vec<(Bytes, Option<Bytes>)> {
        let mut entries = Vec::new();
        while let Some(step) = self.shard.settle(256 * 1024) {
            entries.extend(step.entries);
            if step.marks.is_some() {
                self.wake([Input::Settled { round: step.round }]);
                break;
            }
        }
        entries
    }

    /// Sends a request and decodes the reply.
    ///
    /// # Panics
    /// The reply is an error or not this message.
    pub fn ask<M: Message + Default>(
        &mut self,
        conn: ConnId,
        opcode: Opcode,
        message: &impl Message,
    ) -> M {
        self.last_reply = None;
        let frame = Frame::new(opcode, 1, message);
        self.wake([Input::Frame { conn, frame }]);
        self.last_reply(opcode)
    }

    /// Takes and decodes the last reply of all wakes so far.
    ///
    /// # Panics
    /// There is none, it is an error, or it is not the reply to `opcode`.
    pub fn last_reply<M: Message + Default>(&mut self, opcode: Opcode) -> M {
        let reply = self.last_reply.take().expect("a request has a reply");
        let decoder = FrameDecoder::new(limits::FRAME_BYTES_MAX);
        let frame = decoder.decode(&mut reply.into()).expect("a frame").expect("a whole frame");
        assert_eq!(frame.opcode, opcode.number(), "refused: {frame:?}");
        frame.message().expect("the message that the opcode names")
    }

    fn carry_out(&mut self, effect: Effect, count: &mut WakeCount) -> Option<Input> {
        match effect {
            Effect::Reply { frame, .. } => {
                count.replies += 1;
                self.last_reply = Some(frame);
                None
            }
            Effect::Push { .. } => {
                count.pushes += 1;
                None
            }
            Effect::Load { key } => {
                count.loads += 1;
                let value = Ok(self.views.get(&key.to_bytes()).cloned());
                Some(Input::Loaded { key, value })
            }
            Effect::ReadPages { ticket, conversation, from_seq, to_seq, backwards, bytes_max } => {
                count.page_reads += 1;
                let pages =
                    Ok(self.read_pages(conversation, from_seq, to_seq, backwards, bytes_max));
                Some(Input::PagesRead { ticket, pages })
            }
            Effect::Offload { ticket, job } => Some(self.offload(ticket, &job)),
            // What one partition owes another: both are here.
            Effect::Forward { envelope, .. } => Some(Input::Envelope(envelope)),
            Effect::AdminReply { .. } | Effect::Close { .. } | Effect::Handoff { .. } => None,
            Effect::SessionOpened { .. } => {
                count.sessions += 1;
                None
            }
        }
    }

    fn read_pages(
        &self,
        id: ConversationId,
        from_seq: u64,
        to_seq: u64,
        backwards: bool,
        bytes_max: usize,
    ) -> Vec<Bytes> {
        let start = self
            .views
            .range(page_key(id, 1)..=page_key(id, from_seq))
            .next_back()
            .and_then(|(key, _)| parse_page_key(key))
            .map_or(from_seq, |(_, first)| first);
        let range = self.views.range(page_key(id, start)..=page_key(id, to_seq));
        let mut bytes = 0;
        let mut within = |page: &Bytes| {
            let more = bytes < bytes_max;
            bytes += page.len();
            more
        };
        let pages = range.map(|(_, page)| page.clone());
        if backwards {
            pages.rev().take_while(|page| within(page)).collect()
        } else {
            pages.take_while(|page| within(page)).collect()
        }
    }

    fn offload(&mut self, ticket: Ticket, job: &OffloadJob) -> Input {
        self.secrets += 1;
        let secret = format!("secret{}", self.secrets);
        let fresh = FreshSecret { digest: secret.clone().into(), secret };
        let outcome = match job {
            OffloadJob::HashPassword { .. } => {
                OffloadOutcome::Hashed { hash: "hash".into(), fresh }
            }
            _ => OffloadOutcome::Failed,
        };
        Input::OffloadDone { ticket, outcome }
    }
}

/// What a device says first: with a token it opens the session, with `resume` it catches up too.
#[must_use]
pub fn hello(access_token: String, resume: Option<pb::SyncRequest>) -> pb::Hello {
    let device = pb::Device { id: "bench".into(), ..pb::Device::default() };
    pb::Hello { device: Some(device), access_token, resume, ..pb::Hello::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_direct_send_is_one_reply_one_push_and_one_record() {
        let mut world = OneShard::new();
        let (a, b) = (world.register("alice"), world.register("bob"));
        let id = ConversationId::direct(a.user, b.user).unwrap();
        let first = world.send_input(a, id);
        world.wake([first]);
        let second = world.send_input(a, id);
        let count = world.wake([second]);
        assert_eq!((count.replies, count.pushes, count.records), (1, 1, 1));
    }

    #[test]
    fn a_group_send_reaches_every_other_member() {
        let mut world = OneShard::new();
        let people: Vec<_> = (0..40).map(|index| world.register(&format!("p-{index}"))).collect();
        let group = world.make_group(&people);
        let send = world.send_input(people[3], ConversationId::Group(group));
        let count = world.wake([send]);
        assert_eq!((count.replies, count.pushes), (1, 39));
    }

    #[test]
    fn what_is_forgotten_is_read_again() {
        let mut world = OneShard::forgetful();
        let (a, b) = (world.register("alice"), world.register("bob"));
        let id = ConversationId::direct(a.user, b.user).unwrap();
        let first = world.send_input(a, id);
        assert_eq!(world.wake([first]).loads, 3, "the conversation and two inboxes are new");
        world.settle();
        let second = world.send_input(a, id);
        assert_eq!(world.wake([second]).loads, 0);
        world.settle();
        world.forget();
        let third = world.send_input(a, id);
        assert!(world.wake([third]).loads > 0);
    }
}
