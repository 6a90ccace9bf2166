//! What a NATS server says, as borrowed views of a buffer.
//!
//! Written here because the protocol is a few lines of text, and the clients that exist bring a
//! runtime and a TLS stack (`async-nats`) or copy every message several times
//! (`watermelon-proto`).
//!
//! ```text
//! INFO {json}                                           PING     PONG     +OK     -ERR 'why'
//! MSG subject sid [reply] bytes                         payload
//! HMSG subject sid [reply] header-bytes all-bytes       header, empty line, payload
//! ```
//!
//! Each line and each payload ends with CR LF.

use crate::driver::LinkError;

/// Longest line and longest message that make sense here, in bytes.
pub(super) const LINE_BYTES_MAX: usize = 64 * 1024;
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;
const WORDS_MAX: usize = 6;

/// One thing that the server said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said<'a> {
    Err(&'a [u8]),
    Info(&'a [u8]),
    Message(Message<'a>),
    Ok,
    Ping,
    Pong,
}

/// A message to one of our subscriptions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Message<'a> {
    pub(super) subject: &'a [u8],
    pub(super) sid: u64,
    /// Where an answer goes; empty without one.
    pub(super) reply: &'a [u8],
    /// The status in its header, and what is written beside it.
    pub(super) status: Option<(u32, &'a [u8])>,
    pub(super) payload: &'a [u8],
}

/// What stands at the front of `bytes` and how many bytes it takes; `None` when it is not all
/// there.
///
/// # Errors
/// It is not of this protocol, or longer than makes sense.
pub(super) fn peek(bytes: &[u8]) -> Result<Option<(usize, Said<'_>)>, LinkError> {
    let window = &bytes[..bytes.len().min(LINE_BYTES_MAX)];
    let Some(line_bytes) = window.iter().position(|byte| *byte == b'\n') else {
        return if window.len() == LINE_BYTES_MAX {
            Err(LinkError::Foreign("a line without an end".to_owned()))
        } else {
            Ok(None)
        };
    };
    let line = window[..line_bytes].strip_suffix(b"\r").ok_or_else(|| foreign(window))?;
    let after = line_bytes + 1;
    let said = match line {
        [b'M', b'S', b'G', b' ', words @ ..] => return message(bytes, after, words, false),
        [b'H', b'M', b'S', b'G', b' ', words @ ..] => return message(bytes, after, words, true),
        [b'I', b'N', b'F', b'O', b' ', json @ ..] => Said::Info(json),
        [b'-', b'E', b'R', b'R', b' ', why @ ..] => Said::Err(why),
        b"+OK" => Said::Ok,
        b"PING" => Said::Ping,
        b"PONG" => Said::Pong,
        _ => return Err(foreign(line)),
    };
    Ok(Some((after, said)))
}

/// The message whose line has these words, and whose payload begins at `at`.
fn message<'a>(
    bytes: &'a [u8],
    at: usize,
    line: &'a [u8],
    with_header: bool,
) -> Result<Option<(usize, Said<'a>)>, LinkError> {
    let mut words = [&[][..]; WORDS_MAX];
    let mut count = 0;
    for word in line.split(|byte| *byte == b' ').filter(|word| !word.is_empty()) {
        *words.get_mut(count).ok_or_else(|| foreign(line))? = word;
        count += 1;
    }
    let (subject, sid, reply, header_bytes, all_bytes) = match (with_header, &words[..count]) {
        (false, [subject, sid, all]) => (*subject, sid, &[][..], &b"0"[..], all),
        (false, [subject, sid, reply, all]) => (*subject, sid, *reply, &b"0"[..], all),
        (true, [subject, sid, header, all]) => (*subject, sid, &[][..], *header, all),
        (true, [subject, sid, reply, header, all]) => (*subject, sid, *reply, *header, all),
        _ => return Err(foreign(line)),
    };
    let number = |digits: &[u8]| decimal(digits).ok_or_else(|| foreign(line));
    let (sid, all_bytes) = (number(sid)?, number(all_bytes)? as usize);
    let header_bytes = number(header_bytes)? as usize;
    if all_bytes > MESSAGE_BYTES_MAX || header_bytes > all_bytes {
        return Err(foreign(line));
    }
    let whole_bytes = at + all_bytes + 2;
    let Some(body) = bytes.get(at..whole_bytes) else {
        return Ok(None);
    };
    let body = body.strip_suffix(b"\r\n").ok_or_else(|| foreign(line))?;
    let (header, payload) = body.split_at(header_bytes);
    let status = status_of(header);
    let message = Message { subject, sid, reply, status, payload };
    Ok(Some((whole_bytes, Said::Message(message))))
}

/// The status in the first line of a header, `NATS/1.0 503 No Responders`.
fn status_of(header: &[u8]) -> Option<(u32, &[u8])> {
    let line = header.split(|byte| *byte == b'\r').next()?.strip_prefix(b"NATS/1.0 ")?;
    let (digits, words) = line.split_at_checked(3)?;
    Some((u32::try_from(decimal(digits)?).ok()?, words.trim_ascii()))
}

/// The value of decimal digits; `None` for anything else.
pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 19 {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, digit| {
        digit.is_ascii_digit().then(|| value * 10 + u64::from(digit - b'0'))
    })
}

