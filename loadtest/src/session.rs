//! A blocking session for the requests around a run: making accounts and groups, catching up.
//!
//! Never part of what is measured per message. Every wait is bounded by
//! [`OPEN_TIMEOUT`](crate::stream::OPEN_TIMEOUT).

use std::io::{Read, Write};
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::{Bytes, BytesMut};
use hongyan_protocol::version::{CLIENT_PREFACE, PREFACE_BYTES, negotiate};
use hongyan_protocol::{ErrorCode, Frame, Opcode, frame, limits, pb};
use prost::Message;

use crate::stream::{Endpoint, Stream};

const TRIES_MAX: u32 = 200;

/// Pushes that a wire keeps while it waits for an answer, at most; more are an error.
const PUSHES_MAX: usize = 1 << 20;

/// A blocking connection for the requests around a run; never part of what is measured.
#[derive(Debug)]
pub struct Wire {
    stream: Stream,
    last_request: u64,
    /// Pushes that came while an answer was waited for, when they are wanted.
    pushes: Option<Vec<Frame>>,
    /// What went over it.
    pub traffic: Traffic,
}

/// What went over a connection since its preface.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Requests that were answered.
    pub round_trips: u64,
    /// Bytes received, pushes included; TLS not counted.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
}

impl Wire {
    /// Connects as the `index`th connection and exchanges prefaces.
    ///
    /// # Errors
    /// Nobody listens, or what listens is no Hongyan server.
    pub fn connect(endpoint: &Endpoint, index: usize) -> anyhow::Result<Self> {
        let mut stream = endpoint.open(index)?;
        stream.write_all(&CLIENT_PREFACE)?;
        let mut preface = [0; PREFACE_BYTES];
        stream.read_exact(&mut preface).context("waiting for the server's preface")?;
        negotiate(&preface)?;
        Ok(Self { stream, last_request: 0, pushes: None, traffic: Traffic::default() })
    }

    /// The same, with pushes kept for [`Wire::take_pushes`].
    #[must_use]
    pub fn keeping_pushes(self) -> Self {
        Self { pushes: Some(Vec::new()), ..self }
    }

    /// Pushes that came while answers were waited for, in their order.
    pub fn take_pushes(&mut self) -> Vec<Frame> {
        self.pushes.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Waits for the next push and keeps it, when pushes are kept.
    ///
    /// # Errors
    /// The connection failed, or nothing came in time.
    pub fn wait_for_push(&mut self) -> anyhow::Result<()> {
        let frame = self.read_frame()?;
        if let Some(pushes) = &mut self.pushes {
            pushes.push(frame);
        }
        Ok(())
    }

    /// Sends a message that wants no reply.
    ///
    /// # Errors
    /// The connection failed.
    pub fn tell(&mut self, opcode: Opcode, message: &impl Message) -> anyhow::Result<()> {
        self.write(opcode, 0, message)
    }

    /// Says hello; with a token this opens the session.
    ///
    /// # Errors
    /// The server's refusal, in words.
    pub fn greet(&mut self, device_id: &str, access_token: String) -> anyhow::Result<pb::Welcome> {
        self.resume(device_id, access_token, None)
    }

    /// Says hello and asks for what was missed.
    ///
    /// # Errors
    /// The server's refusal, in words.
    pub fn resume(
        &mut self,
        device_id: &str,
        access_token: String,
        resume: Option<pb::SyncRequest>,
    ) -> anyhow::Result<pb::Welcome> {
        let hello = hello(device_id, access_token, resume);
        self.ask(Opcode::Hello, &hello)?.map_err(|error| refusal("saying hello", &error))
    }

    /// Sends a request and waits for its reply, trying again when the server says when.
    ///
    /// # Errors
    /// The connection failed, or the server stayed busy; what it refuses is the inner error.
    pub fn ask<M: Message + Default>(
        &mut self,
        opcode: Opcode,
        message: &impl Message,
    ) -> anyhow::Result<Result<M, pb::Error>> {
        for _ in 0..TRIES_MAX {
            self.last_request += 1;
            self.write(opcode, self.last_request, message)?;
            let reply = self.reply()?;
            self.traffic.round_trips += 1;
            if reply.opcode != Opcode::Error.number() {
                return Ok(Ok(reply.message()?));
            }
            let error: pb::Error = reply.message()?;
            if error.retry_after_ms == 0 {
                return Ok(Err(error));
            }
            thread::sleep(Duration::from_millis(u64::from(error.retry_after_ms.min(1_000))));
        }
        bail!("the server stayed busy");
    }

    /// The stream, once nothing more is asked through here.
    #[must_use]
    pub fn into_stream(self) -> Stream {
        self.stream
    }

    fn write(
        &mut self,
        opcode: Opcode,
        request: u64,
        message: &impl Message,
    ) -> anyhow::Result<()> {
        let mut out = BytesMut::new();
        frame::encode_message(opcode, request, message, &mut out);
        self.traffic.bytes_out += out.len() as u64;
        self.stream.write_all(&out)?;
        Ok(())
    }

    /// The reply to the last request; pushes on the way are kept or passed over. Reads not a byte
    /// more.
    fn reply(&mut self) -> anyhow::Result<Frame> {
        loop {
            let frame = self.read_frame()?;
            if frame.opcode == Opcode::Goodbye.number() {
                let goodbye: pb::Goodbye = frame.message()?;
                bail!("the server said goodbye: {} {}", goodbye.code, goodbye.message);
            }
            if frame.request == self.last_request {
                return Ok(frame);
            }
            if let Some(pushes) = &mut self.pushes
                && frame.request == 0
            {
                if pushes.len() == PUSHES_MAX {
                    bail!("too many pushes came before an answer");
                }
                pushes.push(frame);
            }
        }
    }

    fn read_frame(&mut self) -> anyhow::Result<Frame> {
        let mut len = 0_usize;
        for index in 0..limits::LENGTH_PREFIX_BYTES_MAX {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).context("waiting for an answer")?;
            self.traffic.bytes_in += 1;
            len |= usize::from(byte[0] & 0x7f) << (7 * index);
            if byte[0] & 0x80 == 0 {
                break;
            }
        }
        if len > limits::FRAME_BYTES_MAX {
            bail!("the server sent a frame of {len} bytes");
        }
        let mut bytes = vec![0; len];
        self.stream.read_exact(&mut bytes)?;
        self.traffic.bytes_in += len as u64;
        Ok(Frame::decode(Bytes::from(bytes))?)
    }
}

/// The first frame of a session.
pub(crate) fn hello(
    device_id: &str,
    access_token: String,
    resume: Option<pb::SyncRequest>,
) -> pb::Hello {
    pb::Hello {
        client: concat!("hongyan-loadtest/", env!("CARGO_PKG_VERSION")).to_owned(),
        device: Some(pb::Device {
            id: device_id.to_owned(),
            class: pb::DeviceClass::Bot.into(),
            name: "load test".to_owned(),
        }),
        max_frame_bytes: 0,
        access_token,
        resume,
    }
}

/// The server's refusal as an error for people.
pub(crate) fn refusal(what: &str, error: &pb::Error) -> anyhow::Error {
    let name = ErrorCode::from_number(error.code).map_or("unknown", ErrorCode::name);
    anyhow::anyhow!("{what}: the server answered {} ({name}) {}", error.code, error.message)
}
