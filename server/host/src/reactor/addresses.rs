//! Addresses that are ours before anything is served there.
//!
//! A server takes its addresses first and opens its store afterwards, so that
//! one that cannot serve leaves nothing behind. Bound is not listening: until
//! the store is replayed a peer is refused, as if nobody were here.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Socket, Type};

/// Sockets that have their addresses and let nobody in yet.
pub(crate) struct Addresses {
    pub(crate) tcp: Option<Socket>,
    pub(crate) tls: Option<Socket>,
}

/// Connections of the admin interface that wait in the kernel.
const ADMIN_BACKLOG: i32 = 128;

impl Addresses {
    /// Takes both.
    ///
    /// # Errors
    /// When one cannot be had; the text names it.
    pub(crate) fn take(tcp: Option<SocketAddr>, tls: Option<SocketAddr>) -> io::Result<Self> {
        Ok(Self { tcp: tcp.map(bind).transpose()?, tls: tls.map(bind).transpose()? })
    }
}

/// Takes one address.
///
/// # Errors
/// As [`Addresses::take`].
pub(crate) fn bind(address: SocketAddr) -> io::Result<Socket> {
    let told = |error: io::Error| io::Error::new(error.kind(), format!("{address}: {error}"));
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).map_err(told)?;
    socket.set_reuse_address(true).map_err(told)?;
    socket.set_nonblocking(true).map_err(told)?;
    socket.bind(&address.into()).map_err(told)?;
    Ok(socket)
}

/// Lets the operator's tools in.
///
/// # Errors
/// When the address is in use after all; the text names it.
pub(crate) fn listen_for_admin(socket: Socket) -> io::Result<TcpListener> {
    socket.listen(ADMIN_BACKLOG).map_err(|error| named(&socket, error))?;
    Ok(socket.into())
}

/// `error`, with the address of `socket` before it.
pub(crate) fn named(socket: &Socket, error: io::Error) -> io::Error {
    let address = socket.local_addr().ok().and_then(|address| address.as_socket());
    match address {
        Some(address) => io::Error::new(error.kind(), format!("{address}: {error}")),
        None => error,
    }
}
