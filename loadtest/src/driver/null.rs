//! The null relay: same frames, no log-in, no log, no rules. The floor that a server is compared
//! with; see [`null_relay`](crate::null_relay).

use std::collections::VecDeque;

use bytes::BytesMut;
use hongyan_protocol::{ConversationId, FrameDecoder, Opcode, UserId, frame, limits, pb};

use crate::driver::send_form::{SendForm, SendTail};
use crate::driver::{Driver, Event, Link, LinkError, Tag};
use crate::engine::payload::{Stamp, TextForm};
use crate::engine::topology::Seat;
use crate::null_relay::SHORT_FRAME_BYTES;
use crate::plan::Plan;
use crate::stream::{Endpoint, Stream};
use crate::wire::{FrameView, bytes_field};

/// Opens connections to a null relay.
#[derive(Debug)]
pub struct NullDriver {
    endpoint: Endpoint,
    plan: Plan,
}

impl NullDriver {
    /// For the relay at `endpoint`.
    #[must_use]
    pub const fn new(endpoint: Endpoint, plan: Plan) -> Self {
        Self { endpoint, plan }
    }
}

impl Driver for NullDriver {
    type Link = NullLink;

    fn open(&self, index: usize, seat: &Seat) -> anyhow::Result<(Stream, NullLink)> {
        Ok((self.endpoint.open(index)?, NullLink::new(seat.user, &self.plan)))
    }
}

/// One connection to a null relay. It answers in order and without numbers, so the link counts.
#[derive(Debug)]
pub struct NullLink {
    form: SendForm,
    conversation: pb::ConversationId,
    decoder: FrameDecoder,
    waiting: VecDeque<Tag>,
    acked: u64,
    delivered: u64,
}

impl NullLink {
    fn new(index: usize, plan: &Plan) -> Self {
        // Ids as large as real ones, so that frames are as long as real ones.
        let user = |index: usize| UserId::new(((index as u64 + 1) << 12) | 2048);
        let conversation = user(index)
            .zip(user(index + 1))
            .and_then(|(from, to)| ConversationId::direct(from, to))
            .map(ConversationId::to_wire)
            .unwrap_or_default();
        let text = TextForm::new(plan.bytes, plan.seed);
        let tail = SendTail::new(plan.level, &text, plan.window);
        Self {
            form: SendForm::new(conversation, &tail),
            conversation,
            decoder: FrameDecoder::new(limits::FRAME_BYTES_MAX),
            waiting: VecDeque::with_capacity(plan.window),
            acked: 0,
            delivered: 0,
        }
    }
}

impl Link for NullLink {
    fn encode_send(&mut self, _slot: usize, tag: Tag, stamp: &Stamp, out: &mut BytesMut) {
        self.waiting.push_back(tag);
        self.form.encode(tag, stamp, out);
    }

    fn encode_receipt(&mut self, _slot: usize, seq: u64, out: &mut BytesMut) {
        let receipt = pb::MoveCursor {
            conversation: Some(self.conversation),
            delivered_seq: seq,
            read_seq: 0,
        };
        frame::encode_message(Opcode::MoveCursor, 0, &receipt, out);
    }

    fn parse<'a>(&'a mut self, bytes: &'a [u8]) -> Result<Option<(usize, Event<'a>)>, LinkError> {
        let Some(frame) = FrameView::peek(&self.decoder, bytes)? else {
            return Ok(None);
        };
        let event = if frame.opcode != Opcode::Send.number() {
            Event::Other
        } else if frame.whole_bytes < SHORT_FRAME_BYTES {
            let tag = self.waiting.pop_front().ok_or(LinkError::Unexpected("an ack too many"))?;
            self.acked += 1;
            Event::Acked { tag, seq: self.acked }
        } else {
            let text = bytes_field(frame.payload, 3)
                .and_then(|body| bytes_field(body, 1))
                .ok_or(LinkError::Unexpected("a send without a text"))?;
            self.delivered += 1;
            Event::Delivered { seq: self.delivered, text }
        };
        Ok(Some((frame.whole_bytes, event)))
    }
}
