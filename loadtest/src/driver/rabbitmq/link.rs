//! The bytes of one connection while a run lasts.
//!
//! ```text
//! out  publish frame │ header frame │ body frame     made once per queue, the text stamped in
//! in   deliver frame │ header frame │ body frame(s)  one event each; the last body is a message
//! ```
//!
//! # Invariants
//! - The server numbers publishes of a channel from 1 in the order in which they were encoded.
//! - An answer to several publishes becomes one event for each, oldest first.
//! - What is encoded equals what `amq-protocol` encodes; only fields of fixed width are written
//!   over.

use std::collections::VecDeque;

use amq_protocol::frame::{AMQPContentHeader, AMQPFrame, parse_frame};
use amq_protocol::protocol::{AMQPClass, BasicProperties, basic};
use bytes::BytesMut;

use super::FRAME_OVERHEAD;
use super::session::{CHANNEL, FRAME_BYTES_MAX, FRAME_HEAD, closing, encode};
use crate::driver::{Event, Link, LinkError, Tag};
use crate::engine::payload::{Stamp, TextForm, stamp_over};

const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;
const HEARTBEAT: u8 = 8;
const FRAME_END: u8 = 0xce;

const CLASS_BASIC: u16 = 60;
const DELIVER: u16 = 60;
const ACK: u16 = 80;
const NACK: u16 = 120;
/// Class and method.
const METHOD_HEAD: usize = 4;
/// Where the delivery tag of an ack stands in its frame.
const ACK_TAG_AT: usize = FRAME_HEAD + METHOD_HEAD;
/// Class and weight stand before the size of the body.
const BODY_SIZE_AT: usize = 4;
const PERSISTENT: u8 = 2;
/// AMQP's `internal-error`, which is what a nack stands for: the queue failed.
const NACK_CODE: u32 = 541;

/// See the module.
#[derive(Debug)]
pub struct RabbitLink {
    /// By slot; none where nothing is sent.
    forms: Vec<Option<PublishForm>>,
    confirms: Confirms,
    delivery: Delivery,
    ack_form: Vec<u8>,
    acks: bool,
    acked: u64,
}

impl RabbitLink {
    /// For sends to `queues`, by slot. With `acks` receipts acknowledge what was delivered.
    pub(super) fn new(
        queues: &[Option<String>],
        text: &TextForm,
        acks: bool,
        window: usize,
    ) -> anyhow::Result<Self> {
        let forms = queues
            .iter()
            .map(|queue| queue.as_deref().map(|name| PublishForm::new(name, text)).transpose())
            .collect::<Result<_, _>>()?;
        let ack = basic::Ack { delivery_tag: 0, multiple: true };
        Ok(Self {
            forms,
            confirms: Confirms::new(window),
            delivery: Delivery::default(),
            ack_form: encode(&AMQPFrame::Method(
                CHANNEL,
                AMQPClass::Basic(basic::AMQPMethod::Ack(ack)),
            ))?,
            acks,
            acked: 0,
        })
    }

    /// What a method means; deliveries, acks and nacks without a look by the codec.
    fn method(&mut self, frame: &FrameView<'_>) -> Result<Event<'static>, LinkError> {
        let method = match frame.payload {
            [a, b, c, d, ..] if u16::from_be_bytes([*a, *b]) == CLASS_BASIC => {
                u16::from_be_bytes([*c, *d])
            }
            _ => 0,
        };
        let arguments = frame.payload.get(METHOD_HEAD..).unwrap_or_default();
        match method {
            DELIVER => {
                // The consumer's tag, a short text, stands before the delivery's.
                let tag_bytes = arguments.first().map_or(0, |len| usize::from(*len)) + 1;
                let tag = number(arguments.get(tag_bytes..).unwrap_or_default())?;
                self.delivery.begin(tag)?;
                Ok(Event::Other)
            }
            ACK | NACK => {
                let tag = number(arguments)?;
                let multiple = arguments.get(8).is_some_and(|flags| flags & 1 != 0);
                self.confirms.settle(tag, multiple, method == NACK)
            }
            _ => rare(frame.whole),
        }
    }
}

impl Link for RabbitLink {
    fn encode_send(&mut self, slot: usize, tag: Tag, stamp: &Stamp, out: &mut BytesMut) {
        if let Some(form) = &self.forms[slot] {
            self.confirms.expect(tag);
            form.encode(stamp, out);
        }
    }

