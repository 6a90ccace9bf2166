//! Hongyan's wire on one page.
//!
//! ```text
//! TCP, TLS   preface (8 bytes each way), then frames:
//!            varint length | Frame { opcode, request, payload }
//! WebSocket  no preface (the sub-protocol names the version);
//!            one binary message = one Frame without a length
//!
//! preface    48 59 41 4E | lowest | highest | 00 00
//!            "HYAN"        version   version   reserved, zero
//! heartbeat  a frame of length 0: one byte, 00
//! ```
//!
//! Everything inside a frame is proto3 (`proto/*.proto`); integers are
//! varints as protobuf has them, so there is no endianness to remember
//! outside the preface. A field number is never used again for something
//! else, and fields that a peer does not know are passed over.
//!
//! This crate owns shapes and limits. It does no input or output, reads no
//! clock, and knows no rule about who may do what.

#![forbid(unsafe_code)]

pub mod body;
pub mod error;
pub mod frame;
pub mod ids;
pub mod limits;
pub mod message;
pub mod opcode;
pub mod raw;
pub mod version;

/// The messages of `proto/*.proto`, generated at build time.
#[allow(missing_docs, clippy::all)]
pub mod pb {
    include!(concat!(env!("OUT_DIR"), "/hongyan.v1.rs"));
}

pub use error::{ErrorCode, WireError};
pub use frame::{Frame, FrameDecoder};
pub use ids::{ConversationId, MessageId, Seq, Slot, UserId};
pub use opcode::Opcode;

/// The compiled `FileDescriptorSet` of `proto/*.proto`, for reflection (the
/// JSON mapping in tests and tools).
pub const DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
