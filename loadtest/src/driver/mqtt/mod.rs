//! Any MQTT 3.1.1 broker, QoS 1 both ways, over plain TCP or TLS.
//!
//! ```text
//! user i     a session that the broker keeps (clean_session = 0), named hy-load-i;
//!            subscribed to hy/u/i at QoS 1
//! send       PUBLISH at QoS 1 to hy/u/(next), packet id = tag + 1;  PUBACK is the ack
//! hear       PUBLISH at QoS 1;  the receipt is one PUBACK for each that arrived, in one write
//! ```
//!
//! Durability is a matter of the broker's configuration; the protocol has no word for it. In
//! mosquitto 2.0 a PUBACK means that the message is in memory; with `persistence` the whole state
//! is written from time to time, so that a killed broker loses what came after. No setting syncs
//! before the ack.
//!
//! A broker has no way to refuse a publish in 3.1.1 but to hang up, so nothing is ever
//! `Refused`. With receipts switched off a broker stops pushing once as many are on their way as
//! it allows.
//!
//! # Invariants
//! - A run begins with empty sessions: what an earlier one left is thrown away when it opens.
//! - Acks that wait are bounded by the packet ids that there are.

use std::io::{Read, Write};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bytes::{BufMut, BytesMut};

use self::packet::{CONNACK, PINGRESP, PUBACK, PUBLISH, Packet, SUBACK};
use crate::driver::{Driver, Event, Link, LinkError, Tag};
use crate::engine::payload::{Stamp, TextForm, stamp_over};
use crate::engine::topology::{Seat, Talk};
use crate::plan::Plan;
use crate::stream::{Endpoint, Stream};

mod packet;

const SUBSCRIBE_ID: u16 = 1;
/// What a CONNACK says when the broker cannot take the session now.
const UNAVAILABLE: u8 = 3;
/// rmqttd ends a session some time after its connection, and refuses or keeps it until then: how
/// often it is asked, and how long after the time before.
const OPEN_TRIES: usize = 50;
const OPEN_PAUSE: Duration = Duration::from_millis(100);
const ACK_BYTES_MAX: usize = 4 * u16::MAX as usize;

/// Opens sessions on a broker.
#[derive(Debug)]
pub struct MqttDriver {
    endpoint: Endpoint,
    text: TextForm,
}

impl MqttDriver {
    /// For the broker at `endpoint`.
    #[must_use]
    pub fn new(endpoint: Endpoint, plan: &Plan) -> Self {
        Self { endpoint, text: TextForm::new(plan.bytes, plan.seed) }
    }

    /// A session that a clean one has just made room for; `None` when the broker is not that far yet.
    fn connect(&self, index: usize, seat: &Seat, clean: bool) -> anyhow::Result<Option<Stream>> {
        let mut stream = self.endpoint.open(index)?;
        let mut out = BytesMut::new();
        packet::encode_connect(&format!("hy-load-{}", seat.user), clean, &mut out);
        stream.write_all(&out)?;
        let answer = read_packet(&mut stream, CONNACK).context("connecting to the broker")?;
        match answer[..] {
            [0, 0] => Ok(Some(stream)),
            [1, 0] | [_, UNAVAILABLE] => Ok(None),
            [_, code] => bail!("the broker refused the connection with code {code}"),
            _ => bail!("the broker answered a connection with {answer:?}"),
        }
    }

    /// A session that holds nothing; `None` when the broker still has what was to be thrown away.
    fn connect_empty(&self, index: usize, seat: &Seat) -> anyhow::Result<Option<Stream>> {
        // A clean session ends what an earlier run left, and itself when it disconnects.
        let Some(mut earlier) = self.connect(index, seat, true)? else {
            return Ok(None);
        };
        let mut out = BytesMut::new();
        packet::encode_disconnect(&mut out);
        earlier.write_all(&out)?;
        drop(earlier);
        self.connect(index, seat, false)
    }
}

impl Driver for MqttDriver {
    type Link = MqttLink;

    fn open(&self, index: usize, seat: &Seat) -> anyhow::Result<(Stream, MqttLink)> {
        let link = MqttLink::new(seat, &self.text)?;
        for _ in 0..OPEN_TRIES {
            let Some(mut stream) = self.connect_empty(index, seat)? else {
                std::thread::sleep(OPEN_PAUSE);
                continue;
            };
            let mut out = BytesMut::new();
            packet::encode_subscribe(SUBSCRIBE_ID, &topic(seat.user), &mut out);
            stream.write_all(&out)?;
            let answer = read_packet(&mut stream, SUBACK).context("subscribing")?;
            ensure!(answer[..] == [0, 1, 1], "the broker did not grant QoS 1: {answer:?}");
            return Ok((stream, link));
        }
        bail!("the broker kept a session that was to be thrown away, or was not ready for another")
    }
}

/// Where messages to a user are published.
fn topic(user: usize) -> String {
    format!("hy/u/{user}")
}

/// Blocks for the rest of the next packet, which must be of this kind. Reads not a byte more.
fn read_packet(stream: &mut Stream, kind: u8) -> anyhow::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(5);
    loop {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
        let Some((length, _)) = packet::length_of(&head[1..])? else {
            continue;
        };
        let mut rest = vec![0; length];
        stream.read_exact(&mut rest)?;
        ensure!(head[0] == kind, "the broker sent packet {:#04x}", head[0]);
        return Ok(rest);
    }
}

/// One session's bytes.
#[derive(Debug)]
pub struct MqttLink {
    /// By slot, what stands before the packet id; none where nothing is sent.
    heads: Vec<Option<Box<[u8]>>>,
    blank: Vec<u8>,
    /// One PUBACK for each publish that arrived since the last receipt.
    acks: Vec<u8>,
}

