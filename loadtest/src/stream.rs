//! The bytes under a connection: TCP, or TLS over it, and WebSocket over either.
//!
//! Owns the socket. Opening blocks, for a bounded time; after [`Stream::into_nonblocking`] every
//! call returns at once, and `WouldBlock` means what it means on a socket.
//!
//! # Invariants
//! - Bytes that `write` took are sent by later calls of `flush`; [`Stream::is_flushed`] says
//!   whether some still wait in a layer.
//! - A read that does not block and does not fill the buffer has emptied the socket, whatever is
//!   between: who waits for edges may wait for the next one.
//! - Many connections to a loopback address come from many 127.x.y.z sources, so that ports do not
//!   run out.

mod websocket;

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use nix::sys::socket::sockopt::IpBindAddressNoPort;
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use serde::{Deserialize, Serialize};
use socket2::{Domain, Protocol, Socket, Type};

use self::websocket::WebSocket;
use crate::tickets::Tickets;

/// Longest wait for a connection, and for each answer while one is opened.
pub const OPEN_TIMEOUT: Duration = Duration::from_secs(30);
/// What a connect that does not block answers when the other end has not.
const EINPROGRESS: i32 = nix::errno::Errno::EINPROGRESS as i32;
/// Connections that share one source address; well below the ports of one.
const PER_SOURCE: usize = 10_000;

/// Which layer carries the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Plain TCP.
    #[default]
    Tcp,
    /// TLS over TCP.
    Tls,
    /// WebSocket over plain TCP.
    Ws,
    /// WebSocket over TLS.
    Wss,
}

impl Transport {
    /// True where TLS is spoken.
    #[must_use]
    pub const fn is_encrypted(self) -> bool {
        matches!(self, Self::Tls | Self::Wss)
    }

    /// True where WebSocket is spoken.
    #[must_use]
    pub const fn is_websocket(self) -> bool {
        matches!(self, Self::Ws | Self::Wss)
    }
}

/// Where a server is, and how to reach it.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Its address.
    pub addr: SocketAddr,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    /// The path of the WebSocket.
    websocket: Option<&'static str>,
}

/// Where a server serves WebSocket unless it was told otherwise.
const WEBSOCKET_PATH: &str = "/ws";

/// How the server proves who it is; where TLS is spoken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsTrust {
    /// Certificates to trust, in PEM.
    pub ca: Option<PathBuf>,
    /// Name in the server's certificate; `localhost` when it is not given.
    pub server_name: Option<String>,
}

impl Endpoint {
    /// Plain TCP to `addr`.
    #[must_use]
    pub const fn tcp(addr: SocketAddr) -> Self {
        Self { addr, tls: None, websocket: None }
    }

    /// `transport` to `addr`.
    ///
    /// # Errors
    /// TLS without certificates to trust, or with unusable ones.
    pub fn new(addr: SocketAddr, transport: Transport, trust: &TlsTrust) -> anyhow::Result<Self> {
        let tls = match transport.is_encrypted() {
            false => None,
            true => {
                let ca = trust.ca.as_deref().context(
                    "--transport tls and wss need --ca FILE: the certificate that the server shows, or \
                     its authority's",
                )?;
                let name = trust.server_name.clone().unwrap_or_else(|| "localhost".to_owned());
                let name = ServerName::try_from(name).context("the server name is not valid")?;
                Some((client_config(ca)?, name))
            }
        };
        let websocket = transport.is_websocket().then_some(WEBSOCKET_PATH);
        Ok(Self { addr, tls, websocket })
    }

    /// Which transport this is.
    #[must_use]
    pub const fn transport(&self) -> Transport {
        match (self.websocket.is_some(), self.tls.is_some()) {
            (false, false) => Transport::Tcp,
            (false, true) => Transport::Tls,
            (true, false) => Transport::Ws,
            (true, true) => Transport::Wss,
        }
    }

