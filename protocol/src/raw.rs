//! The same messages as in [`crate::pb`], byte for byte, with the parts that
//! are only passed on or kept left encoded. So a body is never re-encoded,
//! on a server or on a device, and what a future client puts into it
//! survives.

use bytes::Bytes;
use prost::Message;

use crate::pb;

/// [`pb::Send`] with the body left encoded.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Send {
    /// As in [`pb::Send`].
    #[prost(message, optional, tag = "1")]
    pub conversation: Option<pb::ConversationId>,
    /// As in [`pb::Send`].
    #[prost(bytes = "bytes", tag = "2")]
    pub client_msg_id: Bytes,
    /// An encoded [`pb::Body`].
    #[prost(bytes = "bytes", tag = "3")]
    pub body: Bytes,
    /// As in [`pb::Send`].
    #[prost(enumeration = "pb::AckLevel", tag = "4")]
    pub level: i32,
}

/// [`pb::Message`] with the body left encoded.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct StoredMessage {
    /// As in [`pb::Message`].
    #[prost(message, optional, tag = "1")]
    pub conversation: Option<pb::ConversationId>,
    /// As in [`pb::Message`].
    #[prost(uint64, tag = "2")]
    pub seq: u64,
    /// As in [`pb::Message`].
    #[prost(uint64, tag = "3")]
    pub message_id: u64,
    /// As in [`pb::Message`].
    #[prost(uint64, tag = "4")]
    pub sender: u64,
    /// As in [`pb::Message`].
    #[prost(uint64, tag = "5")]
    pub time_ms: u64,
    /// As in [`pb::Message`].
    #[prost(bytes = "bytes", tag = "6")]
    pub client_msg_id: Bytes,
    /// An encoded [`pb::Body`].
    #[prost(bytes = "bytes", tag = "7")]
    pub body: Bytes,
}

/// [`pb::HistoryPage`] with each message left encoded.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct HistoryPage {
    /// Each an encoded [`pb::Message`].
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pub messages: Vec<Bytes>,
    /// As in [`pb::HistoryPage`].
    #[prost(bool, tag = "2")]
    pub more: bool,
    /// As in [`pb::HistoryPage`].
    #[prost(uint64, tag = "3")]
    pub first_seq: u64,
    /// As in [`pb::HistoryPage`].
    #[prost(uint64, tag = "4")]
    pub last_seq: u64,
}

/// [`pb::SyncedConversation`] with state and messages left encoded.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct SyncedConversation {
    /// An encoded [`pb::Conversation`].
    #[prost(bytes = "bytes", tag = "1")]
    pub state: Bytes,
    /// Each an encoded [`pb::Message`].
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub messages: Vec<Bytes>,
    /// As in [`pb::SyncedConversation`].
    #[prost(bool, tag = "3")]
    pub too_old: bool,
}

/// [`pb::Conversation`] with the last message left encoded.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Conversation {
    /// As in [`pb::Conversation`].
    #[prost(message, optional, tag = "1")]
    pub id: Option<pb::ConversationId>,
    /// As in [`pb::Conversation`].
    #[prost(uint64, tag = "2")]
    pub last_seq: u64,
    /// As in [`pb::Conversation`].
    #[prost(uint64, tag = "3")]
    pub delivered_seq: u64,
    /// As in [`pb::Conversation`].
    #[prost(uint64, tag = "4")]
    pub read_seq: u64,
    /// As in [`pb::Conversation`].
    #[prost(uint64, tag = "5")]
    pub unread: u64,
    /// As in [`pb::Conversation`].
    #[prost(uint64, tag = "6")]
    pub first_seq: u64,
    /// An encoded [`pb::Message`].
    #[prost(bytes = "bytes", optional, tag = "7")]
    pub last_message: Option<Bytes>,
    /// As in [`pb::Conversation`].
    #[prost(uint64, tag = "8")]
    pub peer_delivered_seq: u64,
    /// As in [`pb::Conversation`].
    #[prost(uint64, tag = "9")]
    pub peer_read_seq: u64,
    /// As in [`pb::Conversation`].
    #[prost(message, optional, tag = "10")]
    pub group: Option<pb::Group>,
    /// As in [`pb::Conversation`].
    #[prost(bool, tag = "11")]
    pub gone: bool,
}

/// [`pb::ConversationChanged`] with the state left encoded.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ConversationChanged {
    /// An encoded [`pb::Conversation`].
    #[prost(bytes = "bytes", optional, tag = "1")]
    pub conversation: Option<Bytes>,
}

/// [`pb::SyncPage`] with each conversation left encoded.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct SyncPage {
    /// Each an encoded [`pb::SyncedConversation`].
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pub conversations: Vec<Bytes>,
    /// As in [`pb::SyncPage`].
    #[prost(message, repeated, tag = "2")]
    pub profiles: Vec<pb::Profile>,
    /// As in [`pb::SyncPage`].
    #[prost(uint64, tag = "3")]
    pub next_page: u64,
    /// As in [`pb::SyncPage`].
    #[prost(uint64, tag = "4")]
    pub server_time_ms: u64,
}

