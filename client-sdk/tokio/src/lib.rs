//! Hongyan's client for tokio.
//!
//! ```no_run
//! # async fn example() -> Result<(), hongyan_client::ClientError> {
//! use hongyan_client::{Client, Event};
//!
//! let client = Client::builder("chat.example.org:5100").tls().build().await?;
//! client.login("alice", "correct horse").await?;
//! let bob = client.find_user("bob").await?;
//! let chat = client.direct(bob.user)?;
//! let sent = client.send_text(chat, "hello").await?;
//! println!("stored as number {}", sent.wait().await?.seq);
//! let mut events = client.events();
//! while let Ok(event) = events.recv().await {
//!     if let Event::Message(message) = event {
//!         println!("{:?}", message.body);
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A [`Client`] is a cheap handle. Behind it one task drives a
//! `hongyan_client_core::ClientCore`: it connects and reconnects by itself,
//! sends what is in the outbox until the result is definite, keeps timelines
//! without gaps, and writes all of it through a [`LocalStore`] before it
//! counts. Every method may be dropped at any await: what it had begun goes
//! on or was never begun, and nothing is half done.
//!
//! This crate owns sockets, TLS, the clock, randomness and files; it decides
//! nothing about messages. `docs/SDK.md` draws the state machine.

#![forbid(unsafe_code)]

mod account;
mod builder;
mod client;
mod driver;
mod events;
mod file_store;
mod groups;
mod handles;
mod outlet;
mod people;
mod tls;
mod tracks;
pub mod wire;

pub use account::AccountState;
pub use builder::ClientBuilder;
pub use client::Client;
pub use events::{EventError, Events};
pub use file_store::FileLocalStore;
pub use groups::GroupMembers;
pub use handles::{SendHandle, Timeline};
pub use tls::TlsRoots;

pub use hongyan_client_core::conversation::GroupInfo;
pub use hongyan_client_core::event::{Presence, PresenceWatch};
pub use hongyan_client_core::store::{Account, Tokens};
pub use hongyan_client_core::{
    AckLevel, Body, ClientError, ClientMsgId, ConversationId, ConversationState, CoreConfig,
    Credentials, DeviceInfo, ErrorCode, Event, GroupId, LocalStore, MemoryLocalStore, Message,
    NewMessage, Opcode, PendingMessage, Profile, SendAck, SendState, SendUpdate, SignOutReason,
    Status, StoreError, StoreOp, StoredState, TimelineView, UserId, pb,
};