    /// Connects the `index`th connection, shakes hands, and leaves it in blocking mode with
    /// time-outs.
    ///
    /// # Errors
    /// Nobody listens, or the handshake failed.
    pub fn open(&self, index: usize) -> anyhow::Result<Stream> {
        let socket =
            connect(self.addr, index).with_context(|| format!("connecting to {}", self.addr))?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(OPEN_TIMEOUT))?;
        socket.set_write_timeout(Some(OPEN_TIMEOUT))?;
        let mut pipe = Pipe { socket, tls: None, waits: true };
        if let Some((config, name)) = &self.tls {
            let mut tls = ClientConnection::new(Arc::clone(config), name.clone())?;
            while tls.is_handshaking() {
                tls.complete_io(&mut pipe.socket).context("shaking hands for TLS")?;
            }
            pipe.tls = Some(Box::new(tls));
        }
        let mut websocket = self.begin_websocket(index);
        if let Some(websocket) = &mut websocket {
            websocket.shake_hands(&mut pipe).context("opening the WebSocket")?;
        }
        Ok(Stream { pipe, websocket })
    }

    /// Begins to connect the `index`th connection and gives it at once; it does not block, now or
    /// later. What is written before it is connected is kept in a layer, or answered by
    /// `WouldBlock`.
    ///
    /// # Errors
    /// Nobody listens, or the system has no socket or port to give.
    pub fn begin(&self, index: usize) -> io::Result<Stream> {
        let socket = socket_from(self.addr, index)?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        match socket.connect(&self.addr.into()) {
            Err(error) if error.raw_os_error() == Some(EINPROGRESS) => {}
            other => other?,
        }
        let tls = self.begin_tls().map_err(io::Error::other)?;
        let pipe = Pipe { socket: socket.into(), tls, waits: false };
        Ok(Stream { pipe, websocket: self.begin_websocket(index) })
    }

    /// The same endpoint whose connections resume the sessions in `tickets`, or shake hands in
    /// full each time. Nothing changes over plain TCP.
    #[must_use]
    pub fn with_resumption(mut self, tickets: Option<Arc<Tickets>>) -> Self {
        if let Some((config, _)) = &mut self.tls {
            let mut own = ClientConfig::clone(config);
            own.resumption = match tickets {
                Some(tickets) => Resumption::store(tickets),
                None => Resumption::disabled(),
            };
            *config = Arc::new(own);
        }
        self
    }

    fn begin_websocket(&self, index: usize) -> Option<Box<WebSocket>> {
        let path = self.websocket?;
        Some(Box::new(WebSocket::new(&self.addr.to_string(), path, index)))
    }

    /// The TLS half of a connection that is opened without blocking; `None` over plain TCP.
    fn begin_tls(&self) -> anyhow::Result<Option<Box<ClientConnection>>> {
        match &self.tls {
            None => Ok(None),
            Some((config, name)) => {
                Ok(Some(Box::new(ClientConnection::new(Arc::clone(config), name.clone())?)))
            }
        }
    }
}

fn client_config(ca: &Path) -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    let certificates =
        CertificateDer::pem_file_iter(ca).with_context(|| format!("reading {}", ca.display()))?;
    for certificate in certificates {
        roots.add(certificate.with_context(|| format!("reading {}", ca.display()))?)?;
    }
    if roots.is_empty() {
        bail!("{} holds no certificate", ca.display());
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn connect(addr: SocketAddr, index: usize) -> io::Result<TcpStream> {
    let socket = socket_from(addr, index)?;
    socket.connect_timeout(&addr.into(), OPEN_TIMEOUT)?;
    Ok(socket.into())
}

/// A socket for the `index`th connection to `addr`, bound to its source address where that
/// matters.
pub(crate) fn socket_from(addr: SocketAddr, index: usize) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    if let Some(source) = source_of(addr.ip(), index) {
        // Without this option a bound socket takes a port for all destinations at once.
        nix::sys::socket::setsockopt(&socket, IpBindAddressNoPort, &true)?;
        socket.bind(&SocketAddr::from((source, 0)).into())?;
    }
    Ok(socket)
}

/// Beyond the first, each ten thousand connections to a loopback address have their own source.
fn source_of(to: IpAddr, index: usize) -> Option<Ipv4Addr> {
    let block = index / PER_SOURCE;
    match to {
        IpAddr::V4(to) if to.is_loopback() && block > 0 => {
            Some(Ipv4Addr::new(127, 99, (block >> 8) as u8, (block & 0xff) as u8))
        }
        _ => None,
    }
}

/// See the module.
#[derive(Debug)]
pub struct Stream {
    pipe: Pipe,
    websocket: Option<Box<WebSocket>>,
}

/// The socket, with or without TLS.
#[derive(Debug)]
struct Pipe {
    socket: TcpStream,
    tls: Option<Box<ClientConnection>>,
    /// A read may block, so it takes what is there and no more.
    waits: bool,
}

impl Stream {
    /// Ends the blocking part.
    ///
    /// # Errors
    /// Whatever the system says; none is expected.
    pub fn into_nonblocking(mut self) -> io::Result<Self> {
        self.pipe.socket.set_read_timeout(None)?;
        self.pipe.socket.set_write_timeout(None)?;
        self.pipe.socket.set_nonblocking(true)?;
        self.pipe.waits = false;
        Ok(self)
    }

    /// The socket's descriptor, for a poll.
    #[must_use]
    pub fn raw_fd(&self) -> RawFd {
        self.pipe.socket.as_raw_fd()
    }

    /// The socket.
    #[must_use]
    pub const fn socket(&self) -> &TcpStream {
        &self.pipe.socket
    }

    /// True when no byte waits in a layer that could be sent.
    #[must_use]
    pub fn is_flushed(&self) -> bool {
        self.pipe.tls.as_ref().is_none_or(|tls| !tls.wants_write())
            && self.websocket.as_ref().is_none_or(|websocket| websocket.is_flushed())
    }

