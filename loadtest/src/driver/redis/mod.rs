//! Redis streams (Redis 5 or newer), over plain TCP or TLS.
//!
//! ```text
//! before     stream hy:u:<i> and group g on it for each user, made anew
//! user i     two connections, since a read that waits holds up what comes after it
//! send       XADD hy:u:<next> MAXLEN ~ bound * m text, pipelined;  the new id is the ack
//! hear       XREADGROUP GROUP g c COUNT 256 BLOCK 0, asked again once its answer is read;
//!            the receipt is one XACK with the ids of all that arrived
//! ```
//!
//! Messages stay in their stream after the ack until newer ones push them out (`MAXLEN`): the
//! server's memory and disk show the last million or so. A message that is pushed out unread
//! counts as lost.
//!
//! Durability is a matter of the server's configuration: without `appendonly` an ack means memory;
//! with `appendfsync no` the kernel has the message, with `everysec` it has it but while a sync
//! takes long, with `always` the disk has it.
//!
//! # Invariants
//! - Answers come in the order of commands, so the oldest send waits for the next id.
//! - A read is asked for once all of the last one has come, and after its acks: a server that
//!   waits for messages reads nothing else of the connection.

use std::collections::VecDeque;
use std::io::{Read, Write};

use anyhow::{Context, bail, ensure};
use bytes::BytesMut;

pub use self::hears::Hears;
use self::resp::{Element, Reader, command, whole};
use crate::driver::{Driver, Event, Link, LinkError, Tag};
use crate::engine::payload::{Stamp, TextForm, stamp_over};
use crate::engine::topology::{Role, Seat, Talk};
use crate::plan::Plan;
use crate::stream::{Endpoint, Stream};

mod hears;
mod resp;

const GROUP: &str = "g";
const CONSUMER: &str = "c";
const FIELD: &str = "m";
const COUNT: usize = 256;
/// Messages that all streams together keep, about.
const KEPT: usize = 1_000_000;
/// Messages that each stream keeps, at least.
const KEPT_PER_USER_MIN: usize = 1_024;
/// Commands on their way at once while streams are made.
const PIPELINE: usize = 256;
const READ_BYTES: usize = 16 * 1024;

/// Opens connections to a server.
#[derive(Debug)]
pub struct RedisDriver {
    endpoint: Endpoint,
    plan: Plan,
}

impl RedisDriver {
    /// For the server at `endpoint`.
    #[must_use]
    pub const fn new(endpoint: Endpoint, plan: Plan) -> Self {
        Self { endpoint, plan }
    }

    fn connect(&self, index: usize) -> anyhow::Result<Stream> {
        let mut stream = self.endpoint.open(index)?;
        ask(&mut stream, &command(&["PING"]), 1).context("greeting the server")?;
        Ok(stream)
    }
}

impl Driver for RedisDriver {
    type Link = RedisLink;

    fn splits(&self) -> bool {
        true
    }

    fn prepare(&self) -> anyhow::Result<()> {
        let mut stream = self.connect(0)?;
        let users: Vec<usize> = (0..self.plan.connections).collect();
        for some in users.chunks(PIPELINE / 2) {
            let mut commands = Vec::new();
            for user in some {
                let key = key(*user);
                commands.extend(command(&["DEL", &key]));
                commands.extend(command(&["XGROUP", "CREATE", &key, GROUP, "0", "MKSTREAM"]));
            }
            ask(&mut stream, &commands, 2 * some.len()).context("making streams")?;
        }
        Ok(())
    }

    fn open(&self, index: usize, seat: &Seat) -> anyhow::Result<(Stream, RedisLink)> {
        let mut link = RedisLink::new(seat, &self.plan)?;
        let mut stream = self.connect(index)?;
        let mut out = BytesMut::new();
        link.encode_upkeep(&mut out);
        stream.write_all(&out)?;
        Ok((stream, link))
    }
}

/// The stream of messages to a user.
fn key(user: usize) -> String {
    format!("hy:u:{user}")
}

/// Sends commands and waits for their answers, of which none may be an error or an array.
fn ask(stream: &mut Stream, commands: &[u8], answers: usize) -> anyhow::Result<()> {
    stream.write_all(commands)?;
    let (mut left, mut buffer, mut scratch) = (answers, Vec::new(), vec![0; READ_BYTES]);
    while left > 0 {
        let count = stream.read(&mut scratch)?;
        ensure!(count > 0, "the server closed the connection");
        buffer.extend_from_slice(&scratch[..count]);
        let mut reader = Reader::new(&buffer);
        while let Some(element) = whole(reader.element())? {
            match element {
                Element::Error(words) => bail!("{}", String::from_utf8_lossy(words)),
                Element::Array(_) => bail!("the server answered with an array"),
                _ => left = left.checked_sub(1).context("the server answered too often")?,
            }
        }
        let taken = reader.at;
        buffer.drain(..taken);
    }
    ensure!(buffer.is_empty(), "the server answered too much");
    Ok(())
}

