//! Hongyan's client logic without input and output.
//!
//! ```text
//!  app ──commands──▶ ┌────────────┐ ──poll_event────▶ app
//!                    │ ClientCore │ ──poll_store────▶ LocalStore ──handle_stored──┐
//!  socket ──bytes──▶ │            │ ──poll_transmit─▶ socket                      │
//!  clock ──timeout─▶ └────────────┘ ◀─────────────────────────────────────────────┘
//! ```
//!
//! [`ClientCore`] owns what a messenger must get right wherever it runs: one
//! connection at a time and its session, the outbox that sends each message
//! until the result is definite, the timelines without gaps or duplicates, and
//! unread as arithmetic. It reads no clock, opens no socket, touches no disk
//! and draws no random number: time, jitter and fresh ids are arguments, so a
//! test can replay anything.
//!
//! `hongyan-client` drives it with tokio; `docs/SDK.md` draws the state
//! machine. What is absent here: threads, futures, `std::time`, `std::net`,
//! `std::fs`, and maps whose order differs from run to run.

#![forbid(unsafe_code)]

pub mod backoff;
pub mod client;
pub mod config;
#[cfg(any(test, feature = "testing"))]
pub mod conformance;
pub mod conversation;
mod cursors;
pub mod error;
pub mod event;
mod frames;
mod gaps;
mod groups;
pub mod message;
pub mod outbox;
mod people;
mod presence;
mod replies;
mod requests;
mod sends;
pub mod session;
pub mod store;
mod sync;
pub mod telling;
pub mod timeline;

pub use client::ClientCore;
pub use config::{CoreConfig, DeviceInfo};
pub use conversation::{ConversationState, Profile};
pub use error::ClientError;
pub use event::{Event, SendUpdate};
pub use message::{AckLevel, Body, ClientMsgId, Message, SendAck, SendState};
pub use outbox::{NewMessage, PendingMessage};
pub use session::{Credentials, SignOutReason, Status};
pub use store::{LocalStore, MemoryLocalStore, StoreBatch, StoreError, StoreOp, StoredState};
pub use telling::Listening;
pub use timeline::TimelineView;

pub use hongyan_protocol::ids::{ConversationId, GroupId, UserId};
pub use hongyan_protocol::{ErrorCode, Opcode, pb};
