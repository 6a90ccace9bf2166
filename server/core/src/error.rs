//! Why a request was not carried out.

use hongyan_protocol::{ErrorCode, Frame, WireError, pb};

/// A refusal as the peer is told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The numeric code.
    pub code: ErrorCode,
    /// For people who debug.
    pub message: &'static str,
    /// Milliseconds; zero when trying again is no use or needs no delay.
    pub retry_after_ms: u32,
}

impl Refusal {
    /// A refusal that stays one however often it is tried.
    pub const fn new(code: ErrorCode, message: &'static str) -> Self {
        Self { code, message, retry_after_ms: 0 }
    }

    /// A refusal that may pass later.
    pub const fn later(code: ErrorCode, message: &'static str, retry_after_ms: u32) -> Self {
        Self { code, message, retry_after_ms }
    }

    /// The reply to `request`.
    pub fn to_frame(self, request: u64) -> Frame {
        Frame::error(
            request,
            &pb::Error {
                code: self.code.number(),
                message: self.message.to_owned(),
                retry_after_ms: self.retry_after_ms,
            },
        )
    }
}

impl From<WireError> for Refusal {
    fn from(error: WireError) -> Self {
        let message = match error {
            WireError::MalformedPayload => "the payload is not the message that the opcode names",
            WireError::FrameTooLarge { .. } => "the frame is over the limit",
            _ => "the bytes are not what the protocol says",
        };
        Self::new(error.code(), message)
    }
}