/// The number under which a refusal is counted, by the first word of the server's error.
fn refusal_code(words: &[u8]) -> u32 {
    const WORDS: [&[u8]; 8] =
        [b"ERR", b"OOM", b"MISCONF", b"READONLY", b"LOADING", b"BUSY", b"NOAUTH", b"WRONGTYPE"];
    let word = words.split(|byte| *byte == b' ').next().unwrap_or_default();
    WORDS.iter().position(|known| *known == word).map_or(0, |at| at as u32 + 1)
}

/// One connection's bytes.
#[derive(Debug)]
pub enum RedisLink {
    /// Hears.
    Hears(Hears),
    /// Sends.
    Sends(Sends),
}

/// The half of a user that sends.
#[derive(Debug)]
pub struct Sends {
    /// What stands before the text.
    head: Box<[u8]>,
    /// A text and its end of line.
    blank: Vec<u8>,
    waiting: VecDeque<Tag>,
}

impl RedisLink {
    fn new(seat: &Seat, plan: &Plan) -> anyhow::Result<Self> {
        let Some(Talk::Direct { me, with }) = seat.talks.first().copied() else {
            bail!("the redis driver has no groups");
        };
        match seat.role {
            Role::Sends => Ok(Self::Sends(Sends::new(&key(with), plan))),
            Role::Hears => Ok(Self::Hears(Hears::new(&key(me), plan))),
            Role::Both => bail!("the redis driver sends to one other user only"),
        }
    }
}

impl Sends {
    fn new(key: &str, plan: &Plan) -> Self {
        let text = TextForm::new(plan.bytes, plan.seed);
        let kept = (KEPT / plan.connections.max(1)).max(KEPT_PER_USER_MIN).to_string();
        let blank = text.blank();
        let sample = String::from_utf8_lossy(&blank);
        let whole = command(&["XADD", key, "MAXLEN", "~", &kept, "*", FIELD, &sample]);
        let (head, tail) = whole.split_at(whole.len() - blank.len() - 2);
        Self { head: head.into(), blank: tail.to_vec(), waiting: VecDeque::new() }
    }

    fn parse<'a>(&mut self, bytes: &[u8]) -> Result<Option<(usize, Event<'a>)>, LinkError> {
        let mut reader = Reader::new(bytes);
        let Some(element) = whole(reader.element())? else {
            return Ok(None);
        };
        let tag = self.waiting.pop_front().ok_or(LinkError::Unexpected("an answer to nothing"))?;
        let event = match element {
            Element::Text(_) => Event::Acked { tag, seq: 0 },
            Element::Error(words) => Event::Refused { tag, code: refusal_code(words) },
            _ => return Err(LinkError::Unexpected("something else than an id")),
        };
        Ok(Some((reader.at, event)))
    }
}

impl Link for RedisLink {
    fn encode_send(&mut self, _slot: usize, tag: Tag, stamp: &Stamp, out: &mut BytesMut) {
        if let Self::Sends(sends) = self {
            sends.waiting.push_back(tag);
            out.extend_from_slice(&sends.head);
            let at = out.len();
            out.extend_from_slice(&sends.blank);
            stamp_over(&mut out[at..], stamp);
        }
    }

    fn encode_receipt(&mut self, _slot: usize, _seq: u64, out: &mut BytesMut) {
        if let Self::Hears(hears) = self {
            hears.encode_receipt(out);
        }
    }

