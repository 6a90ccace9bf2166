//! TLS sessions that can be resumed: a pool for all connections to one server.
//!
//! A real client keeps the tickets of its own connections. Here thousands of connections share a
//! pool, and each takes any ticket: for the server it is the same work, since a ticket brings all
//! that the server knows of it.
//!
//! # Invariants
//! - A ticket is used once.
//! - Nothing is handed out before [`Tickets::hand_out`], so that the first connections of a run all
//!   shake hands in full.
//! - The pool is bounded; what comes on top is dropped.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustls::NamedGroup;
use rustls::client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::ServerName;

/// See the module.
#[derive(Debug)]
pub struct Tickets {
    open: AtomicBool,
    max: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    group: Option<NamedGroup>,
    tickets: VecDeque<Tls13ClientSessionValue>,
}

impl Tickets {
    /// A pool of up to `max` tickets, closed.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self { open: AtomicBool::new(false), max, kept: Mutex::default() }
    }

    /// Lets connections resume from now on.
    pub fn hand_out(&self) {
        self.open.store(true, Ordering::Relaxed);
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// TLS 1.3 only: with 1.2 every handshake is a full one.
impl ClientSessionStore for Tickets {
    fn set_kx_hint(&self, _server: ServerName<'static>, group: NamedGroup) {
        self.kept().group = Some(group);
    }

    fn kx_hint(&self, _server: &ServerName<'_>) -> Option<NamedGroup> {
        self.kept().group
    }

    fn set_tls12_session(&self, _server: ServerName<'static>, _value: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _server: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _server: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, _server: ServerName<'static>, value: Tls13ClientSessionValue) {
        let mut kept = self.kept();
        if kept.tickets.len() < self.max {
            kept.tickets.push_back(value);
        }
    }

    fn take_tls13_ticket(&self, _server: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        if self.open.load(Ordering::Relaxed) { self.kept().tickets.pop_front() } else { None }
    }
}