    fn encode_receipt(&mut self, _slot: usize, _seq: u64, out: &mut BytesMut) {
        // One ack is for all talks: they share the queue.
        if self.acks && self.acked != self.delivery.last {
            self.acked = self.delivery.last;
            let at = out.len() + ACK_TAG_AT;
            out.extend_from_slice(&self.ack_form);
            out[at..at + 8].copy_from_slice(&self.acked.to_be_bytes());
        }
    }

    fn parse<'a>(&'a mut self, bytes: &'a [u8]) -> Result<Option<(usize, Event<'a>)>, LinkError> {
        if let Some(event) = self.confirms.next_settled() {
            return Ok(Some((0, event)));
        }
        let Some(frame) = FrameView::peek(bytes)? else {
            return Ok(None);
        };
        let event = match frame.kind {
            METHOD => self.method(&frame)?,
            HEADER => {
                let size = number(frame.payload.get(BODY_SIZE_AT..).unwrap_or_default())?;
                self.delivery.size(size)?
            }
            BODY => self.delivery.body(frame.payload)?,
            HEARTBEAT => Event::Other,
            kind => return Err(LinkError::Foreign(format!("a frame of type {kind}"))),
        };
        Ok(Some((frame.whole.len(), event)))
    }
}

/// A frame at the front of a buffer.
#[derive(Debug)]
struct FrameView<'a> {
    kind: u8,
    payload: &'a [u8],
    whole: &'a [u8],
}

impl<'a> FrameView<'a> {
    fn peek(bytes: &'a [u8]) -> Result<Option<Self>, LinkError> {
        let [kind, _, _, a, b, c, d, ..] = bytes else {
            return Ok(None);
        };
        let payload_bytes = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        if payload_bytes > FRAME_BYTES_MAX {
            return Err(LinkError::Foreign(format!("a frame of {payload_bytes} bytes")));
        }
        let Some(whole) = bytes.get(..payload_bytes + FRAME_OVERHEAD) else {
            return Ok(None);
        };
        let (payload, end) = whole[FRAME_HEAD..].split_at(payload_bytes);
        if end != [FRAME_END] {
            return Err(LinkError::Foreign("a frame without its end".to_owned()));
        }
        Ok(Some(Self { kind: *kind, payload, whole }))
    }
}

/// The 64 bits at the front.
fn number(bytes: &[u8]) -> Result<u64, LinkError> {
    let (number, _) =
        bytes.split_first_chunk().ok_or(LinkError::Unexpected("a frame that ends too early"))?;
    Ok(u64::from_be_bytes(*number))
}

/// A method that a run does not see when all is well.
fn rare(whole: &[u8]) -> Result<Event<'static>, LinkError> {
    let method = match parse_frame(whole) {
        Ok((_, AMQPFrame::Method(_, method))) => method,
        Ok((_, other)) => return Err(LinkError::Foreign(other.to_string())),
        Err(error) => return Err(LinkError::Foreign(format!("{error:?}"))),
    };
    match closing(&method) {
        Some((code, _)) => Ok(Event::Closing { code: code.into() }),
        // Among them that the consumer is cancelled or the server short of memory or disk: nothing
        // that is measured from here on would be the job.
        None => Err(LinkError::Foreign(format!("{method:?}"))),
    }
}

/// The three frames of a publish to one queue, encoded once.
#[derive(Debug)]
struct PublishForm {
    bytes: Vec<u8>,
    text_at: usize,
}

impl PublishForm {
    fn new(queue: &str, text: &TextForm) -> anyhow::Result<Self> {
        let publish = basic::Publish {
            exchange: "".into(),
            routing_key: queue.into(),
            mandatory: false,
            immediate: false,
        };
        let header = AMQPContentHeader {
            class_id: CLASS_BASIC,
            body_size: text.text_bytes() as u64,
            properties: BasicProperties::default().with_delivery_mode(PERSISTENT),
        };
        let mut bytes = encode(&AMQPFrame::Method(
            CHANNEL,
            AMQPClass::Basic(basic::AMQPMethod::Publish(publish)),
        ))?;
        bytes.extend(encode(&AMQPFrame::Header(CHANNEL, header))?);
        let text_at = bytes.len() + FRAME_HEAD;
        bytes.extend(encode(&AMQPFrame::Body(CHANNEL, text.blank()))?);
        Ok(Self { bytes, text_at })
    }

