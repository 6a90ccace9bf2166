//! Keys of the views: what an entity is stored under.
//!
//! ```text
//! slot u16 BE | kind u8 | rest
//! kind 01 partition   partition u16 BE        (slot = first slot)
//!      02 name        UTF-8
//!      03 account     user u64 BE
//!      04 inbox       user u64 BE
//!      05 conversation  two u64 BE
//!      06 page        two u64 BE | first seq u64 BE
//! ```
//!
//! Big-endian numbers, so that the order of keys is the order of pages.

use bytes::{BufMut, Bytes, BytesMut};
use hongyan_protocol::ids::Slot;
use hongyan_protocol::{ConversationId, UserId};

use crate::routing::PartitionId;

const PARTITION: u8 = 1;
const NAME: u8 = 2;
const ACCOUNT: u8 = 3;
const INBOX: u8 = 4;
const CONVERSATION: u8 = 5;
const PAGE: u8 = 6;

/// One unit of state, loaded and settled as a whole.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntityKey {
    /// What a partition counts and owes.
    Partition(PartitionId),
    /// Who has a name.
    Name(String),
    /// An account and its devices.
    Account(UserId),
    /// A user's list of conversations.
    Inbox(UserId),
    /// Members, cursors and the last seq.
    Conversation(ConversationId),
}

impl EntityKey {
    /// The slot it lives in.
    pub fn slot(&self) -> Slot {
        match self {
            Self::Partition(partition) => partition.first_slot(),
            Self::Name(name) => Slot::of_name(name),
            Self::Account(user) | Self::Inbox(user) => user.slot(),
            Self::Conversation(conversation) => conversation.slot(),
        }
    }

    /// The bytes it is stored under.
    pub fn to_bytes(&self) -> Bytes {
        let mut key = BytesMut::with_capacity(32);
        key.put_u16(self.slot().number());
        match self {
            Self::Partition(partition) => {
                key.put_u8(PARTITION);
                key.put_u16(partition.0);
            }
            Self::Name(name) => {
                key.put_u8(NAME);
                key.put_slice(name.as_bytes());
            }
            Self::Account(user) => {
                key.put_u8(ACCOUNT);
                key.put_u64(user.get());
            }
            Self::Inbox(user) => {
                key.put_u8(INBOX);
                key.put_u64(user.get());
            }
            Self::Conversation(conversation) => {
                key.put_u8(CONVERSATION);
                put_conversation(&mut key, *conversation);
            }
        }
        key.freeze()
    }

    /// The inverse of [`EntityKey::to_bytes`]; `None` for the key of a page
    /// and for bytes that are no key.
    pub fn from_bytes(key: &[u8]) -> Option<Self> {
        let rest = key.get(3..)?;
        let word = |at: usize| -> Option<u64> {
            Some(u64::from_be_bytes(rest.get(at..at + 8)?.try_into().ok()?))
        };
        let parsed = match key[2] {
            PARTITION => Self::Partition(PartitionId(u16::from_be_bytes(rest.try_into().ok()?))),
            NAME => Self::Name(String::from_utf8(rest.to_vec()).ok()?),
            ACCOUNT => Self::Account(UserId::new(word(0)?)?),
            INBOX => Self::Inbox(UserId::new(word(0)?)?),
            CONVERSATION => Self::Conversation(ConversationId::from_words(word(0)?, word(8)?)?),
            _ => return None,
        };
        (parsed.to_bytes() == key).then_some(parsed)
    }
}

/// The key of the page of `conversation` that begins with `first_seq`.
pub fn page_key(conversation: ConversationId, first_seq: u64) -> Bytes {
    let mut key = BytesMut::with_capacity(27);
    key.put_u16(conversation.slot().number());
    key.put_u8(PAGE);
    put_conversation(&mut key, conversation);
    key.put_u64(first_seq);
    key.freeze()
}

/// Which page a key names; `None` when it is not the key of a page.
pub fn parse_page_key(key: &[u8]) -> Option<(ConversationId, u64)> {
    if key.len() != 27 || key[2] != PAGE {
        return None;
    }
    let word = |at: usize| -> Option<u64> {
        Some(u64::from_be_bytes(key.get(at..at + 8)?.try_into().ok()?))
    };
    let conversation = ConversationId::from_words(word(3)?, word(11)?)?;
    Some((conversation, word(19)?))
}

fn put_conversation(key: &mut BytesMut, conversation: ConversationId) {
    let (first, second) = conversation.to_words();
    key.put_u64(first);
    key.put_u64(second);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back() {
        let a = UserId::new(4097).unwrap();
        let b = UserId::new(8195).unwrap();
        let conversation = ConversationId::direct(a, b).unwrap();
        for key in [
            EntityKey::Partition(PartitionId(3)),
            EntityKey::Name("alice".into()),
            EntityKey::Account(a),
            EntityKey::Inbox(b),
            EntityKey::Conversation(conversation),
        ] {
            assert_eq!(EntityKey::from_bytes(&key.to_bytes()), Some(key));
        }
        let page = page_key(conversation, 7);
        assert_eq!(parse_page_key(&page), Some((conversation, 7)));
        assert_eq!(EntityKey::from_bytes(&page), None);
        assert_eq!(EntityKey::from_bytes(b""), None);
    }
}
