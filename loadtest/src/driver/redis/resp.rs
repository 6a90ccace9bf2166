//! RESP2, the bytes of Redis: commands as they are sent, answers element by element.
//!
//! Written here because `redis-protocol` makes a tree of each answer (0.8 us per message of a
//! stream read, as much as all else that the generator does for it), reads an answer again from
//! its start whenever more of it has come, and overflows the stack on deep nesting; `redis` comes
//! with its own input and output.
//!
//! ```text
//! +words   -CODE words   :integer   $bytes CR LF bytes   $-1 (nothing)   *elements   *-1 (nothing)
//! ```
//!
//! Each line and each string ends with CR LF.

use hongyan_protocol::limits::TEXT_BYTES_MAX;

use crate::driver::LinkError;

/// Longest line and longest string that make sense here, in bytes.
const LINE_BYTES_MAX: usize = 4096;
const STRING_BYTES_MAX: usize = TEXT_BYTES_MAX + 1024;
/// Most elements of an array that make sense here.
const ELEMENTS_MAX: usize = 65_536;

/// One element of an answer; of an array only its head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element<'a> {
    Array(usize),
    Error(&'a [u8]),
    Integer(i64),
    Nothing,
    Simple(&'a [u8]),
    Text(&'a [u8]),
}

/// Why nothing could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stop {
    /// It is not all there.
    Partial,
    /// It is not what should be there.
    Wrong(LinkError),
}

impl From<LinkError> for Stop {
    fn from(error: LinkError) -> Self {
        Self::Wrong(error)
    }
}

/// The same with `None` for what is not all there.
pub(super) fn whole<T>(read: Result<T, Stop>) -> Result<Option<T>, LinkError> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(Stop::Partial) => Ok(None),
        Err(Stop::Wrong(error)) => Err(error),
    }
}

/// Reads elements off the front of a buffer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    /// Bytes that were read.
    pub(super) at: usize,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The bytes that were read since `at`.
    pub(super) fn since(&self, at: usize) -> &'a [u8] {
        &self.bytes[at..self.at]
    }

    /// The next element.
    ///
    /// # Errors
    /// [`Stop::Wrong`]: it is not of this protocol, or longer than makes sense.
    pub(super) fn element(&mut self) -> Result<Element<'a>, Stop> {
        let rest = &self.bytes[self.at..];
        let window = &rest[..rest.len().min(LINE_BYTES_MAX)];
        let Some(end) = window.iter().position(|byte| *byte == b'\r') else {
            let partial = window.len() < LINE_BYTES_MAX;
            return Err(if partial { Stop::Partial } else { foreign(window).into() });
        };
        let (kind, line) = window[..end].split_first().ok_or_else(|| foreign(window))?;
        let text_at = end + 2;
        let mut whole_bytes = text_at;
        let element = match kind {
            b'+' => Element::Simple(line),
            b'-' => Element::Error(line),
            b':' => Element::Integer(integer(line)?),
            b'*' => count(line, ELEMENTS_MAX)?.map_or(Element::Nothing, Element::Array),
            b'$' => match count(line, STRING_BYTES_MAX)? {
                Some(count) => {
                    whole_bytes += count + 2;
                    Element::Text(rest.get(text_at..text_at + count).ok_or(Stop::Partial)?)
                }
                None => Element::Nothing,
            },
            _ => return Err(foreign(window).into()),
        };
        let whole = rest.get(..whole_bytes).ok_or(Stop::Partial)?;
        if whole[end + 1] != b'\n' || !whole.ends_with(b"\r\n") {
            return Err(foreign(window).into());
        }
        self.at += whole_bytes;
        Ok(element)
    }

    /// Passes over the head of an array of so many elements.
    ///
    /// # Errors
    /// As [`Reader::element`], or something else comes next.
    pub(super) fn array(&mut self, elements: usize) -> Result<(), Stop> {
        match self.element()? {
            Element::Array(count) if count == elements => Ok(()),
            _ => Err(LinkError::Unexpected("something where an array should be").into()),
        }
    }

    /// A string.
    ///
    /// # Errors
    /// As [`Reader::element`], or something else comes next.
    pub(super) fn text(&mut self) -> Result<&'a [u8], Stop> {
        match self.element()? {
            Element::Text(text) => Ok(text),
            _ => Err(LinkError::Unexpected("something where a string should be").into()),
        }
    }
}

fn integer(line: &[u8]) -> Result<i64, LinkError> {
    std::str::from_utf8(line).ok().and_then(|line| line.parse().ok()).ok_or_else(|| foreign(line))
}

/// A length; `None` for the length of nothing.
fn count(line: &[u8], most: usize) -> Result<Option<usize>, LinkError> {
    if line == b"-1" {
        return Ok(None);
    }
    let mut count = 0;
    for digit in line {
        if !digit.is_ascii_digit() || count > most {
            return Err(foreign(line));
        }
        count = count * 10 + usize::from(digit - b'0');
    }
    if line.is_empty() || count > most { Err(foreign(line)) } else { Ok(Some(count)) }
}

/// The server's words as an error.
pub(super) fn foreign(words: &[u8]) -> LinkError {
    let shown = &words[..words.len().min(200)];
    LinkError::Foreign(String::from_utf8_lossy(shown).trim().to_owned())
}

/// A command as the server reads it.
pub(super) fn command(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_is_read_once_it_is_whole() {
        for (bytes, element) in [
            (&b"+OK\r\n"[..], Element::Simple(b"OK")),
            (b"-OOM command not allowed\r\n", Element::Error(b"OOM command not allowed")),
            (b":-12\r\n", Element::Integer(-12)),
            (b"$3\r\na\rb\r\n", Element::Text(b"a\rb")),
            (b"$0\r\n\r\n", Element::Text(b"")),
            (b"$-1\r\n", Element::Nothing),
            (b"*2\r\n", Element::Array(2)),
            (b"*-1\r\n", Element::Nothing),
        ] {
            for part in 0..bytes.len() {
                assert_eq!(
                    Reader::new(&bytes[..part]).element(),
                    Err(Stop::Partial),
                    "{part} {bytes:?}"
                );
            }
            let all = [bytes, b"+"].concat();
            let mut reader = Reader::new(&all);
            assert_eq!(reader.element(), Ok(element));
            assert_eq!((reader.at, reader.element()), (bytes.len(), Err(Stop::Partial)));
        }
    }

    #[test]
    fn other_bytes_are_refused() {
        for bytes in [
            &b"HTTP/1.1 400\r\n"[..],
            b"\r\n",
            b"+OK\rx",
            b"$1\r\nab\r\n",
            b"$99999999999999999999\r\n",
            b"$-2\r\n",
            b"$\r\n",
            b"*1000000\r\n",
            b":x\r\n",
        ] {
            assert!(whole(Reader::new(bytes).element()).is_err(), "{bytes:?}");
        }
        assert!(whole(Reader::new(&[b'+'; LINE_BYTES_MAX]).element()).is_err());
    }

    #[test]
    fn commands_are_arrays_of_strings() {
        assert_eq!(command(&["PING", "ab"]), b"*2\r\n$4\r\nPING\r\n$2\r\nab\r\n");
    }
}
