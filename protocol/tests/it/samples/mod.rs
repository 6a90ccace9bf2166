//! One frame or more for every opcode and direction, as the golden vectors
//! hold them.

mod accounts;
mod conversations;
mod groups;

use bytes::Bytes;
use hongyan_protocol::{Frame, Opcode};
use prost::Message;

/// Who sends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Direction {
    /// A client.
    Request,
    /// The server, as the answer to a request.
    Reply,
    /// The server, unasked.
    Push,
}

impl Direction {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Reply => "reply",
            Self::Push => "push",
        }
    }
}

/// One frame with what is known of it.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    /// File name without its ending.
    pub(crate) stem: String,
    pub(crate) about: &'static str,
    pub(crate) opcode: Opcode,
    pub(crate) direction: Direction,
    pub(crate) frame: Frame,
    /// Whole wire form; differs from `frame.to_delimited()` when there is
    /// something in it that this version does not know.
    pub(crate) wire: Bytes,
    /// Name of the message in the payload, without its package.
    pub(crate) message: &'static str,
    /// Whether encoding what was decoded gives `wire` again.
    pub(crate) exact: bool,
}

pub(crate) const ALICE: u64 = 1 << 12 | 2652;
pub(crate) const BOB: u64 = 1 << 12 | 3564;
/// Above 2^53: a JSON number cannot hold it.
pub(crate) const CAROL: u64 = 0x7fff_ffff_ffff_fd72;
pub(crate) const GROUP: u64 = 0x40a5_58d6_767f_3daa;
pub(crate) const NOW_MS: u64 = 1_795_392_000_123;

pub(crate) fn direct() -> hongyan_protocol::pb::ConversationId {
    hongyan_protocol::pb::ConversationId { group: 0, low_user: ALICE, high_user: BOB }
}

pub(crate) fn group() -> hongyan_protocol::pb::ConversationId {
    hongyan_protocol::pb::ConversationId { group: GROUP, low_user: 0, high_user: 0 }
}

pub(crate) fn client_id(first: u8) -> Bytes {
    (first..=first + 15).collect::<Vec<u8>>().into()
}

fn sample(
    (opcode, direction, variant): (Opcode, Direction, &str),
    about: &'static str,
    request: u64,
    message: &impl Message,
) -> Sample {
    let (requested, replied) = opcode.messages();
    let name = match direction {
        Direction::Reply if opcode != Opcode::Error => replied,
        _ => requested,
    };
    let frame = Frame::new(opcode, request, message);
    let wire = frame.to_delimited();
    Sample {
        stem: stem(opcode, direction, variant),
        about,
        opcode,
        direction,
        frame,
        wire,
        message: name,
        exact: true,
    }
}

fn request(
    opcode: Opcode,
    variant: &'static str,
    about: &'static str,
    message: &impl Message,
) -> Sample {
    sample((opcode, Direction::Request, variant), about, 7, message)
}

fn reply(
    opcode: Opcode,
    variant: &'static str,
    about: &'static str,
    message: &impl Message,
) -> Sample {
    sample((opcode, Direction::Reply, variant), about, 7, message)
}

fn push(
    opcode: Opcode,
    variant: &'static str,
    about: &'static str,
    message: &impl Message,
) -> Sample {
    sample((opcode, Direction::Push, variant), about, 0, message)
}

/// `sample` with bytes that this version does not know after the payload's
/// fields and after the frame's.
fn with_unknown(mut sample: Sample, in_payload: &[u8], in_frame: &[u8]) -> Sample {
    let mut payload = sample.frame.payload.to_vec();
    payload.extend_from_slice(in_payload);
    sample.frame.payload = payload.into();
    let mut frame = Vec::new();
    sample.frame.encode(&mut frame);
    frame.extend_from_slice(in_frame);
    let mut wire = Vec::new();
    prost::encoding::encode_varint(frame.len() as u64, &mut wire);
    wire.extend_from_slice(&frame);
    sample.wire = wire.into();
    sample.exact = false;
    sample
}

fn stem(opcode: Opcode, direction: Direction, variant: &str) -> String {
    let mut name = String::new();
    for c in format!("{opcode:?}").chars() {
        if c.is_ascii_uppercase() && !name.is_empty() {
            name.push('-');
        }
        name.push(c.to_ascii_lowercase());
    }
    let variant = if variant.is_empty() { String::new() } else { format!(".{variant}") };
    format!("{:03}-{name}.{}{variant}", opcode.number(), direction.name())
}

/// Every sample, in the order of its opcode.
pub(crate) fn all() -> Vec<Sample> {
    let mut all = vec![heartbeat(Direction::Request), heartbeat(Direction::Reply)];
    all.extend(accounts::samples());
    all.extend(conversations::samples());
    all.extend(groups::samples());
    all.sort_by(|a, b| a.stem.cmp(&b.stem));
    all
}

fn heartbeat(direction: Direction) -> Sample {
    Sample {
        stem: stem(Opcode::Heartbeat, direction, ""),
        about: "A frame of length zero: one byte.",
        opcode: Opcode::Heartbeat,
        direction,
        frame: Frame::HEARTBEAT,
        wire: Frame::HEARTBEAT.to_delimited(),
        message: "",
        exact: true,
    }
}
