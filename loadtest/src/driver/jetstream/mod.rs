//! NATS JetStream (nats-server 2.10 or newer), over plain TCP.
//!
//! ```text
//! before     stream HY over hy.u.*, made anew: one replica, messages stay when they are acked,
//!            the oldest go beyond its bound
//!            consumer u<i> of each user: durable, filtered to hy.u.<i>, explicit acks
//! send       PUB hy.u.<next> with an inbox that carries the tag;  what comes there is the ack
//! hear       MSG for requests of a batch each, asked again when half of what was asked has
//!            come;  the receipt is one +ACK for each that arrived, in one write
//! ```
//!
//! Consumers are pulled from: that is the kind that NATS recommends for new work, and with large
//! batches a request costs little beside its messages.
//!
//! Durability is a matter of the server's `sync_interval` (two minutes when not set: a message
//! is in the kernel when it is acked; `always`: it is synced), but for plans of level `accepted`,
//! whose stream is kept in memory.
//!
//! # Invariants
//! - Two inboxes per connection: acks and deliveries are told apart by their subscription.
//! - Acks that wait are bounded by the consumer's `max_ack_pending`.

use std::io::Write;

use anyhow::bail;
use bytes::{BufMut, BytesMut};

use self::session::{Answer, Session};
use self::wire::{Message, Said};
use crate::driver::{Driver, Event, Link, LinkError, Tag};
use crate::engine::payload::{Stamp, TextForm, stamp_over};
use crate::engine::topology::{Seat, Talk};
use crate::plan::Plan;
use crate::stream::{Endpoint, Stream};

mod session;
mod wire;

const STREAM: &str = "HY";
const SUBJECTS: &str = "hy.u.*";
/// Deliveries of one consumer without an ack, at most.
const CONSUMER_ACKS_MAX: usize = 4096;
/// Messages per request: the most that the interface's description allows.
const BATCH: usize = 256;
/// Requests that are open when nothing is on its way.
const BATCHES: usize = 2;
const ACKS_SID: u64 = 1;
const DELIVERIES_SID: u64 = 2;
const TAG_DIGITS: usize = 5;
/// How an answer begins that names the stream and the message's place in it.
const STORED: &[u8] = b"{\"stream\":";
/// A keep-alive of a request; says nothing.
const STATUS_IDLE: u32 = 100;

/// Opens connections to a server with JetStream.
#[derive(Debug)]
pub struct JetstreamDriver {
    endpoint: Endpoint,
    plan: Plan,
}

impl JetstreamDriver {
    /// For the server at `endpoint`.
    #[must_use]
    pub const fn new(endpoint: Endpoint, plan: Plan) -> Self {
        Self { endpoint, plan }
    }
}

impl Driver for JetstreamDriver {
    type Link = JetstreamLink;

    fn prepare(&self) -> anyhow::Result<()> {
        Session::connect(&self.endpoint, 0, "hy-prepare", &self.plan)?.prepare(&self.plan)
    }

    fn open(&self, index: usize, seat: &Seat) -> anyhow::Result<(Stream, JetstreamLink)> {
        let user = seat.user;
        let mut link = JetstreamLink::new(seat, &TextForm::new(self.plan.bytes, self.plan.seed))?;
        let name = format!("hy-load-{user}");
        let session = Session::connect(&self.endpoint, index, &name, &self.plan)?;
        let mut out = BytesMut::new();
        out.put_slice(format!("SUB {}* {ACKS_SID}\r\n", acks_inbox(user)).as_bytes());
        out.put_slice(format!("SUB {} {DELIVERIES_SID}\r\n", deliveries_inbox(user)).as_bytes());
        link.encode_upkeep(&mut out);
        let mut stream = session.into_stream()?;
        stream.write_all(&out)?;
        Ok((stream, link))
    }
}

/// Where messages to a user are published.
fn subject(user: usize) -> String {
    format!("hy.u.{user}")
}

/// The name of a user's consumer.
fn consumer(user: usize) -> String {
    format!("u{user}")
}

/// What stands before the tag in the inbox of a user's acks.
fn acks_inbox(user: usize) -> String {
    format!("_INBOX.hy-acks.{user}.")
}

fn deliveries_inbox(user: usize) -> String {
    format!("_INBOX.hy-hears.{user}")
}

/// One connection's bytes.
#[derive(Debug)]
pub struct JetstreamLink {
    /// By slot, what stands before the tag in a publish; none where nothing is sent.
    heads: Vec<Option<Box<[u8]>>>,
    /// What stands between the tag and the text.
    size: Box<[u8]>,
    /// A text and its end of line.
    blank: Vec<u8>,
    /// A request for [`BATCH`] messages.
    pull: Box<[u8]>,
    /// Messages that were asked for and have not come; no more are asked for where nothing is
    /// heard.
    open: usize,
    /// One +ACK for each delivery since the last receipt.
    acks: Vec<u8>,
    ack_count: usize,
    pongs_due: usize,
}

