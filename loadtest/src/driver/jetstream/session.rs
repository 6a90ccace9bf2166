//! A blocking NATS connection for what happens before a run: greeting, and making the stream and
//! its consumers.
//!
//! Never part of what is measured. Every wait is bounded by
//! [`OPEN_TIMEOUT`](crate::stream::OPEN_TIMEOUT), the whole preparation by [`PREPARE_MAX`].

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

use super::wire::{self, Said};
use super::{CONSUMER_ACKS_MAX, STREAM, SUBJECTS, consumer, subject};
use crate::plan::{Level, Plan};
use crate::stream::{Endpoint, Stream, Transport};

/// Longest wait for all consumers to be made.
const PREPARE_MAX: Duration = Duration::from_secs(120);
/// Requests on their way at once.
const PIPELINE: usize = 64;
/// Messages that wait for their receivers, at most; further ones are refused.
const STREAM_MESSAGES_MAX: u64 = 5_000_000;
/// No message of a run is delivered a second time because its receiver was slow.
const ACK_WAIT: Duration = Duration::from_secs(600);
const READ_BYTES: usize = 64 * 1024;
const INBOX: &str = "_INBOX.hy-prepare";
/// What the server answers when it has no such stream.
const STREAM_NOT_FOUND: u32 = 10_059;

/// What matters of the server's first line.
#[derive(Debug, Deserialize)]
struct Info {
    #[serde(default)]
    auth_required: bool,
    #[serde(default)]
    jetstream: bool,
    max_payload: usize,
    #[serde(default)]
    tls_required: bool,
    version: String,
}

/// A refusal of the JetStream interface.
#[derive(Debug, Deserialize)]
pub(super) struct ApiError {
    code: u32,
    #[serde(default)]
    err_code: u32,
    #[serde(default)]
    description: String,
}

impl ApiError {
    /// The finer of its two numbers.
    pub(super) const fn number(&self) -> u32 {
        if self.err_code == 0 { self.code } else { self.err_code }
    }
}

/// The part that all answers of the JetStream interface share.
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    pub(super) error: Option<ApiError>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Session {
    stream: Stream,
    buffer: Vec<u8>,
}

impl Session {
    /// Connects as the `index`th connection and greets under `name`.
    pub(super) fn connect(
        endpoint: &Endpoint,
        index: usize,
        name: &str,
        plan: &Plan,
    ) -> anyhow::Result<Self> {
        ensure!(
            endpoint.transport() == Transport::Tcp,
            "NATS begins TLS after its first line, which this generator does not: use tcp"
        );
        let mut session = Self { stream: endpoint.open(index)?, buffer: Vec::new() };
        let info: Info = session
            .wait_for(|said| match said {
                Said::Info(json) => Ok(Some(serde_json::from_slice(json)?)),
                _ => bail!("the server did not begin with INFO"),
            })
            .context("waiting for the server's first line")?;
        ensure!(!info.auth_required && !info.tls_required, "the server wants a log-in or TLS");
        ensure!(info.jetstream, "JetStream is off in this server (version {})", info.version);
        ensure!(info.max_payload >= plan.bytes, "messages are longer than the server takes");
        let connect = json!({
            "verbose": false, "pedantic": false, "tls_required": false, "name": name,
            "lang": "rust", "version": env!("CARGO_PKG_VERSION"), "protocol": 1,
            "headers": true, "no_responders": true,
        });
        session.write(format!("CONNECT {connect}\r\nPING\r\n").as_bytes())?;
        session
            .wait_for(|said| Ok(matches!(said, Said::Pong).then_some(())))
            .context("greeting the server")?;
        Ok(session)
    }

