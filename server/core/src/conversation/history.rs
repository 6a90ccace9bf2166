//! Reading ranges of messages.

use bytes::Bytes;
use hongyan_protocol::limits::PAGE_BYTES_MAX;
use hongyan_protocol::{ConversationId, ErrorCode, Opcode, raw};

use crate::effect::{Effects, delimited};
use crate::entity::{MessageRange, Need, Stop};
use crate::envelope::Origin;
use crate::error::Refusal;
use crate::shard::Shard;

/// A checked question for messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Range {
    pub(crate) from_seq: u64,
    pub(crate) to_seq: u64,
    pub(crate) limit: u32,
    pub(crate) backwards: bool,
}

impl Shard {
    /// Answers History. Rights were checked; `first_seq` is the lowest seq
    /// that the asker may see.
    pub(crate) fn history(
        &mut self,
        origin: Origin,
        id: ConversationId,
        range: Range,
        first_seq: u64,
        fx: &mut Effects,
    ) -> Result<(), Stop> {
        let last_seq = self.entities.conversation(id)?.map_or(0, |found| found.last_seq);
        let from = range.from_seq.max(first_seq);
        let to = range.to_seq.min(last_seq);
        let (mut messages, more) = if from > to {
            (Vec::new(), false)
        } else {
            self.collect(id, Range { from_seq: from, to_seq: to, ..range }, PAGE_BYTES_MAX)?
        };
        if range.backwards {
            messages.reverse();
        }
        let first_seq = if first_seq <= last_seq { first_seq } else { 0 };
        let page = raw::HistoryPage { messages, more, first_seq, last_seq };
        let frame = delimited(Opcode::History, origin.request, &page);
        self.answer(self.read_gate(), origin, frame, None, fx);
        Ok(())
    }

    /// Messages of a range that lies within the conversation, from its lower
    /// end (or its upper, when `backwards`) until the limit or `bytes_max` is
    /// reached; at least one. Says whether more remain.
    pub(crate) fn collect(
        &mut self,
        id: ConversationId,
        range: Range,
        bytes_max: usize,
    ) -> Result<(Vec<Bytes>, bool), Stop> {
        let (from, to) = (range.from_seq, range.to_seq);
        let count = (to - from + 1).min(u64::from(range.limit));
        let mut messages = Vec::new();
        let mut bytes = 0;
        for step in 0..count {
            let seq = if range.backwards { to - step } else { from + step };
            let Some(message) = self.message(id, seq)? else {
                if !messages.is_empty() && self.was_fetched(id, seq) {
                    // The read stopped at its own limit of bytes.
                    break;
                }
                if self.was_fetched(id, seq) {
                    tracing::error!(conversation = ?id, seq, "a stored message is missing");
                    let refusal = Refusal::new(ErrorCode::Internal, "a stored message is missing");
                    return Err(refusal.into());
                }
                let (from_seq, to_seq) =
                    if range.backwards { (to + 1 - count, seq) } else { (seq, from + count - 1) };
                let backwards = range.backwards;
                let range = MessageRange { conversation: id, from_seq, to_seq, backwards };
                return Err(Stop::Need(Need::Messages(range)));
            };
            if !messages.is_empty() && bytes + message.len() > bytes_max {
                break;
            }
            bytes += message.len();
            messages.push(message);
        }
        let more = (messages.len() as u64) < to - from + 1;
        Ok((messages, more))
    }
}