impl MqttLink {
    fn new(seat: &Seat, text: &TextForm) -> anyhow::Result<Self> {
        let mut heads: Vec<Option<Box<[u8]>>> = seat.talks.iter().map(|_| None).collect();
        for lane in &seat.sends {
            let Talk::Direct { with, .. } = seat.talks[lane.slot] else {
                bail!("the mqtt driver has no groups");
            };
            heads[lane.slot] = Some(packet::publish_head(&topic(with), text.text_bytes()));
        }
        Ok(Self { heads, blank: text.blank(), acks: Vec::new() })
    }
}

impl Link for MqttLink {
    fn encode_send(&mut self, slot: usize, tag: Tag, stamp: &Stamp, out: &mut BytesMut) {
        if let Some(head) = &self.heads[slot] {
            out.extend_from_slice(head);
            // Zero is no packet id.
            out.put_u16(tag + 1);
            let at = out.len();
            out.extend_from_slice(&self.blank);
            stamp_over(&mut out[at..], stamp);
        }
    }

    /// One topic brings the messages of all talks, so this is for all of them.
    fn encode_receipt(&mut self, _slot: usize, _seq: u64, out: &mut BytesMut) {
        out.extend_from_slice(&self.acks);
        self.acks.clear();
    }

    fn parse<'a>(&'a mut self, bytes: &'a [u8]) -> Result<Option<(usize, Event<'a>)>, LinkError> {
        let Some(packet) = Packet::peek(bytes)? else {
            return Ok(None);
        };
        let event = match packet.kind() {
            PUBACK => {
                let tag = packet.id()?.checked_sub(1);
                Event::Acked { tag: tag.ok_or(LinkError::Unexpected("packet id 0"))?, seq: 0 }
            }
            PUBLISH => {
                let (id, text) = packet.publish()?;
                if self.acks.len() >= ACK_BYTES_MAX {
                    return Err(LinkError::Unexpected("more publishes than there are packet ids"));
                }
                self.acks.extend_from_slice(&packet::puback(id));
                Event::Delivered { seq: 0, text }
            }
            PINGRESP => Event::Other,
            _ => return Err(LinkError::Unexpected("a packet that answers nothing")),
        };
        Ok(Some((packet.whole_bytes, event)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::topology::GroupShape;
    use crate::engine::topology::Topology;

    fn text() -> TextForm {
        TextForm::new(64, 1)
    }

    fn link() -> MqttLink {
        MqttLink::new(&Topology::ring(3, false).seats[1], &text()).unwrap()
    }

    #[test]
    fn a_send_is_a_publish_to_the_next_user() {
        let stamp = Stamp { run: 5, flow: 1, counter: 1 << 33, planned_ns: 99 };
        let mut out = BytesMut::from(&b"before"[..]);
        link().encode_send(0, 126, &stamp, &mut out);
        assert_eq!(&out[..18], b"before\x32\x4a\x00\x06hy/u/2\x00\x7f");
        let packet = Packet::peek(&out[6..]).unwrap().unwrap();
        assert_eq!(packet.whole_bytes, out.len() - 6);
        let (id, sent) = packet.publish().unwrap();
        assert_eq!((id, text().read(sent)), (127, Some(stamp)));
        // Slot 1 is the one before, whom nothing is sent to.
        link().encode_send(1, 0, &stamp, &mut out);
        assert_eq!(out.len() - 6, packet_bytes(&out[6..]));
    }

    fn packet_bytes(bytes: &[u8]) -> usize {
        Packet::peek(bytes).unwrap().unwrap().whole_bytes
    }

    #[test]
    fn every_answer_becomes_its_event() {
        for (bytes, event) in [
            (&b"\x40\x02\x00\x01"[..], Event::Acked { tag: 0, seq: 0 }),
            (b"\x32\x0d\x00\x06hy/u/1\x12\x34yes", Event::Delivered { seq: 0, text: b"yes" }),
            (b"\x3a\x0a\x00\x06hy/u/1\x12\x34", Event::Delivered { seq: 0, text: b"" }),
            (b"\xd0\x00", Event::Other),
        ] {
            let mut link = link();
            for part in 0..bytes.len() {
                assert_eq!(link.parse(&bytes[..part]), Ok(None), "{part} of {bytes:?}");
            }
            assert_eq!(link.parse(&[bytes, b"\x40"].concat()), Ok(Some((bytes.len(), event))));
        }
    }

    #[test]
    fn what_answers_nothing_is_refused() {
        for bytes in
            [&b"\x40\x02\x00\x00"[..], b"\x50\x02\x00\x01", b"\x00\x00", b"\x48\x02\x00\x01"]
        {
            assert!(link().parse(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn a_receipt_acks_each_publish_once() {
        let mut link = link();
        let mut out = BytesMut::new();
        for id in [1, 2] {
            let publish = [b"\x32\x0b\x00\x06hy/u/1\x00", &[id][..], b"x"].concat();
            assert!(matches!(link.parse(&publish), Ok(Some((13, Event::Delivered { .. })))));
        }
        link.encode_receipt(1, 0, &mut out);
        assert_eq!(&out[..], b"\x40\x02\x00\x01\x40\x02\x00\x02");
        link.encode_receipt(1, 0, &mut out);
        assert_eq!(out.len(), 8);
    }

    #[test]
    fn groups_are_refused() {
        let seat =
            &Topology::groups(GroupShape { groups: 1, members: 3, online: 3, senders: 1 }).seats[0];
        assert!(MqttLink::new(seat, &text()).is_err());
    }
}
