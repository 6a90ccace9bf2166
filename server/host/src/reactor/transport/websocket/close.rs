//! How a WebSocket ends: codes and the frames that carry them.
//!
//! 1002, 1003 and 1007 are RFC 6455's, for what breaks its own rules. What
//! ends a connection on TCP with a Goodbye ends it here with the same
//! Goodbye, and then a close whose code is 4000 and the Goodbye's: RFC 6455
//! leaves 4000 to 4999 to applications, and a browser shows them.

use bytes::{BufMut, Bytes, BytesMut};
use tungstenite::protocol::frame::coding::{CloseCode, Control, OpCode};

use super::outgoing::put_header;

/// What a close says, both ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Closing {
    /// `None`: the frame is empty.
    pub(super) code: Option<u16>,
}

/// Longest reason: a control frame has 125 bytes, two of them are the code.
const REASON_BYTES_MAX: usize = 123;
/// Above the codes of RFC 6455 and of registered ones.
const APPLICATION: u32 = 4_000;

/// The code of a close after a Goodbye with `code`.
pub(super) fn application_code(code: u32) -> u16 {
    // An error code has three digits; another would leave the range.
    APPLICATION.saturating_add(code).min(4_999) as u16
}

/// A close with `code`, and as much of `reason` as there is room for.
pub(super) fn frame(code: u16, reason: &str) -> Bytes {
    let reason = &reason[..reason.floor_char_boundary(REASON_BYTES_MAX)];
    let mut out = BytesMut::with_capacity(4 + reason.len());
    put_header(OpCode::Control(Control::Close), 2 + reason.len(), &mut out);
    out.put_u16(code);
    out.put_slice(reason.as_bytes());
    out.freeze()
}

/// The answer to the peer's close: the same code (RFC 6455, 5.5.1).
pub(super) fn echo(closing: Closing) -> Bytes {
    match closing.code {
        Some(code) => frame(code, ""),
        None => {
            let mut out = BytesMut::with_capacity(2);
            put_header(OpCode::Control(Control::Close), 0, &mut out);
            out.freeze()
        }
    }
}

/// Reads the payload of the peer's close.
///
/// # Errors
/// The code to close with: 1002 for a code that nobody may send or half a
/// one, 1007 for a reason that is not UTF-8.
pub(super) fn parse(payload: &[u8]) -> Result<Closing, CloseCode> {
    match payload {
        [] => Ok(Closing { code: None }),
        [_] => Err(CloseCode::Protocol),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            if !CloseCode::from(code).is_allowed() {
                return Err(CloseCode::Protocol);
            }
            if std::str::from_utf8(reason).is_err() {
                return Err(CloseCode::Invalid);
            }
            Ok(Closing { code: Some(code) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_code_has_its_own_close_code() {
        for code in hongyan_protocol::ErrorCode::ALL {
            let close = application_code(code.number());
            assert_eq!(u32::from(close), 4_000 + code.number(), "{code:?}");
            assert!(close < 5_000);
        }
        assert_eq!(application_code(u32::MAX), 4_999);
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let close = frame(4_600, &"鸿".repeat(100));
        assert_eq!(close[..2], [0x88, 2 + 123]);
        assert_eq!(std::str::from_utf8(&close[4..]).unwrap(), "鸿".repeat(41));
        assert!(frame(4_600, &"é".repeat(100)).len() <= 127);
    }

    #[test]
    fn a_close_is_read_as_the_standard_says() {
        assert_eq!(parse(b""), Ok(Closing { code: None }));
        assert_eq!(parse(b"\x03\xe8bye"), Ok(Closing { code: Some(1_000) }));
        assert_eq!(parse(b"\x0f\xa0"), Ok(Closing { code: Some(4_000) }));
        assert_eq!(parse(b"\x03"), Err(CloseCode::Protocol));
        for never in [0_u16, 999, 1_004, 1_005, 1_006, 1_015, 2_000, 5_000] {
            assert_eq!(parse(&never.to_be_bytes()), Err(CloseCode::Protocol), "{never}");
        }
        assert_eq!(parse(b"\x03\xe8\xff"), Err(CloseCode::Invalid));
        assert_eq!(echo(Closing { code: None }).as_ref(), b"\x88\x00");
        assert_eq!(echo(Closing { code: Some(1_000) }).as_ref(), b"\x88\x02\x03\xe8");
    }
}
