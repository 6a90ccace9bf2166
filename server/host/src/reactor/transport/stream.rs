//! The lower layer: a socket with or without TLS.
//!
//! Owns the socket and, for TLS, the rustls state (sans-IO: the worker reads
//! and writes the socket, rustls only turns bytes into bytes).
//!
//! Invariants: no plaintext stays behind in rustls after a read, so a
//! connection without a fresh edge has nothing unread; a call never blocks.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::Shutdown;

use mio::net::TcpStream;
use rustls::ServerConnection;

use super::{FlushEnd, ReadEnd};
use crate::reactor::outqueue::OutQueue;

/// See the module.
pub(super) struct Stream {
    socket: TcpStream,
    tls: Option<Box<ServerConnection>>,
}

/// What is done with bytes that came; an end that it gives ends the read.
pub(super) type Sink<'a> = dyn FnMut(&mut [u8]) -> Result<(), ReadEnd> + 'a;

/// Most slices given to one `writev`.
const SLICES_MAX: usize = 64;

impl Stream {
    /// Plain, or at the start of a TLS handshake.
    pub(super) fn new(socket: TcpStream, tls: Option<ServerConnection>) -> Self {
        Self { socket, tls: tls.map(Box::new) }
    }

    pub(super) fn socket(&mut self) -> &mut TcpStream {
        &mut self.socket
    }

    /// True until TLS is established; never for plain TCP.
    pub(super) fn is_handshaking(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_handshaking())
    }

    /// True when TLS itself has something to send, such as a part of its
    /// handshake.
    pub(super) fn wants_write(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.wants_write())
    }

    /// Reads through `scratch` into `sink`, at most about `budget` bytes.
    /// Returns how many came and how it ended.
    pub(super) fn read(
        &mut self,
        scratch: &mut [u8],
        budget: usize,
        sink: &mut Sink<'_>,
    ) -> (usize, ReadEnd) {
        let mut total = 0;
        while total < budget {
            let read = match &mut self.tls {
                None => read_plain(&mut self.socket, scratch, sink),
                Some(tls) => read_tls(tls, &mut self.socket, scratch, sink),
            };
            match read {
                Ok((bytes, end)) => {
                    total += bytes;
                    if let Some(end) = end {
                        return (total, end);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return (total, ReadEnd::Drained);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return (total, ReadEnd::Broken),
            }
        }
        (total, ReadEnd::Budget)
    }

    /// Reads and throws away, for a connection that only waits for its end.
    pub(super) fn discard(&mut self, scratch: &mut [u8], budget: usize) -> ReadEnd {
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
    pub(super) fn flush(&mut self, out: &mut OutQueue) -> FlushEnd {
        match &mut self.tls {
            None => flush_plain(&mut self.socket, out),
            Some(tls) => flush_tls(tls, &mut self.socket, out),
        }
    }

    /// Ends our side; what the kernel has is still sent.
    pub(super) fn finish(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            let _ = tls.write_tls(&mut self.socket);
        }
        let _ = self.socket.shutdown(Shutdown::Write);
    }
}

/// One read: bytes taken from the socket, and the end when there is one.
type ReadOnce = io::Result<(usize, Option<ReadEnd>)>;

fn read_plain(socket: &mut TcpStream, scratch: &mut [u8], sink: &mut Sink<'_>) -> ReadOnce {
    let bytes = socket.read(scratch)?;
    if bytes == 0 {
        return Ok((0, Some(ReadEnd::Closed)));
    }
    if let Err(end) = sink(&mut scratch[..bytes]) {
        return Ok((bytes, Some(end)));
    }
    // A short read of a stream socket means it is empty, and whatever comes
    // after it raises an edge (epoll(7)); but not an end that was there
    // before, see `ended` of the connection.
    Ok((bytes, (bytes < scratch.len()).then_some(ReadEnd::Drained)))
}

fn read_tls(
    tls: &mut ServerConnection,
    socket: &mut TcpStream,
    scratch: &mut [u8],
    sink: &mut Sink<'_>,
) -> ReadOnce {
    let bytes = tls.read_tls(socket)?;
    let processed = tls.process_new_packets();
    loop {
        match tls.reader().read(scratch) {
            Ok(0) => return Ok((bytes, Some(ReadEnd::Closed))),
            Ok(plain) => {
                if let Err(end) = sink(&mut scratch[..plain]) {
                    return Ok((bytes, Some(end)));
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                return Ok((bytes, Some(ReadEnd::Closed)));
            }
            Err(error) => return Err(error),
        }
    }
    if let Err(error) = processed {
        // The alert that says why is worth a try.
        let _ = tls.write_tls(socket);
        return Err(io::Error::new(ErrorKind::InvalidData, error));
    }
    Ok((bytes, (bytes == 0).then_some(ReadEnd::Closed)))
}

fn flush_plain(socket: &mut TcpStream, out: &mut OutQueue) -> FlushEnd {
    while !out.is_empty() {
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let count = out.slices(&mut slices);
        match socket.write_vectored(&slices[..count]) {
            Ok(0) => return FlushEnd::Broken,
            Ok(bytes) => out.advance(bytes),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return FlushEnd::Blocked,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return FlushEnd::Broken,
        }
    }
    FlushEnd::Drained
}

fn flush_tls(tls: &mut ServerConnection, socket: &mut TcpStream, out: &mut OutQueue) -> FlushEnd {
    loop {
        while !out.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let count = out.slices(&mut slices);
            // Together, so that small frames share a record.
            match tls.writer().write_vectored(&slices[..count]) {
                Ok(0) => break,
                Ok(bytes) => out.advance(bytes),
                Err(_) => return FlushEnd::Broken,
            }
        }
        if !tls.wants_write() {
            return if out.is_empty() { FlushEnd::Drained } else { FlushEnd::Blocked };
        }
        match tls.write_tls(socket) {
            Ok(0) => return FlushEnd::Broken,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return FlushEnd::Blocked,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return FlushEnd::Broken,
        }
    }
}
