//! Ids as types of their own, and the one place that says which slot an id
//! belongs to.
//!
//! Every id that names a thing with state carries its [`Slot`], so routing
//! needs no table: a user id and a group id hold it in their low 12 bits, a
//! direct conversation's is mixed from its two users.
//!
//! ```text
//! user id, group id   63..12 number   11..0 slot
//! ```

use std::fmt;

use crate::pb;

/// Number of slots that all state is divided into. Never changes: it is part
/// of every stored id.
pub const SLOTS: u16 = 4096;

/// One of [`SLOTS`] parts of all state; a partition is a range of slots.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Slot(u16);

impl Slot {
    /// The slot with this number; only the low 12 bits count.
    pub const fn new(number: u64) -> Self {
        Self((number & (SLOTS as u64 - 1)) as u16)
    }

    /// The slot that a name (an account name, an external subject) hashes to:
    /// FNV-1a of its bytes, then [`mix64`].
    pub fn of_name(name: &str) -> Self {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for byte in name.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        Self::new(mix64(hash))
    }

    /// 0 to 4,095.
    pub const fn number(self) -> u16 {
        self.0
    }
}

/// Spreads the bits of `x`: the finaliser of SplitMix64 (Steele, Lea and
/// Flood, 2014). Part of the stored format, so it never changes.
pub const fn mix64(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A person or a program with an account. Never zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(u64);

impl UserId {
    /// The user with this id; `None` for zero.
    pub const fn new(id: u64) -> Option<Self> {
        if id == 0 { None } else { Some(Self(id)) }
    }

    /// The `number`-th user of `slot`. `number` is 1 to 2^51 - 1.
    pub const fn compose(number: u64, slot: Slot) -> Self {
        debug_assert!(number > 0 && number < 1 << 51);
        Self(number << 12 | slot.0 as u64)
    }

    /// Where the account, its devices and its conversation list live.
    pub const fn slot(self) -> Slot {
        Slot::new(self.0)
    }

    /// As it goes over the wire.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Debug for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "u{}", self.0)
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A group. Never zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(u64);

impl GroupId {
    /// The group with this id; `None` for zero.
    pub const fn new(id: u64) -> Option<Self> {
        if id == 0 { None } else { Some(Self(id)) }
    }

    /// The group that `creator` makes with `client_group_id`. Derived, so a
    /// retry finds the same group; 51 bits of hash and the slot.
    pub fn derive(creator: UserId, client_group_id: &[u8]) -> Self {
        let mut hash = mix64(creator.0);
        for chunk in client_group_id.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            hash = mix64(hash ^ u64::from_le_bytes(word)).wrapping_add(0x9e37_79b9_7f4a_7c15);
        }
        let slot = Slot::new(mix64(hash.rotate_left(32)));
        Self(((hash >> 13) | 1) << 12 | u64::from(slot.0))
    }

    /// Where the group lives.
    pub const fn slot(self) -> Slot {
        Slot::new(self.0)
    }

    /// As it goes over the wire.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Debug for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "g{}", self.0)
    }
}

/// A conversation: two people, or a group.
///
/// The two people of a direct conversation are its id, so it needs no
/// creating and whether somebody belongs to it needs no looking up.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConversationId {
    /// Two different people, the lower id first.
    Direct(UserId, UserId),
    /// A group.
    Group(GroupId),
}

impl ConversationId {
    /// The conversation between `a` and `b`; `None` when they are the same.
    pub fn direct(a: UserId, b: UserId) -> Option<Self> {
        match a.cmp(&b) {
            std::cmp::Ordering::Less => Some(Self::Direct(a, b)),
            std::cmp::Ordering::Equal => None,
            std::cmp::Ordering::Greater => Some(Self::Direct(b, a)),
        }
    }

    /// Where its sequence, members and cursors live.
    pub const fn slot(self) -> Slot {
        match self {
            Self::Direct(low, high) => Slot::new(mix64(low.0 ^ mix64(high.0))),
            Self::Group(group) => group.slot(),
        }
    }

    /// The other person of a direct conversation that `user` belongs to.
    pub fn peer_of(self, user: UserId) -> Option<UserId> {
        match self {
            Self::Direct(low, high) if low == user => Some(high),
            Self::Direct(low, high) if high == user => Some(low),
            _ => None,
        }
    }

    /// Reads the wire form; `None` unless exactly one kind is given and the
    /// users of a direct one are in order.
    pub fn from_wire(id: &pb::ConversationId) -> Option<Self> {
        match (GroupId::new(id.group), UserId::new(id.low_user), UserId::new(id.high_user)) {
            (Some(group), None, None) => Some(Self::Group(group)),
            (None, Some(low), Some(high)) if low < high => Some(Self::Direct(low, high)),
            _ => None,
        }
    }

    /// The wire form.
    pub const fn to_wire(self) -> pb::ConversationId {
        match self {
            Self::Direct(low, high) => {
                pb::ConversationId { group: 0, low_user: low.0, high_user: high.0 }
            }
            Self::Group(group) => pb::ConversationId { group: group.0, low_user: 0, high_user: 0 },
        }
    }

