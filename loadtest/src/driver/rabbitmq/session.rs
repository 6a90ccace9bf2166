//! The blocking part of a connection: login, queues, consumers.
//!
//! Never part of what is measured. Reads whole frames and not a byte more, so that the stream can
//! be handed on at any time; every answer is awaited for a bounded time.

use std::io::{Read, Write};

use amq_protocol::frame::{AMQPFrame, ProtocolVersion, WriteContext, gen_frame, parse_frame};
use amq_protocol::protocol::{AMQPClass, basic, channel, confirm, connection, queue};
use amq_protocol::types::{AMQPValue, FieldTable};
use anyhow::{Context, bail};

use super::FRAME_OVERHEAD;
use crate::stream::{Endpoint, Stream};

/// The channel of every connection.
pub(super) const CHANNEL: u16 = 1;
/// Type, channel and length of the payload.
pub(super) const FRAME_HEAD: usize = 7;
/// Longest frame that is taken; far above what the server is allowed.
pub(super) const FRAME_BYTES_MAX: usize = 1 << 20;

const USER: &str = "guest";
const PASSWORD: &str = "guest";
const VHOST: &str = "/";

/// The bytes of a frame.
pub(super) fn encode(frame: &AMQPFrame) -> anyhow::Result<Vec<u8>> {
    let written = gen_frame(frame)(WriteContext::from(Vec::new()))?;
    Ok(written.into_inner().0)
}

/// A logged-in connection with its channel.
#[derive(Debug)]
pub(super) struct Session {
    stream: Stream,
    frame_bytes_max: usize,
}

impl Session {
    /// Connects as the `index`th connection, logs in and opens the channel.
    pub(super) fn open(endpoint: &Endpoint, index: usize) -> anyhow::Result<Self> {
        let mut session = Self { stream: endpoint.open(index)?, frame_bytes_max: FRAME_BYTES_MAX };
        let hello = AMQPFrame::ProtocolHeader(ProtocolVersion::amqp_0_9_1());
        session.stream.write_all(&encode(&hello)?)?;
        let AMQPClass::Connection(connection::AMQPMethod::Start(_)) = session.read(0)? else {
            bail!("the server did not begin with connection.start");
        };
        let answer =
            session.call(0, AMQPClass::Connection(connection::AMQPMethod::StartOk(start_ok())))?;
        let AMQPClass::Connection(connection::AMQPMethod::Tune(tune)) = answer else {
            bail!("the server answered the login with {answer:?}");
        };
        session.tune(&tune)?;
        let open = connection::Open { virtual_host: VHOST.into() };
        let answer = session.call(0, AMQPClass::Connection(connection::AMQPMethod::Open(open)))?;
        let AMQPClass::Connection(connection::AMQPMethod::OpenOk(_)) = answer else {
            bail!("the server answered connection.open with {answer:?}");
        };
        let answer =
            session.ask(AMQPClass::Channel(channel::AMQPMethod::Open(channel::Open {})))?;
        let AMQPClass::Channel(channel::AMQPMethod::OpenOk(_)) = answer else {
            bail!("the server answered channel.open with {answer:?}");
        };
        Ok(session)
    }

    /// Longest frame that the server takes, in bytes.
    pub(super) const fn frame_bytes_max(&self) -> usize {
        self.frame_bytes_max
    }

