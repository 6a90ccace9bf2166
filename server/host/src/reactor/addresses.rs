//! Addresses that are ours before anything is served there.
//!
//! A server takes its addresses first and opens its store afterwards, so that
//! one that cannot serve leaves nothing behind. Bound is not listening: until
//! the store is replayed a peer is refused, as if nobody were here.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Socket, Type};

use crate::config::ListenConfig;

/// What is spoken at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaks {
    /// Frames over plain TCP.
    Tcp,
    /// Frames over TLS.
    Tls,
    /// WebSocket over plain TCP.
    Ws,
    /// WebSocket over TLS.
    Wss,
}

impl Speaks {
    pub(crate) const ALL: [Self; 4] = [Self::Tcp, Self::Tls, Self::Ws, Self::Wss];

    pub(crate) const fn is_encrypted(self) -> bool {
        matches!(self, Self::Tls | Self::Wss)
    }

    pub(crate) const fn is_websocket(self) -> bool {
        matches!(self, Self::Ws | Self::Wss)
    }
}

/// One of something for each of [`Speaks::ALL`], in that order.
pub(crate) type Each<T> = [T; Speaks::ALL.len()];

/// Sockets that have their addresses and let nobody in yet.
pub(crate) struct Addresses(pub(crate) Each<Option<Socket>>);

/// Connections over HTTP that wait in the kernel.
const HTTP_BACKLOG: i32 = 128;

impl Addresses {
    /// Takes all of them.
    ///
    /// # Errors
    /// When one cannot be had; the text names it.
    pub(crate) fn take(listen: &ListenConfig) -> io::Result<Self> {
        let websocket = listen.websocket.as_ref();
        let [tcp, tls, ws, wss] = [
            listen.tcp,
            listen.tls.as_ref().map(|tls| tls.address),
            websocket.and_then(|websocket| websocket.plain),
            websocket.and_then(|websocket| websocket.tls.as_ref()).map(|tls| tls.address),
        ]
        .map(|address| address.map(bind).transpose());
        Ok(Self([tcp?, tls?, ws?, wss?]))
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

/// Lets operator's tools and browsers in.
///
/// # Errors
/// When the address is in use after all; the text names it.
pub(crate) fn listen_for_http(socket: Socket) -> io::Result<TcpListener> {
    socket.listen(HTTP_BACKLOG).map_err(|error| named(&socket, error))?;
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