    /// Two big-endian words for keys: a direct one is (low, high), a group
    /// (0, group).
    pub const fn to_words(self) -> (u64, u64) {
        match self {
            Self::Direct(low, high) => (low.0, high.0),
            Self::Group(group) => (0, group.0),
        }
    }

    /// The inverse of [`ConversationId::to_words`].
    pub fn from_words(first: u64, second: u64) -> Option<Self> {
        match (UserId::new(first), UserId::new(second)) {
            (Some(low), Some(high)) if low < high => Some(Self::Direct(low, high)),
            (None, Some(_)) => GroupId::new(second).map(Self::Group),
            _ => None,
        }
    }
}

impl fmt::Debug for ConversationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct(low, high) => write!(f, "{low:?}+{high:?}"),
            Self::Group(group) => group.fmt(f),
        }
    }
}

/// Position of a message in its conversation: dense, from 1. Zero stands for
/// "before the first".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Seq(pub u64);

impl Seq {
    /// The one after.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// A message's id, unique in the whole system: 12 bits of partition above 51
/// bits that the partition counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MessageId(pub u64);

impl MessageId {
    /// The `number`-th message of a partition.
    pub const fn compose(partition: u16, number: u64) -> Self {
        debug_assert!(partition < 4096 && number < 1 << 51);
        Self((partition as u64) << 51 | number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_carry_their_slot() {
        let slot = Slot::of_name("alice");
        assert_eq!(UserId::compose(7, slot).slot(), slot);
    }

    /// Computed by another implementation of the same words. A change here
    /// means that stored data is not found any more.
    #[test]
    fn routing_vectors_never_change() {
        assert_eq!(mix64(0), 0);
        assert_eq!(mix64(1), 0x5692_161d_100b_05e5);
        assert_eq!(mix64(0x0123_4567_89ab_cdef), 0xb2c0_58e4_ebb5_112c);
        assert_eq!(mix64(u64::MAX), 0xb4d0_55fc_f2cb_bd7b);
        for (name, slot) in [
            ("alice", 2652),
            ("bob", 3564),
            ("carol.2", 3442),
            ("a_b-c", 38),
            ("oidc:https://id.example#42", 1512),
            ("鸿雁", 2538),
        ] {
            assert_eq!(Slot::of_name(name).number(), slot, "{name}");
        }
    }

    #[test]
    fn direct_conversations_never_move() {
        for (a, b, slot) in [
            (4097, 8194, 2103),
            (1, 2, 3182),
            (28_677, 36_870, 1292),
            (0x7fff_ffff_ffff_ffff, 0x0123_4567_89ab_cdef, 2332),
        ] {
            let (a, b) = (UserId::new(a).unwrap(), UserId::new(b).unwrap());
            assert_eq!(ConversationId::direct(a, b).unwrap().slot().number(), slot);
            assert_eq!(ConversationId::direct(b, a).unwrap().slot().number(), slot);
        }
    }

    #[test]
    fn group_ids_never_change() {
        let counting: [u8; 16] = std::array::from_fn(|index| index as u8);
        for (creator, client_group_id, group, slot) in [
            (4097, [0; 16], 0x5623_06d0_0682_3c0b, 3083),
            (4097, counting, 0x40a5_58d6_767f_3daa, 3498),
            (8194, counting, 0x0d58_a85f_05d5_3b92, 2962),
            (0x0123_4567_89ab_cdef, [0xff; 16], 0x1f6b_24a9_ddd5_df64, 3940),
        ] {
            let derived = GroupId::derive(UserId::new(creator).unwrap(), &client_group_id);
            assert_eq!((derived.get(), derived.slot().number()), (group, slot));
        }
    }

    #[test]
    fn message_ids_hold_the_partition_above_the_number() {
        assert_eq!(MessageId::compose(0, 1).0, 1);
        assert_eq!(MessageId::compose(3, 7).0, 0x0018_0000_0000_0007);
        assert_eq!(MessageId::compose(4095, (1 << 51) - 1).0, i64::MAX as u64);
    }

    #[test]
    fn conversation_ids_survive_the_wire_and_the_keys() {
        let a = UserId::new(5).unwrap();
        let b = UserId::new(3).unwrap();
        for id in
            [ConversationId::direct(a, b).unwrap(), ConversationId::Group(GroupId::new(9).unwrap())]
        {
            assert_eq!(ConversationId::from_wire(&id.to_wire()), Some(id));
            let (first, second) = id.to_words();
            assert_eq!(ConversationId::from_words(first, second), Some(id));
        }
        assert_eq!(ConversationId::direct(a, a), None);
        let swapped = pb::ConversationId { group: 0, low_user: 5, high_user: 3 };
        assert_eq!(ConversationId::from_wire(&swapped), None);
    }

    #[test]
    fn a_group_id_is_the_same_for_a_retry_only() {
        let a = UserId::new(5).unwrap();
        let b = UserId::new(6).unwrap();
        assert_eq!(GroupId::derive(a, &[1; 16]), GroupId::derive(a, &[1; 16]));
        assert_ne!(GroupId::derive(a, &[1; 16]), GroupId::derive(a, &[2; 16]));
        assert_ne!(GroupId::derive(a, &[1; 16]), GroupId::derive(b, &[1; 16]));
    }
}