    fn encode(&self, stamp: &Stamp, out: &mut BytesMut) {
        let at = out.len() + self.text_at;
        out.extend_from_slice(&self.bytes);
        stamp_over(&mut out[at..], stamp);
    }
}

/// Publishes that wait for their confirm.
#[derive(Debug)]
struct Confirms {
    /// From the oldest one that is open; none where a later one was confirmed before it.
    open: VecDeque<Option<Tag>>,
    /// Delivery tag of the front.
    first: u64,
    /// Delivery tag up to which everything is settled and is to become events, and how.
    through: u64,
    refused: bool,
}

impl Confirms {
    fn new(window: usize) -> Self {
        Self { open: VecDeque::with_capacity(window), first: 1, through: 0, refused: false }
    }

    fn expect(&mut self, tag: Tag) {
        self.open.push_back(Some(tag));
    }

    /// Takes an ack or nack; the event of a single one.
    fn settle(
        &mut self,
        tag: u64,
        multiple: bool,
        refused: bool,
    ) -> Result<Event<'static>, LinkError> {
        let at = tag
            .checked_sub(self.first)
            .and_then(|at| usize::try_from(at).ok())
            .filter(|at| *at < self.open.len())
            .ok_or(LinkError::Unexpected("a confirm of nothing"))?;
        self.refused = refused;
        if multiple {
            self.through = tag;
            return Ok(Event::Other);
        }
        let settled = self.open[at].take().ok_or(LinkError::Unexpected("a confirm too many"))?;
        while self.open.front() == Some(&None) {
            self.advance();
        }
        Ok(self.event(settled))
    }

    /// The next event of an answer to several.
    fn next_settled(&mut self) -> Option<Event<'static>> {
        while self.first <= self.through {
            if let Some(tag) = self.advance()? {
                return Some(self.event(tag));
            }
        }
        None
    }

    fn advance(&mut self) -> Option<Option<Tag>> {
        let front = self.open.pop_front()?;
        self.first += 1;
        Some(front)
    }

    const fn event(&self, tag: Tag) -> Event<'static> {
        if self.refused {
            Event::Refused { tag, code: NACK_CODE }
        } else {
            Event::Acked { tag, seq: 0 }
        }
    }
}

/// The message that is coming in, frame by frame.
#[derive(Debug, Default)]
struct Delivery {
    tag: u64,
    /// Bytes of the body that are still to come.
    missing: u64,
    /// What came of a body that takes several frames.
    body: Vec<u8>,
    state: Await,
    /// Delivery tag of the last whole message.
    last: u64,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Await {
    #[default]
    Deliver,
    Header,
    Body,
}

impl Delivery {
    fn begin(&mut self, tag: u64) -> Result<(), LinkError> {
        self.step(Await::Deliver, Await::Header)?;
        self.tag = tag;
        Ok(())
    }

    fn size(&mut self, bytes: u64) -> Result<Event<'_>, LinkError> {
        self.step(Await::Header, Await::Body)?;
        self.missing = bytes;
        self.body.clear();
        if bytes == 0 { self.body(&[]) } else { Ok(Event::Other) }
    }

    fn body<'a>(&'a mut self, part: &'a [u8]) -> Result<Event<'a>, LinkError> {
        self.step(Await::Body, Await::Body)?;
        self.missing = self
            .missing
            .checked_sub(part.len() as u64)
            .ok_or(LinkError::Unexpected("a body that is too long"))?;
        let whole = self.missing == 0;
        if whole {
            self.state = Await::Deliver;
            self.last = self.tag;
        }
        if whole && self.body.is_empty() {
            return Ok(Event::Delivered { seq: 0, text: part });
        }
        if self.body.len() + part.len() > FRAME_BYTES_MAX {
            return Err(LinkError::Unexpected("a body that no run sends"));
        }
        self.body.extend_from_slice(part);
        Ok(if whole { Event::Delivered { seq: 0, text: &self.body } } else { Event::Other })
    }

    fn step(&mut self, from: Await, to: Await) -> Result<(), LinkError> {
        if self.state != from {
            return Err(LinkError::Unexpected("the frames of a message out of order"));
        }
        self.state = to;
        Ok(())
    }
}
