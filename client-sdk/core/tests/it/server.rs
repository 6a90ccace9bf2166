//! A server in memory: one user under test, one peer, a direct conversation
//! and whatever groups a test puts in.
//!
//! It keeps the promises of the protocol (dense seqs, dedupe of the last 128
//! sends, cursors that only grow) and can be told to refuse or to stay silent.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::{Bytes, BytesMut};
use hongyan_client_core::{ConversationId, ErrorCode, Opcode, UserId, pb};
use hongyan_protocol::frame::encode_message;
use hongyan_protocol::limits::DEDUPE_SENDS;
use hongyan_protocol::version::{CLIENT_PREFACE, PREFACE_BYTES};
use hongyan_protocol::{Frame, FrameDecoder, raw};
use prost::Message as _;

pub(crate) const ME: u64 = 4097;
pub(crate) const PEER: u64 = 8194;
pub(crate) const HEARTBEAT_MS: u64 = 10_000;

pub(crate) fn user(id: u64) -> UserId {
    UserId::new(id).expect("not zero")
}

pub(crate) fn direct() -> ConversationId {
    ConversationId::direct(user(ME), user(PEER)).expect("two people")
}

#[derive(Default)]
pub(crate) struct Conversation {
    pub(crate) messages: Vec<raw::StoredMessage>,
    pub(crate) delivered: BTreeMap<u64, u64>,
    pub(crate) read: BTreeMap<u64, u64>,
    pub(crate) group: Option<pb::Group>,
    pub(crate) gone: bool,
    pub(crate) joined_seq: u64,
}

impl Conversation {
    pub(crate) fn last_seq(&self) -> u64 {
        self.messages.len() as u64
    }

    /// The definition in conversation.proto.
    pub(crate) fn unread(&self) -> u64 {
        let own = self.messages.iter().rev().find(|message| message.sender == ME);
        let floor = own
            .map_or(0, |message| message.seq)
            .max(self.read.get(&ME).copied().unwrap_or(0))
            .max(self.joined_seq.saturating_sub(1));
        self.last_seq().saturating_sub(floor)
    }
}

pub(crate) struct Server {
    pub(crate) now_ms: u64,
    pub(crate) conversations: BTreeMap<ConversationId, Conversation>,
    pub(crate) access_token: String,
    pub(crate) refresh_token: String,
    pub(crate) tokens_issued: u64,
    /// Answers to the next requests with these opcodes.
    pub(crate) refusals: VecDeque<(Opcode, pb::Error)>,
    /// Whom this session watches.
    pub(crate) watched: Vec<u64>,
    /// People whom it may not watch although something was said.
    pub(crate) strangers: BTreeSet<u64>,
    /// What the next requests about groups are answered with.
    pub(crate) groups: VecDeque<pb::Group>,
    /// Takes requests with these opcodes and never answers.
    pub(crate) silent: Vec<Opcode>,
    pub(crate) page_conversations: usize,
    pub(crate) too_old_after: u64,
    /// Every request, by opcode.
    pub(crate) seen: Vec<Opcode>,
    pub(crate) sends_seen: Vec<Vec<u8>>,
    pub(crate) heartbeats: usize,
    dedupe: VecDeque<(ConversationId, Vec<u8>, u64)>,
    preface_done: bool,
    in_session: bool,
    incoming: BytesMut,
    pub(crate) outgoing: BytesMut,
}

impl Server {
    pub(crate) fn new() -> Self {
        Self {
            now_ms: 0,
            conversations: BTreeMap::new(),
            access_token: "access-0".into(),
            refresh_token: "refresh-0".into(),
            tokens_issued: 0,
            refusals: VecDeque::new(),
            watched: Vec::new(),
            strangers: BTreeSet::new(),
            groups: VecDeque::new(),
            silent: Vec::new(),
            page_conversations: 100,
            too_old_after: 1_000,
            seen: Vec::new(),
            sends_seen: Vec::new(),
            heartbeats: 0,
            dedupe: VecDeque::new(),
            preface_done: false,
            in_session: false,
            incoming: BytesMut::new(),
            outgoing: BytesMut::new(),
        }
    }

    pub(crate) fn accept(&mut self) {
        self.preface_done = false;
        self.in_session = false;
        self.watched.clear();
        self.incoming.clear();
        self.outgoing.clear();
    }

    pub(crate) fn conversation(&mut self, id: ConversationId) -> &mut Conversation {
        self.conversations
            .entry(id)
            .or_insert_with(|| Conversation { joined_seq: 1, ..Conversation::default() })
    }

    /// Stores a message of somebody and pushes it when `push`.
    pub(crate) fn say(&mut self, id: ConversationId, sender: u64, text: &str, push: bool) -> u64 {
        let body = text_body(text).encode_to_vec().into();
        self.say_body(id, sender, body, push)
    }