impl JetstreamLink {
    fn new(seat: &Seat, text: &TextForm) -> anyhow::Result<Self> {
        let mut heads: Vec<Option<Box<[u8]>>> = seat.talks.iter().map(|_| None).collect();
        for lane in &seat.sends {
            let Talk::Direct { with, .. } = seat.talks[lane.slot] else {
                bail!("the jetstream driver has no groups");
            };
            let head = format!("PUB {} {}", subject(with), acks_inbox(seat.user));
            heads[lane.slot] = Some(head.into_bytes().into());
        }
        let mut blank = text.blank();
        blank.extend_from_slice(b"\r\n");
        let request = format!("{{\"batch\":{BATCH}}}");
        let pull = format!(
            "PUB $JS.API.CONSUMER.MSG.NEXT.{STREAM}.{} {} {}\r\n{request}\r\n",
            consumer(seat.user),
            deliveries_inbox(seat.user),
            request.len()
        );
        Ok(Self {
            heads,
            size: format!(" {}\r\n", text.text_bytes()).into_bytes().into(),
            blank,
            pull: pull.into_bytes().into(),
            open: if seat.hears.is_empty() { BATCH * BATCHES } else { 0 },
            acks: Vec::new(),
            ack_count: 0,
            pongs_due: 0,
        })
    }

    /// An answer to a publish.
    fn answered<'a>(message: &Message<'_>) -> Result<Event<'a>, LinkError> {
        let tag = message
            .subject
            .last_chunk::<TAG_DIGITS>()
            .and_then(|digits| wire::decimal(digits))
            .and_then(|tag| Tag::try_from(tag).ok())
            .ok_or(LinkError::Unexpected("an answer to nothing"))?;
        if message.payload.starts_with(STORED) {
            return Ok(Event::Acked { tag, seq: 0 });
        }
        if let Some((code, _)) = message.status {
            return Ok(Event::Refused { tag, code });
        }
        let answer: Answer = serde_json::from_slice(message.payload)
            .map_err(|error| LinkError::Foreign(format!("an answer to a publish: {error}")))?;
        Ok(match answer.error {
            None => Event::Acked { tag, seq: 0 },
            Some(error) => Event::Refused { tag, code: error.number() },
        })
    }

    fn delivered<'a>(&mut self, message: &Message<'a>) -> Result<Event<'a>, LinkError> {
        match message.status {
            None => {}
            Some((STATUS_IDLE, _)) => return Ok(Event::Other),
            Some((status, words)) => {
                let words = String::from_utf8_lossy(words);
                return Err(LinkError::Foreign(format!("{status} {words}, of a consumer")));
            }
        }
        if message.reply.is_empty() || self.ack_count == CONSUMER_ACKS_MAX {
            return Err(LinkError::Unexpected("a message that cannot be acked"));
        }
        self.open = self.open.saturating_sub(1);
        self.ack_count += 1;
        self.acks.extend_from_slice(b"PUB ");
        self.acks.extend_from_slice(message.reply);
        self.acks.extend_from_slice(b" 4\r\n+ACK\r\n");
        Ok(Event::Delivered { seq: 0, text: message.payload })
    }
}

impl Link for JetstreamLink {
    fn encode_send(&mut self, slot: usize, tag: Tag, stamp: &Stamp, out: &mut BytesMut) {
        let Some(head) = &self.heads[slot] else {
            return;
        };
        out.extend_from_slice(head);
        let mut digits = [b'0'; TAG_DIGITS];
        let mut rest = tag;
        for digit in digits.iter_mut().rev() {
            *digit += (rest % 10) as u8;
            rest /= 10;
        }
        out.extend_from_slice(&digits);
        out.extend_from_slice(&self.size);
        let at = out.len();
        out.extend_from_slice(&self.blank);
        stamp_over(&mut out[at..], stamp);
    }

    /// One consumer brings the messages of all talks, so this is for all of them.
    fn encode_receipt(&mut self, _slot: usize, _seq: u64, out: &mut BytesMut) {
        out.extend_from_slice(&self.acks);
        self.acks.clear();
        self.ack_count = 0;
    }

