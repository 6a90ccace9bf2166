//! The preface: the first eight bytes each way on TCP and TLS.
//!
//! ```text
//! byte  0..4   48 59 41 4E ("HYAN")
//!       4      lowest version spoken
//!       5      highest version spoken
//!       6..8   zero; receivers ignore them
//! ```
//!
//! The client sends its range, the server answers with the one version that
//! it chose in both places. A client need not wait for the answer before it
//! sends its Hello.

use crate::error::WireError;

/// First bytes of a connection.
pub const MAGIC: [u8; 4] = *b"HYAN";
/// Bytes of a preface.
pub const PREFACE_BYTES: usize = 8;
/// Oldest version still served.
pub const VERSION_MIN: u8 = 1;
/// Newest version spoken.
pub const VERSION_MAX: u8 = 1;

/// The bytes of a preface.
pub const fn preface(lowest: u8, highest: u8) -> [u8; PREFACE_BYTES] {
    [MAGIC[0], MAGIC[1], MAGIC[2], MAGIC[3], lowest, highest, 0, 0]
}

/// What a client opens with.
pub const CLIENT_PREFACE: [u8; PREFACE_BYTES] = preface(VERSION_MIN, VERSION_MAX);

/// Chooses the highest version that both sides speak. A wrong magic is
/// noticed with the first wrong byte, so `received` may be a beginning;
/// `Ok(None)` asks for more bytes.
///
/// # Errors
/// [`WireError::BadPreface`] when the magic is wrong or the range is upside
/// down, [`WireError::NoCommonVersion`] when the ranges do not meet. Both end
/// the connection.
pub fn negotiate(received: &[u8]) -> Result<Option<u8>, WireError> {
    let seen = received.len().min(MAGIC.len());
    if received[..seen] != MAGIC[..seen] {
        return Err(WireError::BadPreface);
    }
    if received.len() < PREFACE_BYTES {
        return Ok(None);
    }
    let (lowest, highest) = (received[4], received[5]);
    if lowest > highest || highest == 0 {
        return Err(WireError::BadPreface);
    }
    if lowest > VERSION_MAX || highest < VERSION_MIN {
        return Err(WireError::NoCommonVersion { lowest, highest });
    }
    Ok(Some(highest.min(VERSION_MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preface_is_judged_as_its_bytes_arrive() {
        assert_eq!(negotiate(b""), Ok(None));
        assert_eq!(negotiate(b"HYAN\x01\x01\x00"), Ok(None));
        assert_eq!(negotiate(b"HYAN\x01\x09\x00\x00"), Ok(Some(1)));
        assert_eq!(negotiate(b"GET "), Err(WireError::BadPreface));
        assert_eq!(negotiate(b"HYAN\x02\x01\x00\x00"), Err(WireError::BadPreface));
        assert_eq!(
            negotiate(b"HYAN\x02\x03\x00\x00"),
            Err(WireError::NoCommonVersion { lowest: 2, highest: 3 })
        );
    }
}
