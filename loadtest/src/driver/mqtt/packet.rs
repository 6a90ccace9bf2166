//! The few packets of MQTT 3.1.1 that the job needs, as bytes.
//!
//! Written here because no codec that exists gives what a [`Link`](crate::driver::Link) needs, a
//! borrowed view of a packet in a slice: `rumqttc` takes its input out of a buffer of its own and
//! comes with a runtime, `mqttbytes` is no longer kept, `mqtt-protocol-core` copies each payload
//! and comes with twenty crates.
//!
//! ```text
//! kind and flags (1 byte) │ length of the rest (1 to 4 bytes, 7 bits each, lowest first) │ rest
//! ```

use bytes::{BufMut, BytesMut};
use hongyan_protocol::limits::TEXT_BYTES_MAX;

use crate::driver::LinkError;

pub(super) const CONNACK: u8 = 0x20;
pub(super) const PUBLISH: u8 = 0x30;
pub(super) const PUBACK: u8 = 0x40;
pub(super) const SUBACK: u8 = 0x90;
pub(super) const PINGRESP: u8 = 0xd0;

const PUBLISH_QOS_1: u8 = 0x32;
const QOS_BITS: u8 = 0x06;
const QOS_1: u8 = 0x02;
const CLEAN_SESSION: u8 = 0x02;
/// The longest that the protocol has; nothing is sent to keep a connection alive in so long.
const KEEP_ALIVE_S: u16 = u16::MAX;
/// Longest rest of a packet that makes sense here.
const REST_BYTES_MAX: usize = TEXT_BYTES_MAX + 1024;
const LENGTH_BYTES_MAX: usize = 4;

/// A packet as it lies in a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Packet<'a> {
    /// Kind in the upper four bits, flags in the lower.
    first: u8,
    pub(super) rest: &'a [u8],
    pub(super) whole_bytes: usize,
}

impl<'a> Packet<'a> {
    /// The packet at the front of `bytes`; `None` when it is not all there.
    ///
    /// # Errors
    /// Its length is not one, or more than makes sense.
    pub(super) fn peek(bytes: &'a [u8]) -> Result<Option<Self>, LinkError> {
        let Some((first, after)) = bytes.split_first() else {
            return Ok(None);
        };
        let Some((length, length_bytes)) = length_of(after)? else {
            return Ok(None);
        };
        let rest = after.get(length_bytes..length_bytes + length);
        Ok(rest.map(|rest| Self { first: *first, rest, whole_bytes: 1 + length_bytes + length }))
    }

    /// One of the constants above, or something that makes no sense here.
    pub(super) const fn kind(&self) -> u8 {
        // Only a publish has flags.
        if self.first & 0xf0 == PUBLISH { PUBLISH } else { self.first }
    }

    /// Packet id and payload of a publish.
    ///
    /// # Errors
    /// It is shorter than it says, or of another quality of service than was asked for.
    pub(super) fn publish(&self) -> Result<(u16, &'a [u8]), LinkError> {
        if self.first & QOS_BITS != QOS_1 {
            return Err(LinkError::Unexpected("a publish that is not QoS 1"));
        }
        let short = LinkError::Unexpected("a publish that is too short");
        let (topic, after) = self.rest.split_first_chunk().ok_or_else(|| short.clone())?;
        let after = after.get(usize::from(u16::from_be_bytes(*topic))..);
        let (id, payload) = after.and_then(<[u8]>::split_first_chunk).ok_or(short)?;
        Ok((u16::from_be_bytes(*id), payload))
    }

    /// Packet id of an acknowledgement.
    ///
    /// # Errors
    /// It has none.
    pub(super) fn id(&self) -> Result<u16, LinkError> {
        let id = self.rest.first_chunk().ok_or(LinkError::Unexpected("an ack without an id"))?;
        Ok(u16::from_be_bytes(*id))
    }
}

/// The length at the front of `bytes`, and how many bytes it takes.
pub(super) fn length_of(bytes: &[u8]) -> Result<Option<(usize, usize)>, LinkError> {
    let mut length = 0;
    for (index, byte) in bytes.iter().take(LENGTH_BYTES_MAX).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return if length <= REST_BYTES_MAX {
                Ok(Some((length, index + 1)))
            } else {
                Err(LinkError::Foreign(format!("a packet of {length} bytes")))
            };
        }
    }
    if bytes.len() < LENGTH_BYTES_MAX {
        Ok(None)
    } else {
        Err(LinkError::Foreign("a length without an end".to_owned()))
    }
}

