//! What must hold for any bytes at all: used by the fuzz targets and, over
//! the committed corpus, by the crate's tests.

use bytes::{Bytes, BytesMut};
use hongyan_protocol::limits::FRAME_BYTES_MAX_UNAUTHENTICATED;
use hongyan_protocol::{Frame, FrameDecoder, WireError, body, pb, raw, version};
use prost::Message;

/// A stream of frames: each call takes a frame, or nothing and stops; what
/// was taken encodes and decodes to the same, and the generated decoder
/// agrees.
pub fn frame_decode(data: &[u8]) {
    let _ = version::negotiate(data);
    let decoder = FrameDecoder::new(FRAME_BYTES_MAX_UNAUTHENTICATED);
    let mut buffer = BytesMut::from(data);
    loop {
        let before = buffer.len();
        match decoder.decode(&mut buffer) {
            Ok(Some(frame)) => {
                assert!(buffer.len() < before);
                assert!(frame.payload.len() < before);
                again(&frame);
            }
            Ok(None) | Err(WireError::FrameTooLarge { .. }) => {
                assert_eq!(buffer.len(), before);
                break;
            }
            Err(_) => assert!(buffer.len() < before),
        }
    }
    if let Ok(frame) = Frame::decode(Bytes::copy_from_slice(data)) {
        again(&frame);
        let generated = pb::Frame::decode(data).expect("ours is the stricter decoder");
        assert_eq!(frame.opcode, generated.opcode);
        assert_eq!(frame.request, generated.request);
        assert_eq!(frame.payload, generated.payload);
    }
}

fn again(frame: &Frame) {
    let mut encoded = BytesMut::new();
    frame.encode(&mut encoded);
    assert_eq!(encoded.len(), frame.encoded_len());
    assert_eq!(Frame::decode(encoded.freeze()).as_ref(), Ok(frame));
}

macro_rules! message_decode {
    ($($message:ty),+ $(,)?) => {
        /// The first byte picks a message, the others are its encoding: if
        /// they are one, encoding and decoding it again changes nothing.
        pub fn message_decode(data: &[u8]) {
            let Some((choice, payload)) = data.split_first() else {
                return;
            };
            let decoders: &[fn(&[u8])] = &[$(settles::<$message>,)+];
            decoders[usize::from(*choice) % decoders.len()](payload);
        }
    };
}

message_decode!(
    pb::Hello,
    pb::Welcome,
    pb::Register,
    pb::Login,
    pb::Refresh,
    pb::LoginExternal,
    pb::Session,
    pb::Devices,
    pb::RevokeDevice,
    pb::ChangePassword,
    pb::Deactivate,
    pb::FindUser,
    pb::GetProfiles,
    pb::Profiles,
    pb::Send,
    pb::SendAck,
    pb::Message,
    pb::MoveCursor,
    pb::CursorMoved,
    pb::History,
    pb::HistoryPage,
    pb::ConversationChanged,
    pb::CreateGroup,
    pb::Group,
    pb::InviteMembers,
    pb::RemoveMember,
    pb::SetRole,
    pb::UpdateGroup,
    pb::ListMembers,
    pb::Members,
    pb::SyncRequest,
    pb::SyncPage,
    pb::WatchPresence,
    pb::Presences,
    pb::Error,
    pb::Goodbye,
    raw::Send,
    raw::StoredMessage,
    raw::HistoryPage,
    raw::SyncedConversation,
    raw::Conversation,
    raw::ConversationChanged,
    raw::SyncPage,
    raw::Welcome,
);

fn settles<M: Message + Default + PartialEq>(payload: &[u8]) {
    let Ok(message) = M::decode(payload) else {
        return;
    };
    let encoded = message.encode_to_vec();
    assert_eq!(encoded.len(), message.encoded_len());
    let again = M::decode(&encoded[..]).expect("what was encoded decodes");
    assert!(again == message);
    assert_eq!(again.encode_to_vec(), encoded);
}

/// A body that passes is one that every receiver can decode.
pub fn body_check(data: &[u8]) {
    if body::check(data).is_some() {
        let decoded = pb::Body::decode(data).expect("a body that passes decodes");
        assert!(decoded.kind.is_some());
        let encoded = decoded.encode_to_vec();
        assert!(body::check(&encoded).is_some());
    }
}
