//! What every [`LocalStore`] must do: one suite, compared with
//! [`StoredState::apply`].

use std::sync::Arc;

use hongyan_protocol::ids::{ConversationId, GroupId, UserId};

use crate::conversation::{ConversationRecord, GroupInfo, Profile};
use crate::message::{AckLevel, Body, ClientMsgId, Message};
use crate::outbox::OutboxEntry;
use crate::store::{Account, LocalStore, StoreOp, StoredState, Tokens};

/// Runs the suite. `open` opens the same store again each time; the one
/// before is dropped first.
///
/// # Panics
/// When the store does not conform.
pub fn run<S: LocalStore>(mut open: impl FnMut(Option<S>) -> S) {
    let mut store = open(None);
    let mut model = StoredState::default();
    assert_eq!(store.load(), Ok(model.clone()), "a new store is empty");
    for (step, ops) in script().into_iter().enumerate() {
        let durable = step % 2 == 0;
        assert_eq!(store.apply(&ops, durable), Ok(()), "batch {step} is applied");
        ops.iter().for_each(|op| model.apply(op));
        assert_eq!(store.load(), Ok(model.clone()), "batch {step} is seen at once");
        store = open(Some(store));
        assert_eq!(store.load(), Ok(model.clone()), "batch {step} is there after opening again");
    }
    assert_eq!(model.device_id.as_deref(), Some("device"), "the script ends with a device");
    assert!(model.account.is_none(), "the script ends signed out");
}

/// Batches that use every operation, and some of them twice.
fn script() -> Vec<Vec<StoreOp>> {
    let record = |last_seq| StoreOp::PutConversation(record(last_seq));
    let keep =
        |from_seq, to_seq| StoreOp::KeepMessages { conversation: direct(), from_seq, to_seq };
    vec![
        vec![StoreOp::SetDevice("device".into())],
        identity(),
        vec![entry(1, None), entry(2, None)],
        vec![entry(1, Some(401)), StoreOp::RemoveOutbox(id(9))],
        conversations(),
        vec![keep(3, 4), record(6)],
        vec![keep(9, u64::MAX)],
        vec![StoreOp::SetTokens(None), StoreOp::RemoveOutbox(id(2))],
        vec![StoreOp::ClearAccount],
    ]
}

fn identity() -> Vec<StoreOp> {
    let account = Account { user: user(4097), name: "alice".into(), display_name: "Alice".into() };
    let tokens = Tokens {
        access_token: "access".into(),
        access_expires_ms: 1,
        refresh_token: "refresh".into(),
        refresh_expires_ms: 2,
    };
    vec![StoreOp::SetAccount(account), StoreOp::SetTokens(Some(tokens))]
}

fn conversations() -> Vec<StoreOp> {
    let opaque = Body::Opaque {
        content_type: "image/png".into(),
        data: vec![0, 255, 7].into(),
        summary: "一张图".into(),
    };
    let messages = (1..=5).map(|seq| message(direct(), seq, "x".into())).collect();
    let profile = Profile { user: user(8194), name: "bob".into(), display_name: String::new() };
    vec![
        StoreOp::PutMessages(messages),
        StoreOp::PutMessages(vec![message(ConversationId::Group(group()), 1, opaque)]),
        StoreOp::PutConversation(record(5)),
        StoreOp::PutConversation(ConversationRecord::new(direct())),
        StoreOp::PutProfile(profile),
    ]
}

fn message(conversation: ConversationId, seq: u64, body: Body) -> Arc<Message> {
    Arc::new(Message {
        conversation,
        seq,
        message_id: seq + 100,
        sender: seq.is_multiple_of(2).then(|| user(4097)),
        time_ms: seq,
        client_msg_id: Some(id(seq as u8)),
        // Every third says more than this version knows: text "x", field 99.
        newer_body: seq.is_multiple_of(3).then(|| vec![0x0a, 1, b'x', 0x98, 0x06, 7].into()),
        body,
    })
}

fn entry(order: u64, failed_code: Option<u32>) -> StoreOp {
    StoreOp::PutOutbox(OutboxEntry {
        order,
        client_msg_id: id(order as u8),
        conversation: direct(),
        body: Body::from("waits"),
        level: AckLevel::Written,
        created_ms: 5,
        failed_code,
    })
}

fn record(last_seq: u64) -> ConversationRecord {
    ConversationRecord {
        last_seq,
        delivered_seq: 3,
        read_seq: 2,
        read_confirmed_seq: 1,
        floor_seq: 2,
        first_seq: 1,
        peer_delivered_seq: 4,
        peer_read_seq: 3,
        told_seq: 2,
        group: Some(GroupInfo {
            id: group(),
            name: "group".into(),
            member_count: 3,
            history_visible: true,
            role: hongyan_protocol::pb::Role::Admin,
            created_ms: 9,
            dissolved: false,
        }),
        group_seq: 4,
        gone: true,
        activity_ms: 77,
        ..ConversationRecord::new(ConversationId::Group(group()))
    }
}

fn direct() -> ConversationId {
    ConversationId::direct(user(4097), user(8194)).expect("two people")
}

fn group() -> GroupId {
    GroupId::new(12_289).expect("not zero")
}

fn user(id: u64) -> UserId {
    UserId::new(id).expect("not zero")
}

fn id(byte: u8) -> ClientMsgId {
    ClientMsgId::new([byte; 16])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryLocalStore;

    #[test]
    fn memory_conforms() {
        run::<MemoryLocalStore>(Option::unwrap_or_default);
    }
}
