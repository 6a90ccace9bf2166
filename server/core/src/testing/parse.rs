//! The one step from a frame to a request, alone: for benches, which see nothing private.

use std::fmt::Debug;

use hongyan_protocol::{Frame, Opcode, UserId};

use crate::command::Command;
use crate::error::Refusal;

/// Parses the frame of an open session of `own`, as a shard does before it acts. What comes is of
/// no use but to be looked at.
///
/// # Errors
/// MalformedPayload, InvalidField, InvalidConversation, InvalidBody, or UnknownOpcode for an
/// opcode that no session sends.
pub fn parse_command(
    opcode: Opcode,
    frame: &Frame,
    own: UserId,
) -> Result<impl Debug + use<>, Refusal> {
    Command::parse(opcode, frame, own)
}
