//! Signing in without blocking: connect, shake hands, say hello with a token, wait for Welcome.
//!
//! ```text
//! begin ─ connect ─ (TLS) ─ preface and hello ─ preface, Welcome ─▶ In
//!                                             └ Error, Goodbye ───▶ Refused
//!            └──────────── the connection ended ─────────────────▶ Broken
//! ```
//!
//! Owns the connection until it is a session. Keeps no time: whoever drives it says when to give
//! up, and when to try again.

use std::io::{self, Read, Write};

use bytes::BytesMut;
use hongyan_protocol::version::{CLIENT_PREFACE, PREFACE_BYTES, negotiate};
use hongyan_protocol::{FrameDecoder, Opcode, frame, limits, pb};
use prost::Message;

use crate::roster::Account;
use crate::session::hello;
use crate::stream::{Endpoint, Stream};
use crate::wire::FrameView;

/// Bytes before Welcome, at most: the preface and one frame.
const ANSWER_BYTES_MAX: usize = PREFACE_BYTES + limits::FRAME_BYTES_MAX;

/// The first bytes of a session of `account`: preface and hello.
#[must_use]
pub(crate) fn greeting(account: &Account) -> Box<[u8]> {
    let mut out = BytesMut::from(&CLIENT_PREFACE[..]);
    let hello = hello(&account.device_id, account.access_token.clone(), None);
    frame::encode_message(Opcode::Hello, 1, &hello, &mut out);
    out.as_ref().into()
}

/// How far a sign-in is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// The connection ended without a word; says how.
    Broken(String),
    /// The session is open: take it by [`SignIn::into_session`].
    In,
    /// The server said no.
    Refused {
        /// Why, in the server's numbers.
        code: u32,
        /// When to try again, in milliseconds; zero without a hint.
        after_ms: u32,
        /// Whether trying again is of any use.
        again: bool,
    },
    /// More must come.
    Waiting,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct SignIn {
    stream: Stream,
    /// What is still to be written of the greeting.
    unsent: usize,
    input: Vec<u8>,
}

impl SignIn {
    /// Begins as the `index`th connection to `endpoint`.
    ///
    /// # Errors
    /// As [`Endpoint::begin`].
    pub(crate) fn begin(endpoint: &Endpoint, index: usize, greeting: &[u8]) -> io::Result<Self> {
        Ok(Self { stream: endpoint.begin(index)?, unsent: greeting.len(), input: Vec::new() })
    }