    /// True when the TLS session was resumed from an earlier one.
    #[must_use]
    pub fn is_resumed(&self) -> bool {
        self.pipe
            .tls
            .as_ref()
            .is_some_and(|tls| tls.handshake_kind() == Some(rustls::HandshakeKind::Resumed))
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.websocket {
            None => self.pipe.read(buffer),
            Some(websocket) => websocket.read(&mut self.pipe, buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.websocket {
            None => self.pipe.write(bytes),
            Some(websocket) => websocket.write(&mut self.pipe, bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.websocket {
            None => self.pipe.flush(),
            Some(websocket) => websocket.flush(&mut self.pipe),
        }
    }
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            return self.socket.read(buffer);
        };
        let mut filled = 0;
        loop {
            match tls.reader().read(&mut buffer[filled..]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(count) => {
                    filled += count;
                    if self.waits || count == 0 || filled == buffer.len() {
                        return Ok(filled);
                    }
                }
                Err(error) => return taken_or(filled, error),
            }
            // One call takes a few records at most, and the socket may hold many more.
            match tls.read_tls(&mut self.socket) {
                Ok(0) => return Ok(filled),
                Ok(_) => {}
                Err(error) => return taken_or(filled, error),
            }
            tls.process_new_packets()
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        }
    }
}

/// What was read before the error; the error when that is nothing. The next read meets it again,
/// or the end.
fn taken_or(filled: usize, error: io::Error) -> io::Result<usize> {
    if filled > 0 { Ok(filled) } else { Err(error) }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            return self.socket.write(bytes);
        };
        let taken = tls.writer().write(bytes)?;
        while tls.wants_write() {
            match tls.write_tls(&mut self.socket) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && taken > 0 => break,
                Err(error) => return Err(error),
            }
        }
        if taken == 0 && !bytes.is_empty() {
            Err(io::ErrorKind::WouldBlock.into())
        } else {
            Ok(taken)
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            while tls.wants_write() {
                tls.write_tls(&mut self.socket)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_spread_only_where_it_is_needed() {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        assert_eq!(source_of(loopback, PER_SOURCE - 1), None);
        assert_eq!(source_of(loopback, PER_SOURCE), Some(Ipv4Addr::new(127, 99, 0, 1)));
        assert_eq!(source_of(loopback, 257 * PER_SOURCE), Some(Ipv4Addr::new(127, 99, 1, 1)));
        assert_eq!(source_of(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 1_000_000), None);
    }

    #[test]
    fn tls_asks_for_certificates() {
        let addr = SocketAddr::from(([127, 0, 0, 1], 1));
        let error = Endpoint::new(addr, Transport::Tls, &TlsTrust::default()).unwrap_err();
        assert!(error.to_string().contains("--ca"), "{error}");
        assert_eq!(Endpoint::tcp(addr).transport(), Transport::Tcp);
    }

    /// A server for one TLS connection that sends `length` bytes in one go and keeps it open until
    /// the other end is closed.
    fn burst_server(dir: &Path, length: usize) -> (Endpoint, std::thread::JoinHandle<()>) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let ca = dir.join("cert.pem");
        std::fs::write(&ca, made.cert.pem()).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.unwrap())
            .unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let tls = rustls::ServerConnection::new(Arc::new(config)).unwrap();
            let mut stream = rustls::StreamOwned::new(tls, listener.accept().unwrap().0);
            stream.write_all(&vec![7; length]).unwrap();
            stream.flush().unwrap();
            let _ = stream.read(&mut [0]);
        });
        let trust = TlsTrust { ca: Some(ca), server_name: None };
        (Endpoint::new(addr, Transport::Tls, &trust).unwrap(), server)
    }

    #[test]
    fn a_short_read_through_tls_has_emptied_the_socket() {
        const LENGTH: usize = 100_000;
        let dir = tempfile::tempdir().unwrap();
        let (endpoint, server) = burst_server(dir.path(), LENGTH);
        let mut stream = endpoint.begin(0).unwrap();
        let mut poll = mio::Poll::new().unwrap();
        poll.registry()
            .register(
                &mut mio::unix::SourceFd(&stream.raw_fd()),
                mio::Token(0),
                mio::Interest::READABLE | mio::Interest::WRITABLE,
            )
            .unwrap();
        let (mut events, mut buffer) = (mio::Events::with_capacity(8), vec![0; 4 * LENGTH]);
        let mut got = 0;
        while got < LENGTH {
            // Without the promise the last part would wait for an edge that never comes.
            poll.poll(&mut events, Some(OPEN_TIMEOUT)).unwrap();
            assert!(!events.is_empty(), "{got} bytes came, and no edge for the rest");
            match stream.read(&mut buffer) {
                Ok(count) => got += count,
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
            stream.flush().unwrap();
        }
        assert_eq!(got, LENGTH);
        drop(stream);
        server.join().unwrap();
    }
}
