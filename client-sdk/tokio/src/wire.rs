//! A connection without a client behind it: frames and bytes, as they are.
//!
//! For tests that must say things no client would say, and for load
//! generators that count their own costs. It promises nothing but the frame
//! codec: no session, no reconnect, no retry.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};
use hongyan_client_core::ClientError;
use hongyan_protocol::frame::encode_message;
use hongyan_protocol::limits::FRAME_BYTES_MAX;
use hongyan_protocol::version::{CLIENT_PREFACE, PREFACE_BYTES, negotiate};
use hongyan_protocol::{Frame, FrameDecoder, Opcode, pb};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::tls::{Endpoint, Reader, TlsEndpoint, TlsRoots, Writer, host_of};

/// Pushes kept while [`RawConnection::request`] looks for its reply.
const PUSHES_MAX: usize = 65_536;
const READ_BYTES: usize = 64 * 1024;

/// A connection to a server.
pub struct RawConnection {
    reader: Reader,
    writer: Writer,
    incoming: BytesMut,
    outgoing: BytesMut,
    decoder: FrameDecoder,
    pushes: VecDeque<Frame>,
    last_request: u64,
}

impl RawConnection {
    /// Opens a TCP connection to `host:port` and exchanges prefaces.
    ///
    /// # Errors
    /// [`ClientError::Connect`], [`ClientError::Protocol`].
    pub async fn connect(address: &str) -> Result<Self, ClientError> {
        let mut connection = Self::connect_without_preface(address).await?;
        connection.exchange_prefaces().await?;
        Ok(connection)
    }

    /// Opens a TLS connection to `host:port` and exchanges prefaces. The
    /// certificate must bear `server_name` (`None`: the host).
    ///
    /// # Errors
    /// [`ClientError::Connect`], [`ClientError::Protocol`],
    /// [`ClientError::Invalid`].
    pub async fn connect_tls(
        address: &str,
        roots: &TlsRoots,
        server_name: Option<&str>,
    ) -> Result<Self, ClientError> {
        let mut connection = Self::connect_tls_without_preface(address, roots, server_name).await?;
        connection.exchange_prefaces().await?;
        Ok(connection)
    }

    /// Opens a TCP connection and says nothing.
    ///
    /// # Errors
    /// [`ClientError::Connect`].
    pub async fn connect_without_preface(address: &str) -> Result<Self, ClientError> {
        Self::open(Endpoint { address: address.into(), tls: None }).await
    }

    /// Opens a TLS connection and says nothing inside it.
    ///
    /// # Errors
    /// [`ClientError::Connect`], [`ClientError::Invalid`].
    pub async fn connect_tls_without_preface(
        address: &str,
        roots: &TlsRoots,
        server_name: Option<&str>,
    ) -> Result<Self, ClientError> {
        let tls = TlsEndpoint::new(roots, server_name.unwrap_or(host_of(address)))?;
        Self::open(Endpoint { address: address.into(), tls: Some(tls) }).await
    }

    async fn open(endpoint: Endpoint) -> Result<Self, ClientError> {
        let (reader, writer) = endpoint.open().await?;
        Ok(Self {
            reader,
            writer,
            incoming: BytesMut::with_capacity(READ_BYTES),
            outgoing: BytesMut::new(),
            decoder: FrameDecoder::new(FRAME_BYTES_MAX),
            pushes: VecDeque::new(),
            last_request: 0,
        })
    }

    /// Sends the client's preface and reads the server's; returns the version
    /// that the server chose.
    ///
    /// # Errors
    /// [`ClientError::Protocol`], and [`ClientError::Closed`] when the
    /// connection ends.
    pub async fn exchange_prefaces(&mut self) -> Result<u8, ClientError> {
        self.send_raw(&CLIENT_PREFACE).await?;
        loop {
            if let Some(version) = negotiate(&self.incoming)? {
                self.incoming.advance(PREFACE_BYTES);
                return Ok(version);
            }
            self.fill().await?;
        }
    }

    /// Sends a Hello and returns the Welcome. An empty `access_token` opens
    /// no session.
    ///
    /// # Errors
    /// As [`RawConnection::request`].
    pub async fn hello(
        &mut self,
        device_id: &str,
        access_token: &str,
        resume: Option<pb::SyncRequest>,
    ) -> Result<pb::Welcome, ClientError> {
        let hello = pb::Hello {
            client: "raw".into(),
            device: Some(pb::Device {
                id: device_id.into(),
                class: pb::DeviceClass::Bot.into(),
                name: "raw".into(),
            }),
            max_frame_bytes: 0,
            access_token: access_token.into(),
            resume,
        };
        self.request(Opcode::Hello, &hello).await
    }

