//! The bytes of one connection while a run lasts.
//!
//! ```text
//! out  <message id='n'> … </message> <message id='n + 1'> … </message> <r/>      once per flush
//! in   <a h='n'/>  one event for each send that it covers, oldest first
//! ```
//!
//! # Invariants
//! - The id of a message is its number among this connection's, so that one that comes back is
//!   known.
//! - The sends of one flush end with one request for an ack: a window that is full has asked, and
//!   one send alone has, too.

use std::collections::VecDeque;
use std::fmt::Write as _;

use bytes::{BufMut, BytesMut};

use super::session::ack_of;
use super::stanza::{Kind, Stanza};
use crate::driver::{Event, Link, LinkError, Tag};
use crate::engine::payload::{Stamp, TEXT_BYTES_MIN, TextForm, stamp_over};

const ASK: &[u8] = b"<r xmlns='urn:xmpp:sm:3'/>";

/// See the module.
#[derive(Debug)]
pub struct XmppLink {
    /// By slot; none where nothing is sent: what stands between the id and the text.
    forms: Vec<Option<String>>,
    /// The rest of the text, escaped, and the end of the message.
    tail: Vec<u8>,
    /// Sends that the server has not acknowledged, oldest first; none where it was refused.
    open: VecDeque<Option<Tag>>,
    /// Id of the oldest.
    first: u64,
    /// How many of them the last ack covers and have not become events.
    settled: usize,
    /// What the last ack said.
    handled: u32,
    /// Stanzas that the server has sent.
    counted: u32,
    /// The server wants to know that number.
    asked: bool,
    text: Vec<u8>,
}

impl XmppLink {
    /// For sends to `receivers`, by slot, on a stream on which the server has sent `counted`
    /// stanzas and has acknowledged one.
    pub(super) fn new(
        receivers: &[Option<String>],
        text: &TextForm,
        window: usize,
        counted: u32,
    ) -> Self {
        let forms = receivers
            .iter()
            .map(|receiver| receiver.as_ref().map(|jid| format!("' to='{jid}'><body>")))
            .collect();
        let mut tail = BytesMut::new();
        escape(&text.blank()[TEXT_BYTES_MIN..], &mut tail);
        tail.extend_from_slice(b"</body></message>");
        Self {
            forms,
            tail: tail.to_vec(),
            open: VecDeque::with_capacity(window),
            first: 1,
            settled: 0,
            handled: 1,
            counted,
            asked: false,
            text: Vec::new(),
        }
    }

    /// The next send that the last ack covers.
    fn next_settled(&mut self) -> Option<Event<'static>> {
        while self.settled > 0 {
            self.settled -= 1;
            self.first += 1;
            if let Some(tag) = self.open.pop_front()? {
                return Some(Event::Acked { tag, seq: 0 });
            }
        }
        None
    }

    fn settle(&mut self, handled: Option<u32>) -> Result<(), LinkError> {
        let handled = handled.ok_or(LinkError::Unexpected("an ack without a number"))?;
        let settled = handled.wrapping_sub(self.handled) as usize;
        if settled > self.open.len() {
            return Err(LinkError::Unexpected("an ack of more than was sent"));
        }
        self.handled = handled;
        self.settled = settled;
        Ok(())
    }

    /// A message that came back. One that was acknowledged before must not come back.
    fn refuse(&mut self, stanza: &Stanza) -> Result<Event<'static>, LinkError> {
        let at = stanza.id.and_then(|id| id.checked_sub(self.first));
        let tag = at
            .and_then(|at| usize::try_from(at).ok())
            .and_then(|at| self.open.get_mut(at))
            .and_then(Option::take);
        match tag {
            Some(tag) => Ok(Event::Refused { tag, code: code_of(stanza.reason()) }),
            None => Err(LinkError::Foreign(format!("a message came back: {}", stanza.reason()))),
        }
    }
}

impl Link for XmppLink {
    fn encode_send(&mut self, slot: usize, tag: Tag, stamp: &Stamp, out: &mut BytesMut) {
        let Some(form) = &self.forms[slot] else {
            return;
        };
        // The request at the end of what was not flushed yet moves behind this message. A request
        // of which a part was flushed is not whole any more, and stays.
        if out.ends_with(ASK) {
            out.truncate(out.len() - ASK.len());
        }
        let id = self.first + self.open.len() as u64;
        self.open.push_back(Some(tag));
        out.extend_from_slice(b"<message type='chat' id='");
        // Writing to memory does not fail.
        let _ = write!(out, "{id}");
        out.extend_from_slice(form.as_bytes());
        let mut head = [0; TEXT_BYTES_MIN];
        stamp_over(&mut head, stamp);
        escape(&head, out);
        out.extend_from_slice(&self.tail);
        out.extend_from_slice(ASK);
    }

    /// Nothing: the answers to the server's requests are the receipts.
    fn encode_receipt(&mut self, _slot: usize, _seq: u64, _out: &mut BytesMut) {}

    fn parse<'a>(&'a mut self, bytes: &'a [u8]) -> Result<Option<(usize, Event<'a>)>, LinkError> {
        if let Some(event) = self.next_settled() {
            return Ok(Some((0, event)));
        }
        let Some(stanza) = Stanza::read(bytes, &mut self.text)? else {
            return Ok(None);
        };
        self.counted = self.counted.wrapping_add(u32::from(stanza.kind.is_counted()));
        let event = match stanza.kind {
            Kind::Message if stanza.failed => self.refuse(&stanza)?,
            // Left over from an earlier run, whose texts may have been of another length: in this
            // one nobody is away.
            Kind::Message if stanza.delayed => Event::Other,
            Kind::Message => Event::Delivered { seq: 0, text: &self.text },
            Kind::Ack => {
                self.settle(stanza.handled)?;
                Event::Other
            }
            Kind::AckRequest => {
                self.asked = true;
                Event::Other
            }
            Kind::Iq | Kind::Presence | Kind::Space => Event::Other,
            Kind::Close => Event::Closing { code: 0 },
            Kind::Failure => {
                return Err(LinkError::Foreign(format!("the stream ended: {}", stanza.reason())));
            }
            Kind::Enabled | Kind::Features | Kind::Open | Kind::Other | Kind::Success => {
                return Err(LinkError::Unexpected("an element that is not due"));
            }
        };
        Ok(Some((stanza.whole_bytes, event)))
    }

    fn encode_upkeep(&mut self, out: &mut BytesMut) {
        if std::mem::take(&mut self.asked) {
            out.extend_from_slice(ack_of(self.counted).as_bytes());
        }
    }
}

/// Appends a text that this generator made, so that a reader gets it back: of what XML forbids in
/// a text, it has only these.
fn escape(text: &[u8], out: &mut BytesMut) {
    for byte in text {
        match byte {
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            other => out.put_u8(*other),
        }
    }
}

/// The number that XEP-0086 gives to a condition; XMPP itself has none.
fn code_of(condition: &str) -> u32 {
    match condition {
        "bad-request" | "jid-malformed" | "unexpected-request" => 400,
        "not-authorized" => 401,
        "forbidden" => 403,
        "item-not-found" | "recipient-unavailable" | "remote-server-not-found" => 404,
        "not-allowed" => 405,
        "not-acceptable" | "policy-violation" => 406,
        "service-unavailable" => 503,
        "remote-server-timeout" => 504,
        _ => 500,
    }
}