    /// The same with an encoded body.
    pub(crate) fn say_body(
        &mut self,
        id: ConversationId,
        sender: u64,
        body: Bytes,
        push: bool,
    ) -> u64 {
        let now_ms = self.now_ms;
        let conversation = self.conversation(id);
        let seq = conversation.last_seq() + 1;
        let message = raw::StoredMessage {
            conversation: Some(id.to_wire()),
            seq,
            message_id: seq + 1_000,
            sender,
            time_ms: now_ms + seq,
            client_msg_id: Vec::from(seq.to_be_bytes()).into(),
            body,
        };
        conversation.messages.push(message);
        if push {
            self.push_message(id, seq);
        }
        seq
    }

    /// Pushes a stored message, again or for the first time.
    pub(crate) fn push_message(&mut self, id: ConversationId, seq: u64) {
        if let Some(message) = self.conversation(id).messages.get(seq as usize - 1).cloned() {
            self.push(Opcode::Message, &message);
        }
    }

    pub(crate) fn push(&mut self, opcode: Opcode, message: &impl prost::Message) {
        if self.in_session {
            encode_message(opcode, 0, message, &mut self.outgoing);
        }
    }

    pub(crate) fn goodbye(&mut self, code: ErrorCode, reconnect_after_ms: u32) {
        let goodbye =
            pb::Goodbye { code: code.number(), message: "test".into(), reconnect_after_ms };
        encode_message(Opcode::Goodbye, 0, &goodbye, &mut self.outgoing);
    }

    pub(crate) fn peer_moves(&mut self, id: ConversationId, delivered: u64, read: u64) {
        let conversation = self.conversation(id);
        conversation.delivered.insert(PEER, delivered);
        conversation.read.insert(PEER, read);
        let moved = pb::CursorMoved {
            conversation: Some(id.to_wire()),
            user: PEER,
            delivered_seq: delivered,
            read_seq: read,
        };
        self.push(Opcode::CursorMoved, &moved);
    }

    pub(crate) fn receive(&mut self, bytes: &[u8]) {
        self.incoming.extend_from_slice(bytes);
        if !self.preface_done {
            if self.incoming.len() < PREFACE_BYTES {
                return;
            }
            let preface = self.incoming.split_to(PREFACE_BYTES);
            assert_eq!(preface[..], CLIENT_PREFACE, "a client opens with its preface");
            self.outgoing.extend_from_slice(&CLIENT_PREFACE);
            self.preface_done = true;
        }
        let decoder = FrameDecoder::new(1 << 20);
        while let Some(frame) = decoder.decode(&mut self.incoming).expect("frames are valid") {
            self.handle(&frame);
        }
    }

    fn handle(&mut self, frame: &Frame) {
        if frame.is_heartbeat() {
            self.heartbeats += 1;
            self.outgoing.extend_from_slice(&[0]);
            return;
        }
        let opcode = Opcode::from_number(frame.opcode).expect("a known opcode");
        self.seen.push(opcode);
        if opcode == Opcode::Send {
            let send: pb::Send = frame.message().expect("a Send");
            self.sends_seen.push(send.client_msg_id.to_vec());
        }
        if self.silent.contains(&opcode) {
            return;
        }
        if let Some(at) = self.refusals.iter().position(|(refused, _)| *refused == opcode) {
            let (_, error) = self.refusals.remove(at).expect("it was found");
            return encode_message(Opcode::Error, frame.request, &error, &mut self.outgoing);
        }
        self.answer(opcode, frame);
    }

    fn answer(&mut self, opcode: Opcode, frame: &Frame) {
        let request = frame.request;
        match opcode {
            Opcode::Hello => self.on_hello(request, &frame.message().expect("a Hello")),
            Opcode::Register | Opcode::Login | Opcode::LoginExternal => self.open(opcode, request),
            Opcode::Refresh => {
                let refresh: pb::Refresh = frame.message().expect("a Refresh");
                if refresh.refresh_token == self.refresh_token {
                    self.open(opcode, request);
                } else {
                    self.refuse(request, ErrorCode::DeviceRevoked);
                }
            }
            _ if !self.in_session => self.refuse(request, ErrorCode::OutOfOrder),
            Opcode::Sync => {
                let page = self.page(&frame.message().expect("a SyncRequest"));
                self.reply(opcode, request, &page);
            }
            Opcode::Send => self.on_send(request, &frame.message().expect("a Send")),
            Opcode::MoveCursor => {
                let moved: pb::MoveCursor = frame.message().expect("a MoveCursor");
                let id = id_of(moved.conversation.as_ref());
                let conversation = self.conversation(id);
                let last = conversation.last_seq();
                raise(&mut conversation.delivered, moved.delivered_seq.min(last));
                raise(&mut conversation.read, moved.read_seq.min(last));
                if request != 0 {
                    self.reply(opcode, request, &pb::Empty {});
                }
            }
            Opcode::History => {
                let page = self.history(&frame.message().expect("a History"));
                self.reply(opcode, request, &page);
            }
            Opcode::GetProfiles => {
                let wanted: pb::GetProfiles = frame.message().expect("a GetProfiles");
                let profiles = wanted.users.into_iter().map(profile).collect();
                self.reply(opcode, request, &pb::Profiles { profiles });
            }
            Opcode::WatchPresence => {
                self.on_watch(request, frame.message().expect("a WatchPresence"));
            }
            _ => match self.groups.pop_front() {
                Some(group) => self.reply(opcode, request, &group),
                None => self.reply(opcode, request, &pb::Empty {}),
            },
        }
    }

