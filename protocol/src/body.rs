//! Checks a message body without taking it apart.
//!
//! A body stays the bytes that the sender encoded: sliced from the read
//! buffer, stored once, pushed to everybody. So it must be sure beforehand
//! that every receiver can decode it.

use bytes::Buf;
use prost::encoding::{WireType, decode_key, decode_varint};

use crate::limits::{
    BODY_BYTES_MAX, CONTENT_TYPE_BYTES_MAX, OPAQUE_BYTES_MAX, SUMMARY_BYTES_MAX, TEXT_BYTES_MAX,
};

/// What a valid body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyKind {
    /// Non-empty UTF-8 within the limit.
    Text,
    /// A media type and data within the limits.
    Opaque,
}

/// Says what kind of body these bytes are, or `None` when a client may not
/// send them: empty, over a limit, not UTF-8 where text is due, not
/// protobuf, more than one kind, or one that only the server writes. Fields
/// that are not known are allowed. Linear in the length.
pub fn check(body: &[u8]) -> Option<BodyKind> {
    if body.len() > BODY_BYTES_MAX {
        return None;
    }
    let mut kind = None;
    for_each_field(body, &mut |tag, value| {
        let found = match (tag, value) {
            (1, Value::Bytes(text)) => {
                if text.is_empty() || text.len() > TEXT_BYTES_MAX {
                    return None;
                }
                std::str::from_utf8(text).ok()?;
                BodyKind::Text
            }
            (2, Value::Bytes(opaque)) => {
                check_opaque(opaque)?;
                BodyKind::Opaque
            }
            (1..=15, _) => return None,
            _ => return Some(()),
        };
        kind.replace(found).is_none().then_some(())
    })?;
    kind
}

fn check_opaque(opaque: &[u8]) -> Option<()> {
    let mut typed = false;
    for_each_field(opaque, &mut |tag, value| match (tag, value) {
        (1, Value::Bytes(content_type)) => {
            typed = true;
            std::str::from_utf8(content_type).ok()?;
            (1..=CONTENT_TYPE_BYTES_MAX).contains(&content_type.len()).then_some(())
        }
        (2, Value::Bytes(data)) => (data.len() <= OPAQUE_BYTES_MAX).then_some(()),
        (3, Value::Bytes(summary)) => {
            std::str::from_utf8(summary).ok()?;
            (summary.len() <= SUMMARY_BYTES_MAX).then_some(())
        }
        (1..=3, Value::Other) => None,
        _ => Some(()),
    })?;
    typed.then_some(())
}

enum Value<'a> {
    Bytes(&'a [u8]),
    Other,
}

fn for_each_field(
    mut rest: &[u8],
    visit: &mut dyn FnMut(u32, Value<'_>) -> Option<()>,
) -> Option<()> {
    while rest.has_remaining() {
        let (tag, wire_type) = decode_key(&mut rest).ok()?;
        let skip = match wire_type {
            WireType::Varint => {
                decode_varint(&mut rest).ok()?;
                0
            }
            WireType::SixtyFourBit => 8,
            WireType::ThirtyTwoBit => 4,
            WireType::LengthDelimited => {
                let len = usize::try_from(decode_varint(&mut rest).ok()?).ok()?;
                let bytes = rest.get(..len)?;
                rest.advance(len);
                visit(tag, Value::Bytes(bytes))?;
                continue;
            }
            WireType::StartGroup | WireType::EndGroup => return None,
        };
        if rest.remaining() < skip {
            return None;
        }
        rest.advance(skip);
        visit(tag, Value::Other)?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::pb;

    fn text(text: &str) -> Vec<u8> {
        pb::Body { kind: Some(pb::body::Kind::Text(text.into())) }.encode_to_vec()
    }

    fn opaque(content_type: &str, data: usize) -> Vec<u8> {
        let opaque = pb::Opaque {
            content_type: content_type.into(),
            data: vec![0; data].into(),
            summary: "a picture".into(),
        };
        pb::Body { kind: Some(pb::body::Kind::Opaque(opaque)) }.encode_to_vec()
    }

    #[test]
    fn bodies_within_the_limits_pass() {
        assert_eq!(check(&text("你好")), Some(BodyKind::Text));
        assert_eq!(check(&text(&"x".repeat(TEXT_BYTES_MAX))), Some(BodyKind::Text));
        assert_eq!(check(&opaque("image/webp", OPAQUE_BYTES_MAX)), Some(BodyKind::Opaque));
    }

    #[test]
    fn bodies_that_would_hurt_a_receiver_do_not() {
        assert_eq!(check(b""), None);
        assert_eq!(check(&text("")), None);
        assert_eq!(check(&text(&"x".repeat(TEXT_BYTES_MAX + 1))), None);
        assert_eq!(check(&opaque("", 1)), None);
        assert_eq!(check(&opaque("a/b", OPAQUE_BYTES_MAX + 1)), None);
        assert_eq!(check(&[0x0a, 2, 0xff, 0xfe]), None);
        assert_eq!(check(&[0x0a, 200]), None);
        let mut twice = text("a");
        twice.extend(opaque("a/b", 1));
        assert_eq!(check(&twice), None);
        let event = pb::Body { kind: Some(pb::body::Kind::Event(pb::GroupEvent::default())) };
        assert_eq!(check(&event.encode_to_vec()), None);
    }

    #[test]
    fn unknown_fields_survive() {
        let mut body = text("a");
        body.extend([0x82, 0x01, 1, 7]);
        assert_eq!(check(&body), Some(BodyKind::Text));
    }
}