    fn parse<'a>(&'a mut self, bytes: &'a [u8]) -> Result<Option<(usize, Event<'a>)>, LinkError> {
        match self {
            Self::Hears(hears) => hears.parse(bytes),
            Self::Sends(sends) => sends.parse(bytes),
        }
    }

    fn encode_upkeep(&mut self, out: &mut BytesMut) {
        if let Self::Hears(hears) = self {
            hears.encode_read(out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::topology::GroupShape;
    use crate::engine::topology::Topology;
    use crate::plan::Receipts;

    const HEAD: &[u8] = b"*1\r\n*2\r\n$6\r\nhy:u:1\r\n*2\r\n";
    const FIRST: &[u8] = b"*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\nm\r\n$3\r\none\r\n";
    const SECOND: &[u8] = b"*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nm\r\n$3\r\ntwo\r\n";

    fn plan() -> Plan {
        Plan { connections: 3, bytes: 64, ..Plan::default() }
    }

    /// The half of user 1 that sends, or the one that hears.
    fn link(role: Role) -> RedisLink {
        let ring = Topology::ring(3, true);
        let mut seats = ring.seats.iter().filter(|seat| seat.user == 1 && seat.role == role);
        RedisLink::new(seats.next().unwrap(), &plan()).unwrap()
    }

    fn upkeep(link: &mut RedisLink) -> Vec<u8> {
        let mut out = BytesMut::new();
        link.encode_upkeep(&mut out);
        out.to_vec()
    }

    fn receipt(link: &mut RedisLink) -> Vec<u8> {
        let mut out = BytesMut::new();
        link.encode_receipt(0, 0, &mut out);
        out.to_vec()
    }

    #[test]
    fn a_send_is_a_command_for_the_next_users_stream() {
        let stamp = Stamp { run: 5, flow: 1, counter: 1 << 33, planned_ns: 99 };
        let mut out = BytesMut::new();
        link(Role::Sends).encode_send(0, 4, &stamp, &mut out);
        let mut reader = Reader::new(&out);
        assert_eq!(reader.array(8), Ok(()));
        for word in ["XADD", "hy:u:2", "MAXLEN", "~", "333333", "*", "m"] {
            assert_eq!(reader.text(), Ok(word.as_bytes()));
        }
        assert_eq!(TextForm::new(64, 1).read(reader.text().unwrap()), Some(stamp));
        assert_eq!(reader.at, out.len());
    }

    #[test]
    fn answers_to_sends_come_in_order() {
        let mut link = link(Role::Sends);
        let stamp = Stamp { run: 5, flow: 1, counter: 0, planned_ns: 0 };
        for tag in [4, 9] {
            link.encode_send(0, tag, &stamp, &mut BytesMut::new());
        }
        let id = b"$3\r\n1-0\r\n";
        assert_eq!(link.parse(&id[..8]), Ok(None));
        assert_eq!(link.parse(id), Ok(Some((9, Event::Acked { tag: 4, seq: 0 }))));
        let error = b"-OOM command not allowed\r\n";
        assert_eq!(link.parse(error), Ok(Some((26, Event::Refused { tag: 9, code: 2 }))));
        assert!(link.parse(id).is_err());
        assert_eq!(refusal_code(b"WHAT is this"), 0);
    }

    #[test]
    fn messages_come_one_by_one_and_are_acked_before_the_next_read() {
        let mut link = link(Role::Hears);
        let read = upkeep(&mut link);
        assert!(read.starts_with(b"*11\r\n$10\r\nXREADGROUP") && upkeep(&mut link).is_empty());
        for (bytes, event) in [
            (HEAD, Event::Other),
            (FIRST, Event::Delivered { seq: 0, text: b"one" }),
            (SECOND, Event::Delivered { seq: 0, text: b"two" }),
            (b":2\r\n", Event::Other),
        ] {
            for part in 0..bytes.len() {
                assert_eq!(link.parse(&bytes[..part]), Ok(None), "{part} of {bytes:?}");
            }
            assert_eq!(link.parse(&[bytes, b"*"].concat()), Ok(Some((bytes.len(), event))));
            assert!(upkeep(&mut link).is_empty(), "the acks come first");
        }
        let acks = command(&["XACK", "hy:u:1", "g", "1-0", "1-1"]);
        assert_eq!(receipt(&mut link), [acks, read].concat());
        assert!(receipt(&mut link).is_empty());
    }

    #[test]
    fn a_receipt_within_an_answer_asks_for_nothing_more() {
        let mut link = link(Role::Hears);
        let read = upkeep(&mut link);
        for bytes in [HEAD, FIRST] {
            link.parse(bytes).unwrap();
        }
        assert_eq!(receipt(&mut link), command(&["XACK", "hy:u:1", "g", "1-0"]));
        link.parse(SECOND).unwrap();
        let acks = command(&["XACK", "hy:u:1", "g", "1-1"]);
        assert_eq!(receipt(&mut link), [acks, read].concat());
    }

    #[test]
    fn without_receipts_the_next_read_follows_at_once() {
        let seat = &Topology::ring(3, true).seats[3];
        let plan = Plan { receipts: Receipts::None, ..plan() };
        let mut link = RedisLink::new(seat, &plan).unwrap();
        let read = upkeep(&mut link);
        for bytes in [HEAD, FIRST, SECOND] {
            link.parse(bytes).unwrap();
        }
        assert_eq!(upkeep(&mut link), read);
    }

    #[test]
    fn what_answers_nothing_is_refused() {
        let mut hears = link(Role::Hears);
        assert!(hears.parse(HEAD).is_err(), "nothing was asked");
        upkeep(&mut hears);
        for bytes in [
            &b"-NOGROUP No such key\r\n"[..],
            b"*-1\r\n",
            b"*2\r\n",
            b"*1\r\n*2\r\n$1\r\nk\r\n*0\r\n",
            b"*1\r\n*2\r\n$1\r\nk\r\n*9999\r\n",
        ] {
            assert!(hears.parse(bytes).is_err(), "{bytes:?}");
        }
        let mut sends = link(Role::Sends);
        sends.encode_send(
            0,
            0,
            &Stamp { run: 0, flow: 0, counter: 0, planned_ns: 0 },
            &mut BytesMut::new(),
        );
        assert!(sends.parse(b":1\r\n").is_err());
    }

    #[test]
    fn groups_and_meshes_are_refused() {
        for topology in [
            Topology::groups(GroupShape { groups: 1, members: 3, online: 3, senders: 1 }),
            Topology::mesh(5, 2),
        ] {
            assert!(RedisLink::new(&topology.seats[0], &plan()).is_err());
        }
    }
}