    /// All or nothing, as the real one: only people with whom something was
    /// said.
    fn on_watch(&mut self, request: u64, wanted: pb::WatchPresence) {
        let me = user(ME);
        let known = |other: &u64| {
            let id = ConversationId::direct(me, user(*other));
            let conversation = id.and_then(|id| self.conversations.get(&id));
            conversation.is_some_and(|conversation| conversation.last_seq() > 0)
                && !self.strangers.contains(other)
        };
        if !wanted.users.iter().all(known) {
            return self.refuse(request, ErrorCode::NotAllowed);
        }
        self.watched = wanted.users;
        self.reply(Opcode::WatchPresence, request, &pb::Presences::default());
        let presences: Vec<_> = self
            .watched
            .iter()
            .map(|user| pb::Presence { user: *user, online: true, last_seen_ms: 0 })
            .collect();
        if !presences.is_empty() {
            self.push(Opcode::PresenceChanged, &pb::Presences { presences });
        }
    }

    fn on_hello(&mut self, request: u64, hello: &pb::Hello) {
        let welcome = raw::Welcome {
            server_time_ms: self.now_ms,
            server: "model".into(),
            max_frame_bytes: 1 << 20,
            heartbeat_ms: HEARTBEAT_MS as u32,
            session: None,
            resumed: None,
        };
        if hello.access_token.is_empty() {
            return self.reply(Opcode::Hello, request, &welcome);
        }
        if hello.access_token != self.access_token {
            return self.refuse(request, ErrorCode::TokenExpired);
        }
        self.in_session = true;
        let resumed = hello.resume.as_ref().map(|resume| encoded(&self.page(resume)));
        let session = Some(self.session(None));
        self.reply(Opcode::Hello, request, &raw::Welcome { session, resumed, ..welcome });
    }

    fn open(&mut self, opcode: Opcode, request: u64) {
        self.in_session = true;
        self.tokens_issued += 1;
        self.access_token = format!("access-{}", self.tokens_issued);
        self.refresh_token = format!("refresh-{}", self.tokens_issued);
        let tokens = pb::Tokens {
            access_token: self.access_token.clone(),
            access_expires_ms: self.now_ms + 900_000,
            refresh_token: self.refresh_token.clone(),
            refresh_expires_ms: self.now_ms + 9_000_000,
        };
        let session = self.session(Some(tokens));
        self.reply(opcode, request, &session);
    }

    fn session(&self, tokens: Option<pb::Tokens>) -> pb::Session {
        pb::Session {
            user_id: ME,
            name: "me".into(),
            display_name: "Me".into(),
            device_id: "device".into(),
            tokens,
        }
    }

    fn on_send(&mut self, request: u64, send: &raw::Send) {
        let id = id_of(send.conversation.as_ref());
        let client_msg_id = send.client_msg_id.to_vec();
        let known = self
            .dedupe
            .iter()
            .find(|(at, sent, _)| *at == id && *sent == client_msg_id)
            .map(|(_, _, seq)| *seq);
        let seq = known.unwrap_or_else(|| {
            let now_ms = self.now_ms;
            let conversation = self.conversation(id);
            let seq = conversation.last_seq() + 1;
            conversation.messages.push(raw::StoredMessage {
                conversation: Some(id.to_wire()),
                seq,
                message_id: seq + 1_000,
                sender: ME,
                time_ms: now_ms + seq,
                client_msg_id: send.client_msg_id.clone(),
                body: send.body.clone(),
            });
            self.dedupe.push_back((id, client_msg_id, seq));
            if self.dedupe.len() > DEDUPE_SENDS {
                self.dedupe.pop_front();
            }
            seq
        });
        let time_ms = self.conversation(id).messages[seq as usize - 1].time_ms;
        let ack = pb::SendAck {
            message_id: seq + 1_000,
            seq,
            time_ms,
            level: send.level,
            repeated_send: known.is_some(),
        };
        self.reply(Opcode::Send, request, &ack);
    }