/// [`pb::Welcome`] with the page left encoded.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Welcome {
    /// As in [`pb::Welcome`].
    #[prost(uint64, tag = "1")]
    pub server_time_ms: u64,
    /// As in [`pb::Welcome`].
    #[prost(string, tag = "2")]
    pub server: String,
    /// As in [`pb::Welcome`].
    #[prost(uint32, tag = "3")]
    pub max_frame_bytes: u32,
    /// As in [`pb::Welcome`].
    #[prost(uint32, tag = "4")]
    pub heartbeat_ms: u32,
    /// As in [`pb::Welcome`].
    #[prost(message, optional, tag = "5")]
    pub session: Option<pb::Session>,
    /// An encoded [`pb::SyncPage`].
    #[prost(bytes = "bytes", optional, tag = "6")]
    pub resumed: Option<Bytes>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_forms_are_the_same_bytes() {
        let body = pb::Body { kind: Some(pb::body::Kind::Text("hi".into())) };
        let whole = pb::Message {
            conversation: Some(pb::ConversationId { group: 4, low_user: 0, high_user: 0 }),
            seq: 1,
            message_id: 2,
            sender: 3,
            time_ms: 4,
            client_msg_id: Bytes::from_static(&[9; 16]),
            body: Some(body.clone()),
        };
        let raw = StoredMessage {
            conversation: whole.conversation,
            seq: 1,
            message_id: 2,
            sender: 3,
            time_ms: 4,
            client_msg_id: whole.client_msg_id.clone(),
            body: body.encode_to_vec().into(),
        };
        assert_eq!(raw.encode_to_vec(), whole.encode_to_vec());
        let page = HistoryPage {
            messages: vec![raw.encode_to_vec().into()],
            more: true,
            first_seq: 1,
            last_seq: 1,
        };
        let decoded = pb::HistoryPage::decode(page.encode_to_vec().as_slice()).unwrap();
        assert_eq!(decoded.messages, [whole]);
    }

    /// Bytes of a message whose body has a field from the future.
    fn from_the_future() -> Bytes {
        let raw = StoredMessage {
            conversation: Some(pb::ConversationId { group: 4, low_user: 0, high_user: 0 }),
            seq: 1,
            // text "hi", then field 99 as a varint.
            body: Bytes::from_static(&[0x0a, 2, b'h', b'i', 0x98, 0x06, 7]),
            ..StoredMessage::default()
        };
        raw.encode_to_vec().into()
    }

    #[test]
    fn what_a_page_carries_keeps_its_bytes() {
        let message = from_the_future();
        let state = Conversation {
            id: Some(pb::ConversationId { group: 4, low_user: 0, high_user: 0 }),
            last_seq: 1,
            last_message: Some(message.clone()),
            ..Conversation::default()
        };
        let state: Bytes = state.encode_to_vec().into();
        let synced = SyncedConversation {
            state: state.clone(),
            messages: vec![message.clone()],
            too_old: true,
        };
        let page = SyncPage {
            conversations: vec![synced.encode_to_vec().into()],
            profiles: vec![pb::Profile { user: 5, ..pb::Profile::default() }],
            next_page: 6,
            server_time_ms: 7,
        };
        let welcome = Welcome {
            server_time_ms: 8,
            server: "s".into(),
            max_frame_bytes: 9,
            heartbeat_ms: 10,
            session: Some(pb::Session { user_id: 11, ..pb::Session::default() }),
            resumed: Some(page.encode_to_vec().into()),
        };
        // What everybody else reads is the same message.
        let read = pb::Welcome::decode(welcome.encode_to_vec().as_slice()).unwrap();
        assert_eq!((read.server_time_ms, read.max_frame_bytes, read.heartbeat_ms), (8, 9, 10));
        let read = read.resumed.unwrap();
        assert_eq!((read.next_page, read.server_time_ms), (6, 7));
        assert_eq!(read.profiles[0].user, 5);
        assert_eq!(read.conversations[0].messages[0].seq, 1);
        // And read raw it is byte for byte what was put in.
        let read = Welcome::decode(welcome.encode_to_vec().as_slice()).unwrap();
        let read = SyncPage::decode(read.resumed.unwrap()).unwrap();
        let read = SyncedConversation::decode(read.conversations[0].clone()).unwrap();
        assert_eq!((&read.state, &read.messages), (&state, &vec![message.clone()]));
        let changed = ConversationChanged { conversation: Some(state) };
        let read = ConversationChanged::decode(changed.encode_to_vec().as_slice()).unwrap();
        let read = Conversation::decode(read.conversation.unwrap()).unwrap();
        assert_eq!(read.last_message, Some(message));
    }
}