/// Appends the first packet of a connection.
pub(super) fn encode_connect(client_id: &str, clean_session: bool, out: &mut BytesMut) {
    let mut rest = BytesMut::new();
    put_text("MQTT", &mut rest);
    rest.put_u8(4);
    rest.put_u8(if clean_session { CLEAN_SESSION } else { 0 });
    rest.put_u16(KEEP_ALIVE_S);
    put_text(client_id, &mut rest);
    put_packet(0x10, &rest, out);
}

/// Appends a wish for everything on `topic` at QoS 1.
pub(super) fn encode_subscribe(id: u16, topic: &str, out: &mut BytesMut) {
    let mut rest = BytesMut::new();
    rest.put_u16(id);
    put_text(topic, &mut rest);
    rest.put_u8(1);
    put_packet(0x82, &rest, out);
}

/// Appends the last packet of a connection.
pub(super) fn encode_disconnect(out: &mut BytesMut) {
    put_packet(0xe0, &[], out);
}

/// What stands before the packet id in a publish at QoS 1 to `topic` of so many bytes.
pub(super) fn publish_head(topic: &str, payload_bytes: usize) -> Box<[u8]> {
    let mut head = BytesMut::new();
    head.put_u8(PUBLISH_QOS_1);
    put_length(2 + topic.len() + 2 + payload_bytes, &mut head);
    put_text(topic, &mut head);
    head[..].into()
}

/// Says that publish `id` has arrived.
pub(super) fn puback(id: u16) -> [u8; 4] {
    let [high, low] = id.to_be_bytes();
    [PUBACK, 2, high, low]
}

fn put_packet(first: u8, rest: &[u8], out: &mut BytesMut) {
    out.put_u8(first);
    put_length(rest.len(), out);
    out.put_slice(rest);
}

fn put_length(mut length: usize, out: &mut BytesMut) {
    while length > 0x7f {
        out.put_u8((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    out.put_u8(length as u8);
}

fn put_text(text: &str, out: &mut BytesMut) {
    out.put_u16(text.len() as u16);
    out.put_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_packets_are_those_of_the_standard() {
        let mut out = BytesMut::new();
        encode_connect("hy", false, &mut out);
        assert_eq!(&out[..], b"\x10\x0e\x00\x04MQTT\x04\x00\xff\xff\x00\x02hy");
        out.clear();
        encode_connect("hy", true, &mut out);
        assert_eq!(out[9], 2);
        out.clear();
        encode_subscribe(7, "a/b", &mut out);
        assert_eq!(&out[..], b"\x82\x08\x00\x07\x00\x03a/b\x01");
        out.clear();
        encode_disconnect(&mut out);
        assert_eq!(&out[..], b"\xe0\x00");
        assert_eq!(puback(0x1234), *b"\x40\x02\x12\x34");
    }

    #[test]
    fn lengths_come_back() {
        for length in [0, 1, 127, 128, 16_383, REST_BYTES_MAX] {
            let mut out = BytesMut::new();
            put_length(length, &mut out);
            assert_eq!(length_of(&out), Ok(Some((length, out.len()))));
            assert_eq!(length_of(&out[..out.len() - 1]), Ok(None));
        }
        assert!(length_of(b"\xff\xff\xff\x7f").is_err());
        assert!(length_of(b"\x80\x80\x80\x80\x01").is_err());
    }

    #[test]
    fn publishes_that_lie_about_themselves_are_refused() {
        for bytes in
            [&b"\x30\x03\x00\x01t"[..], b"\x32\x01\x00", b"\x32\x04\x00\x09ab", b"\x32\x00"]
        {
            let packet = Packet::peek(bytes).unwrap().unwrap();
            assert!(packet.publish().is_err(), "{bytes:?}");
        }
        assert!(Packet::peek(b"\x40\x01\x00").unwrap().unwrap().id().is_err());
    }
}
