//! The Hongyan server: everything around the rules that touches a socket, a
//! disk, a clock or a thread.
//!
//! ```text
//! acceptor ─sockets─> workers (one thread, one poll, one shard each)
//!                        |  frames in, effects out      reactor/
//!                        |─submissions─> committer ─> log
//!                        |─loads──────> loaders <─── views   commit/
//!                        |<─asks─────── settler ───> views
//!                        |─slow work──> offload pool         offload/
//!                        '<─questions── admin HTTP           admin/
//! ```
//!
//! [`Node::start`] runs a whole server in this process: the binary `hongyan`
//! does, and so do tests. [`node`] is the one place where the parts are put
//! together. There are no business rules here: those are in `hongyan-core`.

#![forbid(unsafe_code)]

pub mod admin;
pub mod audit;
pub mod boot;
#[cfg(feature = "testing")]
pub mod checks;
pub mod cli;
mod commit;
pub mod config;
mod http;
pub mod node;
pub mod observe;
pub mod offload;
mod prepare;
pub mod reactor;
mod shared;
pub mod tls;
pub mod tokens;
#[cfg(feature = "web")]
mod web;

pub use config::{Config, RawConfig};
pub use node::{Event, Node, NodeHandle, StartError, Stopped};