/// The server's words as an error.
pub(super) fn foreign(words: &[u8]) -> LinkError {
    let shown = &words[..words.len().min(200)];
    LinkError::Foreign(String::from_utf8_lossy(shown).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain<'a>(reply: &'a [u8], payload: &'a [u8]) -> Said<'a> {
        Said::Message(Message { subject: b"hy.u.1", sid: 2, reply, status: None, payload })
    }

    #[test]
    fn every_line_is_read_once_it_is_whole() {
        let header = b"NATS/1.0 503\r\n\r\n";
        let refused = Message {
            subject: b"in.7",
            sid: 1,
            reply: b"",
            status: Some((503, b"")),
            payload: b"",
        };
        for (bytes, said) in [
            (&b"+OK\r\n"[..], Said::Ok),
            (b"PING\r\n", Said::Ping),
            (b"PONG\r\n", Said::Pong),
            (b"-ERR 'Slow Consumer'\r\n", Said::Err(b"'Slow Consumer'")),
            (b"INFO {\"port\":1}\r\n", Said::Info(b"{\"port\":1}")),
            (b"MSG hy.u.1 2 5\r\nhello\r\n", plain(b"", b"hello")),
            (b"MSG hy.u.1 2 $JS.ACK.x 2\r\n\r\n\r\n", plain(b"$JS.ACK.x", b"\r\n")),
            (b"HMSG hy.u.1 2 12 14\r\nNATS/1.0\r\n\r\nhi\r\n", plain(b"", b"hi")),
            (&[b"HMSG in.7 1 16 16\r\n", &header[..], b"\r\n"].concat(), Said::Message(refused)),
        ] {
            for part in 0..bytes.len() {
                assert_eq!(peek(&bytes[..part]), Ok(None), "{part} of {bytes:?}");
            }
            assert_eq!(peek(&[bytes, b"MSG "].concat()), Ok(Some((bytes.len(), said))));
        }
    }

    #[test]
    fn a_status_has_a_number_and_words() {
        let status = status_of(b"NATS/1.0 409 Consumer Deleted\r\nA: b\r\n\r\n");
        assert_eq!(status, Some((409, &b"Consumer Deleted"[..])));
        assert_eq!(status_of(b"NATS/1.0\r\nA: b\r\n\r\n"), None);
        assert_eq!(status_of(b""), None);
    }

    #[test]
    fn other_bytes_are_refused() {
        for bytes in [
            &b"HTTP/1.1 400 Bad Request\r\n"[..],
            b"PING\n",
            b"MSG a b\r\n",
            b"MSG a x 1\r\n",
            b"MSG a 1 b c 1\r\n",
            b"MSG a 1 99999999999999999999999\r\n",
            b"MSG a 1 9999999999\r\n",
            b"MSG a 1 1\r\nxyz",
            b"HMSG a 1 9 5\r\n",
        ] {
            assert!(peek(bytes).is_err(), "{bytes:?}");
        }
        assert!(peek(&vec![b'x'; LINE_BYTES_MAX]).is_err());
    }
}