    /// Sends a request and decodes its reply. Pushes that come before it are
    /// kept for [`RawConnection::recv_frame`].
    ///
    /// # Errors
    /// [`ClientError::Refused`]; [`ClientError::Protocol`] for a reply that
    /// is not an `R`; [`ClientError::Closed`] when the connection ends, with
    /// [`ClientError::Refused`] instead when a Goodbye says why.
    pub async fn request<R: prost::Message + Default>(
        &mut self,
        opcode: Opcode,
        message: &impl prost::Message,
    ) -> Result<R, ClientError> {
        let request = self.queue_request(opcode, message);
        self.flush().await?;
        loop {
            let frame = self.read_frame().await?;
            if frame.request == request {
                if frame.opcode == Opcode::Error.number() {
                    return Err(frame.message::<pb::Error>()?.into());
                }
                return Ok(frame.message()?);
            }
            if frame.opcode == Opcode::Goodbye.number() {
                let goodbye: pb::Goodbye = frame.message()?;
                return Err(ClientError::Refused {
                    code: goodbye.code,
                    message: goodbye.message,
                    retry_after_ms: goodbye.reconnect_after_ms,
                });
            }
            if self.pushes.len() >= PUSHES_MAX {
                return Err(ClientError::Protocol("too many pushes before a reply".into()));
            }
            self.pushes.push_back(frame);
        }
    }

    /// Queues a request and returns its id; [`RawConnection::flush`] sends it.
    pub fn queue_request(&mut self, opcode: Opcode, message: &impl prost::Message) -> u64 {
        self.last_request += 1;
        encode_message(opcode, self.last_request, message, &mut self.outgoing);
        self.last_request
    }

    /// Queues a message without a request id.
    pub fn queue_message(&mut self, opcode: Opcode, message: &impl prost::Message) {
        encode_message(opcode, 0, message, &mut self.outgoing);
    }

    /// Queues a frame as it is.
    pub fn queue_frame(&mut self, frame: &Frame) {
        frame.encode_delimited(&mut self.outgoing);
    }

    /// Writes what is queued.
    ///
    /// # Errors
    /// [`ClientError::Closed`].
    pub async fn flush(&mut self) -> Result<(), ClientError> {
        let mut bytes = self.outgoing.split().freeze();
        self.writer.write_all_buf(&mut bytes).await.map_err(|_| ClientError::Closed)?;
        self.writer.flush().await.map_err(|_| ClientError::Closed)
    }

    /// Sends a frame as it is.
    ///
    /// # Errors
    /// [`ClientError::Closed`].
    pub async fn send_frame(&mut self, frame: &Frame) -> Result<(), ClientError> {
        self.queue_frame(frame);
        self.flush().await
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// [`ClientError::Closed`].
    pub async fn send_raw(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        self.outgoing.extend_from_slice(bytes);
        self.flush().await
    }

    /// The next frame: first those that [`RawConnection::request`] passed
    /// over. May be dropped at any time without losing one.
    ///
    /// # Errors
    /// [`ClientError::Closed`] when the connection ends,
    /// [`ClientError::Protocol`].
    pub async fn recv_frame(&mut self) -> Result<Frame, ClientError> {
        match self.pushes.pop_front() {
            Some(frame) => Ok(frame),
            None => self.read_frame().await,
        }
    }

    /// The next frame, if it is here already; reads nothing.
    ///
    /// # Errors
    /// [`ClientError::Protocol`].
    pub fn try_recv_frame(&mut self) -> Result<Option<Frame>, ClientError> {
        match self.pushes.pop_front() {
            Some(frame) => Ok(Some(frame)),
            None => Ok(self.decoder.decode(&mut self.incoming)?),
        }
    }

    /// The next bytes, not taken apart: at least one.
    ///
    /// # Errors
    /// [`ClientError::Closed`].
    pub async fn recv_raw(&mut self) -> Result<Bytes, ClientError> {
        if self.incoming.is_empty() {
            self.fill().await?;
        }
        Ok(self.incoming.split().freeze())
    }

    /// Reads and drops everything until the server closes; returns the last
    /// Goodbye, if there was one.
    ///
    /// # Errors
    /// [`ClientError::Protocol`].
    pub async fn recv_to_end(&mut self) -> Result<Option<pb::Goodbye>, ClientError> {
        let mut last = None;
        loop {
            match self.recv_frame().await {
                Ok(frame) if frame.opcode == Opcode::Goodbye.number() => {
                    last = Some(frame.message()?);
                }
                Ok(_) => {}
                Err(ClientError::Closed) => return Ok(last),
                Err(error) => return Err(error),
            }
        }
    }

    /// Ends the writing direction.
    ///
    /// # Errors
    /// [`ClientError::Closed`].
    pub async fn shutdown(&mut self) -> Result<(), ClientError> {
        self.flush().await?;
        self.writer.shutdown().await.map_err(|_| ClientError::Closed)
    }

    async fn read_frame(&mut self) -> Result<Frame, ClientError> {
        loop {
            if let Some(frame) = self.decoder.decode(&mut self.incoming)? {
                return Ok(frame);
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> Result<(), ClientError> {
        if self.incoming.capacity() - self.incoming.len() < READ_BYTES / 4 {
            self.incoming.reserve(READ_BYTES);
        }
        match self.reader.read_buf(&mut self.incoming).await {
            Ok(0) | Err(_) => Err(ClientError::Closed),
            Ok(_) => Ok(()),
        }
    }
}
