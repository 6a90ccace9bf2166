//! RabbitMQ over AMQP 0-9-1: a durable queue per user, persistent messages, publisher confirms,
//! acks by the consumer.
//!
//! ```text
//! user i   basic.publish (default exchange, key = queue of user i + 1) ──▶ queue of user i + 1
//!          ◀── basic.ack of the confirm: the send counts as acknowledged
//! user i+1 ◀── basic.deliver, header, body: the message counts as delivered
//!          basic.ack, multiple, once per wake ──▶ the queue forgets the messages
//! ```
//!
//! What a confirm means is the queue's kind, [`QueueKind`]:
//!
//! | class | queue |
//! |---|---|
//! | synced to the disk | quorum: the confirm comes after a sync of the log that all quorum queues share |
//! | in between | classic, durable: the confirm comes after a sync of the queue's own files, or as soon as the consumer acknowledged the message, which need not reach the disk then |
//!
//! There is no class of acks from memory here: a message that is not persistent in a queue that is
//! not durable would be another job.
//!
//! Login, queues and everything rare goes through `amq-protocol`, the codec of the client `lapin`;
//! messages, acks and confirms are stamped into frames that it made once, and read in place. Its
//! I/O half is not used.
//!
//! Refuses groups: the job of a peer is the ring.

mod link;
mod session;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

pub use self::link::RabbitLink;
use self::session::Session;
use crate::driver::Driver;
use crate::engine::payload::TextForm;
use crate::engine::topology::{Seat, Talk};
use crate::plan::{Plan, Receipts};
use crate::stream::{Endpoint, Stream};

/// Bytes of a frame around its payload.
const FRAME_OVERHEAD: usize = 8;
/// Messages that a consumer may hold without an ack, as a multiple of the window: enough that the
/// queue never waits for an ack while the consumer works off what one wake brought.
const PREFETCH_WINDOWS: usize = 4;
const PREFETCH_MIN: usize = 256;

/// Kind of the users' queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum QueueKind {
    /// Durable and classic.
    Classic,
    /// Replicated log, here with one replica.
    #[default]
    Quorum,
}

impl QueueKind {
    /// The value of `x-queue-type`.
    const fn name(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Quorum => "quorum",
        }
    }

    /// Name of a user's queue. The kind is part of it, because a queue cannot change its kind.
    fn queue_of(self, user: usize) -> String {
        format!("hy.{}.{user}", self.name())
    }
}

/// Opens connections to RabbitMQ as `guest`, one channel each.
#[derive(Debug)]
pub struct RabbitDriver {
    endpoint: Endpoint,
    kind: QueueKind,
    plan: Plan,
}

impl RabbitDriver {
    /// For the server at `endpoint`, with queues of `kind`.
    #[must_use]
    pub const fn new(endpoint: Endpoint, kind: QueueKind, plan: Plan) -> Self {
        Self { endpoint, kind, plan }
    }

    /// What a report calls it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self.kind {
            QueueKind::Classic => "rabbitmq classic",
            QueueKind::Quorum => "rabbitmq quorum",
        }
    }

    fn queue_of_talk(&self, talk: Talk) -> anyhow::Result<String> {
        match talk {
            Talk::Direct { with, .. } => Ok(self.kind.queue_of(with)),
            Talk::Group { .. } => bail!("groups are not part of the job of a peer"),
        }
    }
}

impl Driver for RabbitDriver {
    type Link = RabbitLink;

    /// Declares the queues of the plan's users and empties them.
    fn prepare(&self) -> anyhow::Result<()> {
        let mut session = Session::open(&self.endpoint, 0)?;
        for user in 0..self.plan.connections {
            let queue = self.kind.queue_of(user);
            session
                .make_queue(&queue, self.kind.name())
                .with_context(|| format!("declaring {queue}"))?;
        }
        Ok(())
    }

    fn open(&self, index: usize, seat: &Seat) -> anyhow::Result<(Stream, RabbitLink)> {
        let mut session = Session::open(&self.endpoint, index)?;
        let text = TextForm::new(self.plan.bytes, self.plan.seed);
        if text.text_bytes() + FRAME_OVERHEAD > session.frame_bytes_max() {
            bail!("the server takes frames of {} bytes at most", session.frame_bytes_max());
        }
        let mut queues = vec![None; seat.talks.len()];
        for lane in &seat.sends {
            queues[lane.slot] = Some(self.queue_of_talk(seat.talks[lane.slot])?);
        }
        let acks = self.plan.receipts != Receipts::None;
        if !seat.sends.is_empty() {
            session.confirm_publishes()?;
        }
        if !seat.hears.is_empty() {
            let prefetch = (PREFETCH_WINDOWS * self.plan.window).max(PREFETCH_MIN);
            session.consume(&self.kind.queue_of(seat.user), acks, prefetch as u16)?;
        }
        let link = RabbitLink::new(&queues, &text, acks, self.plan.window)?;
        Ok((session.into_stream(), link))
    }
}

#[cfg(test)]
mod tests;