    /// The connection.
    pub(crate) const fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Goes on as far as the socket lets it. `greeting` is the same each time, `scratch` is for
    /// reading.
    pub(crate) fn advance(&mut self, greeting: &[u8], scratch: &mut [u8]) -> Step {
        match self.exchange(greeting, scratch) {
            // A goodbye may stand before the end.
            Ok(ended) => match self.answer() {
                Step::Waiting if ended => Step::Broken("closed without a word".to_owned()),
                step => step,
            },
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                Step::Broken(error.to_string())
            }
            Err(error) => match self.answer() {
                Step::Waiting => Step::Broken(error.kind().to_string()),
                step => step,
            },
        }
    }

    /// The connection, and what came after Welcome.
    pub(crate) fn into_session(self) -> (Stream, Vec<u8>) {
        (self.stream, self.input)
    }

    /// Writes and reads; true when the server has ended the connection.
    fn exchange(&mut self, greeting: &[u8], scratch: &mut [u8]) -> io::Result<bool> {
        loop {
            self.send(greeting)?;
            match self.stream.read(scratch) {
                Ok(0) => return Ok(true),
                Ok(count) => self.input.extend_from_slice(&scratch[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_later(&error) => {
                    // A handshake asks for an answer by what was just read.
                    self.send(greeting)?;
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
            if self.input.len() > ANSWER_BYTES_MAX {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "an endless answer"));
            }
        }
    }

    fn send(&mut self, greeting: &[u8]) -> io::Result<()> {
        while self.unsent > 0 {
            match self.stream.write(&greeting[greeting.len() - self.unsent..]) {
                Ok(count) => self.unsent -= count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_later(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        match self.stream.flush() {
            Err(error) if !is_later(&error) => Err(error),
            _ => Ok(()),
        }
    }

    /// What the bytes so far mean; takes Welcome off the input.
    fn answer(&mut self) -> Step {
        let Some((preface, rest)) = self.input.split_first_chunk::<PREFACE_BYTES>() else {
            return Step::Waiting;
        };
        if let Err(error) = negotiate(preface) {
            return Step::Broken(error.to_string());
        }
        let decoder = FrameDecoder::new(limits::FRAME_BYTES_MAX);
        let mut used = PREFACE_BYTES;
        let mut rest = rest;
        loop {
            let view = match FrameView::peek(&decoder, rest) {
                Ok(Some(view)) => view,
                Ok(None) => return Step::Waiting,
                Err(error) => return Step::Broken(error.to_string()),
            };
            used += view.whole_bytes;
            match meaning(&view) {
                Step::Waiting => rest = &rest[view.whole_bytes..],
                Step::In => {
                    self.input.drain(..used);
                    self.input.shrink_to_fit();
                    return Step::In;
                }
                step => return step,
            }
        }
    }
}

fn meaning(view: &FrameView<'_>) -> Step {
    let unreadable = || Step::Broken("an answer that cannot be read".to_owned());
    match Opcode::from_number(view.opcode) {
        Some(Opcode::Hello) => match pb::Welcome::decode(view.payload) {
            Ok(pb::Welcome { session: Some(_), .. }) => Step::In,
            Ok(_) => Step::Broken("a welcome without a session".to_owned()),
            Err(_) => unreadable(),
        },
        Some(Opcode::Error) => pb::Error::decode(view.payload).map_or_else(
            |_| unreadable(),
            |error| Step::Refused {
                code: error.code,
                after_ms: error.retry_after_ms,
                again: error.retry_after_ms > 0,
            },
        ),
        Some(Opcode::Goodbye) => pb::Goodbye::decode(view.payload).map_or_else(
            |_| unreadable(),
            |goodbye| Step::Refused {
                code: goodbye.code,
                after_ms: goodbye.reconnect_after_ms,
                again: goodbye.reconnect_after_ms > 0 || matches!(goodbye.code, 600..=603 | 606),
            },
        ),
        _ => Step::Waiting,
    }
}

/// The socket is not ready, or not connected yet.
fn is_later(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected)
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener, TcpStream};

    use hongyan_protocol::Frame;

    use super::*;

    const GREETING: &[u8] = b"preface and hello";

    /// A sign-in, and the server's end of its connection.
    fn pair() -> (SignIn, TcpStream) {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let endpoint = Endpoint::tcp(listener.local_addr().unwrap());
        let sign_in = SignIn::begin(&endpoint, 0, GREETING).unwrap();
        (sign_in, listener.accept().unwrap().0)
    }

    /// Advances until something happens; every answer is on its way already.
    fn outcome(sign_in: &mut SignIn) -> Step {
        loop {
            match sign_in.advance(GREETING, &mut [0; 64]) {
                Step::Waiting => std::thread::yield_now(),
                step => return step,
            }
        }
    }

    fn answered(frames: &[Frame]) -> (Step, Vec<u8>) {
        let (mut sign_in, mut server) = pair();
        assert_eq!(sign_in.advance(GREETING, &mut [0; 64]), Step::Waiting);
        let mut heard = vec![0; GREETING.len()];
        server.read_exact(&mut heard).unwrap();
        assert_eq!(heard, GREETING);
        server.write_all(&CLIENT_PREFACE).unwrap();
        for frame in frames {
            server.write_all(&frame.to_delimited()).unwrap();
        }
        drop(server);
        (outcome(&mut sign_in), sign_in.into_session().1)
    }

    #[test]
    fn a_welcome_opens_the_session_and_what_follows_is_kept() {
        let session = Some(pb::Session { user_id: 5, ..pb::Session::default() });
        let welcome =
            Frame::new(Opcode::Hello, 1, &pb::Welcome { session, ..pb::Welcome::default() });
        let (step, rest) = answered(&[Frame::HEARTBEAT, welcome, Frame::HEARTBEAT]);
        assert_eq!((step, rest.as_slice()), (Step::In, &[0][..]));
    }

    #[test]
    fn a_no_says_whether_to_come_back() {
        let error = |code, retry_after_ms| {
            let message = "no".to_owned();
            Frame::new(Opcode::Error, 1, &pb::Error { code, message, retry_after_ms })
        };
        let goodbye = |code, reconnect_after_ms| {
            let goodbye = pb::Goodbye { code, reconnect_after_ms, ..pb::Goodbye::default() };
            Frame::new(Opcode::Goodbye, 0, &goodbye)
        };
        for (frame, expected) in [
            (error(501, 40), (501, 40, true)),
            (error(201, 0), (201, 0, false)),
            (goodbye(606, 2_000), (606, 2_000, true)),
            (goodbye(602, 0), (602, 0, true)),
            (goodbye(604, 0), (604, 0, false)),
        ] {
            let (code, after_ms, again) = expected;
            assert_eq!(answered(&[frame]).0, Step::Refused { code, after_ms, again });
        }
    }

    #[test]
    fn an_end_without_a_word_is_told_from_a_refusal() {
        assert_eq!(answered(&[]).0, Step::Broken("closed without a word".to_owned()));
        let (mut sign_in, mut server) = pair();
        server.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        assert!(matches!(outcome(&mut sign_in), Step::Broken(_)));
    }
}
