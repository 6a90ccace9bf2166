//! Which messages somebody is watching on their way, so that each
//! `SendHandle` hears how far its message got.
//!
//! Bounded: at most [`TRACKS_MAX`] messages are followed; beyond that the
//! oldest saved ones are let go (their handles keep the last state).

use std::collections::{BTreeMap, HashMap, VecDeque};

use hongyan_client_core::{
    ClientCore, ClientError, ClientMsgId, ConversationId, SendState, SendUpdate,
};
use tokio::sync::watch;

use crate::client::Answer;
use crate::handles::{Progress, SendHandle};

/// Messages followed at a time: as many as an outbox holds, twice.
const TRACKS_MAX: usize = 20_000;

struct Track {
    progress: watch::Sender<Progress>,
    /// Until the message is kept on this device.
    answer: Option<Answer<SendHandle>>,
}

/// All messages that are followed.
#[derive(Default)]
pub(crate) struct Tracks {
    tracks: HashMap<ClientMsgId, Track>,
    /// Saved messages whose peer's cursors are still to come, by seq.
    saved: BTreeMap<ConversationId, BTreeMap<u64, ClientMsgId>>,
    /// Saved messages, oldest first.
    saved_order: VecDeque<(ConversationId, u64, ClientMsgId)>,
}

impl Tracks {
    /// A message was taken into the outbox; `answer` is told when it is kept.
    pub(crate) fn follow(&mut self, id: ClientMsgId, answer: Answer<SendHandle>) {
        let start = Progress { state: SendState::Sending, ack: None };
        let progress = watch::Sender::new(start);
        self.tracks.insert(id, Track { progress, answer: Some(answer) });
    }

    /// A message got further.
    pub(crate) fn update(
        &mut self,
        core: &ClientCore,
        id: ClientMsgId,
        conversation: ConversationId,
        update: &SendUpdate,
    ) {
        let Some(track) = self.tracks.get_mut(&id) else {
            return;
        };
        match update {
            SendUpdate::Sending => {
                if let Some(answer) = track.answer.take() {
                    let progress = track.progress.subscribe();
                    let handle = SendHandle { client_msg_id: id, conversation, progress };
                    // Nobody waits any more: the message goes out all the same.
                    answer.send(Ok(handle)).ok();
                }
            }
            SendUpdate::Saved(ack) => {
                let state = core
                    .send_state(conversation, ack.seq)
                    .unwrap_or(SendState::Saved { level: ack.level });
                let done = state == SendState::Read || track.progress.is_closed();
                track.progress.send_replace(Progress { state, ack: Some(*ack) });
                if done || matches!(conversation, ConversationId::Group(_)) {
                    self.tracks.remove(&id);
                } else {
                    self.saved.entry(conversation).or_default().insert(ack.seq, id);
                    self.saved_order.push_back((conversation, ack.seq, id));
                    self.bound();
                }
            }
            SendUpdate::Failed(error) | SendUpdate::Dropped(error) => {
                self.end(id, error);
            }
        }
    }

    fn end(&mut self, id: ClientMsgId, error: &ClientError) {
        let Some(track) = self.tracks.remove(&id) else {
            return;
        };
        if let Some(answer) = track.answer {
            // Nobody waits any more.
            answer.send(Err(error.clone())).ok();
        }
        track.progress.send_modify(|progress| {
            progress.state = SendState::Failed { error: error.clone() };
        });
    }

    /// The peer's cursors may have moved.
    pub(crate) fn conversation_changed(&mut self, core: &ClientCore, id: ConversationId) {
        let Some(saved) = self.saved.get_mut(&id) else {
            return;
        };
        let mut reached = Vec::new();
        for (seq, sent) in saved.iter() {
            let Some(state) = core.send_state(id, *seq) else {
                break;
            };
            let read = state == SendState::Read;
            let watched = self.tracks.get(sent).is_some_and(|track| {
                track.progress.send_if_modified(|progress| {
                    let moved = progress.state != state;
                    progress.state = state;
                    moved
                });
                !track.progress.is_closed()
            });
            if read || !watched {
                reached.push(*seq);
            }
        }
        for seq in reached {
            if let Some(sent) = saved.remove(&seq) {
                self.tracks.remove(&sent);
            }
        }
        if saved.is_empty() {
            self.saved.remove(&id);
        }
    }

    /// Lets go of what nobody watches, and of the oldest when there are too
    /// many.
    fn bound(&mut self) {
        while let Some((conversation, seq, id)) = self.saved_order.front().copied() {
            let watched = self.tracks.get(&id).is_some_and(|track| !track.progress.is_closed());
            if watched && self.saved_order.len() <= TRACKS_MAX {
                break;
            }
            self.saved_order.pop_front();
            self.tracks.remove(&id);
            if let Some(saved) = self.saved.get_mut(&conversation) {
                saved.remove(&seq);
                if saved.is_empty() {
                    self.saved.remove(&conversation);
                }
            }
        }
    }
}
