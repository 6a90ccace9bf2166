//! Messages whose body follows from their id, so that a body need not be
//! remembered to be checked.
//!
//! The id is `run (8 bytes) | sender (2) | number (4) | kind (2)`, big-endian.

use std::fmt::Write;

use bytes::Bytes;
use hongyan_client::{Body, ClientMsgId};
use xxhash_rust::xxh3::xxh3_64;

use crate::numbers::Numbers;

/// How large a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// 8 to 300 bytes, sometimes 4,000; sometimes typed.
    Usual,
    /// 32,000 bytes: fills disks.
    Large,
}

/// The id of message `number` of the person `sender`.
#[must_use]
pub fn id_of(run: u64, sender: u16, number: u32, size: Size) -> ClientMsgId {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&run.to_be_bytes());
    bytes[8..10].copy_from_slice(&sender.to_be_bytes());
    bytes[10..14].copy_from_slice(&number.to_be_bytes());
    bytes[15] = u8::from(size == Size::Large);
    ClientMsgId::new(bytes)
}

/// The body that the message with this id has.
#[must_use]
pub fn body_of(id: ClientMsgId) -> Body {
    let mut numbers = Numbers::new(xxh3_64(id.as_bytes()));
    if id.as_bytes()[15] == 1 {
        let data: Vec<u8> = (0..4_000).flat_map(|_| numbers.draw().to_be_bytes()).collect();
        return Body::Opaque {
            content_type: "application/x-torture".into(),
            data: data.into(),
            summary: "large".into(),
        };
    }
    let len = if numbers.one_in(25) { 4_000 } else { numbers.within(8, 300) } as usize;
    if numbers.one_in(8) {
        let data: Vec<u8> = (0..len).map(|_| numbers.below(256) as u8).collect();
        return Body::Opaque {
            content_type: "application/x-torture".into(),
            data: Bytes::from(data),
            summary: format!("{len} bytes"),
        };
    }
    let mut text = String::with_capacity(len + 16);
    while text.len() < len {
        // Writing to a string cannot fail.
        let _ = write!(text, "{:x} ", numbers.draw());
    }
    Body::Text(text)
}

/// A number that stands for a body; different bodies have different ones.
#[must_use]
pub fn digest(body: &Body) -> u64 {
    xxh3_64(&prost::Message::encode_to_vec(&body.to_wire()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_follows_from_its_id_and_the_server_would_take_it() {
        for number in 0..500 {
            for size in [Size::Usual, Size::Large] {
                let id = id_of(7, 3, number, size);
                let body = body_of(id);
                assert!(body.check().is_ok());
                assert_eq!(digest(&body), digest(&body_of(id)));
                let other = id_of(7, 3, number + 1, size);
                assert_ne!(digest(&body), digest(&body_of(other)));
            }
        }
    }
}
