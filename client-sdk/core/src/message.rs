//! Messages as an app sees them: typed, checked, and free of the receive
//! buffer they came in.

use std::fmt;

use bytes::Bytes;
use hongyan_protocol::ids::{ConversationId, UserId};
use hongyan_protocol::limits::{
    CLIENT_ID_BYTES, CONTENT_TYPE_BYTES_MAX, OPAQUE_BYTES_MAX, SUMMARY_BYTES_MAX, TEXT_BYTES_MAX,
};
use hongyan_protocol::{pb, raw};
use prost::Message as _;

use crate::error::ClientError;

/// Names one message of one sender for ever: the same in every retry.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientMsgId([u8; CLIENT_ID_BYTES]);

impl ClientMsgId {
    /// The id with these bytes; they must be drawn at random or be unique in
    /// another way.
    pub const fn new(bytes: [u8; CLIENT_ID_BYTES]) -> Self {
        Self(bytes)
    }

    /// Reads the wire form; `None` unless it is 16 bytes.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// As it goes over the wire.
    pub const fn as_bytes(&self) -> &[u8; CLIENT_ID_BYTES] {
        &self.0
    }

    pub(crate) fn to_wire(self) -> Bytes {
        Bytes::copy_from_slice(&self.0)
    }
}

impl fmt::Debug for ClientMsgId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for ClientMsgId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// How safe a message must be before it is acknowledged; a higher level is
/// safer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum AckLevel {
    /// In the server's memory.
    Accepted,
    /// In the kernel: survives a killed server, not a power cut.
    Written,
    /// On the disk: survives a power cut.
    #[default]
    Durable,
}

impl AckLevel {
    /// The wire form.
    pub const fn to_wire(self) -> pb::AckLevel {
        match self {
            Self::Accepted => pb::AckLevel::Accepted,
            Self::Written => pb::AckLevel::Written,
            Self::Durable => pb::AckLevel::Durable,
        }
    }

    /// Reads the wire form; a level that is not known counts as the weakest.
    pub fn from_wire(level: i32) -> Self {
        match pb::AckLevel::try_from(level) {
            Ok(pb::AckLevel::Durable) => Self::Durable,
            Ok(pb::AckLevel::Written) => Self::Written,
            Ok(pb::AckLevel::Accepted) | Err(_) => Self::Accepted,
        }
    }
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Body {
    /// 1 to 16,384 bytes.
    Text(String),
    /// A typed body that the server does not look into.
    Opaque {
        /// A media type, 1 to 128 bytes.
        content_type: String,
        /// At most 65,536 bytes.
        data: Bytes,
        /// What lists may show instead; at most 256 bytes.
        summary: String,
    },
    /// A change of the group. Only the server writes these.
    Event(pb::GroupEvent),
    /// A kind that this version does not know.
    Unknown,
}

impl Body {
    /// The text of a text message.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Reads the wire form, copying out of the receive buffer.
    pub fn from_wire(body: Option<pb::Body>) -> Self {
        match body.and_then(|body| body.kind) {
            Some(pb::body::Kind::Text(text)) => Self::Text(text),
            Some(pb::body::Kind::Opaque(opaque)) => Self::Opaque {
                content_type: opaque.content_type,
                data: Bytes::copy_from_slice(&opaque.data),
                summary: opaque.summary,
            },
            Some(pb::body::Kind::Event(event)) => Self::Event(event),
            None => Self::Unknown,
        }
    }

    /// The wire form.
    pub fn to_wire(&self) -> pb::Body {
        let kind = match self {
            Self::Text(text) => Some(pb::body::Kind::Text(text.clone())),
            Self::Opaque { content_type, data, summary } => {
                Some(pb::body::Kind::Opaque(pb::Opaque {
                    content_type: content_type.clone(),
                    data: data.clone(),
                    summary: summary.clone(),
                }))
            }
            Self::Event(event) => Some(pb::body::Kind::Event(event.clone())),
            Self::Unknown => None,
        };
        pb::Body { kind }
    }

