//! Properties of encoding and decoding, over generated inputs.

use bytes::{Bytes, BytesMut};
use hongyan_protocol::limits::{FRAME_BYTES_MAX, LENGTH_PREFIX_BYTES_MAX};
use hongyan_protocol::{ConversationId, Frame, FrameDecoder, UserId, body, pb, raw};
use proptest::prelude::*;
use prost::Message;

fn frames() -> impl Strategy<Value = Frame> {
    (any::<u32>(), any::<u64>(), prop::collection::vec(any::<u8>(), 0..300))
        .prop_map(|(opcode, request, payload)| Frame { opcode, request, payload: payload.into() })
}

fn conversations() -> impl Strategy<Value = pb::ConversationId> {
    prop_oneof![
        (1..=u64::MAX).prop_map(|group| pb::ConversationId { group, low_user: 0, high_user: 0 }),
        (1..u64::MAX)
            .prop_flat_map(|low| (Just(low), low + 1..=u64::MAX))
            .prop_map(|(low_user, high_user)| pb::ConversationId { group: 0, low_user, high_user }),
    ]
}

fn bodies() -> impl Strategy<Value = pb::Body> {
    let text = ".{1,200}".prop_map(pb::body::Kind::Text);
    let opaque = ("[a-z]{1,20}/[a-z]{1,20}", prop::collection::vec(any::<u8>(), 0..200), ".{0,60}")
        .prop_map(|(content_type, data, summary)| {
            pb::body::Kind::Opaque(pb::Opaque { content_type, data: data.into(), summary })
        });
    prop_oneof![text, opaque].prop_map(|kind| pb::Body { kind: Some(kind) })
}

fn messages() -> impl Strategy<Value = pb::Message> {
    (conversations(), any::<[u64; 4]>(), prop::collection::vec(any::<u8>(), 0..=16), bodies())
        .prop_map(|(conversation, [seq, message_id, sender, time_ms], id, body)| pb::Message {
            conversation: Some(conversation),
            seq,
            message_id,
            sender,
            time_ms,
            client_msg_id: id.into(),
            body: Some(body),
        })
}

proptest! {
    #[test]
    fn frames_survive_any_cutting(frames in prop::collection::vec(frames(), 1..8), cuts in any::<u64>()) {
        let mut wire = BytesMut::new();
        for frame in &frames {
            frame.encode_delimited(&mut wire);
        }
        let decoder = FrameDecoder::new(FRAME_BYTES_MAX);
        let mut buffer = BytesMut::new();
        let mut seen = Vec::new();
        let mut rest = &wire[..];
        let mut step = cuts;
        while !rest.is_empty() {
            step = step.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let cut = ((step >> 33) as usize % 97 + 1).min(rest.len());
            buffer.extend_from_slice(&rest[..cut]);
            rest = &rest[cut..];
            while let Some(frame) = decoder.decode(&mut buffer).unwrap() {
                seen.push(frame);
            }
        }
        prop_assert!(buffer.is_empty());
        prop_assert_eq!(seen, frames);
    }

    #[test]
    fn our_frame_and_the_generated_one_agree(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let bytes = Bytes::from(bytes);
        // Ours is the stricter one: an opcode beyond 32 bits, and groups.
        if let Ok(ours) = Frame::decode(bytes.clone()) {
            let generated = pb::Frame::decode(bytes).unwrap();
            prop_assert_eq!(
                (ours.opcode, ours.request, ours.payload),
                (generated.opcode, generated.request, generated.payload)
            );
        }
    }

    #[test]
    fn frames_encode_as_the_generated_code_does(frame in frames()) {
        let generated = pb::Frame {
            opcode: frame.opcode,
            request: frame.request,
            payload: frame.payload.clone(),
        };
        let wire = frame.to_delimited();
        prop_assert_eq!(&wire[..], &generated.encode_length_delimited_to_vec()[..]);
        prop_assert_eq!(frame.encoded_len(), generated.encoded_len());
        let needed = FrameDecoder::new(FRAME_BYTES_MAX).needed(&wire[..LENGTH_PREFIX_BYTES_MAX.min(wire.len())]);
        prop_assert_eq!(needed, Ok(Some(wire.len())));
    }

    #[test]
    fn decoding_noise_takes_a_frame_or_nothing(noise in prop::collection::vec(any::<u8>(), 0..256)) {
        let decoder = FrameDecoder::new(128);
        let mut buffer = BytesMut::from(&noise[..]);
        loop {
            let before = buffer.len();
            match decoder.decode(&mut buffer) {
                Ok(None) => {
                    prop_assert_eq!(buffer.len(), before);
                    break;
                }
                Err(hongyan_protocol::WireError::FrameTooLarge { .. }) => {
                    prop_assert_eq!(buffer.len(), before);
                    break;
                }
                Ok(Some(_)) | Err(_) => prop_assert!(buffer.len() < before),
            }
        }
    }

    #[test]
    fn bodies_that_pass_are_decoded_by_every_receiver(bytes in prop::collection::vec(any::<u8>(), 0..48)) {
        if body::check(&bytes).is_some() {
            let decoded = pb::Body::decode(&bytes[..]);
            prop_assert!(decoded.is_ok_and(|body| body.kind.is_some()));
        }
    }

    #[test]
    fn bodies_that_a_client_makes_pass(made in bodies()) {
        prop_assert!(body::check(&made.encode_to_vec()).is_some());
    }

    #[test]
    fn stored_messages_are_the_same_bytes(message in messages()) {
        let bytes = message.encode_to_vec();
        let raw = raw::StoredMessage::decode(&bytes[..]).unwrap();
        prop_assert_eq!(raw.encode_to_vec(), bytes.clone());
        prop_assert_eq!(raw.body, message.body.as_ref().unwrap().encode_to_vec());
        prop_assert_eq!(pb::Message::decode(&bytes[..]).unwrap(), message);
    }

    #[test]
    fn conversation_ids_come_back(wire in conversations()) {
        let id = ConversationId::from_wire(&wire).unwrap();
        prop_assert_eq!(id.to_wire(), wire);
        let (first, second) = id.to_words();
        prop_assert_eq!(ConversationId::from_words(first, second), Some(id));
    }

    #[test]
    fn a_direct_conversation_is_the_same_from_both_sides(a in 1..=u64::MAX, b in 1..=u64::MAX) {
        let (a, b) = (UserId::new(a).unwrap(), UserId::new(b).unwrap());
        prop_assert_eq!(ConversationId::direct(a, b), ConversationId::direct(b, a));
        prop_assert_eq!(ConversationId::direct(a, b).is_none(), a == b);
    }
}
