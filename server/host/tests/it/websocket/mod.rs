//! The WebSocket bridge against the live port: with a client library of its
//! own ([`Bridge`]), and with bytes made by hand ([`Raw`]).
//!
//! Above the bridge the protocol is the same, so the tests of the protocol
//! are elsewhere; here is what differs, and that the rest holds here too.

mod chat;
mod http;
mod limits;
mod rfc;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use bytes::BytesMut;
use hongyan_protocol::FrameDecoder;
use hongyan_protocol::limits::FRAME_BYTES_MAX;
use tungstenite::client::IntoClientRequest;
use tungstenite::protocol::CloseFrame;
use tungstenite::{Message, WebSocket};

use crate::support::{PATIENCE, TestNode, Wire};

const BINARY: &str = "hongyan.v1";
const JSON: &str = "hongyan.v1+json";

impl TestNode {
    fn ws(&self) -> SocketAddr {
        self.handle().ws_addr().unwrap()
    }

    /// A connection over WebSocket, by a client library.
    fn bridge(&self) -> Wire<Bridge> {
        Wire::over(Bridge::connect(self.ws()))
    }

    /// A session of a new account, over WebSocket.
    fn bridge_register(&self, name: &str) -> Wire<Bridge> {
        let mut wire = self.bridge();
        wire.hello(&format!("{name}-device"));
        wire.register(name);
        wire
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// A client library's WebSocket in the form of a stream of frames with their
/// lengths, so that everything written for TCP speaks over it.
struct Bridge<S = TcpStream> {
    socket: WebSocket<S>,
    /// Written and not a whole frame yet.
    written: BytesMut,
    /// Received and not read yet.
    received: BytesMut,
    /// What the server's close said.
    closed: Option<CloseFrame>,
}

impl Bridge {
    fn connect(address: SocketAddr) -> Self {
        Self::over(address, connect(address))
    }
}

impl<S: Read + Write> Bridge<S> {
    fn over(address: SocketAddr, stream: S) -> Self {
        let mut request = format!("ws://{address}/ws").into_client_request().unwrap();
        request.headers_mut().insert("Sec-WebSocket-Protocol", BINARY.parse().unwrap());
        let (socket, response) = tungstenite::client(request, stream).ok().unwrap();
        assert_eq!(response.headers()["sec-websocket-protocol"], BINARY);
        let (written, received) = (BytesMut::new(), BytesMut::new());
        Self { socket, written, received, closed: None }
    }
}

impl<S: Read + Write> Read for Bridge<S> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.received.is_empty() {
            match self.socket.read() {
                Ok(Message::Binary(frame)) => {
                    prost::encoding::encode_varint(frame.len() as u64, &mut self.received);
                    self.received.extend_from_slice(&frame);
                }
                Ok(Message::Close(close)) => self.closed = close,
                Ok(Message::Ping(_) | Message::Pong(_)) => {}
                Ok(other) => panic!("no frame: {other:?}"),
                Err(tungstenite::Error::ConnectionClosed) => return Ok(0),
                Err(tungstenite::Error::Io(error)) => return Err(error),
                Err(_) => return Err(io::ErrorKind::ConnectionReset.into()),
            }
        }
        let bytes = into.len().min(self.received.len());
        into[..bytes].copy_from_slice(&self.received.split_to(bytes));
        Ok(bytes)
    }
}

impl<S: Read + Write> Write for Bridge<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.written.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let decoder = FrameDecoder::new(2 * FRAME_BYTES_MAX);
        while let Some(needed) = decoder.needed(&self.written).unwrap() {
            let mut frame = self.written.split_to(needed).freeze();
            let prefix = 1 + frame.iter().take_while(|byte| **byte & 0x80 != 0).count();
            let frame = frame.split_off(prefix);
            self.socket.write(Message::Binary(frame)).map_err(io::Error::other)?;
        }
        self.socket.flush().map_err(io::Error::other)
    }
}

/// A WebSocket of bytes made by hand.
struct Raw {
    stream: TcpStream,
}

/// The mask of every frame that is made by hand.
const MASK: [u8; 4] = [0x12, 0x00, 0xff, 0x80];

impl Raw {
    /// Opens a WebSocket with this sub-protocol.
    fn open(address: SocketAddr, protocol: &str) -> Self {
        let mut stream = connect(address);
        stream
            .write_all(request(&["Sec-WebSocket-Protocol: ", protocol].concat()).as_bytes())
            .unwrap();
        let answer = head(&mut stream);
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        // The example of RFC 6455, 1.3.
        assert!(answer.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{answer}");
        assert!(!answer.to_lowercase().contains("extensions"), "{answer}");
        Self { stream }
    }

    /// Sends one frame; `first` is its first byte (final bit and opcode).
    fn send(&mut self, first: u8, payload: &[u8]) {
        self.stream.write_all(&masked(first, payload)).unwrap();
    }

    /// The next frame: its first byte and its payload. `None` at the end.
    fn receive(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut head = [0; 2];
        match self.stream.read_exact(&mut head) {
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset
                ) =>
            {
                return None;
            }
            other => other.unwrap(),
        }
        assert_eq!(head[1] & 0x80, 0, "a server does not mask");
        let len = match head[1] {
            126 => {
                let mut len = [0; 2];
                self.stream.read_exact(&mut len).unwrap();
                usize::from(u16::from_be_bytes(len))
            }
            127 => {
                let mut len = [0; 8];
                self.stream.read_exact(&mut len).unwrap();
                u64::from_be_bytes(len) as usize
            }
            len => usize::from(len),
        };
        let mut payload = vec![0; len];
        self.stream.read_exact(&mut payload).unwrap();
        Some((head[0], payload))
    }

    /// Reads up to the close; its code and reason. Nothing may come after it.
    fn close(&mut self) -> (u16, String) {
        loop {
            let (first, payload) = self.receive().expect("the end without a close");
            if first == CLOSE {
                assert_eq!(self.receive(), None, "something came after the close");
                return parse_close(&payload);
            }
        }
    }
}

const TEXT: u8 = 0x81;
const MESSAGE: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

fn parse_close(payload: &[u8]) -> (u16, String) {
    let (code, reason) = payload.split_at(2);
    let code = u16::from_be_bytes(code.try_into().unwrap());
    (code, String::from_utf8(reason.to_vec()).unwrap())
}

/// A frame as a client sends it.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        len @ 0..126 => frame.push(0x80 | len as u8),
        len @ 126..65_536 => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// A request that opens a WebSocket, with these lines besides (each without
/// its end, divided by `\n`).
fn request(more: &str) -> String {
    let more = more.replace('\n', "\r\n");
    format!(
        "GET /ws HTTP/1.1\r\nHost: 127.0.0.1:5200\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n\r\n"
    )
}

/// The head of an HTTP answer, with its empty line.
fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}