    /// Checks what the server would refuse for certain.
    ///
    /// # Errors
    /// [`ClientError::Invalid`] when a part is empty that must not be, over
    /// its limit, or of a kind that clients may not send.
    pub fn check(&self) -> Result<(), ClientError> {
        match self {
            Self::Text(text) if text.is_empty() => Err(ClientError::Invalid("the text is empty")),
            Self::Text(text) if text.len() > TEXT_BYTES_MAX => {
                Err(ClientError::Invalid("the text is over 16,384 bytes"))
            }
            Self::Text(_) => Ok(()),
            Self::Opaque { content_type, data, summary } => {
                if content_type.is_empty() || content_type.len() > CONTENT_TYPE_BYTES_MAX {
                    Err(ClientError::Invalid("the content type is not 1 to 128 bytes"))
                } else if data.len() > OPAQUE_BYTES_MAX {
                    Err(ClientError::Invalid("the data is over 65,536 bytes"))
                } else if summary.len() > SUMMARY_BYTES_MAX {
                    Err(ClientError::Invalid("the summary is over 256 bytes"))
                } else {
                    Ok(())
                }
            }
            Self::Event(_) | Self::Unknown => {
                Err(ClientError::Invalid("clients cannot send this kind of body"))
            }
        }
    }
}

impl From<&str> for Body {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// A message that the server stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Where it was said.
    pub conversation: ConversationId,
    /// Its place in the conversation, from 1.
    pub seq: u64,
    /// Unique in the whole system.
    pub message_id: u64,
    /// Who sent it; `None` for what the server itself says.
    pub sender: Option<UserId>,
    /// When the server stored it, in milliseconds since 1970.
    pub time_ms: u64,
    /// The sender's name for it.
    pub client_msg_id: Option<ClientMsgId>,
    /// What it says, as far as this version knows it.
    pub body: Body,
    /// The body as it came, when it says more than `body` can: a kind or
    /// fields from a newer client. `None` when `body` is all of it.
    pub newer_body: Option<Bytes>,
}

impl Message {
    /// Reads the wire form; `None` when it names no conversation or has no
    /// place in it. A body that cannot be read is [`Body::Unknown`].
    pub fn from_wire(message: raw::StoredMessage) -> Option<Self> {
        let (body, newer_body) = read_body(&message.body);
        Some(Self {
            conversation: ConversationId::from_wire(&message.conversation?)?,
            seq: (message.seq > 0).then_some(message.seq)?,
            message_id: message.message_id,
            sender: UserId::new(message.sender),
            time_ms: message.time_ms,
            client_msg_id: ClientMsgId::from_slice(&message.client_msg_id),
            body,
            newer_body,
        })
    }

    /// Reads an encoded [`pb::Message`]; `None` when it is none, and as
    /// [`Message::from_wire`].
    pub fn decode(encoded: Bytes) -> Option<Self> {
        raw::StoredMessage::decode(encoded).ok().and_then(Self::from_wire)
    }

    /// The wire form; the body is byte for byte as it came.
    pub fn to_wire(&self) -> raw::StoredMessage {
        raw::StoredMessage {
            conversation: Some(self.conversation.to_wire()),
            seq: self.seq,
            message_id: self.message_id,
            sender: self.sender.map_or(0, UserId::get),
            time_ms: self.time_ms,
            client_msg_id: self.client_msg_id.map(ClientMsgId::to_wire).unwrap_or_default(),
            body: self.encoded_body(),
        }
    }

    /// The whole body as an encoded [`pb::Body`], also what this version does
    /// not know.
    pub fn encoded_body(&self) -> Bytes {
        match &self.newer_body {
            Some(body) => body.clone(),
            None => self.body.to_wire().encode_to_vec().into(),
        }
    }
}

/// What is known of an encoded body, and all of it where that is not enough
/// to write it again.
fn read_body(encoded: &Bytes) -> (Body, Option<Bytes>) {
    let body = pb::Body::decode(encoded.clone());
    let body = body.map_or(Body::Unknown, |body| Body::from_wire(Some(body)));
    let all = body.to_wire().encode_to_vec() == *encoded;
    // A copy: the receive buffer that it lies in must not live as long.
    (body, (!all).then(|| Bytes::copy_from_slice(encoded)))
}

/// The server's word that it has a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SendAck {
    /// Unique in the whole system.
    pub message_id: u64,
    /// The message's place in its conversation.
    pub seq: u64,
    /// When the server stored it, in milliseconds since 1970.
    pub time_ms: u64,
    /// The level that was reached.
    pub level: AckLevel,
    /// An earlier attempt had already stored it.
    pub repeated_send: bool,
}

