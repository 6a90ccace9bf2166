//! Hongyan itself, over plain TCP.

use std::net::{SocketAddr, TcpStream};

use anyhow::Context;
use bytes::BytesMut;
use hongyan_protocol::{ConversationId, FrameDecoder, Opcode, UserId, frame, limits, pb};

use crate::driver::send_form::SendForm;
use crate::driver::{Driver, Event, Link, LinkError, Tag};
use crate::payload::{Stamp, TextForm};
use crate::plan::Plan;
use crate::roster::{Account, Wire};
use crate::wire::{Fields, FrameView, Value, bytes_field};

const SEND: u32 = Opcode::Send.number();
const MESSAGE: u32 = Opcode::Message.number();
const ERROR: u32 = Opcode::Error.number();
const GOODBYE: u32 = Opcode::Goodbye.number();
const SYNC_NEEDED: u32 = Opcode::SyncNeeded.number();

/// Opens sessions for a ring of accounts: each writes to the next.
#[derive(Debug)]
pub struct HongyanDriver {
    addr: SocketAddr,
    accounts: Vec<Account>,
    plan: Plan,
}

impl HongyanDriver {
    /// For the server at `addr`; `accounts` are as many as the plan has connections.
    #[must_use]
    pub const fn new(addr: SocketAddr, accounts: Vec<Account>, plan: Plan) -> Self {
        Self { addr, accounts, plan }
    }

    fn conversation(&self, from: usize, to: usize) -> anyhow::Result<pb::ConversationId> {
        let user = |index: usize| UserId::new(self.accounts[index % self.accounts.len()].user_id);
        user(from)
            .zip(user(to))
            .and_then(|(from, to)| ConversationId::direct(from, to))
            .map(ConversationId::to_wire)
            .context("two accounts of the roster are the same user")
    }
}

impl Driver for HongyanDriver {
    type Link = HongyanLink;

    fn open(&self, index: usize) -> anyhow::Result<(TcpStream, HongyanLink)> {
        let account = &self.accounts[index];
        let mut wire = Wire::connect(self.addr)?;
        let welcome = wire.greet(&account.device_id, account.access_token.clone())?;
        welcome.session.with_context(|| format!("no session for {}", account.name))?;
        let before = index + self.accounts.len() - 1;
        let text = TextForm::new(self.plan.bytes, self.plan.seed);
        let to_next = self.conversation(index, index + 1)?;
        let link = HongyanLink {
            form: SendForm::new(to_next, self.plan.level, &text, self.plan.window),
            from_previous: self.conversation(before, index)?,
            decoder: FrameDecoder::new(limits::FRAME_BYTES_MAX),
        };
        Ok((wire.into_stream(), link))
    }
}

/// One session's bytes.
#[derive(Debug)]
pub struct HongyanLink {
    form: SendForm,
    from_previous: pb::ConversationId,
    decoder: FrameDecoder,
}

impl Link for HongyanLink {
    fn encode_send(&mut self, tag: Tag, stamp: &Stamp, out: &mut BytesMut) {
        self.form.encode(tag, stamp, out);
    }

    fn encode_receipt(&mut self, seq: u64, out: &mut BytesMut) {
        let receipt = pb::MoveCursor {
            conversation: Some(self.from_previous),
            delivered_seq: seq,
            read_seq: 0,
        };
        frame::encode_message(Opcode::MoveCursor, 0, &receipt, out);
    }

    fn parse<'a>(&mut self, bytes: &'a [u8]) -> Result<Option<(usize, Event<'a>)>, LinkError> {
        let Some(frame) = FrameView::peek(&self.decoder, bytes)? else {
            return Ok(None);
        };
        let answered =
            || self.form.tag_of(frame.request).ok_or(LinkError::Unexpected("an answer to nothing"));
        let event = match frame.opcode {
            SEND => Event::Acked { tag: answered()?, seq: number(frame.payload, 2) },
            MESSAGE => delivered(frame.payload)?,
            ERROR => Event::Refused {
                tag: answered()?,
                code: u32::try_from(number(frame.payload, 1)).unwrap_or(u32::MAX),
            },
            GOODBYE => {
                Event::Closing { code: u32::try_from(number(frame.payload, 1)).unwrap_or(u32::MAX) }
            }
            SYNC_NEEDED => Event::Shed,
            _ => Event::Other,
        };
        Ok(Some((frame.whole_bytes, event)))
    }
}

fn delivered(message: &[u8]) -> Result<Event<'_>, LinkError> {
    let mut seq = 0;
    let mut body = None;
    for field in Fields::new(message) {
        match field.ok_or(LinkError::Unexpected("a message that is not protobuf"))? {
            (2, Value::Varint(value)) => seq = value,
            (7, Value::Bytes(value)) => body = Some(value),
            _ => {}
        }
    }
    // A body without text was not written by this generator; an empty text says so too.
    let text = body.and_then(|body| bytes_field(body, 1)).unwrap_or_default();
    Ok(Event::Delivered { seq, text })
}

/// The integer in field `wanted`; zero when it is absent.
fn number(message: &[u8], wanted: u32) -> u64 {
    Fields::new(message)
        .find_map(|field| match field {
            Some((found, Value::Varint(value))) if found == wanted => Some(value),
            _ => None,
        })
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use hongyan_protocol::Frame;

    use super::*;

    fn link() -> HongyanLink {
        let text = TextForm::new(64, 1);
        HongyanLink {
            form: SendForm::new(
                pb::ConversationId::default(),
                crate::plan::Level::Durable,
                &text,
                4,
            ),
            from_previous: pb::ConversationId::default(),
            decoder: FrameDecoder::new(limits::FRAME_BYTES_MAX),
        }
    }

    #[test]
    fn every_answer_becomes_its_event() {
        let ack =
            pb::SendAck { message_id: 1, seq: 500, time_ms: 2, level: 1, repeated_send: false };
        let message = pb::Message {
            seq: 7,
            sender: 4097,
            body: Some(pb::Body { kind: Some(pb::body::Kind::Text("hello".into())) }),
            ..pb::Message::default()
        };
        let error = pb::Error { code: 500, message: "slower".into(), retry_after_ms: 10 };
        let goodbye = pb::Goodbye { code: 600, ..pb::Goodbye::default() };
        for (frame, event) in [
            (Frame::new(Opcode::Send, 3, &ack), Event::Acked { tag: 2, seq: 500 }),
            (Frame::new(Opcode::Message, 0, &message), Event::Delivered { seq: 7, text: b"hello" }),
            (Frame::new(Opcode::Error, 1, &error), Event::Refused { tag: 0, code: 500 }),
            (Frame::new(Opcode::Goodbye, 0, &goodbye), Event::Closing { code: 600 }),
            (Frame::new(Opcode::SyncNeeded, 0, &pb::SyncNeeded {}), Event::Shed),
            (Frame::new(Opcode::CursorMoved, 0, &pb::CursorMoved::default()), Event::Other),
            (Frame::HEARTBEAT, Event::Other),
        ] {
            let bytes = frame.to_delimited();
            assert_eq!(link().parse(&bytes), Ok(Some((bytes.len(), event))));
            assert_eq!(link().parse(&bytes[..bytes.len() - 1]), Ok(None));
        }
    }

    #[test]
    fn an_answer_to_nothing_is_refused() {
        let bytes = Frame::new(Opcode::Send, 0, &pb::SendAck::default()).to_delimited();
        assert!(link().parse(&bytes).is_err());
    }
}
