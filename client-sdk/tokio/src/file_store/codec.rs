//! [`StoreOp`]s as protobuf. Field numbers are part of what is on disk: they
//! are never used again for something else, and unknown ones are passed over.

use std::sync::Arc;

use bytes::Bytes;
use hongyan_client_core::conversation::{ConversationRecord, GroupInfo};
use hongyan_client_core::outbox::OutboxEntry;
use hongyan_client_core::store::{Account, Tokens};
use hongyan_client_core::{
    AckLevel, Body, ClientMsgId, ConversationId, Message, Profile, StoreOp, StoredState, UserId, pb,
};
use hongyan_protocol::raw;
use prost::Message as _;

#[derive(Clone, PartialEq, prost::Message)]
struct Batch {
    #[prost(message, repeated, tag = "1")]
    ops: Vec<Op>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Op {
    #[prost(oneof = "Kind", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11")]
    kind: Option<Kind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Kind {
    #[prost(bool, tag = "1")]
    ClearAccount(bool),
    #[prost(message, tag = "2")]
    KeepMessages(Keep),
    #[prost(message, tag = "3")]
    PutMessages(Messages),
    #[prost(message, tag = "4")]
    PutConversation(Box<Conversation>),
    #[prost(message, tag = "5")]
    PutOutbox(Entry),
    #[prost(message, tag = "6")]
    PutProfile(pb::Profile),
    #[prost(bytes = "bytes", tag = "7")]
    RemoveOutbox(Bytes),
    #[prost(message, tag = "8")]
    SetAccount(pb::Profile),
    #[prost(string, tag = "9")]
    SetDevice(String),
    #[prost(message, tag = "10")]
    SetTokens(pb::Tokens),
    #[prost(bool, tag = "11")]
    ForgetTokens(bool),
}

#[derive(Clone, PartialEq, prost::Message)]
struct Keep {
    #[prost(message, optional, tag = "1")]
    conversation: Option<pb::ConversationId>,
    #[prost(uint64, tag = "2")]
    from_seq: u64,
    #[prost(uint64, tag = "3")]
    to_seq: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Messages {
    #[prost(message, repeated, tag = "1")]
    messages: Vec<raw::StoredMessage>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Conversation {
    #[prost(message, optional, tag = "1")]
    id: Option<pb::ConversationId>,
    #[prost(uint64, tag = "2")]
    last_seq: u64,
    #[prost(uint64, tag = "3")]
    delivered_seq: u64,
    #[prost(uint64, tag = "4")]
    read_seq: u64,
    #[prost(uint64, tag = "5")]
    read_confirmed_seq: u64,
    #[prost(uint64, tag = "6")]
    floor_seq: u64,
    #[prost(uint64, tag = "7")]
    first_seq: u64,
    #[prost(uint64, tag = "8")]
    peer_delivered_seq: u64,
    #[prost(uint64, tag = "9")]
    peer_read_seq: u64,
    #[prost(message, optional, tag = "10")]
    group: Option<pb::Group>,
    #[prost(bool, tag = "11")]
    gone: bool,
    #[prost(uint64, tag = "12")]
    activity_ms: u64,
    #[prost(uint64, tag = "13")]
    group_seq: u64,
    /// What was kept before there was this field was told of, all of it.
    #[prost(uint64, optional, tag = "14")]
    told_seq: Option<u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Entry {
    #[prost(uint64, tag = "1")]
    order: u64,
    #[prost(bytes = "bytes", tag = "2")]
    client_msg_id: Bytes,
    #[prost(message, optional, tag = "3")]
    conversation: Option<pb::ConversationId>,
    #[prost(message, optional, tag = "4")]
    body: Option<pb::Body>,
    #[prost(enumeration = "pb::AckLevel", tag = "5")]
    level: i32,
    #[prost(uint64, tag = "6")]
    created_ms: u64,
    #[prost(uint32, optional, tag = "7")]
    failed_code: Option<u32>,
}

/// The bytes of a batch; never empty.
pub(super) fn encode(ops: &[StoreOp]) -> Vec<u8> {
    let mut ops: Vec<_> = ops.iter().map(|op| Op { kind: Some(kind(op)) }).collect();
    if ops.is_empty() {
        ops.push(Op { kind: None });
    }
    Batch { ops }.encode_to_vec()
}

/// The inverse of [`encode`]; `None` when this is no batch. Operations that
/// are not known are passed over.
pub(super) fn decode(bytes: Bytes) -> Option<Vec<StoreOp>> {
    Batch::decode(bytes).ok()?.ops.into_iter().filter_map(|op| op.kind).map(op).collect()
}

/// Operations that make `state` out of nothing.
pub(super) fn whole(state: &StoredState) -> Vec<StoreOp> {
    let mut ops = Vec::new();
    ops.extend(state.device_id.clone().map(StoreOp::SetDevice));
    ops.extend(state.account.clone().map(StoreOp::SetAccount));
    ops.extend(state.tokens.clone().map(|tokens| StoreOp::SetTokens(Some(tokens))));
    ops.extend(state.outbox.values().cloned().map(StoreOp::PutOutbox));
    ops.extend(state.conversations.values().cloned().map(StoreOp::PutConversation));
    ops.extend(state.profiles.values().cloned().map(StoreOp::PutProfile));
    ops.extend(
        state
            .messages
            .values()
            .flat_map(|messages| messages.values())
            .map(|message| StoreOp::PutMessages(vec![Arc::clone(message)])),
    );
    ops
}

fn kind(op: &StoreOp) -> Kind {
    match op {
        StoreOp::ClearAccount => Kind::ClearAccount(true),
        StoreOp::KeepMessages { conversation, from_seq, to_seq } => Kind::KeepMessages(Keep {
            conversation: Some(conversation.to_wire()),
            from_seq: *from_seq,
            to_seq: *to_seq,
        }),
        StoreOp::PutMessages(messages) => Kind::PutMessages(Messages {
            messages: messages.iter().map(|message| message.to_wire()).collect(),
        }),
        StoreOp::PutConversation(record) => {
            Kind::PutConversation(Box::new(conversation_to_disk(record)))
        }
        StoreOp::PutOutbox(entry) => Kind::PutOutbox(Entry {
            order: entry.order,
            client_msg_id: id_to_disk(entry.client_msg_id),
            conversation: Some(entry.conversation.to_wire()),
            body: Some(entry.body.to_wire()),
            level: entry.level.to_wire().into(),
            created_ms: entry.created_ms,
            failed_code: entry.failed_code,
        }),
        StoreOp::PutProfile(profile) => {
            Kind::PutProfile(person(profile.user, &profile.name, &profile.display_name))
        }
        StoreOp::RemoveOutbox(id) => Kind::RemoveOutbox(id_to_disk(*id)),
        StoreOp::SetAccount(account) => {
            Kind::SetAccount(person(account.user, &account.name, &account.display_name))
        }
        StoreOp::SetDevice(id) => Kind::SetDevice(id.clone()),
        StoreOp::SetTokens(Some(tokens)) => Kind::SetTokens(pb::Tokens {
            access_token: tokens.access_token.clone(),
            access_expires_ms: tokens.access_expires_ms,
            refresh_token: tokens.refresh_token.clone(),
            refresh_expires_ms: tokens.refresh_expires_ms,
        }),
        StoreOp::SetTokens(None) => Kind::ForgetTokens(true),
    }
}

fn op(kind: Kind) -> Option<StoreOp> {
    Some(match kind {
        Kind::ClearAccount(_) => StoreOp::ClearAccount,
        Kind::KeepMessages(keep) => StoreOp::KeepMessages {
            conversation: ConversationId::from_wire(&keep.conversation?)?,
            from_seq: keep.from_seq,
            to_seq: keep.to_seq,
        },
        Kind::PutMessages(messages) => StoreOp::PutMessages(
            messages
                .messages
                .into_iter()
                .map(|message| Message::from_wire(message).map(Arc::new))
                .collect::<Option<_>>()?,
        ),
        Kind::PutConversation(record) => StoreOp::PutConversation(conversation(*record)?),
        Kind::PutOutbox(entry) => StoreOp::PutOutbox(OutboxEntry {
            order: entry.order,
            client_msg_id: ClientMsgId::from_slice(&entry.client_msg_id)?,
            conversation: ConversationId::from_wire(&entry.conversation?)?,
            body: Body::from_wire(entry.body),
            level: AckLevel::from_wire(entry.level),
            created_ms: entry.created_ms,
            failed_code: entry.failed_code,
        }),
        Kind::PutProfile(profile) => StoreOp::PutProfile(Profile::from_wire(profile)?),
        Kind::RemoveOutbox(id) => StoreOp::RemoveOutbox(ClientMsgId::from_slice(&id)?),
        Kind::SetAccount(account) => StoreOp::SetAccount(Account {
            user: UserId::new(account.user)?,
            name: account.name,
            display_name: account.display_name,
        }),
        Kind::SetDevice(id) => StoreOp::SetDevice(id),
        Kind::SetTokens(tokens) => StoreOp::SetTokens(Some(Tokens {
            access_token: tokens.access_token,
            access_expires_ms: tokens.access_expires_ms,
            refresh_token: tokens.refresh_token,
            refresh_expires_ms: tokens.refresh_expires_ms,
        })),
        Kind::ForgetTokens(_) => StoreOp::SetTokens(None),
    })
}

fn conversation_to_disk(record: &ConversationRecord) -> Conversation {
    Conversation {
        id: Some(record.id.to_wire()),
        last_seq: record.last_seq,
        delivered_seq: record.delivered_seq,
        read_seq: record.read_seq,
        read_confirmed_seq: record.read_confirmed_seq,
        floor_seq: record.floor_seq,
        first_seq: record.first_seq,
        peer_delivered_seq: record.peer_delivered_seq,
        peer_read_seq: record.peer_read_seq,
        group: record.group.as_ref().map(GroupInfo::to_wire),
        gone: record.gone,
        activity_ms: record.activity_ms,
        group_seq: record.group_seq,
        told_seq: Some(record.told_seq),
    }
}

fn conversation(record: Conversation) -> Option<ConversationRecord> {
    Some(ConversationRecord {
        id: ConversationId::from_wire(&record.id?)?,
        last_seq: record.last_seq,
        delivered_seq: record.delivered_seq,
        read_seq: record.read_seq,
        read_confirmed_seq: record.read_confirmed_seq,
        floor_seq: record.floor_seq,
        first_seq: record.first_seq,
        peer_delivered_seq: record.peer_delivered_seq,
        peer_read_seq: record.peer_read_seq,
        group: record.group.and_then(GroupInfo::from_wire),
        gone: record.gone,
        activity_ms: record.activity_ms,
        group_seq: record.group_seq,
        told_seq: record.told_seq.unwrap_or(u64::MAX),
    })
}

fn person(user: UserId, name: &str, display_name: &str) -> pb::Profile {
    pb::Profile { user: user.get(), name: name.into(), display_name: display_name.into() }
}

fn id_to_disk(id: ClientMsgId) -> Bytes {
    Bytes::copy_from_slice(id.as_bytes())
}
