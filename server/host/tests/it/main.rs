//! Black-box tests of the server over real sockets, on ephemeral ports.
//!
//! `support` starts nodes in this process or as a child; every other file is
//! one subject.

mod abuse;
mod admin;
mod chat;
mod cli;
mod corpus;
mod crash;
mod failing_log;
mod jwks_url;
mod limits;
mod sdk;
mod slow;
mod support;
mod tls;
#[cfg(feature = "web")]
mod web;
#[cfg(feature = "websocket")]
mod websocket;
mod wire;