    /// Sends `bytes`.
    pub(super) fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        Ok(self.stream.write_all(bytes)?)
    }

    /// The stream, once nothing more is asked through here. Whatever the server still says unasked
    /// is read to its end.
    pub(super) fn into_stream(mut self) -> anyhow::Result<Stream> {
        while !self.buffer.is_empty() {
            self.wait_for(|_| Ok(Some(())))?;
        }
        Ok(self.stream)
    }

    /// Reads on until `want` has what it wants.
    fn wait_for<T>(
        &mut self,
        mut want: impl FnMut(Said<'_>) -> anyhow::Result<Option<T>>,
    ) -> anyhow::Result<T> {
        loop {
            while let Some((taken, said)) = wire::peek(&self.buffer)? {
                let ping = said == Said::Ping;
                if let Said::Err(why) = said {
                    bail!("the server said {}", String::from_utf8_lossy(why));
                }
                let got = want(said)?;
                self.buffer.drain(..taken);
                if ping {
                    self.stream.write_all(b"PONG\r\n")?;
                }
                if let Some(got) = got {
                    return Ok(got);
                }
            }
            let at = self.buffer.len();
            self.buffer.resize(at + READ_BYTES, 0);
            let count = self.stream.read(&mut self.buffer[at..]);
            self.buffer.truncate(at + count.as_ref().map_or(0, |count| *count));
            ensure!(count? > 0, "the server closed the connection");
        }
    }

    /// Makes the stream anew, and a consumer for each user.
    pub(super) fn prepare(&mut self, plan: &Plan) -> anyhow::Result<()> {
        self.write(format!("SUB {INBOX}.* 1\r\n").as_bytes())?;
        let deleted = self.ask(&format!("STREAM.DELETE.{STREAM}"), &Value::Null)?;
        if let Some(error) = deleted.error
            && error.number() != STREAM_NOT_FOUND
        {
            bail!("deleting the stream: {}", error.description);
        }
        let created = self.ask(&format!("STREAM.CREATE.{STREAM}"), &stream_config(plan))?;
        if let Some(error) = created.error {
            bail!("making the stream: {}", error.description);
        }
        self.make_consumers(plan.connections).context("making consumers")
    }

    fn make_consumers(&mut self, users: usize) -> anyhow::Result<()> {
        let began = Instant::now();
        let mut asked = 0;
        for answered in 0..users {
            let mut requests = Vec::new();
            while asked < users && asked < answered + PIPELINE {
                let (name, filter) = (consumer(asked), subject(asked));
                let api = format!("CONSUMER.CREATE.{STREAM}.{name}.{filter}");
                requests.extend(request(&api, &consumer_config(&name, &filter)));
                asked += 1;
            }
            self.write(&requests)?;
            if let Some(error) = self.answer()?.error {
                bail!("{}", error.description);
            }
            ensure!(began.elapsed() < PREPARE_MAX, "{answered} of {users} in {PREPARE_MAX:?}");
        }
        Ok(())
    }

    fn ask(&mut self, api: &str, body: &Value) -> anyhow::Result<Answer> {
        self.write(&request(api, body))?;
        self.answer()
    }

    fn answer(&mut self) -> anyhow::Result<Answer> {
        self.wait_for(|said| match said {
            Said::Message(message) => match message.status {
                Some((status, words)) => {
                    bail!("the server answered {status} {}", String::from_utf8_lossy(words))
                }
                None => Ok(Some(serde_json::from_slice(message.payload)?)),
            },
            _ => Ok(None),
        })
    }
}

fn stream_config(plan: &Plan) -> Value {
    json!({
        "name": STREAM,
        "subjects": [SUBJECTS],
        "storage": if plan.level == Level::Accepted { "memory" } else { "file" },
        "num_replicas": 1,
        // Acked messages stay, as a history does: a queue that drops each would pay one more
        // write for it, which is not part of the job.
        "retention": "limits",
        "discard": "old",
        // Said because servers from 2.15 on have a limit of their own where a stream says nothing.
        "max_consumers": plan.connections,
        "max_msgs": STREAM_MESSAGES_MAX,
    })
}

fn consumer_config(name: &str, filter: &str) -> Value {
    json!({
        "stream_name": STREAM,
        "config": {
            "durable_name": name,
            "filter_subject": filter,
            "deliver_policy": "all",
            "ack_policy": "explicit",
            "ack_wait": ACK_WAIT.as_nanos() as u64,
            "max_ack_pending": CONSUMER_ACKS_MAX,
        },
    })
}

fn request(api: &str, body: &Value) -> Vec<u8> {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    format!("PUB $JS.API.{api} {INBOX}.0 {}\r\n{body}\r\n", body.len()).into_bytes()
}
