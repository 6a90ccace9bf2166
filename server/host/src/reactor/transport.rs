//! Bytes in, bytes out: plain TCP or TLS behind one type.
//!
//! Owns the socket and, for TLS, the rustls state (sans-IO: the worker reads
//! and writes the socket, rustls only turns bytes into bytes). Knows nothing
//! of frames. The whole value moves when a connection changes its worker.
//!
//! Invariants: no plaintext stays behind in rustls after a read, so a
//! connection without a fresh edge has nothing unread; a call never blocks.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::Shutdown;

use bytes::{Buf, Bytes, BytesMut};
use mio::net::TcpStream;
use rustls::ServerConnection;

use super::outqueue::OutQueue;

/// A socket with or without TLS.
pub(crate) struct Transport {
    socket: TcpStream,
    tls: Option<Box<ServerConnection>>,
}

/// How a read ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadEnd {
    /// The socket has nothing more; the next edge will tell.
    Drained,
    /// The budget is used up; there may be more without an edge.
    Budget,
    /// The peer closed its side.
    Closed,
    /// The connection broke, or the peer broke TLS.
    Broken,
}

/// How a flush ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FlushEnd {
    /// Everything is with the kernel.
    Drained,
    /// The socket takes no more; the next writable edge will tell.
    Blocked,
    /// The connection broke.
    Broken,
}

/// Most slices given to one `writev`.
const SLICES_MAX: usize = 64;

impl Transport {
    /// Plain TCP.
    pub(crate) fn plain(socket: TcpStream) -> Self {
        Self { socket, tls: None }
    }

    /// TLS, at the start of its handshake.
    pub(crate) fn tls(socket: TcpStream, tls: ServerConnection) -> Self {
        Self { socket, tls: Some(Box::new(tls)) }
    }

    /// The socket, for registration.
    pub(crate) fn socket(&mut self) -> &mut TcpStream {
        &mut self.socket
    }

    /// True until TLS is established; never for plain TCP.
    pub(crate) fn is_handshaking(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_handshaking())
    }

    /// True when TLS itself has something to send, such as a part of its
    /// handshake.
    pub(crate) fn wants_write(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.wants_write())
    }

    /// Reads through `scratch` into `into`, at most about `budget` bytes of
    /// it. Returns how many came and how it ended.
    pub(crate) fn read(
        &mut self,
        scratch: &mut [u8],
        into: &mut BytesMut,
        budget: usize,
    ) -> (usize, ReadEnd) {
        let mut total = 0;
        while total < budget {
            match self.read_once(scratch, into) {
                Ok(Some((0, _))) => return (total, ReadEnd::Closed),
                Ok(Some((bytes, drained))) => {
                    total += bytes;
                    if drained {
                        return (total, ReadEnd::Drained);
                    }
                }
                Ok(None) => return (total, ReadEnd::Drained),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return (total, ReadEnd::Broken),
            }
        }
        (total, ReadEnd::Budget)
    }

    /// One read: bytes taken from the socket (zero: closed) and whether it is
    /// known to be empty; `None` when it would block.
    fn read_once(
        &mut self,
        scratch: &mut [u8],
        into: &mut BytesMut,
    ) -> io::Result<Option<(usize, bool)>> {
        let Some(tls) = &mut self.tls else {
            return match self.socket.read(scratch) {
                Ok(bytes) => {
                    into.extend_from_slice(&scratch[..bytes]);
                    // A short read of a stream socket means it is empty, and
                    // whatever comes after it raises an edge (epoll(7)); but
                    // not an end that was there before, see `ended`.
                    Ok(Some((bytes, bytes < scratch.len())))
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
                Err(error) => Err(error),
            };
        };
        let bytes = match tls.read_tls(&mut self.socket) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        };
        let processed = tls.process_new_packets();
        loop {
            match tls.reader().read(scratch) {
                Ok(0) => return Ok(Some((0, true))),
                Ok(plain) => into.extend_from_slice(&scratch[..plain]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                    return Ok(Some((0, true)));
                }
                Err(error) => return Err(error),
            }
        }
        if let Err(error) = processed {
            // The alert that says why is worth a try.
            let _ = tls.write_tls(&mut self.socket);
            return Err(io::Error::new(ErrorKind::InvalidData, error));
        }
        Ok(Some((bytes, false)))
    }

    /// Reads and throws away, for a connection that only waits for its end.
    pub(crate) fn discard(&mut self, scratch: &mut [u8], budget: usize) -> ReadEnd {
        let mut total = 0;
        while total < budget {
            match self.socket.read(scratch) {
                Ok(0) => return ReadEnd::Closed,
                Ok(bytes) => total += bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return ReadEnd::Drained,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return ReadEnd::Broken,
            }
        }
        ReadEnd::Budget
    }

    /// Sends what is queued until the queue is empty or the socket is full.
    /// Returns bytes taken off the queue and how it ended.
    pub(crate) fn flush(&mut self, out: &mut OutQueue) -> (usize, FlushEnd) {
        let before = out.bytes();
        let end = if self.tls.is_some() { self.flush_tls(out) } else { self.flush_plain(out) };
        (before - out.bytes(), end)
    }

    fn flush_plain(&mut self, out: &mut OutQueue) -> FlushEnd {
        while !out.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let count = out.slices(&mut slices);
            match self.socket.write_vectored(&slices[..count]) {
                Ok(0) => return FlushEnd::Broken,
                Ok(bytes) => out.advance(bytes),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return FlushEnd::Blocked,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return FlushEnd::Broken,
            }
        }
        FlushEnd::Drained
    }

    fn flush_tls(&mut self, out: &mut OutQueue) -> FlushEnd {
        let Some(tls) = &mut self.tls else {
            return FlushEnd::Broken;
        };
        loop {
            while let Some(head) = out.head() {
                match tls.writer().write(head) {
                    Ok(0) => break,
                    Ok(bytes) => out.advance(bytes),
                    Err(_) => return FlushEnd::Broken,
                }
            }
            if !tls.wants_write() {
                return if out.is_empty() { FlushEnd::Drained } else { FlushEnd::Blocked };
            }
            match tls.write_tls(&mut self.socket) {
                Ok(0) => return FlushEnd::Broken,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return FlushEnd::Blocked,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return FlushEnd::Broken,
            }
        }
    }

    /// Ends our side; what the kernel has is still sent.
    pub(crate) fn finish(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            let _ = tls.write_tls(&mut self.socket);
        }
        let _ = self.socket.shutdown(Shutdown::Write);
    }
}

/// Copies what is left of `buffer` out of the block that decoded frames were
/// sliced from, so that a few bytes do not keep the block alive.
pub(crate) fn unpin(buffer: &mut BytesMut) {
    if buffer.is_empty() {
        *buffer = BytesMut::new();
    } else {
        *buffer = BytesMut::from(&buffer[..]);
    }
}

/// Takes `bytes` off the front of `chunk`.
pub(super) fn advance(chunk: &mut Bytes, bytes: usize) {
    chunk.advance(bytes);
}