    /// Makes sure that a durable queue of this kind exists and is empty.
    pub(super) fn make_queue(&mut self, name: &str, kind: &str) -> anyhow::Result<()> {
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), AMQPValue::LongString(kind.into()));
        let declare = queue::Declare {
            queue: name.into(),
            passive: false,
            durable: true,
            exclusive: false,
            auto_delete: false,
            nowait: false,
            arguments,
        };
        let answer = self.ask(AMQPClass::Queue(queue::AMQPMethod::Declare(declare)))?;
        let AMQPClass::Queue(queue::AMQPMethod::DeclareOk(declared)) = answer else {
            bail!("the server answered queue.declare with {answer:?}");
        };
        if declared.message_count == 0 {
            return Ok(());
        }
        let purge = queue::Purge { queue: name.into(), nowait: false };
        let answer = self.ask(AMQPClass::Queue(queue::AMQPMethod::Purge(purge)))?;
        let AMQPClass::Queue(queue::AMQPMethod::PurgeOk(_)) = answer else {
            bail!("the server answered queue.purge with {answer:?}");
        };
        Ok(())
    }

    /// From here on the server confirms what is published.
    pub(super) fn confirm_publishes(&mut self) -> anyhow::Result<()> {
        let select = confirm::Select { nowait: false };
        let answer = self.ask(AMQPClass::Confirm(confirm::AMQPMethod::Select(select)))?;
        let AMQPClass::Confirm(confirm::AMQPMethod::SelectOk(_)) = answer else {
            bail!("the server answered confirm.select with {answer:?}");
        };
        Ok(())
    }

    /// From here on the server delivers what is in a queue; `acks` says whether the consumer will
    /// acknowledge it, `prefetch` how much may wait for that.
    pub(super) fn consume(&mut self, name: &str, acks: bool, prefetch: u16) -> anyhow::Result<()> {
        let qos = basic::Qos { prefetch_count: prefetch, global: false };
        let answer = self.ask(AMQPClass::Basic(basic::AMQPMethod::Qos(qos)))?;
        let AMQPClass::Basic(basic::AMQPMethod::QosOk(_)) = answer else {
            bail!("the server answered basic.qos with {answer:?}");
        };
        let consume = basic::Consume {
            queue: name.into(),
            // The shortest tag that the server does not have to invent: it comes with each message.
            consumer_tag: "c".into(),
            no_local: false,
            no_ack: !acks,
            exclusive: false,
            nowait: false,
            arguments: FieldTable::default(),
        };
        let answer = self.ask(AMQPClass::Basic(basic::AMQPMethod::Consume(consume)))?;
        let AMQPClass::Basic(basic::AMQPMethod::ConsumeOk(_)) = answer else {
            bail!("the server answered basic.consume with {answer:?}");
        };
        Ok(())
    }

    /// The stream, once nothing more is asked through here.
    pub(super) fn into_stream(self) -> Stream {
        self.stream
    }

    /// Takes the server's limits and switches heartbeats off: a run that stalls is noticed by its
    /// own clock, and nothing is sent that belongs to no message.
    fn tune(&mut self, offer: &connection::Tune) -> anyhow::Result<()> {
        if offer.frame_max != 0 {
            self.frame_bytes_max = FRAME_BYTES_MAX.min(offer.frame_max as usize);
        }
        let tune = connection::TuneOk {
            channel_max: offer.channel_max,
            frame_max: self.frame_bytes_max as u32,
            heartbeat: 0,
        };
        self.write(0, AMQPClass::Connection(connection::AMQPMethod::TuneOk(tune)))
    }

    fn ask(&mut self, method: AMQPClass) -> anyhow::Result<AMQPClass> {
        self.call(CHANNEL, method)
    }

    fn call(&mut self, channel: u16, method: AMQPClass) -> anyhow::Result<AMQPClass> {
        self.write(channel, method)?;
        self.read(channel)
    }

    fn write(&mut self, channel: u16, method: AMQPClass) -> anyhow::Result<()> {
        Ok(self.stream.write_all(&encode(&AMQPFrame::Method(channel, method))?)?)
    }

    /// The next method on `channel`; the server's word that it closes is an error.
    fn read(&mut self, wanted: u16) -> anyhow::Result<AMQPClass> {
        let mut bytes = vec![0; FRAME_HEAD];
        self.stream.read_exact(&mut bytes).context("waiting for an answer")?;
        if bytes.starts_with(b"AMQP") {
            bail!("the server speaks another version of AMQP");
        }
        let payload = u32::from_be_bytes([bytes[3], bytes[4], bytes[5], bytes[6]]) as usize;
        if payload > FRAME_BYTES_MAX {
            bail!("the server sent a frame of {payload} bytes");
        }
        bytes.resize(payload + FRAME_OVERHEAD, 0);
        self.stream.read_exact(&mut bytes[FRAME_HEAD..]).context("waiting for an answer")?;
        match parse_frame(&bytes[..]) {
            Ok((_, AMQPFrame::Method(channel, method))) => {
                if let Some((code, text)) = closing(&method) {
                    bail!("the server closed: {code} {text}");
                }
                if channel != wanted {
                    bail!("the server spoke on channel {channel}: {method:?}");
                }
                Ok(method)
            }
            Ok((_, other)) => bail!("the server answered with {other}"),
            Err(error) => bail!("the server sent bytes that are not AMQP: {error:?}"),
        }
    }
}

/// Code and text when the server closes the channel or the connection.
pub(super) fn closing(method: &AMQPClass) -> Option<(u16, &str)> {
    match method {
        AMQPClass::Connection(connection::AMQPMethod::Close(close)) => {
            Some((close.reply_code, close.reply_text.as_str()))
        }
        AMQPClass::Channel(channel::AMQPMethod::Close(close)) => {
            Some((close.reply_code, close.reply_text.as_str()))
        }
        _ => None,
    }
}

fn start_ok() -> connection::StartOk {
    let mut capabilities = FieldTable::default();
    // With the first the server says why a login failed; the others are what the link can read.
    for name in [
        "authentication_failure_close",
        "basic.nack",
        "connection.blocked",
        "consumer_cancel_notify",
        "publisher_confirms",
    ] {
        capabilities.insert(name.into(), AMQPValue::Boolean(true));
    }
    let mut properties = FieldTable::default();
    properties.insert("product".into(), AMQPValue::LongString("hongyan-loadtest".into()));
    properties.insert("capabilities".into(), AMQPValue::FieldTable(capabilities));
    connection::StartOk {
        client_properties: properties,
        mechanism: "PLAIN".into(),
        response: format!("\0{USER}\0{PASSWORD}").into(),
        locale: "en_US".into(),
    }
}
