//! The least that any server of this wire must do with a message: read it, find where it ends,
//! write it to the next connection and an answer to the one it came from.
//!
//! ```text
//! long frame of connection i   -> the same bytes to connection i + 1, an ack's bytes to i
//! short frame (a receipt)      -> the same bytes to connection i - 1 (who is told of it)
//! ```
//!
//! One thread, one poll, one write per connection and wake, as the real server's shards. No
//! parsing beyond the length, no log-in, no log, no rule, no allocation per message: what a server
//! costs beyond this is what it does for its users. It serves benches and tests, and is bounded:
//! a connection that lets [`UNREAD_BYTES_MAX`] pile up is closed.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use hongyan_protocol::{FrameDecoder, Opcode, frame, limits, pb};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

/// Frames below this many bytes are receipts, not messages: a receipt and an ack are about 30.
pub const SHORT_FRAME_BYTES: usize = 64;
/// Bytes that may wait for a connection that does not read.
pub const UNREAD_BYTES_MAX: usize = 8 * 1024 * 1024;

const LISTENER: Token = Token(usize::MAX);
const READ_BYTES: usize = 128 * 1024;
const STOP_CHECK: Duration = Duration::from_millis(100);

/// The relay; see the module.
#[derive(Debug)]
pub struct NullRelay {
    poll: Poll,
    listener: TcpListener,
    ring: Vec<Option<Peer>>,
    dirty: Vec<usize>,
    ack: Vec<u8>,
    scratch: Vec<u8>,
    stop: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Peer {
    stream: TcpStream,
    partial: Vec<u8>,
    out: BytesMut,
    dirty: bool,
}

impl NullRelay {
    /// A relay that listens on `addr` for a ring of `connections` connections, in the order they
    /// are accepted. A place in the ring becomes free when its connection closes.
    ///
    /// # Errors
    /// The address cannot be bound, or the system has no poll to give.
    pub fn bind(addr: SocketAddr, connections: usize) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut listener = TcpListener::bind(addr)?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self {
            poll,
            listener,
            ring: (0..connections.max(1)).map(|_| None).collect(),
            dirty: Vec::new(),
            ack: ack_bytes(),
            scratch: vec![0; READ_BYTES],
            stop: Arc::new(AtomicBool::new(false)),
        })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Ends [`NullRelay::run`] within a tenth of a second when set.
    #[must_use]
    pub fn stop_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// Relays until the stop flag is set.
    ///
    /// # Errors
    /// The poll failed; connections' failures only close them.
    pub fn run(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        while !self.stop.load(Ordering::Relaxed) {
            match self.poll.poll(&mut events, Some(STOP_CHECK)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accept()?,
                    Token(index) => {
                        if event.is_readable() {
                            self.read(index);
                        }
                        if event.is_writable() {
                            self.touch(index);
                        }
                    }
                }
            }
            self.flush();
        }
        Ok(())
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error),
            };
            let Some(index) = self.ring.iter().position(Option::is_none) else {
                continue;
            };
            stream.set_nodelay(true)?;
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut stream, Token(index), interest)?;
            let peer = Peer { stream, partial: Vec::new(), out: BytesMut::new(), dirty: false };
            self.ring[index] = Some(peer);
        }
    }

    fn read(&mut self, index: usize) {
        let mut scratch = std::mem::take(&mut self.scratch);
        while let Some(peer) = &mut self.ring[index] {
            match peer.stream.read(&mut scratch) {
                Ok(0) => self.close(index),
                Ok(count) => {
                    if self.relay(index, &scratch[..count]).is_err() {
                        self.close(index);
                    }
                    if count < scratch.len() {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => self.close(index),
            }
        }
        self.scratch = scratch;
    }

    fn relay(&mut self, index: usize, bytes: &[u8]) -> Result<(), hongyan_protocol::WireError> {
        let Some(peer) = &mut self.ring[index] else {
            return Ok(());
        };
        let mut partial = std::mem::take(&mut peer.partial);
        if partial.is_empty() {
            let used = self.relay_frames(index, bytes)?;
            partial.extend_from_slice(&bytes[used..]);
        } else {
            partial.extend_from_slice(bytes);
            let used = self.relay_frames(index, &partial)?;
            partial.drain(..used);
        }
        if let Some(peer) = &mut self.ring[index] {
            peer.partial = partial;
        }
        Ok(())
    }

    fn relay_frames(
        &mut self,
        index: usize,
        bytes: &[u8],
    ) -> Result<usize, hongyan_protocol::WireError> {
        let decoder = FrameDecoder::new(limits::FRAME_BYTES_MAX);
        let (next, previous) =
            ((index + 1) % self.ring.len(), (index + self.ring.len() - 1) % self.ring.len());
        let mut used = 0;
        while let Some(len) = decoder.needed(&bytes[used..])? {
            let Some(frame) = bytes.get(used..used + len) else {
                break;
            };
            used += len;
            if len < SHORT_FRAME_BYTES {
                self.queue(previous, frame);
            } else {
                self.queue(next, frame);
                let ack = std::mem::take(&mut self.ack);
                self.queue(index, &ack);
                self.ack = ack;
            }
        }
        Ok(used)
    }

    fn queue(&mut self, index: usize, bytes: &[u8]) {
        let Some(peer) = &mut self.ring[index] else {
            return;
        };
        peer.out.extend_from_slice(bytes);
        if !peer.dirty {
            peer.dirty = true;
            self.dirty.push(index);
        }
        if peer.out.len() > UNREAD_BYTES_MAX {
            self.close(index);
        }
    }

    /// The connection can be written again: try when something waits.
    fn touch(&mut self, index: usize) {
        if let Some(peer) = &mut self.ring[index]
            && !peer.out.is_empty()
            && !peer.dirty
        {
            peer.dirty = true;
            self.dirty.push(index);
        }
    }

    fn flush(&mut self) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for index in dirty.drain(..) {
            let Some(peer) = &mut self.ring[index] else {
                continue;
            };
            peer.dirty = false;
            while !peer.out.is_empty() {
                match peer.stream.write(&peer.out) {
                    Ok(count) => peer.out.advance(count),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(_) => {
                        self.close(index);
                        break;
                    }
                }
            }
        }
        self.dirty = dirty;
    }

    fn close(&mut self, index: usize) {
        if let Some(mut peer) = self.ring[index].take() {
            // The socket closes with the peer; a failed deregistration changes nothing.
            let _ = self.poll.registry().deregister(&mut peer.stream);
        }
    }
}

/// An ack as a real server's: the same length and fields, always the same values.
fn ack_bytes() -> Vec<u8> {
    let ack = pb::SendAck {
        message_id: 7 << 51 | 1_000_000,
        seq: 100_000,
        time_ms: 1_760_000_000_000,
        level: 0,
        repeated_send: false,
    };
    let mut out = BytesMut::new();
    frame::encode_message(Opcode::Send, 1, &ack, &mut out);
    out.to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ack_is_shorter_than_any_send() {
        let ack = ack_bytes();
        assert!(ack.len() < SHORT_FRAME_BYTES, "{}", ack.len());
        const { assert!(crate::engine::payload::TEXT_BYTES_MIN + 16 + 8 >= SHORT_FRAME_BYTES) };
    }
}
