//! What devices asked to be stored, and what they were told.
//!
//! Owns one entry for each client_msg_id ever made. An answer once given must
//! stay true: the same place for every retry, and the message there after
//! every crash that its level promises to survive.

use std::collections::BTreeMap;

use bytes::Bytes;
use hongyan_protocol::pb::AckLevel;
use hongyan_protocol::{ConversationId, UserId};

use super::conversation::Stored;
use super::log::LogModel;
use crate::violation::{Checked, ensure, violated};

/// The part of a SendAck that must never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ack {
    pub(crate) message_id: u64,
    pub(crate) seq: u64,
    pub(crate) time_ms: u64,
}

/// One message that somebody wants stored.
#[derive(Debug)]
pub(crate) struct Send {
    pub(crate) sender: UserId,
    pub(crate) conversation: ConversationId,
    /// Bodies tried under this id: one, but where a clash is provoked.
    pub(crate) bodies: Vec<u64>,
    pub(crate) level: AckLevel,
    pub(crate) attempts: u32,
    pub(crate) ack: Option<(Ack, AckLevel)>,
    /// Refused for good at the first attempt.
    pub(crate) refused: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Sends {
    by_id: BTreeMap<Bytes, Send>,
}

impl Sends {
    pub(crate) fn find(&self, client_msg_id: &[u8]) -> Option<&Send> {
        self.by_id.get(client_msg_id)
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(crate) fn acked(&self) -> usize {
        self.by_id.values().filter(|send| send.ack.is_some()).count()
    }

    /// A device sends, or sends again.
    pub(crate) fn attempt(
        &mut self,
        client_msg_id: &Bytes,
        sender: UserId,
        conversation: ConversationId,
        body: u64,
        level: AckLevel,
    ) {
        let send = self.by_id.entry(client_msg_id.clone()).or_insert_with(|| Send {
            sender,
            conversation,
            bodies: Vec::new(),
            level,
            attempts: 0,
            ack: None,
            refused: false,
        });
        send.attempts += 1;
        if !send.bodies.contains(&body) {
            send.bodies.push(body);
        }
    }

    /// A device was told that its message is stored.
    pub(crate) fn acknowledge(
        &mut self,
        id: &[u8],
        ack: Ack,
        level: AckLevel,
        log: &LogModel,
    ) -> Checked {
        let Some(send) = self.by_id.get_mut(id) else {
            violated!("an ack is for a send", "message {}", ack.message_id)
        };
        match send.ack {
            Some((first, _)) => ensure!(
                first == ack
                    || log
                        .conversations
                        .get(&send.conversation)
                        .is_some_and(|stored| !stored.is_remembered(send.sender.get(), first.seq)),
                "a retry gets the first ack again",
                "{first:?}, then {ack:?} in {:?}",
                send.conversation
            ),
            None => send.ack = Some((ack, level)),
        }
        Ok(())
    }

    /// A device was told that its message will never be stored.
    pub(crate) fn refuse(&mut self, id: &[u8]) {
        if let Some(send) = self.by_id.get_mut(id) {
            send.refused = send.attempts == 1;
        }
    }

    /// A message is in the log: somebody must have sent just that.
    pub(crate) fn check_stored(&self, conversation: ConversationId, stored: &Stored) -> Checked {
        const SENT: &str = "what is stored was sent";
        let Some(send) = self.by_id.get(&stored.client_msg_id) else {
            violated!(SENT, "message {} of nobody in {conversation:?}", stored.message_id)
        };
        ensure!(
            send.conversation == conversation
                && send.sender.get() == stored.sender
                && send.bodies.contains(&stored.body),
            SENT,
            "message {} is not what {} sent",
            stored.message_id,
            send.sender
        );
        ensure!(
            !send.refused,
            "what was refused is not stored",
            "message {} in {conversation:?}",
            stored.message_id
        );
        Ok(())
    }

    /// After a crash: everything acknowledged at a level that survives it is
    /// there. Acks of weaker levels whose message is gone are forgotten.
    pub(crate) fn check_survivors(&mut self, log: &LogModel, power_cut: bool) -> Checked {
        for send in self.by_id.values_mut() {
            let Some((ack, level)) = send.ack else {
                continue;
            };
            if is_stored(log, send.conversation, ack) {
                continue;
            }
            let may_be_lost = match level {
                AckLevel::Durable => false,
                AckLevel::Written => power_cut,
                AckLevel::Accepted => true,
            };
            ensure!(
                may_be_lost,
                "no acknowledged message is lost",
                "seq {} of {:?}, acknowledged as {level:?}",
                ack.seq,
                send.conversation
            );
            send.ack = None;
        }
        Ok(())
    }

    /// At the end: everything acknowledged is stored, where the ack said.
    pub(crate) fn check_stored_once(&self, log: &LogModel) -> Checked {
        for send in self.by_id.values() {
            let Some((ack, level)) = send.ack else {
                continue;
            };
            ensure!(
                is_stored(log, send.conversation, ack),
                "every acknowledged message is there",
                "seq {} of {:?}, acknowledged as {level:?}",
                ack.seq,
                send.conversation
            );
        }
        Ok(())
    }
}

fn is_stored(log: &LogModel, conversation: ConversationId, ack: Ack) -> bool {
    let stored = log.conversations.get(&conversation).and_then(|c| c.message(ack.seq));
    stored
        .is_some_and(|stored| stored.message_id == ack.message_id && stored.time_ms == ack.time_ms)
}