    fn history(&mut self, ask: &pb::History) -> raw::HistoryPage {
        let conversation = self.conversation(id_of(ask.conversation.as_ref()));
        let first_seq = conversation.joined_seq;
        let last_seq = conversation.last_seq();
        let to = if ask.to_seq == 0 { last_seq } else { ask.to_seq.min(last_seq) };
        let limit = if ask.limit == 0 { 100 } else { ask.limit as usize };
        let mut messages: Vec<_> = conversation
            .messages
            .iter()
            .filter(|message| (ask.from_seq.max(first_seq)..=to).contains(&message.seq))
            .cloned()
            .collect();
        let more = messages.len() > limit;
        if ask.backwards {
            messages.drain(..messages.len().saturating_sub(limit));
        } else {
            messages.truncate(limit);
        }
        let messages = messages.iter().map(encoded).collect();
        raw::HistoryPage { messages, more, first_seq, last_seq }
    }

    fn page(&self, request: &pb::SyncRequest) -> raw::SyncPage {
        let held: BTreeMap<_, _> = request
            .held
            .iter()
            .map(|cursor| (id_of(cursor.conversation.as_ref()), cursor.seq))
            .collect();
        let mut changed: Vec<_> = self
            .conversations
            .iter()
            .filter(|(_, conversation)| conversation.last_seq() > 0 || conversation.group.is_some())
            .map(|(id, conversation)| self.synced(*id, conversation, held.get(id).copied()))
            .map(|synced| encoded(&synced))
            .collect();
        let from = request.page as usize;
        let more = changed.len() > from + self.page_conversations;
        changed = changed.into_iter().skip(from).take(self.page_conversations).collect();
        raw::SyncPage {
            conversations: changed,
            profiles: vec![profile(PEER)],
            next_page: if more { (from + self.page_conversations) as u64 } else { 0 },
            server_time_ms: self.now_ms,
        }
    }

    fn synced(
        &self,
        id: ConversationId,
        conversation: &Conversation,
        held: Option<u64>,
    ) -> raw::SyncedConversation {
        let missing = held.map_or(0, |held| conversation.last_seq().saturating_sub(held));
        let too_old = missing > self.too_old_after;
        let count = if too_old { self.too_old_after } else { missing } as usize;
        let messages = &conversation.messages[conversation.messages.len() - count..];
        let messages = messages.iter().map(encoded).collect();
        raw::SyncedConversation { state: encoded(&state(id, conversation)), messages, too_old }
    }

    fn refuse(&mut self, request: u64, code: ErrorCode) {
        encode_message(Opcode::Error, request, &error(code, 0), &mut self.outgoing);
    }

    fn reply(&mut self, opcode: Opcode, request: u64, message: &impl prost::Message) {
        encode_message(opcode, request, message, &mut self.outgoing);
    }
}

pub(crate) fn state(id: ConversationId, conversation: &Conversation) -> raw::Conversation {
    if conversation.gone {
        let id = Some(id.to_wire());
        return raw::Conversation { id, gone: true, ..raw::Conversation::default() };
    }
    let cursor = |cursors: &BTreeMap<u64, u64>, user| cursors.get(&user).copied().unwrap_or(0);
    raw::Conversation {
        id: Some(id.to_wire()),
        last_seq: conversation.last_seq(),
        delivered_seq: cursor(&conversation.delivered, ME),
        read_seq: cursor(&conversation.read, ME),
        unread: conversation.unread(),
        first_seq: conversation.joined_seq,
        last_message: conversation.messages.last().map(encoded),
        peer_delivered_seq: cursor(&conversation.delivered, PEER),
        peer_read_seq: cursor(&conversation.read, PEER),
        group: conversation.group.clone(),
        gone: false,
    }
}

pub(crate) fn error(code: ErrorCode, retry_after_ms: u32) -> pb::Error {
    pb::Error { code: code.number(), message: "test".into(), retry_after_ms }
}

pub(crate) fn text_body(text: &str) -> pb::Body {
    pb::Body { kind: Some(pb::body::Kind::Text(text.into())) }
}

fn encoded(message: &impl prost::Message) -> Bytes {
    message.encode_to_vec().into()
}

/// A state as ConversationChanged tells it.
pub(crate) fn changed(id: ConversationId, conversation: &Conversation) -> raw::ConversationChanged {
    raw::ConversationChanged { conversation: Some(encoded(&state(id, conversation))) }
}

fn profile(user: u64) -> pb::Profile {
    pb::Profile { user, name: format!("user{user}"), display_name: format!("User {user}") }
}

fn id_of(id: Option<&pb::ConversationId>) -> ConversationId {
    id.and_then(ConversationId::from_wire).expect("a valid conversation")
}

fn raise(cursors: &mut BTreeMap<u64, u64>, seq: u64) {
    let cursor = cursors.entry(ME).or_default();
    *cursor = seq.max(*cursor);
}