    fn parse<'a>(&'a mut self, bytes: &'a [u8]) -> Result<Option<(usize, Event<'a>)>, LinkError> {
        let Some((taken, said)) = wire::peek(bytes)? else {
            return Ok(None);
        };
        let event = match said {
            Said::Message(message) => match message.sid {
                ACKS_SID => Self::answered(&message)?,
                DELIVERIES_SID => self.delivered(&message)?,
                _ => return Err(LinkError::Unexpected("a message to nobody")),
            },
            Said::Err(why) => return Err(wire::foreign(why)),
            Said::Ping => {
                self.pongs_due += 1;
                Event::Other
            }
            Said::Info(_) | Said::Ok | Said::Pong => Event::Other,
        };
        Ok(Some((taken, event)))
    }

    fn encode_upkeep(&mut self, out: &mut BytesMut) {
        for _ in 0..std::mem::take(&mut self.pongs_due) {
            out.extend_from_slice(b"PONG\r\n");
        }
        while self.open <= BATCH * (BATCHES - 1) {
            out.extend_from_slice(&self.pull);
            self.open += BATCH;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::topology::GroupShape;
    use crate::engine::topology::Topology;

    const DELIVERY: &[u8] = b"MSG hy.u.1 2 $JS.ACK.HY.u1.1.9.9.17.0 5\r\nhello\r\n";

    fn text() -> TextForm {
        TextForm::new(64, 1)
    }

    fn link() -> JetstreamLink {
        JetstreamLink::new(&Topology::ring(3, false).seats[1], &text()).unwrap()
    }

    fn to_inbox(tag: Tag, payload: &[u8]) -> Vec<u8> {
        let line = format!("MSG _INBOX.hy-acks.1.{tag:05} 1 {}\r\n", payload.len());
        [line.as_bytes(), payload, b"\r\n"].concat()
    }

    fn upkeep(link: &mut JetstreamLink) -> Vec<u8> {
        let mut out = BytesMut::new();
        link.encode_upkeep(&mut out);
        out.to_vec()
    }

    #[test]
    fn a_send_is_a_publish_to_the_next_user() {
        let stamp = Stamp { run: 5, flow: 1, counter: 1 << 33, planned_ns: 99 };
        let mut out = BytesMut::new();
        link().encode_send(0, 126, &stamp, &mut out);
        let head = b"PUB hy.u.2 _INBOX.hy-acks.1.00126 64\r\n";
        let sent = out.strip_prefix(head).unwrap().strip_suffix(b"\r\n").unwrap();
        assert_eq!(text().read(sent), Some(stamp));
    }

    #[test]
    fn every_answer_becomes_its_event() {
        let acked = |tag| Event::Acked { tag, seq: 0 };
        let error = br#"{"error":{"code":503,"err_code":10077,"description":"full"},"seq":0}"#;
        for (bytes, event) in [
            (&to_inbox(126, br#"{"stream":"HY","seq":7}"#)[..], acked(126)),
            (&to_inbox(0, br#"{"seq":7,"stream":"HY"}"#), acked(0)),
            (&to_inbox(3, error), Event::Refused { tag: 3, code: 10_077 }),
            (
                b"HMSG _INBOX.hy-acks.1.00002 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n",
                Event::Refused { tag: 2, code: 503 },
            ),
            (DELIVERY, Event::Delivered { seq: 0, text: b"hello" }),
            (b"HMSG hy.u.1 2 16 16\r\nNATS/1.0 100\r\n\r\n\r\n", Event::Other),
            (b"INFO {}\r\n", Event::Other),
        ] {
            let mut link = link();
            for part in 0..bytes.len() {
                assert_eq!(link.parse(&bytes[..part]), Ok(None), "{part} of {bytes:?}");
            }
            assert_eq!(link.parse(&[bytes, b"M"].concat()), Ok(Some((bytes.len(), event))));
        }
    }

    #[test]
    fn what_answers_nothing_is_refused() {
        for bytes in [
            &b"-ERR 'Slow Consumer'\r\n"[..],
            b"MSG x 3 1\r\na\r\n",
            b"MSG hy.u.1 2 1\r\na\r\n",
            b"MSG _INBOX.hy-acks.1.xyzzy 1 12\r\n{\"stream\":1}\r\n",
            &to_inbox(1, b"yes"),
            b"HMSG in 2 28 28\r\nNATS/1.0 409 Server Busy\r\n\r\n\r\n",
        ] {
            assert!(link().parse(bytes).is_err(), "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn a_receipt_acks_each_delivery_once() {
        let mut link = link();
        let mut out = BytesMut::new();
        for _ in 0..2 {
            link.parse(DELIVERY).unwrap();
        }
        link.encode_receipt(1, 0, &mut out);
        assert_eq!(out[..], b"PUB $JS.ACK.HY.u1.1.9.9.17.0 4\r\n+ACK\r\n".repeat(2));
        let whole_bytes = out.len();
        link.encode_receipt(1, 0, &mut out);
        assert_eq!(out.len(), whole_bytes);
    }

    #[test]
    fn more_is_asked_for_when_half_has_come() {
        let mut link = link();
        let pull =
            b"PUB $JS.API.CONSUMER.MSG.NEXT.HY.u1 _INBOX.hy-hears.1 13\r\n{\"batch\":256}\r\n";
        assert_eq!(upkeep(&mut link), pull.repeat(BATCHES));
        for _ in 1..BATCH {
            link.parse(DELIVERY).unwrap();
        }
        assert_eq!(upkeep(&mut link), b"");
        link.parse(DELIVERY).unwrap();
        assert_eq!(upkeep(&mut link), pull);
    }

    #[test]
    fn pings_are_answered() {
        let mut link = link();
        upkeep(&mut link);
        link.parse(b"PING\r\n").unwrap();
        assert_eq!((upkeep(&mut link), upkeep(&mut link)), (b"PONG\r\n".to_vec(), Vec::new()));
    }

    #[test]
    fn groups_are_refused() {
        let seat =
            &Topology::groups(GroupShape { groups: 1, members: 3, online: 3, senders: 1 }).seats[0];
        assert!(JetstreamLink::new(seat, &text()).is_err());
    }
}