impl From<pb::SendAck> for SendAck {
    fn from(ack: pb::SendAck) -> Self {
        Self {
            message_id: ack.message_id,
            seq: ack.seq,
            time_ms: ack.time_ms,
            level: AckLevel::from_wire(ack.level),
            repeated_send: ack.repeated_send,
        }
    }
}

/// How far one of the user's own messages got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendState {
    /// In the outbox: it will be sent until the result is definite.
    Sending,
    /// The server has it.
    Saved {
        /// How safe it was when the server said so.
        level: AckLevel,
    },
    /// The other person's device has it. Direct conversations only.
    Delivered,
    /// The other person has read it. Direct conversations only.
    Read,
    /// The server refused it for good, or it could not be kept.
    Failed {
        /// Why.
        error: ClientError,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_checked_at_their_limits() {
        assert!(Body::from("").check().is_err());
        assert!(Body::from("x".repeat(TEXT_BYTES_MAX)).check().is_ok());
        assert!(Body::from("x".repeat(TEXT_BYTES_MAX + 1)).check().is_err());
        let opaque = |content_type: &str, data: usize| Body::Opaque {
            content_type: content_type.into(),
            data: vec![0; data].into(),
            summary: String::new(),
        };
        assert!(opaque("a/b", OPAQUE_BYTES_MAX).check().is_ok());
        assert!(opaque("a/b", OPAQUE_BYTES_MAX + 1).check().is_err());
        assert!(opaque("", 1).check().is_err());
        assert!(Body::Unknown.check().is_err());
    }

    #[test]
    fn messages_survive_the_wire() {
        let conversation = ConversationId::direct(
            UserId::new(4097).expect("not zero"),
            UserId::new(8194).expect("not zero"),
        )
        .expect("two people");
        let message = Message {
            conversation,
            seq: 3,
            message_id: 9,
            sender: UserId::new(4097),
            time_ms: 5,
            client_msg_id: Some(ClientMsgId::new([7; 16])),
            body: Body::from("hi"),
            newer_body: None,
        };
        assert_eq!(Message::from_wire(message.to_wire()), Some(message.clone()));
        let nowhere = raw::StoredMessage { seq: 0, ..message.to_wire() };
        assert_eq!(Message::from_wire(nowhere), None);
    }

    fn with_body(body: &[u8]) -> Message {
        let stored = raw::StoredMessage {
            conversation: Some(pb::ConversationId { group: 4097, low_user: 0, high_user: 0 }),
            seq: 1,
            body: Bytes::copy_from_slice(body),
            ..raw::StoredMessage::default()
        };
        Message::from_wire(stored).expect("it has a place")
    }

    #[test]
    fn a_body_from_a_newer_client_keeps_its_bytes() {
        let text = [0x0a, 2, b'h', b'i'];
        let plain = with_body(&text);
        assert_eq!((plain.body.text(), &plain.newer_body), (Some("hi"), &None));
        // Field 99 behind the text, a kind of its own, no body, and bytes
        // that are no message at all.
        let more = [&text[..], &[0x98, 0x06, 7]].concat();
        for body in [&more[..], &[0xfa, 0x01, 1, 9], &[], &[0xff]] {
            let message = with_body(body);
            assert_eq!(message.encoded_body(), body);
            let known = if body == more { Some("hi") } else { None };
            assert_eq!(message.body.text(), known);
            assert_eq!(Message::from_wire(message.to_wire()), Some(message));
        }
    }
}
